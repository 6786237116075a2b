"""A latent of 8-bit integers to bytes and back, by the compressor's own prior.

Encoder and decoder must arrive at the very same probabilities, on any machine. So nothing here
depends on how a sum of floats is rounded: the prior's weights become integers, and all that is
computed from them and from the latent is a whole number below 2**53, which float64 holds exactly in
whatever order it is summed. The Laplace distributions are tables of integers, made with correctly
rounded decimal arithmetic (idea: Ballé et al., "Integer networks for data compression with
latent-variable models", 2019).

Places are coded along slanted wave fronts. A place depends on the ``r`` rows above it (r columns to
both sides) and on its own row's past, so all places with equal ``column + (r + 1) * row`` can be
decoded at once.
"""

from collections.abc import Iterator
from decimal import Context, Decimal
from functools import cache
from typing import Any

import numpy as np
from torch import Tensor

from common.errors import DataError
from lit_models.networks.compressor import LEVELS
from lit_models.networks.context_prior import ContextPrior

Array = np.ndarray[Any, np.dtype[Any]]

WEIGHT_BITS = 16  # after the point, of weights
FEATURE_BITS = 10  # after the point, of the features between the prior's two layers
OUTPUT_BITS = WEIGHT_BITS + FEATURE_BITS
FEATURE_LIMIT = 2**20  # features above 1024 are cut there, so that no sum can overflow
EXACT = 2.0**52

MEAN_STEPS = 16  # means are multiples of 1/16
SCALE_BITS = 3  # scales are 0.02 * exp(i / 8)
LEAST_SCALE = "0.02"
SCALES = 84  # up to 640, which is even over all 256 values
TOTAL_BITS = 22  # of the probabilities; float32 holds them exactly
FREE = 2**TOTAL_BITS - 2 * LEVELS  # what is left when each value has one part
REACH = MEAN_STEPS * (2 * LEVELS + 1)  # sixteenths to each side of a mean
EXACT_DECIMAL = Context(prec=40)


@cache
def laplace_cdf() -> Array:
    """Parts of `FREE` below a place, int64 ``(SCALES, 2 * REACH + 1)``.

    Column ``REACH + d`` is ``d`` sixteenths above the mean; the scale is ``0.02 * exp(row / 8)``.
    """
    tails = np.zeros((SCALES, REACH + 1), np.int64)
    guard = 96
    for row in range(SCALES):
        power = EXACT_DECIMAL.exp(EXACT_DECIMAL.divide(Decimal(row), Decimal(2**SCALE_BITS)))
        scale = EXACT_DECIMAL.multiply(Decimal(LEAST_SCALE), power)
        step = EXACT_DECIMAL.divide(Decimal(-1), EXACT_DECIMAL.multiply(scale, MEAN_STEPS))
        ratio = int(EXACT_DECIMAL.multiply(EXACT_DECIMAL.exp(step), Decimal(2**guard)))
        value = FREE << (guard - 1)  # half of all lies below a distance of 0
        for distance in range(REACH + 1):
            tails[row, distance] = value >> guard
            value = value * ratio >> guard
            if not value:
                break
    return np.concatenate([tails[:, :0:-1], FREE - tails], axis=1)


@cache
def _laplace_parts() -> Array:
    """Parts of the value ``m + j - 256``, float32, by scale, sixteenths above ``m``, and j."""
    lower = MEAN_STEPS * np.arange(-2 * LEVELS, 2 * LEVELS) - MEAN_STEPS // 2
    places = REACH + lower - np.arange(MEAN_STEPS)[:, None]
    cdf = laplace_cdf()
    return (cdf[:, places + MEAN_STEPS] - cdf[:, places] + 1).astype(np.float32)


def probabilities(mean: Array, scale: Array) -> Array:
    """Of the values -128..127 under Laplace distributions, float32 ``(N, 256)``.

    Each is a whole number of parts of ``2 ** -TOTAL_BITS``, at least one; tails are the outermost
    values'.

    Args:
        mean: in sixteenths, int64 ``(N,)``, from -127 to 127.
        scale: rows of `laplace_cdf`, int64 ``(N,)``.
    """
    whole, part = np.divmod(mean, MEAN_STEPS)
    windows = np.lib.stride_tricks.sliding_window_view(_laplace_parts(), 2 * LEVELS, axis=2)
    found: Array = windows[scale, part, LEVELS - whole]
    middle = REACH - MEAN_STEPS // 2 - mean
    found[:, 0] = laplace_cdf()[scale, middle - MEAN_STEPS * (LEVELS - 1)] + 1
    found[:, -1] = FREE + 1 - laplace_cdf()[scale, middle + MEAN_STEPS * (LEVELS - 1)]
    found *= np.float32(2.0**-TOTAL_BITS)
    return found


