"""Draws results with Pillow."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PANEL = 320  # least width of a panel in px
GREATEST = 640
TEXT, MARGIN = 16, 8
INK, PAPER, FRAME, BAR, MARKED = "#1F2328", "#FFFFFF", "#D8DEE4", "#AFB8C1", "#0072B2"
VESSEL = np.array([0, 200, 120])
# Dark to bright, of even steps to the eye (colors of matplotlib's "inferno").
COLORS = np.array(
    [[0, 0, 4], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]]
)

Panel = tuple[str, Image.Image]


def colored(values: np.ndarray, greatest: float | None = None) -> Image.Image:
    """Values ``(H, W)`` as colors, dark for 0 and less, bright for ``greatest``."""
    top = float(values.max()) if greatest is None else greatest
    places = np.clip(values / max(top, 1e-12), 0, 1) * (len(COLORS) - 1)
    steps = np.arange(len(COLORS))
    channels = [np.interp(places, steps, COLORS[:, c]) for c in range(3)]
    return Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8))


def blended(image: Image.Image, over: Image.Image, weight: float = 0.5) -> Image.Image:
    """``over``, resized, on ``image``."""
    below = image.convert("RGB")
    return Image.blend(below, over.resize(below.size), weight)


def marked(image: Image.Image, mask: np.ndarray) -> Image.Image:
    """``image`` with the pixels of ``mask`` ``(H, W)`` in green."""
    pixels = np.array(image.convert("RGB")).astype(np.float32)
    pixels[mask] = 0.4 * pixels[mask] + 0.6 * VESSEL
    return Image.fromarray(pixels.round().astype(np.uint8))


def panels(parts: Sequence[Panel], footer: str = "") -> Image.Image:
    """Images of one height beside each other, each with its title above, and a line below."""
    tallest = max(image.height for _, image in parts)
    widest = max(image.width for _, image in parts)
    scale = min(max(1.0, PANEL / widest), GREATEST / max(tallest, widest))
    size = max(1, round(widest * scale)), max(1, round(tallest * scale))
    method = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    cell = max(size[0], PANEL)
    line = TEXT + 2 * MARGIN
    width = len(parts) * (cell + MARGIN) + MARGIN
    canvas = Image.new("RGB", (width, line + size[1] + (line if footer else MARGIN)), PAPER)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(TEXT)
    for index, (title, image) in enumerate(parts):
        left = MARGIN + index * (cell + MARGIN)
        while draw.textlength(title, font) > cell:
            title = f"{title.removesuffix('...')[:-1]}..."
        draw.text((left, MARGIN), title, INK, font)
        canvas.paste(image.convert("RGB").resize(size, method), (left, line))
        draw.rectangle((left - 1, line - 1, left + size[0], line + size[1]), outline=FRAME)
    if footer:
        draw.text((MARGIN, line + size[1] + MARGIN), footer, INK, font)
    return canvas


def bars(values: Mapping[str, float], marked_name: str) -> Image.Image:
    """A bar for each probability, that of ``marked_name`` in color."""
    line = TEXT + MARGIN
    canvas = Image.new("RGB", (PANEL, max(PANEL, line * len(values))), PAPER)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(TEXT)
    names = int(max(draw.textlength(name, font) for name in values)) + MARGIN
    percent = int(draw.textlength("100.0 %", font)) + MARGIN
    room = max(1, PANEL - names - percent)
    for index, (name, value) in enumerate(values.items()):
        top = index * line
        draw.text((0, top), name, INK, font)
        end = names + round(room * value)
        draw.rectangle((names, top + 2, end, top + TEXT), MARKED if name == marked_name else BAR)
        draw.text((end + MARGIN // 2, top), f"{100 * value:.1f} %", INK, font)
    return canvas


def png(image: Image.Image) -> bytes:
    """The file's bytes."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
