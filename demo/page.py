"""``python cli.py demo``: drop images on a page, see what a trained model makes of them.

Only on this computer unless told otherwise, without internet, and without a trace but in a temporary
folder.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from datamodules.errors import DataError
from inference import load, results, show
from inference.examples import TASKS, examples
from inference.options import add_checkpoint_options, chosen_checkpoint
from inference.retina import CompressorModel

MOST_PIXELS = 20_000_000  # of an image; a larger one is refused before it is decoded
MOST_BYTES = "25mb"  # of a file
MOST_IMAGES = 20  # at once
WAITING = 64  # requests; those beyond are told to come again
SAMPLE = (
    "**Trained on the built-in synthetic sample, not on real images: its answers on yours mean "
    "nothing.**"
)
ASKS = {
    "aoi": "Drop gray images of panels: the defect class, how sure, and where the evidence lies.",
    "vessels": "Drop photographs of the retina: their vessels, and how sure. No medical device.",
    "retina": "Drop photographs of the retina: their copies, and what is lost. No medical device.",
    "blots": "Drop or draw two templates: the Western blot of both. Never show it as an experiment.",
}


def main(args: Sequence[str] | None = None) -> None:
    """Run ``demo`` with the command line ``args``, until it is stopped.

    Raises:
        DataError: no such run or checkpoint; Gradio is missing; the port is taken.
    """
    parser = argparse.ArgumentParser(prog="cli.py demo", description=__doc__)
    add_checkpoint_options(parser, default="best")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets other computers in")
    parser.add_argument("--port", type=int, help="7860 by default, or the next free one")
    options = parser.parse_args(args)
    try:
        model = load(chosen_checkpoint(options))
    except DataError as error:
        raise DataError(f"{error}; `make fit` trains one on the built-in sample") from None
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        launch(model, folder, options.host, options.port)


def launch(model: Any, folder: str, host: str, port: int | None, wait: bool = True) -> Any:
    """Serve the page of a model; its files lie in ``folder``. Returns it, for tests.

    Raises:
        DataError: Gradio is missing, or the port is taken.
    """
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": folder}
    os.environ["GRADIO_EXAMPLES_CACHE"] = str(Path(folder, "examples"))
    try:
        import gradio as gr
    except ImportError:
        raise DataError("gradio is missing; pip install -e '.[demo]'") from None
    page = build(gr, model).queue(max_size=WAITING, default_concurrency_limit=1, api_open=False)
    local = ["system-ui", "sans-serif"]  # Gradio's own themes fetch theirs from a server
    theme = gr.themes.Base(font=local, font_mono=["monospace"])
    try:
        page.launch(
            server_name=host,
            server_port=port,
            max_file_size=MOST_BYTES,
            theme=theme,
            share=False,
            footer_links=[],
            ssr_mode=False,
            prevent_thread_lock=not wait,
        )
    except OSError:
        raise DataError(f"--port {port}: taken; give another one") from None
    return page


def build(gr: Any, model: Any) -> Any:
    """The page: what goes in, what comes out, examples."""
    task, trained = TASKS[model.trained.method], model.trained
    with gr.Blocks(title=f"Image tasks: {task}", delete_cache=(600, 600)) as page:
        gr.Markdown(f"## {trained.path.parent.parent.name or task}: {task}\n{ASKS[task]}")
        if trained.trained_on_sample:
            gr.Markdown(SAMPLE)
        if task == "blots":
            with gr.Row():
                drawn = {"type": "pil", "image_mode": "L", "sources": ["upload"], "layers": False}
                given = [gr.ImageEditor(label=f"template {i}", **drawn) for i in (1, 2)]
        else:
            given = [gr.File(label="images", file_count="multiple", type="filepath")]
        button = gr.Button("Predict", variant="primary")
        lines = gr.Markdown()
        slider = gr.ImageSlider(label="photograph | copy", visible=task == "retina")
        shown = gr.Gallery(label="result", columns=1, height="auto", object_fit="contain")
        table = gr.Dataframe(label="numbers", interactive=False)
        answers = [lines, slider, shown, table]
        gr.on([button.click, *([given[0].upload] if task != "blots" else [])],
              lambda *x: answer(model, x), given, answers)
        found = examples(trained, 4)
        rows = [[str(p) for p in x] if task == "blots" else [[str(x)]] for x in found]
        gr.Examples(rows, given, cache_examples=False, label="examples")
    return page


def answer(model: Any, given: Sequence[Any]) -> tuple[str, Any, list[Any], Any]:
    """What the page shows: lines about files, a pair to compare, pictures, a table of numbers."""
    problems, shown, rows, pair = [], [], [], None
    for x in _inputs(given):
        try:
            result = model.predict(x if isinstance(x, tuple) else _checked(x))
        except DataError as error:
            problems.append(str(error).replace(f"{Path(str(x)).parent}/", ""))
            continue
        shown.append((result.show(), result.name))
        row = {"name": result.name, **_numbers(result)}
        if isinstance(model, CompressorModel):
            row["bytes"] = len(model.compress(x))
    return "", pair, shown, rows
