"""Penalties that keep the graph to the fake samples: the same numbers, and derivatives by the fakes besides."""

from collections.abc import Callable

import pytest
import torch
from labelled_critics import LABELLED, OnLabels
from torch import Tensor, nn

from adversarium.errors import InputError
from adversarium.penalties import (
    PENALTIES,
    HistoricalAveraging,
    LeCam,
    attached,
    max_gradient,
    on_fraction,
    r1,
    r2,
    wgan_div,
    zero_centred,
)
from adversarium.types import Critic, Penalty

# where the penalty looks at the data only, or at the weights only, there is nothing to differentiate by the fakes
BLIND = {"r1", "dragan", "noise_r1", "cr", "spectral_regularisation", "orthogonal_regularisation"}
BLIND |= {"historical_averaging", "contrastive_critic"}


def made(name: str) -> Penalty:
    if name in ("cr", "bcr"):
        return PENALTIES[name](augment=lambda x, rng: 0.9 * x + 0.1)
    penalty = PENALTIES[name]()
    if name in LABELLED:
        return OnLabels(penalty)
    if isinstance(penalty, LeCam | HistoricalAveraging):
        # what they remember is set by a first call, and then moves with each
        critic = smooth_critic(50)
        for batch in samples(77), samples(78):
            penalty(critic, *batch, None)
        penalty.eval()
    return penalty


def smooth_critic(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4), nn.Softplus(), nn.Linear(4, 1), nn.Flatten(0))
    return layers.double()


def samples(seed: int) -> tuple[Tensor, Tensor]:
    real, fake = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return real, fake


def value(penalty: Penalty, critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return penalty(critic, real, fake, torch.Generator().manual_seed(9)).sum()


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("seed", range(2))
def test_an_attached_penalty_has_the_same_value_and_the_same_gradient_of_the_critic(name: str, seed: int):
    critic, (real, fake) = smooth_critic(seed), samples(seed)
    fake.requires_grad_()
    plain, kept = (wrap(made(name)) for wrap in (lambda each: each, attached))
    one, other = value(plain, critic, real, fake), value(kept, critic, real, fake)
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    weights = list(critic.parameters())
    for a, b in zip(
        torch.autograd.grad(one, weights, allow_unused=True, retain_graph=True),
        torch.autograd.grad(other, weights, allow_unused=True, retain_graph=True),
        strict=True,
    ):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    assert torch.autograd.grad(one, fake, allow_unused=True)[0] is None


@pytest.mark.parametrize("name", PENALTIES)
def test_it_is_differentiable_by_the_fakes(name: str):
    critic, (real, fake) = smooth_critic(5), samples(5)
    fake.requires_grad_()
    found = torch.autograd.grad(value(attached(made(name)), critic, real, fake), fake, allow_unused=True)[0]
    assert (found is None or not found.any()) == (name in BLIND)
    if found is None:
        return
    way = torch.randn(fake.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    plain = made(name)
    with torch.no_grad():
        ahead, behind = (value(plain, critic, real, fake + sign * 1e-5 * way) for sign in (1, -1))
    torch.testing.assert_close((found * way).sum(), (ahead - behind) / 2e-5, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("method", ["exact", "functional"])
def test_mixed_derivatives_are_right(method: str):
    """∂/∂fake of a directional derivative by the weights: three derivatives of the critic."""
    critic, (real, fake) = smooth_critic(2), samples(2)
    fake.requires_grad_()
    rng = torch.Generator().manual_seed(3)
    ways = [torch.randn(each.shape, generator=rng, dtype=torch.float64) for each in critic.parameters()]

    def along_weights(points: Tensor) -> Tensor:
        total = value(attached(r2(2.0, method)), critic, real, points)
        found = torch.autograd.grad(total, list(critic.parameters()), create_graph=True, allow_unused=True)
        return sum((a * b).sum() for a, b in zip(found, ways, strict=True) if a is not None)

    (found,) = torch.autograd.grad(along_weights(fake), fake)
    way = torch.randn(fake.shape, generator=rng, dtype=torch.float64)
    ahead, behind = (along_weights(fake + sign * 1e-5 * way) for sign in (1, -1))
    torch.testing.assert_close((found * way).sum(), (ahead - behind).detach() / 2e-5, rtol=1e-6, atol=1e-8)


def test_a_fraction_is_attached_inside():
    critic, (real, fake) = smooth_critic(1), samples(1)
    fake.requires_grad_()
    (found,) = torch.autograd.grad(value(attached(on_fraction(r2(), 0.5)), critic, real, fake), fake)
    assert found.any(1).sum() == 2  # rows of four


@pytest.mark.parametrize("method", ["exact", "functional"])
@pytest.mark.parametrize(
    ("penalty", "second"),
    [
        (r1, 3.0),  # γ/2·|ψ|²: γ
        (r2, 3.0),
        (zero_centred, 6.0),  # λ·|ψ|²: 2λ
        (max_gradient, 6.0),
        (wgan_div, 0.0),  # k·|ψ|⁶
    ],
)
def test_a_squared_slope_has_a_second_derivative_where_it_is_zero(penalty: Callable, second: float, method: str):
    """By the weight of D(x) = ψ·x at ψ = 0, where a norm has none."""
    critic = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Flatten(0)).double()
    nn.init.zeros_(critic[0].weight)
    values = attached(penalty(3.0, method=method))(critic, *samples(0)[0][:, :1].split(2), None).mean()
    (first,) = torch.autograd.grad(values, critic[0].weight, create_graph=True)
    (found,) = torch.autograd.grad(first.sum(), critic[0].weight)
    assert float(first.detach()) == 0
    assert float(found) == pytest.approx(second, abs=1e-12)


def test_a_slope_without_second_derivatives_is_refused():
    with pytest.raises(InputError, match="finite"):
        value(attached(r1(method="finite")), smooth_critic(0), *samples(0))


def test_a_penalty_of_ones_own_is_left_as_it_is():
    def own(critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator | None) -> Tensor:
        return critic(fake).square()

    assert attached(own) is own
