"""Draws results with Pillow."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

SIDE = 400  # of a panel in px
TEXT, MARGIN = 16, 8
INK, PAPER, FRAME = "#1F2328", "#FFFFFF", "#D8DEE4"
VESSEL = np.array([0, 200, 120])


def colored(values: np.ndarray, greatest: float | None = None) -> Image.Image:
    """Values ``(H, W)`` as colors, dark for 0 and less, bright for ``greatest``."""
    import matplotlib  # slow, and not needed to predict

    top = float(values.max()) if greatest is None else greatest
    colors = matplotlib.colormaps["inferno"](np.clip(values / max(top, 1e-12), 0, 1), bytes=True)
    return Image.fromarray(colors[..., :3].copy())


def marked(image: Image.Image, mask: np.ndarray) -> Image.Image:
    """``image`` with the pixels of ``mask`` ``(H, W)`` in green."""
    pixels = np.array(image.convert("RGB")).astype(np.float32)
    pixels[mask] = 0.4 * pixels[mask] + 0.6 * VESSEL
    return Image.fromarray(pixels.round().astype(np.uint8))


def panels(parts: Sequence[tuple[str, Image.Image]], footer: str = "") -> Image.Image:
    """Images beside each other, each with its title above, and a line below."""
    images = []
    for _, image in parts:
        small = max(image.size) < SIDE
        method = Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
        shown = ImageOps.contain(image.convert("RGB"), (SIDE - 2, SIDE - 2), method)
        images.append(ImageOps.expand(shown, 1, FRAME))
    line, rows = TEXT + 2 * MARGIN, max(image.height for image in images)
    size = len(parts) * (SIDE + MARGIN) + MARGIN, rows + line + (line if footer else MARGIN)
    canvas = Image.new("RGB", size, PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(TEXT)
    for index, ((title, _), image) in enumerate(zip(parts, images, strict=True)):
        left = MARGIN + index * (SIDE + MARGIN)
        while draw.textlength(title, font) > SIDE:
            title = f"{title.removesuffix('...')[:-1]}..."
        draw.text((left, MARGIN), title, INK, font)
        canvas.paste(image, (left, line))
    draw.text((MARGIN, line + rows + MARGIN), footer, INK, font)
    return canvas
