"""The benchmarks run on the layouts that the tasks read."""

import json

import numpy as np
import pytest
import torch
from conftest import config_args, one_run
from PIL import Image
from torchvision.models import resnet18

from benchmarks.probe import DrawnOnCPU
from benchmarks.tiny_data import write_blots, write_drive
from cli import main
from datamodules import BlotDataModule
from datamodules.synthetic.blots import draw_sample

pytestmark = pytest.mark.scripts


@pytest.fixture
def record(printed):
    return lambda *command: json.loads(printed(*command)[-1])


def test_blot_baselines_are_scored(tmp_path, printed):
    draw_sample(tmp_path, 0)
    lines = printed("benchmarks/blot_baselines.py", str(tmp_path))
    rows = [line for line in lines if line.startswith(("| painted", "| ridge"))]
    assert len(rows) == 2 * 5 + 2
    l1 = [float(row.split("|")[3]) for row in rows]
    assert all(0 < value < 1 for value in l1)


def test_plain_aoi_runs(aoi_folder, tmp_path, record):
    torch.manual_seed(0)
    weights = tmp_path / "weights.pth"
    torch.save(resnet18().state_dict(), weights)
    script = ["benchmarks/plain_aoi.py", f"--data_dir={aoi_folder}", f"--weights={weights}"]
    found = record(*script, "--epochs=2")
    assert len(found["epoch_seconds"]) == 2
    assert len(found["scores"]) == 2
    assert 0 <= min(found["scores"]) <= max(found["scores"]) <= 1


def test_plain_blots_trains_as_often_as_there_are_triples(tmp_path, record):
    write_blots(tmp_path)
    data = BlotDataModule(str(tmp_path))
    data.setup("fit")
    for more in ([], ["--shipped"]):
        found = record("benchmarks/plain_blots.py", f"--data_dir={tmp_path}", "--epochs=1", *more)
        assert len(found["step_seconds"]) == len(data.train_set)
        assert -1 <= found["scores"][0] <= 1


def test_maps_are_scored_by_protocol(tmp_path, printed):
    """The drawn vessels as predictions: right everywhere."""
    pytest.importorskip("skimage", reason="needs the extra `bench`")
    write_drive(tmp_path)
    maps = tmp_path / "maps"
    maps.mkdir()
    for n in range(1, 4):
        drawn = Image.open(tmp_path / "test" / "1st_manual" / f"{n:02d}_manual1.gif").convert("L")
        drawn.save(maps / f"{n:02d}_test_mask.png")
        probability = np.asarray(drawn, np.uint16) // 255 * 65535
        Image.fromarray(probability).save(maps / f"{n:02d}_test_probability.png")
    lines = printed("benchmarks/vessel_protocols.py", str(maps), f"--data_dir={tmp_path}")
    rows = [line.split(" | ") for line in lines if line.startswith("| predictions")]
    protocols = ["fov, pooled", "fov, image mean", "full image, pooled", "full image, image mean"]
    assert [row[1] for row in rows] == protocols
    assert all(row[2] == "1.0000" for row in rows)
    assert lines[-1].endswith("predictions 1.0000")


def test_views_and_thresholds_of_a_segmenter(tmp_path, printed):
    pytest.importorskip("skimage", reason="needs the extra `bench`")
    write_drive(tmp_path / "drive")
    # So small that the benchmark's larger photographs are scaled down, as another camera's are.
    diameter = ["--data.inputs.diameter=40", "--model.inference.threshold=0.5"]
    args = config_args("vessels_best", tmp_path, f"--data.data_dir={tmp_path / 'drive'}", *diameter)
    main(["fit", *args, "--trainer.max_epochs=1", "--trainer.limit_train_batches=1"])
    last = one_run(tmp_path) / "checkpoints" / "last.ckpt"
    lines = printed("benchmarks/vessel_views.py", str(last), f"--data_dir={tmp_path / 'drive'}")
    rows = [[float(c) for c in line.split("|")[3:-1]] for line in lines if line.startswith("| 1 |")]
    assert len(rows) == 2, "one scale, and the checkpoint's"
    assert all(dice <= best <= 1 and auroc <= 1 for dice, best, auroc, _ in rows)
    curve = [[float(c) for c in line.split("|")[1:-1]] for line in lines if line.startswith("| 0.")]
    assert [row[2] for row in curve] == sorted((row[2] for row in curve), reverse=True)
    lines = printed("benchmarks/vessel_cameras.py", str(last), f"--data_dir={tmp_path / 'drive'}")
    rows = [[float(c) for c in line.split("|")[2:-1]] for line in lines if " | 0." in line]
    assert len(rows) == 9
    assert all(fixed <= best for fixed, _, _, best in rows)
    assert any(len({fixed, *shared}) == 3 for fixed, *shared, _ in rows)
    lines = printed("benchmarks/vessel_rims.py", str(last), f"--data_dir={tmp_path / 'drive'}")
    everywhere, off_rims = ([float(c) for c in line.split("|")[2:-1]] for line in lines[4:6])
    assert everywhere < off_rims, "what lies beside a vessel is the hardest"
    assert len(lines) == 9 + 4


def test_a_config_on_the_accelerator_at_hand(printed):
    lines = printed("benchmarks/accelerator.py", "--configs", "blots", "--small")
    (row,) = (line.split(" | ") for line in lines if line.startswith("| blots"))
    differences = [float(cell) for cell in row[3:9]]
    assert all(0 <= value < 0.1 for value in differences)
    assert row[-1] == "yes |"


@pytest.mark.parametrize(
    "draw",
    [
        lambda device: torch.rand(2, 3, device=device),
        lambda device: torch.randint(9, (2,), device=device),
        lambda device: torch.randn_like(torch.empty(2, device=device)),
    ],
)
def test_what_is_drawn_does_not_depend_on_the_device(draw):
    with DrawnOnCPU():
        torch.manual_seed(0)
        assert draw("meta").device.type == "meta"
        after = torch.rand(3)
        torch.manual_seed(0)
        draw("cpu")
        assert torch.equal(torch.rand(3), after)


def test_restored_avif_is_compared_at_equal_bytes(tmp_path, printed):
    write_drive(tmp_path / "drive")
    data, short = f"--data.data_dir={tmp_path / 'drive'}", "--trainer.max_epochs=1"
    main(["fit", *config_args("retina_avif", tmp_path / "runs", data, short)])
    checkpoint = one_run(tmp_path / "runs") / "checkpoints" / "last.ckpt"
    lines = printed(
        "benchmarks/compression.py",
        f"--data_dir={tmp_path / 'drive'}",
        f"--checkpoints={checkpoint}",
        "--images=1",
    )
    rows = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in lines if "|" in line}
    held, restored = (rows[f"{kind}, quality 60"] for kind in ("AVIF 4:4:4", "restored AVIF"))
    assert held[0] == restored[0], "the same file"
    gains = [float(cell) for cell in rows["above AVIF 4:4:4, dB"]]

    def psnr_at(rate, kind):
        points = sorted([float(c) for c in cells[1:3]] for n, cells in rows.items() if kind in n)
        return np.interp(np.log(rate), *np.log(np.array(points)[:, :1]).T, np.array(points)[:, 1])

    expected = psnr_at(0.5, "restored AVIF, q") - psnr_at(0.5, "AVIF 4:4:4, q")
    assert gains[4] == pytest.approx(expected, abs=0.1)
