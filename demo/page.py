"""Drop images on a page of this computer, see a trained model's answers."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from common.errors import DataError
from demo.styles import chosen_style, style_inputs
from inference import results
from inference.examples import TASKS, examples

MOST_PIXELS, MOST_IMAGES = 20_000_000, 20  # of an image, of an upload
SAMPLE = "**Trained on the built-in synthetic sample: on real images its answers mean nothing.**"
ASKS = {
    "aoi": "Drop images: the class of each, how sure, and where it shows.",
    "vessels": "Drop photographs of retinas: their vessels, and how sure. Not a medical device.",
    "retina": "Drop photographs of retinas: their copies and what is lost. Not a medical device.",
    "blots": "Drop or draw two templates: a synthetic Western blot. Never show it as a result.",
}


def build(model: Any) -> gr.Blocks:
    """What goes in, what comes out, and examples of the training's data."""
    trained, task = model.trained, TASKS[model.trained.method]
    with gr.Blocks(title=f"Image tasks: {task}", analytics_enabled=False) as page:
        gr.Markdown(f"## {trained.method}\n\n{ASKS[task]}")
        gr.Markdown(SAMPLE, visible=trained.trained_on_sample)
        given: list[Any] = [gr.File(label="images", file_count="multiple", render=task != "blots")]
        if task == "blots":
            how: dict[str, Any] = {"type": "pil", "layers": False, "sources": ["upload"]}
            how["brush"] = gr.Brush(40, ["#000000"], color_mode="fixed")
            with gr.Row():
                given = [
                    gr.ImageEditor(label=f"template {i + 1}", **how) for i in range(model.count)
                ]
        styles = style_inputs(model)
        button = gr.Button("Predict", variant="primary")
        problems = gr.Textbox(label="not predicted", visible=False)
        shown = gr.Gallery(show_label=False, columns=1, height="auto", object_fit="contain")
        pair = gr.ImageSlider(label="photograph | copy", visible=task == "retina")
        numbers = gr.Dataframe(label="numbers", interactive=False, visible=False)
        found = [[*map(str, x)] if task == "blots" else [[str(x)]] for x in examples(trained, 4)]
        gr.Examples(found, given, label="examples")
        triggers = [button.click] if task == "blots" else [button.click, given[0].change]
        answers = [problems, shown, pair, numbers]
        gr.on(triggers, lambda *x: answer(model, x), given + styles, answers, api_name="predict")
    return page


def answer(model: Any, given: Sequence[Any]) -> tuple[Any, list[Any], Any, Any]:
    """What was not predicted and why, pictures, the first pair to compare, and numbers."""
    inputs, lines, shown, rows, pair = given[0] or [], [], [], [], None
    count = getattr(model, "count", 2)
    if TASKS[model.trained.method] == "blots":
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
            if isinstance(result, results.RetinaResult):
                pair = pair or (result.image, result.reconstruction)
            rows.append({"name": result.name, **_numbers(model, x, result)})
        except DataError as error:
            lines.append(str(error).replace(f"{Path(str(x)).parent}{os.sep}", ""))
    lines += [f"{Path(x).name}: more than {MOST_IMAGES} at once" for x in inputs[MOST_IMAGES:]]
    table = {"headers": [*rows[0]], "data": [[*row.values()] for row in rows]} if rows else None
    problems = gr.Textbox("\n".join(lines), visible=bool(lines))
    return problems, shown, pair, gr.Dataframe(table, visible=bool(rows))


def _numbers(model: Any, x: Any, result: Any) -> dict[str, Any]:
    if isinstance(result, results.DefectResult):
        sure = {name: f"{100 * p:.1f} %" for name, p in result.probabilities.items()}
        return {"label": result.label, "confidence": sure[result.label], **sure}
    if isinstance(result, results.VesselResult):
        measured = result.measures
        numbers = {k: f"{v:.4g}" for k, v in asdict(measured.regions["whole"]).items()}
        return {**numbers, "quality": ", ".join(measured.quality), "above": result.threshold}
    if isinstance(result, results.BlotResult):
        style = {name: f"{value:.3g}" for name, value in (result.style or {}).items()}
        return {"width": result.image.width, "height": result.image.height, **style}
    return {"PSNR in dB": f"{result.psnr:.2f}", "SSIM": f"{result.ssim:.4f}"}
