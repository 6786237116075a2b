"""Figures on held-out images, one file a task."""
