import pytest
import torch
import yaml
from conftest import ROOT

from datamodules.transforms import PanelCorruption, panel_corruption

STRENGTHS = {kind.__name__: strength for kind, strength in PanelCorruption().kinds}
OFF = dict.fromkeys(STRENGTHS, 0)


def panel(side: int = 64) -> torch.Tensor:
    image = torch.full((1, side, side), 128, dtype=torch.uint8)
    image[:, side // 2 :] = 200
    image[:, :, side // 3 :] -= 60
    return image


@pytest.mark.parametrize("name", STRENGTHS)
def test_each_kind_alone_changes_the_image_and_no_more(name):
    only = OFF | {name: STRENGTHS[name]}
    corruption = PanelCorruption(probability=1, max_corruptions=1, **only)
    torch.manual_seed(0)
    outs = [corruption(panel()) for _ in range(8)]
    assert all(out.shape == (1, 64, 64) and out.dtype == torch.uint8 for out in outs)
    assert any(not torch.equal(out, panel()) for out in outs)
    assert not torch.equal(outs[0], outs[1]) or not torch.equal(outs[1], outs[2])


def test_blur_and_motion_keep_the_mean_and_smooth(monkeypatch):
    monkeypatch.setattr(panel_corruption, "uniform", lambda low, high: high)
    torch.manual_seed(0)
    rough = torch.rand(1, 64, 64) * 255
    for kind, strength in ((panel_corruption.blur, 0.03), (panel_corruption.motion, 0.1)):
        smooth = kind(rough, strength)
        assert float(smooth.mean()) == pytest.approx(float(rough.mean()), rel=0.02)
        assert float(smooth.std()) < 0.7 * float(rough.std())


@pytest.mark.parametrize("side", [1, 2, 3, 5, 33])
def test_every_side_is_kept(side):
    strong = PanelCorruption(probability=1, max_corruptions=10, blur=1.0, motion=1.0, occlusion=1.0)
    torch.manual_seed(side)
    for _ in range(5):
        assert strong(panel(side)).shape == (1, side, side)


def test_the_strong_preset_sets_each_kind():
    preset = yaml.safe_load((ROOT / "configs/augmentation/strong.yaml").read_text())
    corruption = preset["data"]["init_args"]["augmentation"]["init_args"]["corruption"]
    assert set(corruption["init_args"]) == {*OFF, "probability", "max_corruptions"}
    PanelCorruption(**corruption["init_args"])
