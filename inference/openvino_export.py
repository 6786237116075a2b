"""OpenVINO models, also with 8-bit integers, for which accuracy is checked on validation images."""

import inspect
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning import LightningDataModule

from common.errors import DataError
from datamodules.fundus_input import FundusInput
from experiment.checkpoints import Checkpoint
from experiment.checkpoints.class_paths import TRUSTED, find_class
from experiment.crossval_report import pooled
from inference.results import DefectResult, RetinaResult, VesselResult

CALIBRATED = 128  # validation images, from which the ranges of activations are taken


def write_openvino(onnx: bytes, card: dict[str, Any], file: Path, feeds: Sequence[Any]) -> None:
    """Write an ONNX graph as OpenVINO's ``.xml`` with its ``.bin``, the card inside.

    Args:
        onnx: the ONNX file.
        card: see `model_card`.
        file: the ``.xml``.
        feeds: inputs by name, on which weights and activations are quantized to 8 bits by NNCF's
            post-training quantization; empty: float32.
    """
    import openvino

    model = openvino.Core().read_model(onnx)
    _antialias(model)
    if feeds:
        os.environ.setdefault("NNCF_CI", "1")  # it would report its use
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # no CUDA here
        import nncf

        nncf.set_log_level(logging.ERROR)
        model = nncf.quantize(model, nncf.Dataset(feeds), subset_size=len(feeds))
    model.set_rt_info(json.dumps(card), "model_card")
    openvino.save_model(model, file, compress_to_fp16=False)


def _antialias(model: Any) -> None:
    """Resize as torch does: OpenVINO reads the antialiased ``Resize`` of ONNX as a plain one."""
    from openvino import opset15 as opset

    for op in model.get_ops():
        if op.get_type_name() == "Interpolate" and op.get_attributes()["antialias"]:
            sides = opset.gather(op.input_value(1), np.array([2, 3]), np.array(0))
            how = {"mode": "bilinear_pillow", "shape_calculation_mode": "sizes"}
            made = opset.interpolate(op.input_value(0), sides, axes=np.array([2, 3]), **how)
            for user in op.output(0).get_target_inputs():
                user.replace_source_output(made.output(0))


class ValidationImages:
    """The validation images of a training, and how well a model does on them.

    Args:
        trained: the checkpoint.
        data_dir: where its data are now; None: where they were.

    Raises:
        DataError: there are none, their folder is gone, or their task has no truth to score by.
    """

    def __init__(self, trained: Checkpoint, data_dir: Path | None = None) -> None:
        if trained.method not in ("DefectClassifier", "VesselSegmenter", "ImageReconstructor"):
            raise DataError(f"--int8: a {trained.method} has no score to check; export it without")
        kind = find_class(trained.data_class, (LightningDataModule,), TRUSTED)
        known = inspect.signature(kind).parameters.keys() - {"augmentation"}
        values = {name: value for name, value in trained.data.items() if name in known}
        values["data_dir"] = str(data_dir) if data_dir else values.get("data_dir")
        try:
            if "inputs" in values:
                values["inputs"] = FundusInput(**values["inputs"])
            data = kind(**values)
            data.prepare_data()
            data.setup("validate")
        except (TypeError, ValueError) as error:
            cause = " ".join(str(error).split())
            raise DataError(f"{trained.path}: its settings cannot be ({cause})") from None
        if data.val_set is None:
            raise DataError("--int8: no validation images to check it on; export it without")
        self.items = data.val_set
        if trained.method == "DefectClassifier":
            self.paths = [self.items.folder / name for name in self.items.names]
        else:
            self.paths = [one.image for one in self.items.files]

    def check(self, model: Any, other: Any) -> str:
        """Compare the mean score of two models: accuracy, Dice in the field of view, or PSNR in dB.

        Raises:
            DataError: the other one's is below the 95 % interval of the first.
        """
        import pandas as pd

        expected, found = (
            [self._score(i, result) for i, result in enumerate(one.predict(self.paths))]
            for one in (model, other)
        )
        table = pd.DataFrame({"ID": range(len(expected)), "run": 0, "score": expected})
        score, mean = pooled(table)["score"], float(np.mean(found))
        low = score["value"] if score["low"] is None else score["low"]
        line = f"{score['value']:.4f} (95 % interval from {low:.4f}), with 8 bits {mean:.4f}"
        line = f"score on {len(found)} validation images {line}"
        if not mean >= low:
            raise DataError(f"{line}: not exported; export it without --int8")
        return line

    def _score(self, index: int, result: Any) -> float:
        if isinstance(result, RetinaResult):
            return result.psnr
        item = self.items[index]
        if isinstance(result, DefectResult):
            return float(result.label == [*result.probabilities][int(item["target"])])
        assert isinstance(result, VesselResult)
        truth, fov = item["native_target"][0].numpy(), item["native_fov"]
        inside = np.ones_like(truth) if fov is None else fov[0].numpy()
        found, truth = result.mask & inside, truth & inside
        return float(2 * (found & truth).sum() / max(1, found.sum() + truth.sum()))
