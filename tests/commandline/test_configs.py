"""A checkpoint says of which method it is: predict needs no config beside it."""

import shutil

import pytest
from conftest import ROOT

from commandline.configs import with_config


def test_the_run_s_own_config_or_the_first_of_its_method(trained, tmp_path):
    run = trained("blots")
    more = ["--data.predict_dir=x"]
    found = with_config(["predict", f"--ckpt_path={run}", *more])
    assert found == ["predict", f"--config={run / 'config.yaml'}", f"--ckpt_path={run}", *more]
    alone = shutil.copy(run / "checkpoints" / "last.ckpt", tmp_path / "mine.ckpt")
    found = with_config(["test", "--ckpt_path", str(alone)])
    assert found[1] == f"--config={ROOT / 'configs' / 'blots.yaml'}"
    best = ROOT / "pretrained" / "vessels_best.ckpt"
    assert with_config(["predict", f"--ckpt_path={best}"])[1].endswith("vessels_best.yaml")


@pytest.mark.parametrize(
    "args",
    [
        ["fit", "--ckpt_path=x"],
        ["predict", "--config=a.yaml", "--ckpt_path=x"],
        ["test", "--ckpt_path=best"],
        ["predict", "--help"],
    ],
)
def test_other_commands_stay_as_they_are(args):
    assert with_config(args) == args
