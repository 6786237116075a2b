"""Predictions as files, one file a task."""
