"""A trained model in use, without a Trainer, a data module or a config.

    from inference import load

    model = load("runs/aoi/2026-11-24_21-36-36")
    result = model.predict("panel.png")

Everything is read from the checkpoint. Preprocessing and postprocessing are those of
``cli.py predict``, which the tests hold equal bit for bit. Lightning is not imported: the first
result takes little longer than torch itself.
"""

from inference.loading import load

__all__ = ["load"]
