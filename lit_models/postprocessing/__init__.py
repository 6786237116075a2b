"""From a network's output to a prediction: views, scales, tiles, thresholds, measures."""
