"""Sliders for the style of a blot, where the model's blots have one."""

from collections.abc import Sequence
from typing import Any

import gradio as gr
import numpy as np

from datamodules.blot_style import NAMES


def style_inputs(model: Any) -> list[Any]:
    """A switch and a slider for each number, over the range of the training's blots; or nothing.

    They begin at the median. While the switch is off the style is drawn.
    """
    if not hasattr(model, "known_rows"):
        return []
    known = model.known_rows()[:, 1:]
    lows, middles, highs = np.quantile(known, [0, 0.5, 1], axis=0).round(2).tolist()
    switch = gr.Checkbox(label="set the style (else it is drawn as real blots have it)")
    with gr.Accordion("style", open=False):
        sliders = [
            gr.Slider(low, max(high, low + 0.01), middle, label=name.replace("_", " "))
            for name, low, middle, high in zip(NAMES, lows, middles, highs, strict=True)
        ]
    return [switch, *sliders]


def chosen_style(given: Sequence[Any]) -> dict[str, dict[str, float]]:
    """What `StyledBlotModel.predict` takes beside the templates; ``given`` as of `style_inputs`."""
    if not given or not given[0]:
        return {}
    return {"style": dict(zip(NAMES, given[1:], strict=True))}
