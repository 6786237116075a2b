"""Reconstructed fundus photographs."""

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from PIL import Image

from callbacks.writers.prediction_writer import PredictionWriter, Row, output_name
from common.errors import DataError
from experiment.atomic import atomic_write
from inference.codec import PRECISIONS, Codec, Compressed
from lit_models.networks.compressor import Compressor
from lit_models.prediction.pixels import to_pixels

log = logging.getLogger(__name__)


class RetinaWriter(PredictionWriter):
    """``<stem>.png``, 8-bit RGB, of the size of each photograph.

    Of a compressor also ``<stem>.rtc``, the file that the copy was made from (see
    `inference.codec`), where the package constriction is installed, of a `RestoredAVIF` its
    ``<stem>.avif``.

    ``predictions.csv`` has ``psnr`` in dB and ``ssim``, both of the network's input against its
    copy, before that is resized to the photograph's size and rounded to 8 bits.
    """

    columns = ("ID", "image", "psnr", "ssim")

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_predict_start(trainer, pl_module)
        self._codec: Codec | None = None
        network = getattr(pl_module, "network", None)
        if not isinstance(network, Compressor):
            return
        self._precision = str(trainer.precision)
        if self._precision not in PRECISIONS:
            log.warning("no .rtc files: they know no precision %s", self._precision)
            return
        try:
            self._codec = Codec(network)
        except DataError as error:
            log.warning("no .rtc files: %s", error)

    def write(self, folder: Path, prediction: dict[str, Any], pl_module: Any) -> list[Row]:
        """The copy of each photograph."""
        files = [output_name(name, ".png") for name in prediction["name"]]
        for file, image in zip(files, prediction["image"], strict=True):
            with atomic_write(folder / file) as half:
                Image.fromarray(to_pixels(image).numpy()).save(half)
        self._write_compressed(folder, prediction)
        columns = (prediction["name"], files, prediction["psnr"], prediction["ssim"])
        return [(n, f, f"{p:.4f}", f"{s:.5f}") for n, f, p, s in zip(*columns, strict=True)]

    def _write_compressed(self, folder: Path, prediction: dict[str, Any]) -> None:
        if "code" not in prediction:  # of a module of the user's own
            return
        columns = (prediction[key] for key in ("name", "code", "input_size", "native_size"))
        for name, code, input_size, native_size in zip(*columns, strict=True):
            if isinstance(code, bytes):
                with atomic_write(folder / output_name(name, ".avif")) as half:
                    half.write_bytes(code)
            if self._codec is None:
                continue
            sizes = tuple(input_size), tuple(native_size)
            try:
                data = self._codec.encode(Compressed(code, *sizes, self._precision))
            except DataError as error:
                log.warning("%s: no .rtc file: %s", name, error)
                continue
            with atomic_write(folder / output_name(name, ".rtc")) as half:
                half.write_bytes(data)
