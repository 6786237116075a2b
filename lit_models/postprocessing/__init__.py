"""From a network's output to a prediction: views, scales, tiles, thresholds.

These parts are saved in the checkpoint; they are also the ones that ``validate``, ``test`` and
``predict`` may set otherwise (``--model.inference.threshold 0.4``).
"""
