"""Predict with an exported model: infer_onnx.py IMAGES | FOLDER | TEMPLATE1 TEMPLATE2 [--output]"""

import csv
import json
import sys
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

BESIDE = {"fov": "field_of_view", "noise": "blot_draws"}  # by input


def read(path, mode):
    return import_module("image_pixels").read(path.read_bytes(), mode)


def session(path):
    model = onnxruntime.InferenceSession(path, providers=onnxruntime.get_available_providers())
    card = json.loads(model.get_modelmeta().custom_metadata_map["model_card"])
    return lambda feeds: model.run(None, feeds), card


def ask(run, card, images, modules):  # answers and inputs by name, of uint8 (H, W) or (H, W, 3)
    pixels = images[0]
    if card["task"] == "blots":
        if len({x.shape for x in images}) > 1:
            raise ValueError("templates of different sizes; give one size")
        size = [card["size"]] * 2 if card["size"] else pixels.shape[::-1]
        pixels = np.array([Image.fromarray(x).resize(size, Image.BILINEAR) for x in images])
    feeds = {"pixels": pixels}
    for module in modules:
        feeds |= module.more_inputs(pixels, card)
    answers = [answer[0] for answer in run({name: value[None] for name, value in feeds.items()})]
    if any(np.isnan(answer).any() for answer in answers):
        raise ValueError("the model's output is not a number; export it again")
    return feeds | dict(zip(card["outputs"], answers, strict=True))


def inputs(paths, card):  # the files of each prediction
    if card["task"] == "blots" and len(paths) == 1:
        return zip(*(sorted(paths[0].glob(f"{p}*")) for p in card["templates"]), strict=True)
    every = [f for p in paths for f in (sorted(p.iterdir()) if p.is_dir() else [p])]
    known = [f for f in every if f.suffix.lower() in Image.registered_extensions()]
    return zip(*[iter(known)] * (2 if card["task"] == "blots" else 1), strict=True)


def write(folder, name, answers, card):  # gives the row of each table
    def save(pixels, suffix=".png"):
        Image.fromarray(pixels).save(folder / (Path(name).stem + suffix))
        return Path(name).stem + suffix

    if card["task"] == "aoi":
        p = answers["probabilities"]
        sure = [name, card["class_names"][p.argmax()], f"{p.max():.6f}"]
        rows = {"predictions": [name, card["labels"][p.argmax()]]}
        rows["probabilities"] = sure + [f"{x:.6f}" for x in p]
        return rows | ({"review": sure} if p.max() < (card["review_below"] or 0) else {})
    if card["task"] == "vessels":
        mask = answers["probability"] > card["threshold"]
        files = [save(np.uint8(mask) * 255, "_mask.png")]
        for kind in card["outputs"]:
            files.append(save(np.uint16(np.rint(answers[kind] * 65535)), f"_{kind}.png"))
        return {"predictions": [name, *files[:2], f"{mask.mean():.5f}"]}
    scores = [f"{answers[k]:.{n}f}" for k, n in (("psnr", 4), ("ssim", 5)) if k in answers]
    file, style = save(answers["image"]), answers.get("style", ())
    return {"predictions": [name, file, *scores], "styles": [file, *(f"{x:.4g}" for x in style)]}


def main():
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, default=Path("predictions"))
    options = parser.parse_args()
    run, card = session(Path(__file__).with_name("model.onnx"))
    modules = [import_module(BESIDE[name]) for name in card["inputs"] if name in BESIDE]
    options.output.mkdir(parents=True, exist_ok=True)
    tables, problems = {name: [] for name in (*card["tables"], "styles")}, []
    every, pool = list(inputs(options.images, card)), ThreadPoolExecutor(1)
    reads = (pool.submit(lambda f: [read(file, card["mode"]) for file in f], f) for f in every)
    coming = next(reads, None)
    for files in every:
        pixels, coming = coming, next(reads, None)  # which is read while the model runs
        try:
            answers = ask(run, card, pixels.result(), modules)
            for table, row in write(options.output, files[0].name, answers, card).items():
                tables[table].append(row)
        except (OSError, ValueError) as error:
            problems.append(f"{files[0]}: {error}")
    tables.get("review", []).sort(key=lambda row: (row[2], row[0]))  # the least confident first
    for table, header in card["tables"].items():
        with (options.output / f"{table}.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *tables[table]])
    sys.exit("\n".join(problems) or 0)


if __name__ == "__main__":
    main()
