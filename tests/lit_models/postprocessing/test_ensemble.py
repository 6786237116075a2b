import torch
from torch import nn

from lit_models.postprocessing.defects import DefectPostprocessor
from lit_models.postprocessing.ensemble import Ensemble, join, mean_of_classes, mean_of_pixels


def test_probabilities_are_averaged_and_not_logits():
    logits = torch.randn(3, 4, 6) * 5
    mean = logits.softmax(dim=2).mean(dim=0)
    torch.testing.assert_close(mean_of_classes(logits).softmax(dim=1), mean)
    maps = torch.randn(3, 2, 1, 5, 4) * 5
    torch.testing.assert_close(mean_of_pixels(maps).sigmoid(), maps.sigmoid().mean(dim=0))


def test_sure_members_do_not_overflow():
    logits = torch.tensor([100.0, 90.0]).view(2, 1, 1, 1, 1)
    assert 90 < mean_of_pixels(logits).item() < 91, "the less sure one decides in the tail"
    assert mean_of_pixels(-logits).item() == -mean_of_pixels(logits).item()


def test_an_ensemble_asks_each_member_at_its_temperature():
    members = [nn.Linear(3, 2) for _ in range(2)]
    images = torch.randn(4, 3)
    found = Ensemble(members, mean_of_classes, [1.0, 4.0])(images).softmax(dim=1)
    mean = (members[0](images).softmax(1) + (members[1](images) / 4).softmax(1)) / 2
    torch.testing.assert_close(found, mean)


def module(network, temperature=None):
    made = type("DefectClassifier", (nn.Module,), {})()
    made.network, made.inference = network, DefectPostprocessor(tta=True, temperature=temperature)
    return made


def test_joined_modules_are_loaded_and_take_the_first_ones_checkpoint():
    states = [module(nn.Linear(3, 2)).state_dict() for _ in range(2)]
    joined = module(nn.Linear(3, 2), temperature=3.0)
    join(joined, states, [1.0, 2.0], mean_of_classes)
    joined.load_state_dict(states[0])  # as the Trainer does, strictly
    for member, state in zip(joined.network.members, states, strict=True):
        assert torch.equal(member.weight, state["network.weight"])
    assert joined.inference == DefectPostprocessor(tta=True), "each member has its own temperature"
