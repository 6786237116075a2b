"""ChannelsLastAdam is Adam, without the copies."""

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from lit_models.optim import ChannelsLastAdam


def trained(optimizer_class, layout=torch.channels_last):
    """Weights, moments and the number of copies in the last of three fused steps."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 4), nn.BatchNorm2d(8), nn.ConvTranspose2d(8, 2, 4))
    network.to(memory_format=layout)
    optimizer = optimizer_class(network.parameters(), 1e-2, fused=True)
    for _ in range(3):
        optimizer.zero_grad()
        network(torch.randn(2, 3, 8, 8)).square().mean().backward()
        with profile(activities=[ProfilerActivity.CPU]) as watched:
            optimizer.step()
    copies = sum(event.name == "aten::copy_" for event in watched.events())
    state = optimizer.state_dict()["state"]
    return [p.detach() for p in network.parameters()], state, copies


def test_the_numbers_and_the_state_are_adams():
    weights, state, _ = trained(ChannelsLastAdam)
    expected, expected_state, _ = trained(torch.optim.Adam)
    for ours, theirs in zip(weights, expected, strict=True):
        assert torch.equal(ours, theirs)
        assert ours.stride() == theirs.stride()
    for index, moments in expected_state.items():
        for name, value in moments.items():
            assert torch.equal(state[index][name], value)
            assert state[index][name].stride() == value.stride()


def test_moments_of_another_layout_meet_their_own_weights():
    """A checkpoint of a run in the default layout, resumed in channels-last."""
    results = []
    for optimizer_class in (ChannelsLastAdam, torch.optim.Adam):
        torch.manual_seed(0)
        layer = nn.Conv2d(3, 8, 4)
        optimizer = optimizer_class(layer.parameters(), 1e-2, fused=True)
        for layout in (torch.contiguous_format, torch.channels_last):
            layer.to(memory_format=layout)
            optimizer.zero_grad()
            layer(torch.randn(2, 3, 8, 8)).square().mean().backward()
            optimizer.step()
        assert optimizer.state[layer.weight]["exp_avg"].is_contiguous()
        results.append(layer.weight.detach())
    assert torch.equal(*results)


def test_channels_last_weights_are_copied_no_more_than_contiguous_ones():
    least = trained(torch.optim.Adam, torch.contiguous_format)[2]
    assert trained(ChannelsLastAdam)[2] == least
    assert trained(torch.optim.Adam)[2] > least, (
        "torch copies them no longer: ChannelsLastAdam can go"
    )
