"""Smoothed and flipped labels, and losses with more than one number to a score."""

import inspect

import pytest
import torch
from torch import Tensor

from adversarium.errors import InputError
from adversarium.losses import (
    LOSSES,
    attention_relativistic,
    f_divergence,
    flip_labels,
    hinge,
    realness,
    relativistic,
    smooth_labels,
)
from adversarium.types import Loss

PLAIN = ["minimax", "nonsaturating", "least_squares", "hinge", "wasserstein", "f_divergence"]
every_seed = pytest.mark.parametrize("seed", range(3))


def pair(seed: int, *shape: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    real, fake = (2 * torch.randn(2, *shape, generator=draw, dtype=torch.float64)).unbind()
    return real, fake


@pytest.mark.parametrize("name", PLAIN)
@every_seed
def test_one_sided_smoothing(name: str, seed: int):
    loss = LOSSES[name]()
    real, fake = pair(seed, 7)
    f1, f2 = loss.halves.real, loss.halves.fake
    for alpha in (0.0, 0.7, 0.9, 1.0):
        smooth = smooth_labels(loss, real=alpha)
        expected = alpha * f1(real) + (1 - alpha) * f2(real) + f2(fake)
        torch.testing.assert_close(smooth.critic(real, fake), expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(smooth.halves.real(real) + smooth.halves.fake(fake), expected)
        assert torch.equal(smooth.generator(real, fake), loss.generator(real, fake))
    assert torch.equal(smooth_labels(loss, real=1.0).critic(real, fake), loss.critic(real, fake))


@every_seed
def test_the_optimal_critic_of_a_smoothed_log_loss(seed: int):
    p, q = (torch.rand(2, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.05).unbind()
    p, q, alpha = p / p.sum(), q / q.sum(), 0.8
    best = (alpha * p / (p + q)).logit().requires_grad_()
    halves = smooth_labels(LOSSES["nonsaturating"](), real=alpha).halves
    (gradient,) = torch.autograd.grad((p * halves.real(best) + q * halves.fake(best)).sum(), best)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["nonsaturating", "hinge", "least_squares"])
def test_flipped_labels_are_two_sided_smoothing_in_the_mean(name: str):
    loss, probability, draws = LOSSES[name](), 0.2, 4000
    real, fake = pair(0, 2)
    flipped = flip_labels(loss, probability, torch.Generator().manual_seed(0))
    values = flipped.critic(real.repeat(draws), fake.repeat(draws)).view(draws, 2)
    f1, f2 = loss.halves.real, loss.halves.fake
    smooth = (
        (1 - probability) * f1(real) + probability * f2(real) + (1 - probability) * f2(fake) + probability * f1(fake)
    )
    error = values.std(0) / draws**0.5
    assert ((values.mean(0) - smooth).abs() < 4 * error).all()
    # independent labels: four outcomes for each pair
    for column in range(2):
        real_costs = {float(f1(real)[column]), float(f2(real)[column])}
        fake_costs = {float(f1(fake)[column]), float(f2(fake)[column])}
        expected = sorted(a + b for a in real_costs for b in fake_costs)
        torch.testing.assert_close(values[:, column].unique().tolist(), expected, rtol=0, atol=1e-12)
    assert torch.equal(flipped.generator(None, fake), loss.generator(None, fake))


def test_flips_at_the_ends_and_by_sample():
    loss, (real, fake) = hinge(), pair(1, 6, 1, 4, 4)
    f1, f2 = loss.halves.real, loss.halves.fake
    assert torch.equal(flip_labels(loss, 0.0).critic(real, fake), loss.critic(real, fake))
    assert torch.equal(flip_labels(loss, 1.0).critic(real, fake), f2(real) + f1(fake))
    values = flip_labels(loss, 0.5, torch.Generator().manual_seed(0)).critic(real, fake)
    kinds = torch.stack([a(real) + b(fake) for a in (f1, f2) for b in (f1, f2)])
    matches = ((values - kinds).abs() < 1e-12).flatten(2).all(2)  # every score of a sample alike
    assert (matches.sum(0) >= 1).all()
    again = flip_labels(loss, 0.5, torch.Generator().manual_seed(0)).critic(real, fake)
    assert torch.equal(values, again)


@pytest.mark.parametrize("divergence", ["kl", "reverse_kl", "squared_hellinger", "jeffreys"])
def test_flips_of_a_loss_that_overflows(divergence: str):
    loss = flip_labels(f_divergence(divergence), 0.5, torch.Generator().manual_seed(0))
    for far_real in (-1e4, 1e4):
        for far_fake in (-1e4, 1e4):
            real, fake = (torch.full((16,), far, requires_grad=True) for far in (far_real, far_fake))
            values = loss.critic(real, fake)
            gradients = torch.autograd.grad(values.sum(), (real, fake))
            assert not any(tensor.isnan().any() for tensor in (values, *gradients))


def test_a_score_of_several_numbers_is_wrapped_as_one():
    loss, (real, fake) = realness(3), pair(2, 400, 3)
    values = flip_labels(loss, 0.5, torch.Generator().manual_seed(0)).critic(real, fake)
    kinds = [
        a(real) + b(fake) for a in (loss.halves.real, loss.halves.fake) for b in (loss.halves.fake, loss.halves.real)
    ]
    matches = ((values - torch.stack(kinds)).abs() < 1e-12).sum(1)
    assert (matches > 60).all()
    assert matches.sum() == 400
    assert smooth_labels(loss).critic(real, fake).shape == (400,)


@pytest.mark.parametrize("wrap", [smooth_labels, flip_labels])
def test_coupled_losses_cannot_be_wrapped(wrap):
    with pytest.raises(InputError, match="no fixed sum over scores"):
        wrap(relativistic())
    for wrong in (-0.1, 1.1):
        with pytest.raises(InputError, match=f"is {wrong}"):
            inspect.unwrap(wrap)(hinge(), wrong)
    wrapped = wrap(hinge())
    with pytest.raises(InputError, match="the same shape"):
        wrapped.critic(torch.zeros(3, 1), torch.zeros(3))
    with pytest.raises(InputError, match="no fixed sum over scores"):
        flip_labels(flip_labels(hinge()))


# --- the attending critic's loss ------------------------------------------------------------------


def columns(seed: int) -> tuple[Tensor, Tensor]:
    return pair(seed, 9, 2)


@every_seed
def test_attention_relativistic_is_as_printed(seed: int):
    real, fake = columns(seed)
    c_real, c_fake, a_real, a_fake = real[:, 0], fake[:, 0], real[:, 1], fake[:, 1]
    judged = (1 - (a_fake - a_real.mean()).sigmoid()).log()
    critic = -(c_real - c_fake.mean()).sigmoid().log() - (1 - (c_fake - c_real.mean()).sigmoid()).log() - 0.7 * judged
    loss = attention_relativistic(0.7)
    torch.testing.assert_close(loss.critic(real, fake), critic)
    torch.testing.assert_close(loss.generator(real, fake), -(c_fake - c_real.mean()).sigmoid().log() + 0.7 * judged)


@every_seed
def test_without_weight_it_is_half_of_the_average_loss(seed: int):
    real, fake = columns(seed)
    ours, average = attention_relativistic(0.0), relativistic(pairing="average", generator_real_term=False)
    for side in ("critic", "generator"):
        expected = getattr(average, side)(real[:, 0], fake[:, 0])
        torch.testing.assert_close(getattr(ours, side)(real, fake), expected)


def test_the_attention_term_trains_the_head_and_saturates_for_the_generator():
    loss: Loss = attention_relativistic(1.0)
    real = torch.zeros(4, 2, dtype=torch.float64, requires_grad=True)
    fake = torch.tensor([[0.0, -30.0]] * 4, dtype=torch.float64, requires_grad=True)
    (by_fake,) = torch.autograd.grad(loss.generator(real, fake).sum(), fake)
    assert (by_fake[:, 1].abs() < 1e-12).all()  # a fake that the head rejects gets nothing from it
    assert (by_fake[:, 0] < -0.4).all()
    believed = torch.zeros(4, 2, dtype=torch.float64, requires_grad=True)
    by_real, by_fake = torch.autograd.grad(loss.critic(real, believed).sum(), (real, believed))
    assert (by_fake[:, 1] > 0).all()  # the critic owns the head: it lowers A on fakes and raises it on real data
    assert (by_real[:, 1] < 0).all()


def test_a_negative_weight_is_refused():
    with pytest.raises(InputError, match="weight is -0.1"):
        inspect.unwrap(attention_relativistic)(-0.1)
