"""``python cli.py demo``: drop images on a page of this computer, see a trained model's answers."""

import os
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from datamodules.errors import DataError
from experiment.arguments import OneLineArguments, UsageError
from inference import load, results
from inference.examples import TASKS, examples
from inference.options import add_checkpoint_options, chosen_checkpoint

MOST_BYTES, MOST_PIXELS, MOST_IMAGES = "25mb", 20_000_000, 20  # of a file, an image, an upload
WAITING = 100  # uploads; those beyond are told to come again
SAMPLE = "**Trained on the built-in synthetic sample: on real images its answers mean nothing.**"
ASKS = {
    "aoi": "Drop gray images of panels: the class of the defect, how sure, and where it shows.",
    "vessels": "Drop photographs of retinas: their vessels, and how sure. Not a medical device.",
    "retina": "Drop photographs of retinas: their copies and what is lost. Not a medical device.",
    "blots": "Drop or draw two templates: a synthetic Western blot. Never show it as a result.",
}
CSS = ".thumbnail-item {aspect-ratio: auto !important} .grid-wrap {max-height: none !important}"
THEME = gr.themes.Base(font=["system-ui"], font_mono=["monospace"])  # others fetch their fonts


def main(args: Sequence[str] | None = None) -> None:
    """Run ``demo`` with the command line ``args``, until it is stopped; see `serve`."""
    parser = OneLineArguments(prog="cli.py demo", description=__doc__)
    add_checkpoint_options(parser, default="best")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets other computers in")
    parser.add_argument("--port", type=int, help="the first free one from 7860 by default")
    options = parser.parse_args(args)
    _check_address(options.host, options.port or 0)
    try:
        path = chosen_checkpoint(options)
    except DataError as error:
        raise DataError(f"{error}; `make fit` trains one on the sample") from None
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        serve(load(path), folder, server_name=options.host, server_port=options.port)


def _check_address(host: str, port: int) -> None:
    """Refuse what Gradio would try for a minute; DataError."""
    try:
        with socket.create_server((host, port)):
            pass
    except OverflowError:
        raise UsageError(f"--port: {port}; give 1 to 65535") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"--host {host} --port {port or 7860}: {reason}; give others") from None


def serve(model: Any, folder: str, **options: Any) -> gr.Blocks:
    """Launch the page of a model, its files in ``folder``; DataError where a port is taken."""
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": folder}
    gr.routes.DEFAULT_TEMP_DIR = folder  # else Gradio makes an empty folder beside it
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2  # Pillow warns above it, and refuses twice of it
    page = build(model).queue(max_size=WAITING, default_concurrency_limit=1, api_open=False)
    options |= {"share": False, "ssr_mode": False, "footer_links": []}
    try:
        page.launch(theme=THEME, css=CSS, max_file_size=MOST_BYTES, **options)
    except OSError as error:
        raise DataError(f"--port: {str(error).partition('. ')[0]}; give another one") from None
    return page


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
                given = [gr.ImageEditor(label=f"template {i}", **how) for i in (1, 2)]
        button = gr.Button("Predict", variant="primary")
        problems = gr.Textbox(label="not predicted", visible=False)
        shown = gr.Gallery(show_label=False, columns=1, height="auto", object_fit="contain")
        pair = gr.ImageSlider(label="photograph | copy", visible=task == "retina")
        numbers = gr.Dataframe(label="numbers", interactive=False, visible=False)
        found = [[*map(str, x)] if task == "blots" else [[str(x)]] for x in examples(trained, 4)]
        gr.Examples(found, given, label="examples")
        triggers = [button.click] if task == "blots" else [button.click, given[0].change]
        answers = [problems, shown, pair, numbers]
        gr.on(triggers, lambda *x: answer(model, x), given, answers, api_name="predict")
    return page


def answer(model: Any, given: Sequence[Any]) -> tuple[Any, list[Any], Any, Any]:
    """What was not predicted and why, pictures, the first pair to compare, and numbers."""
    inputs, lines, shown, rows, pair = given[0] or [], [], [], [], None
    if TASKS[model.trained.method] == "blots":
        drawn = [x["composite"].convert("RGBA") for x in given if x and x["composite"]]
        papers = [Image.new("RGBA", image.size, "white") for image in drawn]
        lines = [] if len(drawn) == 2 else ["a blot is made of two templates; drop or draw both"]
        inputs = [] if lines else [tuple(map(Image.alpha_composite, papers, drawn))]
    for x in inputs[:MOST_IMAGES]:
        try:
            result = model.predict(x)
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
        return {"vessel pixels": f"{100 * result.mask.mean():.1f} %", "above": result.threshold}
    if isinstance(result, results.BlotResult):
        return {"width": result.image.width, "height": result.image.height}
    size = {"bytes": len(model.compress(x))} if hasattr(model, "compress") else {}
    return {"PSNR in dB": f"{result.psnr:.2f}", "SSIM": f"{result.ssim:.4f}", **size}