class LatentCoder:
    """Integers ``(C, h, w)`` from -128 to 127 to bytes and back.

    Args:
        prior: of the latent.
        latent_std: standard deviation of each channel, ``(C, 1, 1)``.

    Raises:
        DataError: the package constriction is missing, or the weights are not finite.
    """

    def __init__(self, prior: ContextPrior, latent_std: Tensor) -> None:
        try:
            import constriction
        except ImportError:
            raise DataError(
                "constriction: not installed; compression needs it: pip install -e '.[codec]'"
            ) from None
        self._stream = constriction.stream
        self.family = constriction.stream.model.Categorical(perfect=False)
        std = _array(latent_std).ravel()
        self.channels, self.radius = len(std), prior.context_radius
        side = 2 * self.radius + 1
        taps = side**2 // 2
        self.offsets = np.divmod(np.arange(taps), side)
        weight = _array(prior.context.weight).reshape(-1, self.channels, side**2)[..., :taps]
        self.kernel = _fixed(weight / std[:, None], WEIGHT_BITS).reshape(len(weight), -1)
        self.bias = _fixed(_array(prior.context.bias), WEIGHT_BITS)[:, None]
        head = _array(prior.head.weight)[..., 0, 0]
        head_bias = _array(prior.head.bias)
        self.mean_head = _fixed(head[: self.channels] * std[:, None], WEIGHT_BITS)
        self.mean_bias = _fixed(head_bias[: self.channels] * std, OUTPUT_BITS)[:, None]
        self.scale_head = _fixed(head[self.channels :], WEIGHT_BITS)
        self.scale_bias = _fixed(head_bias[self.channels :], OUTPUT_BITS)[:, None]
        least = EXACT_DECIMAL.ln(Decimal(LEAST_SCALE))
        logs = [EXACT_DECIMAL.ln(Decimal(float(value))) for value in std]
        above = [int((log - least) * 2**OUTPUT_BITS) for log in logs]
        self.log_std = np.array(above, np.float64)[:, None]
        self._check()

    def _check(self) -> None:
        layers = (self.kernel, self.bias, LEVELS), (self.mean_head, self.mean_bias, FEATURE_LIMIT)
        for weight, bias, limit in (*layers, (self.scale_head, self.scale_bias, FEATURE_LIMIT)):
            largest = (np.abs(weight).sum(axis=1) * limit + np.abs(bias[:, 0])).max()
            if not largest < EXACT:  # also where it is NaN
                raise DataError("the checkpoint's prior has weights too large to code with")

    def _distributions(self, padded: Array, rows: Array, columns: Array) -> Array:
        """`probabilities` at some places, place by place and channel by channel."""
        down, across = self.offsets
        earlier = padded[:, rows + down[:, None], columns + across[:, None]]
        sums = self.kernel @ earlier.reshape(-1, len(rows)) + self.bias
        features = np.floor(sums.clip(0) * 2.0 ** (FEATURE_BITS - WEIGHT_BITS))
        features = features.clip(max=FEATURE_LIMIT)
        mean = self.mean_head @ features + self.mean_bias
        mean = np.floor(mean * (MEAN_STEPS * 2.0**-OUTPUT_BITS) + 0.5)
        log_scale = self.scale_head @ features + self.scale_bias
        log_scale = log_scale.clip(-7 * 2**OUTPUT_BITS, 4 * 2**OUTPUT_BITS) + self.log_std
        scale = np.floor(log_scale * 2.0 ** (SCALE_BITS - OUTPUT_BITS) + 0.5)
        limit = MEAN_STEPS * (LEVELS - 1)
        return probabilities(
            mean.T.ravel().clip(-limit, limit).astype(np.int64),
            scale.T.ravel().clip(0, SCALES - 1).astype(np.int64),
        )

    def _fronts(self, height: int, width: int) -> Iterator[tuple[Array, Array]]:
        """Rows and columns of the places of each wave front."""
        slope = self.radius + 1
        for time in range(width + slope * (height - 1)):
            first = max(0, -(-(time - width + 1) // slope))
            rows = np.arange(first, min(height - 1, time // slope) + 1)
            if len(rows):
                yield rows, time - slope * rows

    def _empty(self, height: int, width: int) -> Array:
        return np.zeros((self.channels, height + 2 * self.radius, width + 2 * self.radius))

    def encode(self, latent: Array) -> bytes:
        """Bytes of integers ``(C, h, w)`` from -128 to 127."""
        _, height, width = latent.shape
        radius, padded = self.radius, self._empty(height, width)
        padded[:, radius : radius + height, radius : radius + width] = latent
        encoder = self._stream.queue.RangeEncoder()
        for rows, columns in self._fronts(height, width):
            symbols = latent[:, rows, columns].T.ravel().astype(np.int32) + LEVELS
            encoder.encode(symbols, self.family, self._distributions(padded, rows, columns))
        return bytes(encoder.get_compressed().astype("<u4").tobytes())

    def decode(self, data: bytes, height: int, width: int) -> Array:
        """The integers int32 ``(C, h, w)`` that `encode` was given.

        Raises:
            ValueError: the bytes cannot come from `encode`.
        """
        radius, padded = self.radius, self._empty(height, width)
        words = np.frombuffer(data, "<u4").astype(np.uint32)
        decoder = self._stream.queue.RangeDecoder(words)
        for rows, columns in self._fronts(height, width):
            try:
                found = decoder.decode(self.family, self._distributions(padded, rows, columns))
            except AssertionError as error:  # what constriction raises
                raise ValueError(str(error)) from None
            values = found.reshape(len(rows), self.channels).T - LEVELS
            padded[:, rows + radius, columns + radius] = values
        if not decoder.maybe_exhausted():
            raise ValueError("there are bytes left")
        return padded[:, radius : radius + height, radius : radius + width].astype(np.int32)


def _array(tensor: Tensor | None) -> Array:
    assert tensor is not None
    return tensor.detach().cpu().double().numpy()


def _fixed(values: Array, bits: int) -> Array:
    """Whole numbers, as float64, of ``2 ** -bits``."""
    return np.rint(values * 2.0**bits)
