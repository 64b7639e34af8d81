"""Constraints do what their formulas say to a critic's weights, and doing it twice changes nothing."""

import copy

import pytest
import torch
from torch import nn

from adversarium.constraints import CONSTRAINTS, clip, spectral_norm
from adversarium.errors import InputError


def critic(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = [
        nn.Conv2d(2, 8, 3),
        nn.BatchNorm2d(8),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(72, 5),
        nn.Linear(5, 1),
    ]
    return nn.Sequential(*layers).double()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("bound", [0.01, 0.1])
def test_clip_is_the_projection_on_the_box(seed: int, bound: float):
    net = critic(seed)
    before = copy.deepcopy(list(net.parameters()))
    addresses = [parameter.data_ptr() for parameter in net.parameters()]
    for repeat in range(2):  # the second time changes nothing
        clip(bound).apply(net)
        for ours, old in zip(net.parameters(), before, strict=True):
            assert torch.equal(ours, old.clamp(-bound, bound)), repeat
    assert any(old.abs().max() > bound for old in before)
    assert [parameter.data_ptr() for parameter in net.parameters()] == addresses
    assert all(parameter.requires_grad and parameter.grad_fn is None for parameter in net.parameters())


def singular_value(weight: torch.Tensor) -> float:
    return float(torch.linalg.svdvals(weight.detach().flatten(1))[0])


@pytest.mark.parametrize("seed", range(3))
def test_spectral_norm_makes_the_largest_singular_value_one(seed: int):
    net = critic(seed)
    original = copy.deepcopy(net)
    spectral_norm(100).apply(net)
    for _ in range(5):  # as many power iterations for each forward pass in training mode
        net(torch.zeros(2, 2, 5, 5, dtype=torch.float64))
    net.eval()
    for ours, old in zip(net, original, strict=True):
        if isinstance(old, (nn.Conv2d, nn.Linear)):
            assert singular_value(ours.weight) == pytest.approx(1, abs=1e-6)
            torch.testing.assert_close(ours.weight, old.weight / singular_value(old.weight), rtol=1e-6, atol=1e-9)
            assert torch.equal(ours.bias, old.bias)
    assert torch.equal(net[1].weight, original[1].weight)  # batch norm is left alone


def test_spectral_norm_twice_is_once():
    net = critic(0)
    spectral_norm().apply(net)
    keys = list(net.state_dict())
    spectral_norm().apply(net)
    assert list(net.state_dict()) == keys


def test_spectral_norm_takes_the_iterations_it_is_told():
    errors = {}
    for iterations in (1, 50):
        net = critic(0)
        spectral_norm(iterations).apply(net)
        net(torch.zeros(2, 2, 5, 5, dtype=torch.float64))
        net.eval()
        errors[iterations] = abs(singular_value(net[0].weight) - 1)
    assert errors[50] < 1e-4
    assert errors[50] < errors[1]


@pytest.mark.parametrize(("name", "arguments"), [("clip", {"bound": 0.0}), ("clip", {"bound": -1.0})])
def test_clip_needs_a_positive_bound(name: str, arguments: dict[str, float]):
    with pytest.raises(InputError, match="bound is"):
        CONSTRAINTS[name](**arguments)


def test_spectral_norm_needs_an_iteration():
    with pytest.raises(InputError, match="n_power_iterations is 0"):
        spectral_norm(0)


def test_each_constraint_says_when_it_is_applied():
    assert {name: (factory().name, factory().when) for name, factory in CONSTRAINTS.items()} == {
        "clip": ("clip", "step"),
        "spectral_norm": ("spectral_norm", "build"),
    }
