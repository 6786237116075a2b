"""One style for all figures, and what they are made of."""

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from experiment.atomic import atomic_write

if TYPE_CHECKING:  # matplotlib takes half a second to import: only what draws pays for it
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

# Okabe & Ito's palette, which readers of every kind of color vision can tell apart.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, YELLOW, PURPLE = "#56B4E9", "#F0E442", "#CC79A7"
INK, MUTED, PAPER = "#1F2328", "#656D76", "#FFFFFF"
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, INK)

CJK_FONTS = (  # Linux, Windows, macOS
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "Arial Unicode MS",
)
STYLE: dict[str, Any] = {
    "figure.facecolor": PAPER,
    "figure.dpi": 160,
    "font.size": 10,
    "text.color": INK,
    "axes.facecolor": PAPER,
    "axes.edgecolor": "#AFB8C1",
    "axes.labelcolor": MUTED,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#EAEEF2",
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.xmargin": 0.06,
    "figure.constrained_layout.w_pad": 0.09,
    "figure.constrained_layout.h_pad": 0.09,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


@contextmanager
def styled() -> Iterator[None]:
    """matplotlib in the project's style, and as it was afterwards."""
    import matplotlib

    style = STYLE | {"font.family": _fonts()}
    with matplotlib.rc_context(style):  # type: ignore[arg-type]
        yield


@cache
def _fonts() -> list[str]:
    """DejaVu Sans, then an installed font for the characters that it lacks, such as Chinese."""
    from matplotlib.font_manager import fontManager

    logging.getLogger("matplotlib.font_manager").setLevel("ERROR")  # it misses weights of some
    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in CJK_FONTS if name in installed)]


@contextmanager
def _one_line_of_missing_characters() -> Iterator[None]:
    """One line in the log in place of matplotlib's warning for each character."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", "Glyph .* missing from")
        yield
    for one in caught:
        if "missing from" in str(one.message):
            _log_missing_characters()
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


@cache
def _log_missing_characters() -> None:
    log.warning("no installed font has all characters of the figures; try %s", CJK_FONTS[0])


@contextmanager
def figure(
    path: Path, size: tuple[float, float], title: str, caption: str = "", sample: bool = False
) -> Iterator["Figure"]:
    """A figure of ``size`` inches to draw on, written to the PNG ``path`` on leaving the block.

    Title and caption are kept in the PNG, so that a report needs nothing but the file.

    Args:
        sample: stamp it as one of the built-in sample.
    """
    from matplotlib.figure import Figure

    with styled():
        fig = Figure(figsize=size, layout="constrained")
        yield fig
        if sample:
            _stamp(fig)
            caption = f"Sample data (synthetic). {caption}"
        with atomic_write(path) as tmp_path, _one_line_of_missing_characters():
            fig.savefig(tmp_path, metadata={"Title": title, "Description": caption})


def _stamp(fig: "Figure") -> None:
    """A band above the drawing, which takes no room from it and cannot be overlooked."""
    from matplotlib.patches import Rectangle

    width, height = fig.get_size_inches()
    band = 0.28
    fig.set_size_inches(width, height + band)
    share = band / (height + band)
    layout = fig.get_layout_engine()
    if layout is not None:  # the rest of the figure
        layout.set(rect=(0, 0, 1, 1 - share))  # type: ignore[call-arg]
    fig.add_artist(
        Rectangle((0, 1 - share), 1, share, transform=fig.transFigure, color="#FFE3C2", lw=0)
    )
    fig.text(
        0.5,
        1 - share / 2,
        "SAMPLE DATA (synthetic)",
        ha="center",
        va="center_baseline",
        size=9,
        weight="bold",
        color="#8A3B00",
    )


def plot_by_epoch(axes: "Axes", values: dict[int, float], label: str, color: str) -> None:
    """A curve over epochs, with a dot at each where there are few."""
    from matplotlib.ticker import MaxNLocator

    epochs = sorted(values)
    axes.plot(
        epochs,
        [values[epoch] for epoch in epochs],
        color=color,
        label=label,
        marker="o" if len(epochs) <= 30 else "",
    )
    drawn = [np.asarray(line.get_xdata(), float) for line in axes.get_lines()]
    last = max(1.0, *(float(x.max(initial=1)) for x in drawn))
    room = min(0.6, 0.1 + 0.05 * last)  # none for an epoch 0
    axes.set_xlim(1 - room, last + room)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.margins(y=0.12)


def from_zero(axes: "Axes") -> None:
    """Let the vertical axis start at 0, or below where a curve does, with some room."""
    bottom, top = min(0.0, axes.dataLim.y0), axes.dataLim.y1  # infinite where nothing was drawn
    top = max(0.0, top) if math.isfinite(top) else 1.0
    bottom = bottom if math.isfinite(bottom) else 0.0
    room = 0.1 * (top - bottom) or 1.0
    axes.set_ylim(bottom - room if bottom < 0 else 0, top + room)


def percent_axis(axis: "Axis") -> None:
    """Label 0-1 as percent; ticks beyond 100 %, which make room for marks, have no label."""
    axis.set_major_formatter(lambda value, _: f"{100 * value:g} %" if value <= 1.0001 else "")


def mark_best(axes: "Axes", epoch: int, value: float, text: str) -> None:
    """A diamond at the best epoch, on a dashed line through it."""
    axes.axvline(epoch, color=MUTED, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.18 * (high - low))  # room for the text
    axes.plot(epoch, value, "D", markersize=8, color=INK, zorder=4, clip_on=False)
    first, last = axes.get_xlim()
    left_half = epoch - first <= (last - first) / 2
    axes.annotate(
        text,
        (epoch, 1),
        xycoords=axes.get_xaxis_transform(),
        xytext=(6 if left_half else -6, 0),
        textcoords="offset points",
        ha="left" if left_half else "right",
        va="top",
        weight="bold",
        size=9,
    )


def reference_line(axes: "Axes", value: float, text: str) -> None:
    """A horizontal line to read the curves against, always in view."""
    low, high = axes.get_ylim()
    room = 0.08 * (max(high, value) - min(low, value))
    if not low < value < high:  # keeps the curves away from the edge, too
        low, high = low - room, high + room
    axes.set_ylim(min(low, value - room), max(high, value + room))
    axes.axhline(value, color=MUTED, linestyle=(0, (1, 2)), linewidth=1.2, zorder=1)
    axes.annotate(
        text,
        (1, value),
        xycoords=axes.get_yaxis_transform(),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        size=8.5,
        color=MUTED,
    )


def image_grid(fig: "Figure", rows: int, columns: int) -> list[list["Axes"]]:
    """Panels for pictures, close together and empty until drawn on."""
    layout = fig.get_layout_engine()
    if layout is not None:
        layout.set(w_pad=0.03, h_pad=0.06, wspace=0.01, hspace=0.01)  # type: ignore[call-arg]
    panels = fig.subplots(rows, columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()  # until `show_image`: there may be fewer pictures than panels
    return panels.tolist()


def show_image(axes: "Axes", image: Tensor, title: str = "") -> None:
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
