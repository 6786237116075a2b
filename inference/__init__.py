"""A trained model in use, without a Trainer, a data module or a config.

    from inference import load

    result = load("runs/aoi/first").predict("panel.png")

Everything is read from the checkpoint, and the results are those of ``cli.py predict``, bit for
bit. Lightning is not imported: the first result takes little longer than torch itself.
"""

from inference.loading import load

__all__ = ["load"]
