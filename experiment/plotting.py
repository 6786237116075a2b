"""One style for all figures, and what they are made of."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from experiment.atomic import atomic_write

# Okabe & Ito's palette, which readers of every kind of color vision can tell apart.
BLUE, VERMILION, SKY, YELLOW = "#0072B2", "#D55E00", "#56B4E9", "#F0E442"
INK, MUTED = "#1F2328", "#656D76"
STYLE = Path(__file__).with_name("figures.mplstyle")
NO_FONT = "no installed font has all characters of the figures; try Noto Sans CJK SC"


@contextmanager
def styled() -> Iterator[None]:
    """matplotlib in the project's style, and as it was afterwards."""
    logging.getLogger("matplotlib.font_manager").setLevel("ERROR")  # not all fonts are installed
    with matplotlib.rc_context(fname=STYLE):
        yield


@contextmanager
def figure(
    path: Path, size: tuple[float, float], title: str, caption: str = "", sample: bool = False
) -> Iterator[Figure]:
    """A figure of ``size`` inches to draw on, written to the PNG ``path`` on leaving the block.

    Title and caption are kept in the PNG, so that a report needs nothing but the file.

    Args:
        sample: stamp it as one of the built-in sample.
    """
    with styled():
        fig = Figure(figsize=size, layout="constrained")
        yield fig
        if sample:
            stamp = {"color": "#8A3B00", "backgroundcolor": "#FFE3C2", "weight": "bold"}
            fig.suptitle("SAMPLE DATA (synthetic)", size=9, **stamp)
            caption = f"Sample data (synthetic). {caption}"
        with (
            atomic_write(path) as tmp_path,
            warnings.catch_warnings(record=True, action="always") as caught,
        ):
            fig.savefig(tmp_path, metadata={"Title": title, "Description": caption})
        if any("missing from" in str(one.message) for one in caught):
            warnings.warn(NO_FONT, stacklevel=1)  # once


def plot_by_epoch(axes: Axes, values: dict[int, float], label: str, color: str) -> None:
    """A curve over epochs, with a dot at each where there are few."""
    epochs = sorted(values)
    marker = "o" if len(epochs) <= 30 else ""
    axes.plot(epochs, [values[e] for e in epochs], color=color, label=label, marker=marker)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.margins(y=0.12)


def percent_axis(axis: Axis) -> None:
    """Label 0-1 as percent; ticks beyond 100 %, which make room for marks, have no label."""
    axis.set_major_formatter(lambda value, _: f"{100 * value:g} %" if value <= 1.0001 else "")


def mark_best(axes: Axes, epoch: int, value: float, text: str) -> None:
    """A diamond at the best epoch, on a dashed line through it, and ``text`` above."""
    axes.axvline(epoch, color=MUTED, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
    axes.plot(epoch, value, "D", markersize=8, color=INK, zorder=4, clip_on=False)
    axes.margins(y=0.25)  # room for the text
    side = "right" if epoch > sum(axes.get_xlim()) / 2 else "left"
    above = axes.get_xaxis_transform()
    axes.text(epoch, 1, f" {text} ", transform=above, ha=side, va="top", weight="bold", size=9)


def image_grid(fig: Figure, rows: int, columns: int) -> list[list[Axes]]:
    """Panels for pictures, close together and empty until drawn on."""
    layout = fig.get_layout_engine()
    if layout is not None:
        layout.set(w_pad=0.03, h_pad=0.06, wspace=0.01, hspace=0.01)  # type: ignore[call-arg]
    panels = fig.subplots(rows, columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()  # until `show_image`: there may be fewer pictures than panels
    return panels.tolist()


def show_image(axes: Axes, image: Tensor, title: str = "") -> None:
    """An image ``(C, H, W)`` or ``(H, W)`` of values in 0-1, on a panel of `image_grid`."""
    pixels = image.detach().float().cpu().clamp(0, 1)
    if pixels.ndim == 3:
        pixels = pixels[0] if len(pixels) == 1 else pixels.permute(1, 2, 0)
    axes.imshow(pixels.numpy(), cmap="gray", vmin=0, vmax=1)
    axes.set_axis_on()  # a frame, for white pictures on white
    axes.grid(False)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color="#D8DEE4", linewidth=0.8)
    if title:
        axes.set_title(title, size=9, weight="normal", pad=4, loc="center", linespacing=1.3)
