"""Class activation maps are exact where the head sees a global average, and nowhere else."""

import pytest
import torch

from experiment.checkpoints import Checkpoint
from inference.defects import DefectModel
from lit_models.networks import TorchvisionClassifier
from lit_models.postprocessing.defects import DefectPostprocessor

NAMES = ["good", "bad", "ugly"]
CPU = torch.device("cpu")


def model(name, tmp_path, **inference):
    torch.manual_seed(0)
    network = TorchvisionClassifier(3, name, weights="random", frozen=False).eval()
    parameters = {"class_names": NAMES, "inference": inference}
    trained = Checkpoint(tmp_path, "DefectClassifier", parameters, {"image_size": 64})
    return DefectModel(network, trained, CPU)


AVERAGING = "resnet18 regnet_y_400mf efficientnet_b0 densenet121 mobilenet_v2 shufflenet_v2_x0_5"


@pytest.mark.parametrize("name", [*AVERAGING.split(), "swin_t", "small_cnn"])
def test_a_map_s_mean_is_the_logit(name):
    torch.manual_seed(0)
    network = TorchvisionClassifier(3, name, weights="random", frozen=False).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        logits, maps, features = network.class_activation_maps(images)
        torch.testing.assert_close(logits, network(images))
        torch.testing.assert_close(features, network.features(images))
    assert min(maps.shape[-2:]) > 1
    torch.testing.assert_close(maps.mean((2, 3)) + network.head.bias, logits)


@pytest.mark.parametrize("name", ["vgg11", "convnext_tiny", "mobilenet_v3_small"])
def test_other_networks_have_no_heatmap_and_say_so(name, tmp_path, caplog):
    found = model(name, tmp_path)
    result = found.predict(torch.randint(255, (40, 50), dtype=torch.uint8).numpy())
    assert result.heatmap is None
    assert result.activation is None
    assert f"{name} does not end in global average pooling: results have no heatmap" in caplog.text
    assert result.show().width > 0


def test_the_heatmap_is_of_the_label_and_of_the_image_s_size(tmp_path):
    found = model("resnet18", tmp_path)
    pixels = torch.randint(255, (40, 50), dtype=torch.uint8)
    result = found.predict(pixels.numpy())
    assert result.heatmap.shape == (40, 50)
    item = found.read(pixels.numpy(), "image")
    with torch.inference_mode():
        from datamodules.preprocessing import normalize_defects

        images = normalize_defects(item["image"][None])
        logits = found.network(images)[0]
    label = NAMES.index(result.label)
    mean = result.activation.mean() + float(found.network.head.bias[label])
    assert mean == pytest.approx(float(logits[label]), abs=1e-5)
    assert label == int(logits.argmax())
    assert result.confidence == pytest.approx(float(logits.softmax(0)[label]), abs=1e-6)


@pytest.mark.parametrize(("count", "axes"), [(4, (3,)), (2, (2, 3))])
def test_views_are_mirrored_back(count, axes, tmp_path):
    network = model("resnet18", tmp_path).network
    images = torch.randn(1, 3, 64, 64)
    inference = DefectPostprocessor(tta=True, views=count)
    with torch.inference_mode():
        logs, maps = inference.answers(network, images, explain=True).values()
        mirrored_logs, mirrored = inference.answers(network, images.flip(axes), True).values()
        assert torch.equal(logs, inference.answers(network, images)["probabilities"])
    torch.testing.assert_close(mirrored_logs, logs)
    torch.testing.assert_close(mirrored, maps.flip(axes))
