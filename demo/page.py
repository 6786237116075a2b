"""Drop images on a page of this computer, see a trained model's answers."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from common.errors import DataError
from datamodules.blot_style import NAMES
from experiment.tasks import TASKS
from inference.blots import BlotModel
from inference.examples import examples
from inference.results import RetinaResult
from inference.retina import RetinaModel

MOST_PIXELS, MOST_IMAGES = 20_000_000, 20  # of an image, of an upload
SAMPLE = "**Trained on the built-in synthetic sample: on real images its answers mean nothing.**"


def build(model: Any) -> gr.Blocks:
    """What goes in, what comes out, and examples of the training's data."""
    trained, pairs = model.trained, isinstance(model, BlotModel)
    task = next(task for task in TASKS.values() if trained.method in task.models)
    with gr.Blocks(title=task.title, analytics_enabled=False) as page:
        gr.Markdown(f"## {trained.method}\n\n{task.prompt}")
        gr.Markdown(SAMPLE, visible=trained.trained_on_sample)
        given: list[Any] = [gr.File(label="images", file_count="multiple", render=not pairs)]
        if pairs:
            how: dict[str, Any] = {"type": "pil", "layers": False, "sources": ["upload"]}
            how["brush"] = gr.Brush(40, ["#000000"], color_mode="fixed")
            with gr.Row():
                names = [f"template {number + 1}" for number in range(model.count)]
                given = [gr.ImageEditor(label=name, **how) for name in names]
        styles = style_inputs(model)
        button = gr.Button("Predict", variant="primary")
        problems = gr.Textbox(label="not predicted", visible=False)
        shown = gr.Gallery(show_label=False, columns=1, height="auto", object_fit="contain")
        pair = gr.ImageSlider(label="photograph | copy", visible=isinstance(model, RetinaModel))
        numbers = gr.Dataframe(label="numbers", interactive=False, visible=False)
        found = [[*map(str, x)] if pairs else [[str(x)]] for x in examples(model, 4)]
        gr.Examples(found, given, label="examples")
        triggers = [button.click] if pairs else [button.click, given[0].change]
        answers = [problems, shown, pair, numbers]
        gr.on(triggers, lambda *x: answer(model, x), given + styles, answers, api_name="predict")
    return page


def answer(model: Any, given: Sequence[Any]) -> tuple[Any, list[Any], Any, Any]:
    """What was not predicted and why, pictures, the first pair to compare, and numbers."""
    inputs, lines, shown, rows, pair = given[0] or [], [], [], [], None
    count = model.count if isinstance(model, BlotModel) else 2
    if isinstance(model, BlotModel):
        kept = [x for x in given[:count] if x and x["composite"]]
        drawn = [x["composite"].convert("RGBA") for x in kept]
        papers = [Image.new("RGBA", image.size, "white") for image in drawn]
        lines = [] if len(drawn) == count else [f"a blot is made of {count} templates; give all"]
        inputs = [] if lines else [tuple(map(Image.alpha_composite, papers, drawn))]
    for x in inputs[:MOST_IMAGES]:
        try:
            result = model.predict(x, **chosen_style(given[count:]))
            # Else Gradio keeps equal pictures in one file, and writes it while another reads it.
            shown.append(Path(tempfile.mkdtemp(dir=os.environ["GRADIO_TEMP_DIR"]), "result.png"))
            result.show().save(shown[-1])
            if isinstance(result, RetinaResult):
                pair = pair or (result.image, result.reconstruction)
            rows.append({"name": result.name, **result.numbers()})
        except DataError as error:
            lines.append(str(error).replace(f"{Path(str(x)).parent}{os.sep}", ""))
    lines += [f"{Path(x).name}: more than {MOST_IMAGES} at once" for x in inputs[MOST_IMAGES:]]
    table = {"headers": [*rows[0]], "data": [[*row.values()] for row in rows]} if rows else None
    problems = gr.Textbox("\n".join(lines), visible=bool(lines))
    return problems, shown, pair, gr.Dataframe(table, visible=bool(rows))


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
