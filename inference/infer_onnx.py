"""Predict with the exported model beside this file: IMAGES | FOLDER | TEMPLATE1 TEMPLATE2

As infer_onnx.py it takes model.onnx and onnxruntime, as infer_openvino.py model.xml and openvino.
"""

import csv
import json
import re
import sys
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

# What gives an input that is not in the files.
MODULES = {"fov": "field_of_view", "noise": "blot_draws"}
try:
    import image_reader  # beside this file
except ImportError:  # in the project
    from common import image_reader

    MODULES = {"fov": "datamodules.transforms.field_of_view", "noise": "datamodules.blot_draws"}

OUTPUTS = {"probabilities", "activations", "unknown", "probability", "uncertainty", "image"}
OUTPUTS |= {"psnr", "ssim"}
TABLES = {"predictions", "probabilities", "review", "styles"}
NUMBERS = ("review_below", "unknown_above", "threshold", "size", "diameter")  # of a card
FORMULA = re.compile(r"[=+\-@\t\r](?![\d.]+(e[+-]?\d+)?$)")  # that a spreadsheet would run


def session(path):
    if path.suffix == ".xml":
        import openvino

        model = openvino.Core().read_model(path)
        compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        names = [[one.any_name for one in some] for some in (model.inputs, model.outputs)]
        text = model.get_rt_info("model_card").astype(str)
        run = lambda feeds: [*compiled(feeds).values()]  # noqa: E731
    else:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        providers = onnxruntime.get_available_providers()
        model = onnxruntime.InferenceSession(path, options, providers=providers)
        names = [[one.name for one in some] for some in (model.get_inputs(), model.get_outputs())]
        text = model.get_modelmeta().custom_metadata_map.get("model_card", "null")
        run = lambda feeds: model.run(None, feeds)  # noqa: E731
    card = json.loads(text)
    check(card, *names)
    return run, card


def check(card, inputs, outputs):  # ValueError for a card that is not of these inputs and outputs
    kinds = {"task": str, "mode": str, "inputs": dict, "outputs": list, "tables": dict}
    good = isinstance(card, dict) and all(isinstance(card.get(k), kinds[k]) for k in kinds)
    if good:
        noise, tables = card.get("noise", []), card["tables"]
        numbers = [card.get(key) for key in NUMBERS] + (noise if isinstance(noise, list) else [""])
        good = card["mode"] in ("L", "RGB") and [*card["inputs"]] == inputs
        good = good and card["outputs"] == outputs and {*outputs} <= OUTPUTS
        good = good and {*tables} <= TABLES and all(isinstance(x, list) for x in tables.values())
        known = [x for x in numbers if x is not None]
        good = good and all(type(x) in (int, float) and 0 <= x <= 16384 for x in known)
    if not good:
        raise ValueError("the model card is not one of this model; export it again")


def inputs_of(card, images):  # by name, of uint8 (H, W) or (H, W, 3)
    if len({x.shape for x in images}) > 1:
        raise ValueError("templates of different sizes; give one size")
    pixels = np.array(images) if "templates" in card else images[0]
    feeds = {"pixels": pixels}
    for name in card["inputs"].keys() & MODULES.keys():
        feeds |= import_module(MODULES[name]).more_inputs(pixels, card)
    return feeds


def ask(run, card, images):  # answers and inputs by name
    feeds = inputs_of(card, images)
    answers = [answer[0] for answer in run({name: value[None] for name, value in feeds.items()})]
    if any(np.isnan(answer).any() for answer in answers):
        raise ValueError("the model's output is not a number; export it again")
    return feeds | dict(zip(card["outputs"], answers, strict=True))


def listed(path):  # as datamodules.images.list_images
    if not path.is_dir():
        return [path]
    visible = sorted(found for found in path.iterdir() if not found.name.startswith("."))
    known = [x for x in visible if x.is_file() and x.suffix.lower() in image_reader.SUFFIXES]
    if len(known) < len(visible):
        print(f"{path}: {len(visible) - len(known)} passed over, no images", file=sys.stderr)
    if not known:
        raise ValueError(f"{path}: holds no image")
    return known


def by_stem(files, prefix=""):
    found = {}
    for file in files:
        other = found.setdefault(file.stem.removeprefix(prefix), file)
        if other != file:
            raise ValueError(f"{other} and {file}: the same name; rename one of them")
    return found


