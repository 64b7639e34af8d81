"""Historical averaging against numpy along a path of weights, and what it remembers across a checkpoint."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adversarium.errors import InputError
from adversarium.penalties import (
    GENERATOR_PENALTIES,
    PENALTIES,
    GeneratorHistoricalAveraging,
    HistoricalAveraging,
    attached,
    generator_historical_averaging,
    historical_averaging,
)
from adversarium.train import checkpoint

Historical = HistoricalAveraging | GeneratorHistoricalAveraging
SAMPLES = torch.zeros(3, 2, dtype=torch.float64)

every_side = pytest.mark.parametrize("name", ["historical_averaging", "generator_historical_averaging"])
every_seed = pytest.mark.parametrize("seed", range(3))


def make(name: str, **arguments: float) -> Historical:
    penalty = (PENALTIES | GENERATOR_PENALTIES)[name](**arguments)
    assert isinstance(penalty, Historical)
    return penalty


def call(penalty: Historical, network: object) -> Tensor:
    """Evaluate the penalty of a network, whichever side it is for: three samples, three codes."""
    if isinstance(penalty, HistoricalAveraging):
        return penalty(network, SAMPLES, SAMPLES, None)
    return penalty(network, abs, SAMPLES, SAMPLES, None)


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)).double()


def walk(layers: nn.Module, rng: torch.Generator) -> None:
    with torch.no_grad():
        for each in layers.parameters():
            each.add_(torch.randn(each.shape, generator=rng, dtype=torch.float64))


def row(layers: nn.Module) -> np.ndarray:
    return np.concatenate([each.detach().numpy().ravel() for each in layers.parameters()])


@every_side
@every_seed
def test_along_a_path_it_is_the_distance_to_the_mean_of_the_past(name: str, seed: int):
    penalty, layers, rng = make(name, weight=0.7), network(seed), torch.Generator().manual_seed(seed)
    past: list[np.ndarray] = []
    for step in range(6):
        values = call(penalty, layers)
        gap = row(layers) - np.mean(past, 0) if past else 0 * row(layers)
        torch.testing.assert_close(values, torch.full((3,), 0.7 * float((gap**2).sum()), dtype=torch.float64))
        layers.zero_grad()
        values.mean().backward()
        found = np.concatenate([each.grad.numpy().ravel() for each in layers.parameters()])
        np.testing.assert_allclose(found, 2 * 0.7 * gap, rtol=1e-10, atol=1e-12)
        past.append(row(layers))
        assert int(penalty.past.updates) == step + 1
        walk(layers, rng)


@every_side
def test_weights_scale_it(name: str):
    one, two = make(name), make(name, weight=2.0)
    layers, rng = network(), torch.Generator().manual_seed(0)
    for _ in range(3):
        torch.testing.assert_close(2 * call(one, layers), call(two, layers))
        walk(layers, rng)
    assert float(call(one, layers)[0].detach()) > 0


def test_attached_and_at_given_scores_it_is_the_same():
    layers, rng = network(), torch.Generator().manual_seed(0)
    penalty = historical_averaging()
    call(penalty, layers)
    walk(layers, rng)
    plain, kept, given = copy.deepcopy(penalty), copy.deepcopy(penalty), copy.deepcopy(penalty)
    expected = call(plain, layers)
    torch.testing.assert_close(attached(kept)(layers, SAMPLES, SAMPLES, None), expected, rtol=0, atol=0)
    torch.testing.assert_close(given.from_scores(layers, SAMPLES, SAMPLES, None, None, None), expected, rtol=0, atol=0)
    assert int(plain.past.updates) == int(kept.past.updates) == int(given.past.updates) == 2


@every_side
def test_how_kernels_lie_in_memory_changes_nothing(name: str):
    torch.manual_seed(0)
    critic, rng = nn.Sequential(nn.Conv2d(3, 5, 2), nn.ConvTranspose2d(5, 2, 3)).double(), torch.Generator()
    penalty = make(name)
    call(penalty, critic)
    walk(critic, rng.manual_seed(1))
    turned, in_turn = copy.deepcopy(penalty), copy.deepcopy(critic).to(memory_format=torch.channels_last)
    values, again = call(penalty, critic), call(turned, in_turn)
    torch.testing.assert_close(values, again)
    torch.testing.assert_close(penalty.past.mean, turned.past.mean)
    slopes, slopes_again = (
        torch.autograd.grad(value.mean(), list(layers.parameters()))
        for value, layers in ((values, critic), (again, in_turn))
    )
    torch.testing.assert_close(slopes, slopes_again)


@every_side
def test_its_second_derivative_is_twice_the_weight(name: str):
    penalty, layers, rng = make(name, weight=0.7), network(), torch.Generator().manual_seed(0)
    call(penalty, layers)
    walk(layers, rng)
    weights = list(layers.parameters())
    slopes = torch.autograd.grad(call(penalty, layers).mean(), weights, create_graph=True)
    along = [torch.randn(each.shape, generator=rng, dtype=torch.float64) for each in weights]
    pushed = torch.autograd.grad(slopes, weights, along)
    torch.testing.assert_close(pushed, tuple(1.4 * each for each in along))


@every_side
def test_the_mean_moves_in_training_with_gradients_only(name: str):
    penalty, layers, rng = make(name), network(), torch.Generator().manual_seed(0)
    call(penalty, layers)
    walk(layers, rng)
    before = {key: value.clone() for key, value in penalty.state_dict().items()}
    with torch.no_grad():
        value = call(penalty, layers)
    evaluated = call(penalty.eval(), layers)
    torch.testing.assert_close(evaluated.detach(), value)
    assert all(torch.equal(value, before[key]) for key, value in penalty.state_dict().items())
    call(penalty.train(), layers)
    assert int(penalty.past.updates) == 2


def test_before_anything_is_seen_evaluation_sees_nothing_either():
    penalty = historical_averaging().eval()
    assert float(call(penalty, network())[0].detach()) == 0
    assert penalty.past.mean.numel() == 0


@every_side
def test_frozen_weights_do_not_count(name: str):
    penalty, layers, rng = make(name), network(), torch.Generator().manual_seed(0)
    for each in layers[0].parameters():
        each.requires_grad_(False)
    call(penalty, layers)
    assert len(penalty.past.mean) == 5
    before = row(layers[2])
    walk(layers, rng)
    expected = float(((row(layers[2]) - before) ** 2).sum())
    assert float(call(penalty, layers)[0].detach()) == pytest.approx(expected)


def test_half_precision_weights_have_a_float32_mean():
    penalty, layers = historical_averaging(), network().bfloat16()
    for _ in range(2):
        values = call(penalty, layers)
    assert values.dtype == penalty.past.mean.dtype == torch.float32


# --- across a checkpoint ---------------------------------------------------------------------------


@every_side
@pytest.mark.parametrize("way", ["torch", "file"])
@pytest.mark.parametrize("seen", [0, 3])
@pytest.mark.parametrize("used", [False, True])
def test_a_fresh_instance_goes_on_exactly(name: str, way: str, seen: int, used: bool, tmp_path: Path):
    """One that has seen no network, or one that is sent back to an earlier time."""
    penalty, layers, rng = make(name), network(), torch.Generator().manual_seed(0)
    for _ in range(seen):
        call(penalty, layers)
        walk(layers, rng)
    fresh = make(name)
    if used:
        call(fresh, network(7))
    if way == "torch":
        fresh.load_state_dict(penalty.state_dict())
    else:
        state = {f"state.{key}": value for key, value in penalty.state_dict().items()}
        found = checkpoint.load(checkpoint.save(tmp_path, state, {"step": 1}, keep=1))
        checkpoint.restore_module(fresh, found.part("state"), "state", found.path)
    assert {key: value.dtype for key, value in fresh.state_dict().items()} == {
        key: value.dtype for key, value in penalty.state_dict().items()
    }
    for _ in range(3):
        assert torch.equal(call(fresh, layers), call(penalty, layers))
        walk(layers, rng)
    assert torch.equal(fresh.past.mean, penalty.past.mean)


def test_what_is_loaded_is_a_copy():
    penalty, layers = historical_averaging(), network()
    call(penalty, layers)
    fresh = historical_averaging()
    fresh.load_state_dict(penalty.state_dict())
    saved = penalty.past.mean.clone()
    walk(layers, torch.Generator().manual_seed(0))
    call(fresh, layers)
    assert torch.equal(penalty.past.mean, saved)


def test_another_networks_past_is_refused(tmp_path: Path):
    penalty, other = historical_averaging(), historical_averaging()
    call(penalty, network())
    call(other, network()[0])
    found = checkpoint.load(checkpoint.save(tmp_path, dict(other.state_dict()), {"step": 1}, keep=1))
    with pytest.raises(InputError, match=r"'past.mean' has shape \[12\], and the network's has \[17\]"):
        checkpoint.restore_module(penalty, found.tensors, "state", found.path)
    with pytest.raises(RuntimeError, match=r"size mismatch for past\.mean"):
        penalty.load_state_dict(other.state_dict())


@every_side
def test_wrong_networks_are_named(name: str):
    penalty = make(name)
    player = "generator" if name.startswith("generator") else "critic"
    with pytest.raises(InputError, match=f"{player} is a builtin_function_or_method.*nn.Module"):
        call(penalty, abs)
    with pytest.raises(InputError, match=f"{player} has no trained parameter"):
        call(penalty, nn.Tanh())
    call(penalty, network())
    with pytest.raises(InputError, match=f"{player} has 12 trained numbers, and their mean 17"):
        call(penalty, network()[0])


def test_the_generators_own_factory_is_in_its_dict():
    assert GENERATOR_PENALTIES["generator_historical_averaging"] is generator_historical_averaging
    assert PENALTIES["historical_averaging"] is historical_averaging
