"""What every package may import: errors and ranges of options."""
