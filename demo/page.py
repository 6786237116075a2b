"""Drop images on a page of this computer, see a trained model's answers."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from common.errors import DataError
from datamodules.images import read_image
from experiment.report import headline
from experiment.run_folder import run_folder_of
from experiment.run_results import RunResults, read_results
from experiment.tasks import TASKS
from inference.blots import BlotModel
from inference.defects import DefectModel
from inference.vessels import VesselModel

MOST_PIXELS, MOST_IMAGES = 20_000_000, 20  # of an image, of an upload
SAMPLE = "**Trained on the built-in synthetic sample: on real images its answers mean nothing.**"
COARSE = "A map of evidence is coarse: it shows about where the network looked, not an outline."
REVIEW, UNKNOWN = "below the review limit", "unknown: unlike the training images"
COLORS = {REVIEW: "#f59e0b", UNKNOWN: "#f87171"}
CSS = """
.grid-wrap {max-height: none !important; min-height: 0 !important; height: auto !important}
.textfield {word-break: normal !important; overflow-wrap: anywhere}
#results .grid-container {grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)) !important}
#results .thumbnail-item {aspect-ratio: auto !important}
#examples .gallery-container {margin-top: 20px}
#examples .grid-container {grid-template-columns: repeat(4, minmax(0, 1fr)) !important}
"""


def build(model: Any) -> gr.Blocks:
    """What goes in and examples of it at the left, what comes out at the right; or below."""
    pairs = isinstance(model, BlotModel)
    name, text = about(model)
    with gr.Blocks(title=name, analytics_enabled=False) as page:
        gr.Markdown(text)
        gr.Markdown(SAMPLE, visible=model.trained.trained_on_sample)
        with gr.Row():
            with gr.Column(min_width=320):
                file = gr.File(label="images", file_count="multiple", height=160, visible=not pairs)
                given = template_inputs(model) if pairs else [file]
                settings: list[Any] = []
                if isinstance(model, VesselModel):
                    label = "vessel where the probability is above"
                    settings = [gr.Slider(0.01, 0.99, model.inference.threshold, label=label)]
                button = gr.Button("Predict", variant="primary", visible=pairs)
                found = model.examples(4 if pairs else 8)
                if pairs:
                    gr.Examples([[*map(str, x)] for x in found], given, label="examples")
                else:
                    show_examples(found, file)
            with gr.Column(min_width=320, scale=2):
                problems = gr.Textbox(label="not predicted", visible=False)
                how: dict[str, Any] = {"color_map": COLORS, "show_inline_category": False}
                lines = gr.HighlightedText(show_label=False, visible=False, **how)
                pair = gr.ImageSlider(format="png", visible=False)
                shown = gr.Gallery(show_label=False, visible=False, elem_id="results")
                gr.Markdown(COARSE, visible=isinstance(model, DefectModel))
                numbers = gr.Dataframe(label="numbers", interactive=False, visible=False)
        answers = [problems, lines, pair, shown, numbers]
        triggers = [button.click, file.change]
        triggers += [slider.release for slider in settings]
        gr.on(triggers, lambda *x: answer(model, x), given + settings, answers, api_name="predict")
    return page


def about(model: Any) -> tuple[str, str]:
    """Title of the page, and what it says of the model: task, run, data and score."""
    path, given = model.trained.path, model.trained.data.get("data_dir")
    task = next(task for task in TASKS.values() if model.trained.method in task.models)
    run, name, score = run_folder_of(path), path.stem, ""
    if run is not None:
        name, score = f"{run.parent.name}/{run.name}", headline(read_results(run))
    elif (card := path.with_suffix(".json")).is_file():  # of shipped weights
        record = json.loads(card.read_text(encoding="utf-8"))
        scores = [{**one, "metrics": one["values"]} for one in record["metrics"]]
        score = headline(RunResults(path, record | {"evaluations": scores}))
    data = Path(given).name if given else "the built-in sample"
    told = f"`{name}`, trained on `{data}`. {score}"
    return f"{task.title}: {name}", f"## {task.title}\n\n{told}\n\n{task.prompt}"


def answer(model: Any, given: Sequence[Any]) -> tuple[Any, ...]:
    """What was not predicted and why, a line for each image, pictures, and numbers."""
    pairs = isinstance(model, BlotModel)
    inputs: Any = [given[: model.templates]] if pairs else given[0] or []
    settings, wrong, results = given[model.templates if pairs else 1 :], list[str](), list[Any]()
    for x in inputs[:MOST_IMAGES]:
        try:
            results.append(predicted(model, x, settings))
        except DataError as error:
            wrong.append(str(error).replace(f"{Path(str(x)).parent}{os.sep}", ""))
    wrong += [f"{Path(x).name}: more than {MOST_IMAGES} at once" for x in inputs[MOST_IMAGES:]]
    pictures = [[(saved(*one), one[0]) for one in result.pictures()] for result in results]
    # Of a single image the first two are laid over each other.
    over = len(results) == 1 and not pairs and len(pictures[0]) > 1
    pair, titles = zip(*pictures[0][:2], strict=True) if over else (None, ())
    others = [picture for group in pictures for picture in group[2 * over :]]
    lines = said_of(model, results)
    rows = [{"name": result.name, **result.numbers()} for result in results]
    table = {"headers": [*rows[0]], "data": [[*row.values()] for row in rows]} if rows else None
    return (
        gr.Textbox("\n".join(wrong), visible=bool(wrong)),
        gr.HighlightedText(lines, visible=bool(lines)),
        gr.ImageSlider(pair, label=" | ".join(titles), visible=over),
        gr.Gallery(others, visible=bool(others)),
        gr.Dataframe(table, visible=bool(rows)),
    )


def predicted(model: Any, x: Any, settings: Sequence[Any]) -> Any:
    """The result for a file, or for templates as of `template_inputs`."""
    if not isinstance(model, BlotModel):
        result = _of_file(model, x)
        return replace(result, threshold=settings[0]) if settings else result
    drawn = [one["composite"].convert("RGBA") for one in x if one and one["composite"]]
    if len(drawn) < model.templates:
        raise DataError(f"a blot is made of {model.templates} templates; give all")
    papers = [Image.new("RGBA", image.size, "white") for image in drawn]
    return model.predict(tuple(map(Image.alpha_composite, papers, drawn)))


@lru_cache(maxsize=8)  # for a threshold that is moved; a result takes up to 200 MB
def _of_file(model: Any, path: str) -> Any:
    return model.predict(path)


def said_of(model: Any, results: Sequence[Any]) -> list[tuple[str, str | float | None]]:
    """A line for each result, with badges."""
    least = (model.card()["review_below"] or 0) if isinstance(model, DefectModel) else 0
    lines: list[tuple[str, str | float | None]] = []
    for result in results:
        lines.append((f"{result.name}: {result.caption}", None))
        if isinstance(model, DefectModel) and result.is_unknown:
            lines.append((UNKNOWN, UNKNOWN))
        elif least and result.confidence < least:
            lines.append((REVIEW, REVIEW))
        lines.append(("\n", None))
    return lines


def saved(title: str, picture: Image.Image) -> str:
    """A file of its own: Gradio keeps equal pictures in one file, and may read it half written."""
    folder = tempfile.mkdtemp(dir=os.environ["GRADIO_TEMP_DIR"])
    path = Path(folder, f"{re.sub(r'[^A-Za-z0-9]+', '_', title)[:60]}.png")
    picture.save(path, compress_level=1)
    return str(path)


def show_examples(paths: Sequence[Path], file: gr.File) -> None:
    """Thumbnails which, when clicked, are given as ``file``, under names that tell nothing."""
    thumbnails = [to_pil_image(read_image(path, "RGB")) for path in paths]
    for thumbnail in thumbnails:
        thumbnail.thumbnail((200, 200))
    look: dict[str, Any] = {"columns": 4, "object_fit": "contain", "allow_preview": False}
    shelf = gr.Gallery(thumbnails, label="examples", elem_id="examples", buttons=[], **look)

    def chosen(event: gr.SelectData) -> list[str]:
        folder, path = tempfile.mkdtemp(dir=os.environ["GRADIO_TEMP_DIR"]), paths[event.index]
        return [str(shutil.copy(path, Path(folder, f"example_{event.index + 1}{path.suffix}")))]

    shelf.select(chosen, None, file, api_visibility="private")


def template_inputs(model: BlotModel) -> list[Any]:
    """Editors in which templates are dropped or drawn."""
    how: dict[str, Any] = {"type": "pil", "layers": False, "sources": ["upload"]}
    how["brush"] = gr.Brush(40, ["#000000"], color_mode="fixed")
    return [gr.ImageEditor(label=f"template {n + 1}", **how) for n in range(model.templates)]
