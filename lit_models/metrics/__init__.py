"""Metrics beside those of torchmetrics."""
