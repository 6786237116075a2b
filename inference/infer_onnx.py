"""Predict with an exported model: python infer_onnx.py IMAGES... [--output FOLDER]

IMAGES are files or folders; for blots two templates, or a folder in the layout of the training
data. Writes what `cli.py predict` writes. Needs numpy, pillow and onnxruntime alone.
"""

import argparse
import csv
import json
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def read(path, mode):  # refuses what datamodules.images.read_image refuses
    with Image.open(path) as image:
        if (getattr(image, "n_frames", 1) > 1 and image.format != "MPO") or image.mode[0] in "IF":
            raise ValueError("several pages, or more than 8 bits a channel")
        if image.has_transparency_data:
            if image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
                raise ValueError("transparent pixels")
            return np.array(image.convert("RGBA").convert("RGB").convert(mode))
        return np.array((image.convert("RGB") if image.mode == "P" else image).convert(mode))


def session(path):
    import onnxruntime

    model = onnxruntime.InferenceSession(path, providers=onnxruntime.get_available_providers())
    card = json.loads(model.get_modelmeta().custom_metadata_map["model_card"])
    return lambda feeds: model.run(None, feeds), card


def ask(run, card, images, find_fov=None):
    """Answers by name, for pixels uint8 (H, W) or (H, W, 3); blots: of both templates."""
    feeds = {"pixels": images[0]}
    if "fov" in card["inputs"]:
        feeds["fov"] = find_fov(images[0], card["size"], card["diameter"])
    if card["task"] == "blots":
        squares = [Image.fromarray(i).resize([card["size"]] * 2, Image.BILINEAR) for i in images]
        feeds["pixels"] = np.array([np.array(square) for square in squares])
    if "noise" in card["inputs"]:  # as lit_models.prediction.blots.seeded_noise
        floats = feeds["pixels"] / np.float32(127.5) - np.float32(1)
        generator = np.random.RandomState(zlib.crc32(floats.tobytes()))
        feeds["noise"] = generator.standard_normal((1, *floats.shape[1:])).astype(np.float32)
    answers = run({name: value[None] for name, value in feeds.items()})
    return dict(zip(card["outputs"], (answer[0] for answer in answers), strict=True))


def inputs(paths, card):  # tuples of the files of each prediction
    if card["task"] != "blots":
        every = (sorted(p.iterdir()) if p.is_dir() else [p] for p in paths)
        known = Image.registered_extensions()
        return [(f,) for files in every for f in files if f.suffix.lower() in known]
    if len(paths) == 2:
        return [tuple(paths)]
    first, second = (sorted(paths[0].glob(f"{pattern}*")) for pattern in card["templates"])
    return list(zip(first, second, strict=True))


def write(folder, name, answers, card):  # gives the rows of each table
    def save(pixels, suffix=".png"):
        Image.fromarray(pixels).save(folder / (Path(name).stem + suffix))
        return Path(name).stem + suffix

    if card["task"] == "aoi":
        p = answers["probabilities"]
        row = [card["class_names"][p.argmax()], f"{p.max():.6f}"]
        return {"predictions": [p.argmax()], "probabilities": [*row, *(f"{x:.6f}" for x in p)]}
    if card["task"] == "vessels":
        mask = answers["probability"] > card["threshold"]
        files = [save(np.uint8(mask) * 255, "_mask.png")]
        for kind, values in answers.items():
            files.append(save(np.rint(values * 65535).astype(np.uint16), f"_{kind}.png"))
        return {"predictions": [*files[:2], f"{mask.mean():.5f}"]}
    scores = [f"{answers[k]:.{n}f}" for k, n in (("psnr", 4), ("ssim", 5)) if k in answers]
    return {"predictions": [save(answers["image"]), *scores]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, default=Path("predictions"))
    options = parser.parse_args()
    run, card = session(Path(__file__).with_name("model.onnx"))
    find_fov = None
    if "fov" in card["inputs"]:
        from field_of_view import network_fov as find_fov
    options.output.mkdir(parents=True, exist_ok=True)
    tables, failed = {name: [header] for name, header in card["tables"].items()}, False
    for files in inputs(options.images, card):
        try:
            images = [read(file, card["mode"]) for file in files]
            rows = write(options.output, files[0].name, ask(run, card, images, find_fov), card)
            for table, row in rows.items():
                tables[table].append([files[0].name, *row])
        except (OSError, ValueError) as error:
            failed = not print(f"{files[0]}: {error}", file=sys.stderr)
    for table, rows in tables.items():
        with (options.output / f"{table}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    sys.exit(failed)


if __name__ == "__main__":
    main()
