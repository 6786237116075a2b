"""Draw docs/images/strip.png: one real result of each task, side by side, for the README.

    python docs/draw_strip.py --data ../shared/data --aoi RUN --vessels RUN --blots RUN

RUN is a run folder or a checkpoint, trained on the real data (see docs/results.md);
one that was trained on the built-in sample is refused. The images are test images, or of the
held-out fold: none was trained on. The first by name is taken, not the best.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from datamodules.blot_files import find_templates  # noqa: E402
from datamodules.blots import BlotDataModule  # noqa: E402
from datamodules.images import list_images  # noqa: E402
from inference import load  # noqa: E402
from inference.compression import compress, decode  # noqa: E402
from inference.results import marked  # noqa: E402

SIDE, GAP, CAPTION = 300, 12, 26  # px


def trained(source: str) -> Any:
    """A model that learned from real data."""
    model = load(source)
    if model.trained.trained_on_sample:
        sys.exit(f"error: {source}: trained on the built-in sample; the strip shows real results")
    return model


def pair(first: Image.Image, second: Image.Image) -> Image.Image:
    """The left half of one image, the right half of the other, in a frame: some are white."""
    square = [image.convert("RGB").resize((SIDE, SIDE)) for image in (first, second)]
    square[0].paste(square[1].crop((SIDE // 2, 0, SIDE, SIDE)), (SIDE // 2, 0))
    draw = ImageDraw.Draw(square[0])
    draw.line((SIDE // 2, 0, SIDE // 2, SIDE), fill="white", width=2)
    draw.rectangle((0, 0, SIDE - 1, SIDE - 1), outline="#9e9e9e")
    return square[0]


def panels(options: argparse.Namespace) -> list[tuple[str, Image.Image]]:
    """Caption and square picture of each task."""
    fundus = list_images(options.data / "DRIVE" / "test" / "images")[0]
    defect = trained(options.aoi).predict(list_images(options.data / "NEU" / "test_images")[0])
    _, evidence = defect.pictures()[1]
    vessels = trained(options.vessels).predict(fundus)
    file = compress(fundus)
    model = trained(options.blots)
    data = model.trained.data
    fold = {name: data[name] for name in ("folds", "fold", "seed")}
    module = BlotDataModule(data_dir=str(options.data / "blots"), **fold)
    module.setup("validate")
    held_out = module.val_set.name(0)  # of its first template
    triples = find_templates(options.data / "blots")
    triple = next(t for t in triples if t.name == held_out)
    blot = model.predict(triple.templates)
    return [
        (f"{defect.label}, {100 * defect.confidence:.0f} %", pair(defect.image, evidence)),
        ("vessels", pair(vessels.image, marked(vessels.image, vessels.mask))),
        (f"photograph, {len(file) / 1000:.0f} kB", pair(vessels.image, decode(file))),
        ("template, synthetic blot", pair(blot.templates[0], blot.image)),
    ]


def main() -> None:
    """Draw the strip."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="with NEU, DRIVE and blots")
    for task in ("aoi", "vessels", "blots"):
        parser.add_argument(f"--{task}", required=True, metavar="RUN")
    found = panels(parser.parse_args())
    width = len(found) * (SIDE + GAP) - GAP
    strip = Image.new("RGB", (width, SIDE + CAPTION), "white")
    draw = ImageDraw.Draw(strip)
    for place, (caption, picture) in enumerate(found):
        x = place * (SIDE + GAP)
        strip.paste(picture, (x, 0))
        font = ImageFont.load_default(14)
        draw.text((x + SIDE // 2, SIDE + 4), caption, fill="black", anchor="ma", font=font)
    path = ROOT / "docs" / "images" / "strip.png"
    strip.save(path, optimize=True)
    print(f"{path}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
