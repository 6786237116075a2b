"""The built-in samples: synthetic images that are drawn on first use, and their cache."""
