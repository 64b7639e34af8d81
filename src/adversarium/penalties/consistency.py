"""Consistency: the critic shall not see what does not matter, an augmentation or a small change of the code."""

from collections.abc import Callable

import torch
from torch import Tensor

from adversarium.errors import InputError, require
from adversarium.penalties import _draw
from adversarium.penalties._check import not_negative, positive, same_count
from adversarium.penalties._values import per_sample
from adversarium.penalties.scores import Scored, ScorePenalty, Side
from adversarium.types import Critic, GeneratorPenalty, PerSample, Samples

Augment = Callable[[Tensor, torch.Generator | None], Tensor]
"""Samples to as many changed samples that mean the same."""


def shift_and_flip(samples: Samples, rng: torch.Generator | None = None, pixels: int = 4) -> Samples:
    """Mirror each image left to right with probability ½, and shift it by up to ``pixels`` along either axis.

    Images are ``[B, C, H, W]``. The edge is repeated where the shift leaves a gap. Differentiable by the images.

    Raises:
        InputError: samples that are not images, or a negative shift.
    """
    if samples.ndim != 4:
        raise InputError(
            f"samples have shape {list(samples.shape)}: shift_and_flip wants images [B, C, H, W]; "
            "give the penalty an augment= of your own"
        )
    require(pixels >= 0, f"pixels is {pixels}: wanted a number that is not negative")
    _, channels, height, width = samples.shape
    down, right = (_draw.integers(-pixels, pixels, samples, rng) for _ in range(2))
    mirrored = _draw.integers(0, 1, samples, rng).bool()
    device = samples.device
    rows = (torch.arange(height, device=device) - down[:, None]).clamp(0, height - 1)
    columns = (torch.arange(width, device=device) - right[:, None]).clamp(0, width - 1)
    columns = torch.where(mirrored[:, None], width - 1 - columns, columns)
    image = torch.arange(len(samples), device=device)[:, None, None, None]
    channel = torch.arange(channels, device=device)[None, :, None, None]
    return samples[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def _change(batch: Scored, side: Side, augment: Augment) -> Tensor:
    """Return (D(x) - D(T(x)))² of each sample of a side."""
    samples, scores = batch.side(side)
    return (per_sample(scores) - per_sample(batch.critic(augment(samples, batch.rng)))).square()


def cr(weight: float = 10.0, augment: Augment = shift_and_flip) -> ScorePenalty:
    """Keep the critic's score of a real sample when it is augmented.

    Formula:
        λ·(D(x) - D(T(x)))² at the real samples, T a random augmentation
    Convention:
        λ = ``weight`` = 10. D is the score, not a layer before it, and the gradient flows through both. The default T
        is ``shift_and_flip``; give data that are no images their own ``augment(samples, rng)``, one draw per sample.
    Elsewhere:
        Equal: PyTorch-StudioGAN ``apply_cr`` (cr_lambda), no ½, gradient through both. Class scores or embeddings,
        where there are any, are held too.
    Use when:
        Data are few or the critic overfits. Prefer ``bcr``, whose augmentations do not leak into the samples.
    Paper:
        Zhang et al. 2020, "Consistency Regularization for Generative Adversarial Networks", arXiv:1910.12027.

    Raises:
        InputError: a negative weight.
    """
    not_negative(weight=weight)

    def value(batch: Scored) -> Tensor:
        return weight * _change(batch, "real", augment)

    return ScorePenalty(reads=("real",), value=value)


def bcr(real_weight: float = 10.0, fake_weight: float = 10.0, augment: Augment = shift_and_flip) -> ScorePenalty:
    """Keep the critic's scores of real and of generated samples when they are augmented.

    Formula:
        λ_real·(D(x) - D(T(x)))² + λ_fake·(D(G(z)) - D(T(G(z))))² for the i-th real and the i-th fake sample
    Convention:
        λ = 10 for both. As in ``cr``; no gradient reaches the generator.
    Elsewhere:
        Equal: PyTorch-StudioGAN ``apply_bcr`` (real_lambda, fake_lambda). Class scores or embeddings, where there are
        any, are held too.
    Use when:
        Data are few or the critic overfits: ``cr`` without its artefacts.
    Paper:
        Zhao et al. 2021, "Improved Consistency Regularization for GANs", arXiv:2002.04724 ("bCR").

    Raises:
        InputError: a negative weight.
    """
    not_negative(real_weight=real_weight, fake_weight=fake_weight)

    def value(batch: Scored) -> Tensor:
        same_count(batch.real, batch.fake)
        at_real, at_fake = _change(batch, "real", augment), _change(batch, "fake", augment)
        return real_weight * at_real + fake_weight * at_fake

    return ScorePenalty(reads=("real", "fake"), value=value)


def zcr_critic(weight: float = 20.0, std: float = 0.05) -> GeneratorPenalty:
    """Keep the critic's score of a generated sample when its code changes a little.

    Formula:
        λ·(D(G(z)) - D(G(z + σε)))², ε ~ N(0, I)
    Convention:
        λ = ``weight`` = 20, σ = ``std`` = 0.05. A term of the critic that needs the generator and its codes; no
        gradient reaches the generator. Its second pass has no graph.
    Elsewhere:
        Equal: PyTorch-StudioGAN ``apply_zcr`` (d_lambda), whose numbers for BigGAN on CIFAR-10 these are; class scores
        or embeddings, where there are any, are held too.
    Use when:
        Together with ``zcr_generator``, and with ``bcr`` ("ICR").
    Paper:
        Zhao et al. 2021, "Improved Consistency Regularization for GANs", arXiv:2002.04724 ("zCR").

    Raises:
        InputError: a negative weight, or an std that is not positive.
    """
    not_negative(weight=weight)
    positive(std=std)

    def penalty(
        generator: Callable[[Tensor], Tensor],
        critic: Critic,
        codes: Tensor,
        fake: Tensor,
        rng: torch.Generator | None = None,
    ) -> PerSample:
        with torch.no_grad():
            near = generator(codes + std * _draw.normal(codes, rng))
        return weight * (per_sample(critic(fake.detach())) - per_sample(critic(near))).square()

    return penalty


def zcr_generator(weight: float = 0.5, std: float = 0.05) -> GeneratorPenalty:
    """Ask the generator for different samples when its code changes a little.

    Formula:
        -λ·‖G(z) - G(z + σε)‖²/n, ε ~ N(0, I), n numbers in a sample
    Convention:
        λ = ``weight`` = 0.5, σ = ``std`` = 0.05. Never positive, and without a lower bound of its own. The mean over a
        sample's numbers, not their sum.
    Elsewhere:
        Equal: PyTorch-StudioGAN ``apply_zcr`` (g_lambda), whose numbers for BigGAN on CIFAR-10 these are; the paper
        prints the sum over a sample's numbers, which is n times as much.
    Use when:
        Together with ``zcr_critic``.
    Paper:
        Zhao et al. 2021, "Improved Consistency Regularization for GANs", arXiv:2002.04724 ("zCR").

    Raises:
        InputError: a negative weight, or an std that is not positive.
    """
    not_negative(weight=weight)
    positive(std=std)

    def penalty(
        generator: Callable[[Tensor], Tensor],
        critic: Critic,
        codes: Tensor,
        fake: Tensor,
        rng: torch.Generator | None = None,
    ) -> PerSample:
        near = generator(codes + std * _draw.normal(codes, rng))
        return -weight * per_sample((fake - near).square())

    return penalty
