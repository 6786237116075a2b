"""``python cli.py demo``: drop images on a page, see what a trained model makes of them.

Only for this computer unless told otherwise, and without internet; it writes to a temporary folder.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from datamodules.errors import DataError
from inference import load, results
from inference.examples import TASKS, examples
from inference.options import add_checkpoint_options, chosen_checkpoint

try:
    import gradio as gr
except ImportError:
    raise DataError("gradio is missing; pip install -e '.[demo]'") from None

MOST_BYTES, MOST_PIXELS, MOST_IMAGES = "25mb", 20_000_000, 20  # of a file, an image, an upload
WAITING = 100  # uploads; those beyond are told to come again
SAMPLE = "**Trained on the built-in synthetic sample: on real images its answers mean nothing.**"
ASKS = {
    "aoi": "Drop gray images of panels: the class of the defect, how sure, and where it shows.",
    "vessels": "Drop photographs of retinas: their vessels, and how sure. Not a medical device.",
    "retina": "Drop photographs of retinas: their copies and what is lost. Not a medical device.",
    "blots": "Drop or draw two templates: a synthetic Western blot. Never show it as a result.",
}
# Gradio's own themes fetch their fonts from a server.
THEME = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"])


def main(args: Sequence[str] | None = None) -> None:
    """Run ``demo`` with the command line ``args``, until it is stopped.

    Raises:
        DataError: no such run or checkpoint; the port is taken.
    """
    parser = argparse.ArgumentParser(prog="cli.py demo", description=__doc__)
    add_checkpoint_options(parser, default="best")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets other computers in")
    parser.add_argument("--port", type=int, help="the first free one from 7860 by default")
    options = parser.parse_args(args)
    try:
        path = chosen_checkpoint(options)
    except DataError as error:
        raise DataError(f"{error}; `make fit` trains one on the sample") from None
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        serve(load(path), folder, server_name=options.host, server_port=options.port)


def serve(model: Any, folder: str, **options: Any) -> gr.Blocks:
    """Launch the page of a model, whose files lie in ``folder``, with Gradio's ``options``."""
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": folder}
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2  # Pillow warns above it, and refuses twice of it
    page = build(model).queue(max_size=WAITING, default_concurrency_limit=1, api_open=False)
    fixed: dict[str, Any] = {"share": False, "ssr_mode": False, "footer_links": []}
    try:
        page.launch(theme=THEME, max_file_size=MOST_BYTES, **fixed, **options)
    except OSError as error:
        raise DataError(f"--port: {str(error).partition('. ')[0]}; give another one") from None
    return page


def build(model: Any) -> gr.Blocks:
    """What goes in, what comes out, and examples of the training's data."""
    trained, task = model.trained, TASKS[model.trained.method]
    with gr.Blocks(title=f"Image tasks: {task}", analytics_enabled=False) as page:
        sample = SAMPLE if trained.trained_on_sample else ""
        gr.Markdown(f"## {trained.method}\n\n{ASKS[task]}\n\n{sample}")
        given: list[Any] = []
        if task == "blots":
            drawn: dict[str, Any] = {"type": "pil", "image_mode": "L", "layers": False}
            with gr.Row():
                given = [gr.ImageEditor(label=f"template {i}", **drawn) for i in (1, 2)]
        else:
            given = [gr.File(label="images", file_count="multiple", type="filepath")]
        button = gr.Button("Predict", variant="primary")
        problems = gr.Textbox(label="not predicted", visible=False)
        shown = gr.Gallery(label="result", columns=1, height="auto", object_fit="contain")
        pair = gr.ImageSlider(label="photograph | copy", visible=task == "retina")
        numbers = gr.Dataframe(label="numbers", interactive=False)
        found = [list(x) if isinstance(x, tuple) else [[str(x)]] for x in examples(trained, 4)]
        gr.Examples(found, given, label="examples")
        triggers = [button.click] if task == "blots" else [button.click, given[0].change]
        gr.on(triggers, lambda *x: answer(model, x), given, [problems, shown, pair, numbers])
    return page


def answer(model: Any, given: Sequence[Any]) -> tuple[Any, list[Any], Any, Any]:
    """What was not predicted and why, pictures, the first pair to compare, and numbers."""
    inputs, lines = given[0] or [], []
    if TASKS[model.trained.method] == "blots":
        inputs = [tuple(editor and editor["composite"] for editor in given)]
    if len(inputs) > MOST_IMAGES:
        lines.append(f"{len(inputs)} images: only the first {MOST_IMAGES} are predicted")
    shown, rows, pair = [], [], None
    for x in inputs[:MOST_IMAGES]:
        try:
            result = model.predict(x)
            rows.append({"name": result.name, **_numbers(model, x, result)})
        except DataError as error:
            lines.append(str(error).replace(f"{Path(str(x)).parent}{os.sep}", ""))
            continue
        shown.append((result.show(), result.name))
        if pair is None and isinstance(result, results.RetinaResult):
            pair = result.image, result.reconstruction
    table = {"headers": [*rows[0]], "data": [[*row.values()] for row in rows]} if rows else None
    return gr.Textbox("\n".join(lines), visible=bool(lines)), shown, pair, table


def _numbers(model: Any, x: Any, result: Any) -> dict[str, Any]:
    if isinstance(result, results.DefectResult):
        sure = {name: f"{100 * p:.1f} %" for name, p in result.probabilities.items()}
        return {"label": result.label, "confidence": sure[result.label], **sure}
    if isinstance(result, results.VesselResult):
        return {"vessel pixels": f"{100 * result.mask.mean():.1f} %", "above": result.threshold}
    if isinstance(result, results.BlotResult):
        return {"width": result.image.width, "height": result.image.height}
    scores = {"PSNR in dB": f"{result.psnr:.2f}", "SSIM": f"{result.ssim:.4f}"}
    size = len(model.compress(x)) if hasattr(model, "compress") else None
    return scores if size is None else {**scores, "bytes": size}