def pairs(root, patterns):  # as datamodules.blot_files.find_pairs
    parts = [pattern.rpartition("/") for pattern in patterns]
    first, second = (by_stem(listed(root / folder), prefix) for folder, _, prefix in parts)
    for stem in sorted(first.keys() ^ second.keys()):
        raise ValueError(f"{first.get(stem) or second[stem]}: has no partner; add or remove it")
    return [(first[stem], second[stem]) for stem in sorted(first)]


def inputs(paths, card):  # the files of each prediction
    if "templates" in card:
        return pairs(paths[0], card["templates"]) if len(paths) == 1 else [tuple(paths)]
    files = [file for path in paths for file in listed(path)]
    if "class_names" not in card:  # else nothing is named after them
        by_stem(files)
    return [(file,) for file in files]


def read(files, mode):
    return [image_reader.read(file.read_bytes(), mode) for file in files]


def write(folder, name, answers, card):  # gives the row of each table
    def save(pixels, suffix=".png"):
        text = PngImagePlugin.PngInfo()
        if "templates" in card:  # a blot
            text.add_text("Comment", "synthetic, not the result of an experiment")
            text.add_text("Source", str(card.get("name")))
        Image.fromarray(pixels).save(folder / (Path(name).stem + suffix), pnginfo=text)
        return Path(name).stem + suffix

    if "probabilities" in answers:
        p = answers["probabilities"]
        sure = [name, card["class_names"][p.argmax()], f"{p.max():.6f}"]
        reasons = ["confidence"] if p.max() < (card["review_below"] or 0) else []
        if "unknown" in answers:
            sure.append(f"{answers['unknown']:.6f}")
            reasons += ["unknown"] if answers["unknown"] > card["unknown_above"] else []
        rows = {"predictions": [name, card["labels"][p.argmax()]]}
        rows["probabilities"] = sure + [f"{x:.6f}" for x in p]
        return rows | ({"review": [*sure, " ".join(reasons)]} if reasons else {})
    if "probability" in answers:
        mask = answers["probability"] > card["threshold"]
        files = [save(np.uint8(mask) * 255, "_mask.png")]
        for kind in card["outputs"]:
            files.append(save(np.uint16(np.rint(answers[kind] * 65535)), f"_{kind}.png"))
        return {"predictions": [name, *files[:2], f"{mask.mean():.5f}"]}
    scores = [f"{answers[k]:.{n}f}" for k, n in (("psnr", 4), ("ssim", 5)) if k in answers]
    file, style = save(answers["image"]), answers.get("style", ())
    return {"predictions": [name, file, *scores], "styles": [file, *(f"{x:.4g}" for x in style)]}


def cell(value):  # as experiment.atomic.csv_cell
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def main():
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, default=Path("predictions"))
    options = parser.parse_args()
    try:
        suffix = ".xml" if Path(__file__).stem == "infer_openvino" else ".onnx"
        run, card = session(Path(__file__).with_name(f"model{suffix}"))
        found = inputs(options.images, card)
    except (OSError, ValueError) as error:
        sys.exit(f"{error}")
    options.output.mkdir(parents=True, exist_ok=True)
    tables, problems = {name: [] for name in TABLES}, []
    pool = ThreadPoolExecutor(1)
    reads = (pool.submit(read, files, card["mode"]) for files in found)
    coming = next(reads, None)
    for files in found:
        pixels, coming = coming, next(reads, None)  # which is read while the model runs
        try:
            answers = ask(run, card, pixels.result())
            for table, row in write(options.output, files[0].name, answers, card).items():
                tables[table].append(row)
        except (OSError, ValueError) as error:
            problems.append(f"{files[0]}: {error}")
        except Exception as error:  # of a card, a model or a runtime that is not as it should be
            problems.append(f"{files[0]}: {error!r}".partition("\\n")[0])
    tables["review"].sort(key=lambda row: (row[2], row[0]))  # the least confident first
    for table, header in card["tables"].items():
        path, how = options.output / f"{table}.csv", {"newline": "", "encoding": "utf-8"}
        with path.open("w", errors="backslashreplace", **how) as file:
            rows = [[cell(value) for value in row] for row in [header, *tables[table]]]
            csv.writer(file, lineterminator="\n").writerows(rows)
    print(f"{len(found) - len(problems)} predictions in {options.output}")
    sys.exit("\n".join(problems) or 0)


if __name__ == "__main__":
    main()
