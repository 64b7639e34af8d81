"""RealnessGAN's loss against its formula, its optimal critic, and the losses that it contains."""

import functools
import inspect

import pytest
import scipy.stats
import torch
from torch import Tensor

from adversarium.errors import InputError
from adversarium.losses import minimax, realness, wasserstein
from adversarium.types import Loss

every_seed = pytest.mark.parametrize("seed", range(3))


@functools.cache
def make(generator: str, outcomes: int = 5) -> Loss:
    return realness(outcomes, generator)


@functools.cache
def binary(generator: str) -> Loss:
    return realness(2, generator, real_anchor=(0.0, 1.0), fake_anchor=(1.0, 0.0))


def logits(seed: int, *shape: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(2, *shape, generator=draw, dtype=torch.float64)).unbind()


def anchors(outcomes: int) -> tuple[Tensor, Tensor]:
    points = torch.linspace(-3, 3, outcomes, dtype=torch.float64)
    a1, a0 = (torch.from_numpy(scipy.stats.skewnorm.pdf(points, skew)) for skew in (5, -5))
    return a1 / a1.sum(), a0 / a0.sum()


def kl(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p / q).log()).sum(-1)


@every_seed
def test_the_published_formula(seed: int):
    real, fake = logits(seed, 7, 5)
    a1, a0 = anchors(5)
    d_real, d_fake = (each.exp() / each.exp().sum(1, keepdim=True) for each in (real, fake))
    torch.testing.assert_close(make("relative").critic(real, fake), kl(a1, d_real) + kl(a0, d_fake))
    torch.testing.assert_close(make("relative").generator(real, fake), kl(d_real, d_fake) - kl(a0, d_fake))
    torch.testing.assert_close(make("anchor").generator(None, fake), kl(a1, d_fake) - kl(a0, d_fake))
    torch.testing.assert_close(make("saturating").generator(None, fake), -kl(a0, d_fake))


@every_seed
def test_the_optimal_critic(seed: int):
    draw = torch.Generator().manual_seed(seed)
    p, q = (torch.rand(2, 6, generator=draw, dtype=torch.float64) + 0.05).unbind()
    p, q, (a1, a0) = p / p.sum(), q / q.sum(), anchors(5)
    best = ((p[:, None] * a1 + q[:, None] * a0) / (p + q)[:, None]).log().requires_grad_()
    halves = make("relative").halves

    def value(critic: Tensor) -> Tensor:
        return (p * halves.real(critic) + q * halves.fake(critic)).sum()

    (gradient,) = torch.autograd.grad(value(best), best)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)
    for scale in (0.01, 1.0):
        other = best.detach() + scale * torch.randn(6, 5, generator=draw, dtype=torch.float64)
        assert value(other) > value(best)


@every_seed
def test_two_outcomes_are_known_losses(seed: int):
    real, fake = logits(seed, 7, 2)
    r, s = real[:, 1] - real[:, 0], fake[:, 1] - fake[:, 0]
    torch.testing.assert_close(binary("saturating").critic(real, fake), minimax().critic(r, s))
    torch.testing.assert_close(binary("saturating").generator(None, fake), minimax().generator(None, s))
    torch.testing.assert_close(binary("anchor").generator(None, fake), wasserstein().generator(None, s))


@pytest.mark.parametrize("generator", ["relative", "anchor", "saturating"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_certain_critics_give_finite_values(generator: str, dtype: torch.dtype):
    real = torch.tensor([[1e4, 0, 0, -1e4, 3.0], [-1e4, 0, 0, 0, 1e4]], dtype=dtype, requires_grad=True)
    fake = real.detach().flip(0).requires_grad_()
    for loss in (make(generator), realness(5, generator, real_anchor=(0, 0, 0, 0, 1), fake_anchor=(1, 0, 0, 0, 0))):
        for values in (loss.critic(real, fake), loss.generator(real, fake)):
            gradients = torch.autograd.grad(values.sum(), (real, fake), allow_unused=True, materialize_grads=True)
            assert all(tensor.isfinite().all() for tensor in (values, *gradients))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"outcomes": 1}, "outcomes is 1"),
        ({"generator": "relativ"}, "did you mean 'relative'"),
        ({"outcomes": 3, "real_anchor": (0.5, 0.5)}, "real_anchor has 2 entries"),
        ({"outcomes": 2, "fake_anchor": (0.5, 0.6)}, "fake_anchor .* sums to 1.1"),
        ({"outcomes": 2, "fake_anchor": (-0.5, 1.5)}, "fake_anchor runs from -0.5"),
        ({"skew": 0.0}, "the same"),
    ],
)
def test_bad_choices_are_named(arguments: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        inspect.unwrap(realness)(**arguments)
