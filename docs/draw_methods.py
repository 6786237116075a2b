"""Draw docs/images/method_<task>.svg: each method as a row of boxes.

python docs/draw_methods.py
"""

from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

# By config: the boxes from input to output.
METHODS = {
    "aoi": {
        "aoi": [
            "512x512 gray",
            "resize\n224x224",
            "ResNet-18\nImageNet, frozen",
            "linear\n512 to 6",
        ],
        "aoi_best": [
            "512x512 gray",
            "resize 224x224\naugmentation",
            "ResNet-18\nImageNet, fine-tuned",
            "linear\n512 to 6",
            "mean over\nflips",
        ],
    },
    "vessels": {
        "vessels": [
            "photograph",
            "gray\n512x512",
            "U-Net\n31 M parameters",
            "sigmoid",
            "threshold\n0.5",
        ],
        "vessels_best": [
            "photograph",
            "one FOV diameter\nlocal normalization",
            "residual U-Net\n0.3 M parameters",
            "mean of 8 views\nbest of 3 scales",
            "threshold\n0.42",
        ],
    },
    "retina": {
        "retina": ["512x512 RGB", "encoder\n3 levels, BatchNorm", "skips +\ndecoder", "copy"],
        "retina_best": ["512x512 RGB", "encoder\n3 levels, no norm", "skips +\ndecoder", "copy"],
    },
    "blots": {
        "blots": ["2 templates", "encoder-decoder\nno skips", "blot", "discriminator\nBCE"],
        "blots_style": [
            "2 templates\n+ style",
            "painting",
            "U-Net\n+ grain",
            "blot",
            "2-scale discriminator\ncentered BCE",
        ],
    },
}
WIDTH, GAP, HEIGHT = 1.75, 0.45, 0.75


def draw(rows: dict[str, list[str]], path: Path) -> None:
    """One figure: a title and a line of boxes for each config."""
    longest = max(len(boxes) for boxes in rows.values())
    width, height = longest * (WIDTH + GAP), 1.25 * len(rows)
    figure = plt.figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    for number, (name, boxes) in enumerate(rows.items()):
        y = height - 1.25 * number - 0.72
        axes.text(GAP / 2, y + 0.55, f"{name}.yaml", weight="bold", size=10, va="center")
        for place, text in enumerate(boxes):
            x = GAP / 2 + place * (WIDTH + GAP)
            shape = plt.Rectangle((x, y - HEIGHT / 2), WIDTH, HEIGHT, fc="#e0f2f1", ec="#00796b")
            axes.add_patch(shape)
            axes.text(x + WIDTH / 2, y, text, ha="center", va="center", size=9)
            if place:
                start = (x - GAP, y)
                arrow = {"arrowstyle": "->", "color": "#37474f"}
                axes.annotate("", (x, y), start, arrowprops=arrow)
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
    plt.close(figure)


def main() -> None:
    """Draw all of them."""
    plt.rcParams |= {"svg.hashsalt": "methods", "svg.fonttype": "none"}
    plt.rcParams["font.family"] = ["DejaVu Sans", "sans-serif"]
    folder = Path(__file__).parent / "images"
    for task, rows in METHODS.items():
        draw(rows, folder / f"method_{task}.svg")


if __name__ == "__main__":
    main()
