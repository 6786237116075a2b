"""Geometry and illumination of a fundus photograph, so that one method fits every camera."""

import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

LEAST_FOV = 0.25  # of an image's longer side; DRIVE's is 0.92, a wide frame's 0.56


def estimate_fov(image: Tensor) -> Tensor:
    """Field of view of a fundus photograph that has no mask for it.

    The largest connected region brighter than an eighth of the bright part of the picture, without
    holes. A picture that is bright to its corners (no black frame) is all field of view, and so is
    one without such a region of some size (all black but for a speck).

    Args:
        image: uint8 ``(C, H, W)``.

    Returns:
        bool ``(1, H, W)``, never empty.
    """
    bright = image.amax(dim=0).float()
    seen = (
        bright > bright.flatten()[:: max(1, bright.numel() // 10**5)].quantile(0.95) / 8
    ).numpy()
    seen = ndimage.binary_opening(seen, iterations=2)
    regions, count = ndimage.label(seen)
    if not count:
        return torch.ones(1, *bright.shape, dtype=torch.bool)
    largest = 1 + ndimage.sum_labels(seen, regions, range(1, count + 1)).argmax()
    fov = torch.from_numpy(ndimage.binary_fill_holes(regions == largest))[None]
    return fov if fov_diameter(fov) >= LEAST_FOV * max(bright.shape) else torch.ones_like(fov)


def fov_diameter(fov: Tensor) -> float:
    """Diameter in px of a field of view ``(1, H, W)``, a disc whose sides may be cut off.

    0 for an empty one.
    """
    rows, columns = fov[0].any(dim=1).nonzero(), fov[0].any(dim=0).nonzero()
    if not len(rows):
        return 0.0
    return float(max(rows.max() - rows.min(), columns.max() - columns.min()) + 1)


def local_normalization(image: Tensor, fov: Tensor, sigma: float) -> Tensor:
    """Each channel without slow changes of light, at mean 0, standard deviation 1 in the FOV.

    What is subtracted is the mean of the surroundings that lie in the field of view (Gaussian,
    ``sigma`` px). Illumination, exposure, color balance and contrast of the camera go out with it.

    Args:
        image: uint8 or float ``(C, H, W)`` of any range.
        fov: bool ``(1, H, W)``.
        sigma: in px of this image.

    Returns:
        float32 ``(C, H, W)``, 0 outside the field of view.
    """
    inside = fov.float()
    pixels = image.float() * inside
    radius = min(int(3 * sigma), max(fov.shape[-2:]))
    weight, *blurred = (
        torch.from_numpy(
            ndimage.gaussian_filter(plane.numpy(), sigma, mode="constant", radius=radius)
        )
        for plane in (inside[0], *pixels)
    )
    flat = (pixels - torch.stack(blurred) / weight.clamp_min(1e-3)) * inside
    count = inside.sum().clamp_min(1)
    mean = flat.sum(dim=(1, 2), keepdim=True) / count
    deviation = ((flat - mean).mul(inside).square().sum(dim=(1, 2), keepdim=True) / count).sqrt()
    return (flat - mean) * inside / deviation.clamp_min(1e-3)


def sharpness(image: Tensor, fov: Tensor) -> float:
    """Standard deviation of details up to 5 px in the middle channel of a normalized photograph.

    DRIVE has 0.2 to 0.34; blurred by a Gaussian of 1.6 px 0.1, of 2.5 px below 0.08.

    Args:
        image: as from `local_normalization`.
        fov: bool ``(1, H, W)``.
    """
    plane = image[None, len(image) // 2, None]
    inside = 1 - F.max_pool2d(1 - fov[None].float(), 9, 1, 4)  # without its rim
    details = (plane - F.avg_pool2d(plane, 5, 1, 2)).square() * inside
    return float((details.sum() / inside.sum().clamp_min(1)).sqrt())


def resize_to_diameter(diameter: float, fov: Tensor) -> list[int]:
    """``[H, W]`` to resize to, so that the field of view measures ``diameter`` px across.

    Where it does within 5 % the size stays: resampling would lose more than the scale gains. The
    field of view must not be empty; `LEAST_FOV` bounds the size.
    """
    scale = diameter / fov_diameter(fov)
    if abs(scale - 1) <= 0.05:
        return list(fov.shape[-2:])
    return [max(1, round(side * scale)) for side in fov.shape[-2:]]
