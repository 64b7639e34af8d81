"""Losses made of losses: labels smoothed or flipped."""

from dataclasses import replace

import torch
from torch import Tensor

from adversarium.errors import InputError, require
from adversarium.losses._additive import critic_of
from adversarium.losses._check import check_scores
from adversarium.types import Cost, Halves, Loss


def smooth_labels(loss: Loss, real: float = 0.9) -> Loss:
    """Tell the critic that a real sample is real with less than certainty (one-sided label smoothing).

    Formula:
        critic: α·f₁(r) + (1 - α)·f₂(r) + f₂(s),  where the loss's critic is f₁(r) + f₂(s)
    Convention:
        α = ``real``. One-sided: the fakes keep their label, since with both sides smoothed the optimal critic has
        the generator's density in its numerator and rewards it for staying where it is. The generator's side is
        unchanged. For the log loss the optimal critic is σ(D) = α·p/(p + q). Both halves at one score may overflow to
        opposite infinities where they grow exponentially (``f_divergence`` with ``neyman``): that is NaN.
    Use when:
        The critic is far too sure of itself and no gradient penalty is wanted.
    Paper:
        Salimans et al. 2016, "Improved Techniques for Training GANs", arXiv:1606.03498.

    Raises:
        InputError: a loss that does not read each score on its own, or a probability outside [0, 1].
    """
    halves = _halves(loss, "smooth_labels")
    require(0 <= real <= 1, f"real is {real}: wanted a probability, from 0 to 1")

    def smoothed(scores: Tensor) -> Tensor:
        return real * halves.real(scores) + (1 - real) * halves.fake(scores)

    softer = Halves(real=smoothed if real < 1 else halves.real, fake=halves.fake)
    return replace(
        loss,
        name="smooth_labels",
        critic=critic_of(softer, loss.score_width),
        halves=softer,
        arguments={"loss": loss.name, "loss_arguments": dict(loss.arguments), "real": real},
        boundary=loss.boundary if real == 1 else None,
    )


def flip_labels(loss: Loss, probability: float = 0.05, rng: torch.Generator | None = None) -> Loss:
    """Tell the critic the wrong label of a sample now and then.

    Formula:
        critic: f_a(r) + f_b(s),  where the loss's critic is f₁(r) + f₂(s), and a = 2, b = 1 with ``probability``
    Convention:
        A label belongs to a sample: all scores of one sample are flipped together, real and fake samples
        independently, anew at each call. The expectation is two-sided label smoothing with 1 - ``probability``.
        The generator's side is unchanged. The result has no halves, since its critic is random; ``rng`` is yours to
        save, and ``torch.compile`` does not take it.
    Use when:
        To compare with recipes that do so; ``smooth_labels`` has less noise.
    Paper:
        Not a paper: "make the labels noisy" in Chintala et al. 2016, "How to Train a GAN? Tips and tricks to make GANs
        work" (github.com/soumith/ganhacks). Smoothing: Salimans et al. 2016, arXiv:1606.03498.

    Raises:
        InputError: a loss that does not read each score on its own, or a probability outside [0, 1].
    """
    halves = _halves(loss, "flip_labels")
    require(0 <= probability <= 1, f"probability is {probability}: wanted a number from 0 to 1")

    def flipped(scores: Tensor, cost: Cost, other: Cost) -> Tensor:
        source = rng.device if rng is not None else scores.device  # a CPU stream flips alike on every device
        flips = torch.rand(scores.shape[0], generator=rng, device=source).to(scores.device) < probability
        wide = flips.view(-1, *[1] * (scores.ndim - 1))
        # each cost sees 0 where the other one counts: a value that overflows there would make its gradient NaN
        values, others = cost(scores.masked_fill(wide, 0)), other(scores.masked_fill(~wide, 0))
        return torch.where(flips.view(-1, *[1] * (values.ndim - 1)), others, values)

    def critic(real_scores: Tensor | None, fake_scores: Tensor) -> Tensor:
        r, s = check_scores(real_scores, fake_scores, width=loss.score_width), fake_scores
        return flipped(r, halves.real, halves.fake) + flipped(s, halves.fake, halves.real)

    return replace(
        loss,
        name="flip_labels",
        critic=critic,
        halves=None,
        arguments={"loss": loss.name, "loss_arguments": dict(loss.arguments), "probability": probability},
    )


def _halves(loss: Loss, wrapper: str) -> Halves:
    if loss.halves is None:
        raise InputError(
            f"{wrapper} cannot wrap {loss.name!r}: its critic is no fixed sum over scores (it compares them, draws, "
            "or has a state), so a sample has no label of its own; wanted a loss such as nonsaturating or hinge"
        )
    return loss.halves
