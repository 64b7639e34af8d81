"""Penalties on the generator: ``(generator, critic, codes, fake, rng) -> [B]``, weight included."""

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from adversarium.errors import InputError, lookup, require
from adversarium.penalties import _draw
from adversarium.penalties._check import between_0_and_1, not_negative, positive
from adversarium.penalties._values import norms, per_sample, wide
from adversarium.penalties.slope import METHODS, Method, slope
from adversarium.types import Critic, GeneratorPenalty, PerSample

Generator = Callable[[Tensor], Tensor]


class PathLength(nn.Module):
    """The penalty that ``path_length`` makes; a :class:`~adversarium.types.GeneratorPenalty`.

    Attributes:
        mean_length: the moving average of the lengths, a; 0 at first.
    """

    mean_length: Tensor

    def __init__(self, weight: float, decay: float, method: Method = "exact") -> None:
        super().__init__()
        lookup("method", method, METHODS)
        self.weight, self.decay, self.method = weight, decay, method
        self.register_buffer("mean_length", torch.zeros(()))

    def forward(
        self, generator: Generator, critic: Critic, codes: Tensor, fake: Tensor, rng: torch.Generator | None = None
    ) -> PerSample:
        """Return the penalty of each code, ``[B]``, and move the mean.

        Raises:
            InputError: samples that do not depend on the codes.
        """
        noise = _draw.normal(fake, rng) / math.sqrt(math.prod(fake.shape[2:]))
        if self.method == "exact":
            norm = _exact_lengths(generator, codes, fake, noise)
        else:
            # ‖Jᵀy‖ is the slope of <G(w), y>; a finite difference asks for both of its ends at once
            def projection(w: Tensor) -> Tensor:
                repeated = noise.repeat(len(w) // len(noise), *[1] * (noise.ndim - 1))
                return (generator(w) * repeated).flatten(1).sum(1)

            norm = slope(projection, codes, self.method)
        lengths = norm / math.sqrt(codes.shape[1] if codes.ndim == 3 else 1)
        mean = self.mean_length.to(lengths.device, lengths.dtype)
        if self.training and torch.is_grad_enabled():
            mean = torch.lerp(mean, lengths.detach().mean(), self.decay)
            self.mean_length.copy_(mean)
        return self.weight * (lengths - mean).square()


def _exact_lengths(generator: Generator, codes: Tensor, fake: Tensor, noise: Tensor) -> Tensor:
    """Return ‖Jᵀy‖ of each code, differentiable by the generator's weights; through the graph at hand, if it is."""
    with torch.enable_grad():
        if not (codes.requires_grad and fake.requires_grad):
            codes = codes.detach().requires_grad_(True)
            fake = generator(codes)
        moved = (fake * noise).sum()
        gradient = None
        if moved.requires_grad:
            (gradient,) = torch.autograd.grad(moved, codes, create_graph=True, allow_unused=True)
    if gradient is None:
        raise InputError("the generator's samples do not depend on its codes: there is no path length")
    return norms(gradient)


def path_length(weight: float = 2.0, decay: float = 0.01, method: Method = "exact") -> PathLength:
    """Ask for steps of one length in the sample for steps of one length in the code.

    Formula:
        λ·(‖Jᵀy‖ - a)², J the generator's Jacobian by the code w, y ~ N(0, I)/√(pixels)
        a <- a + decay·(mean ‖Jᵀy‖ - a)
    Convention:
        λ = ``weight`` = 2, decay = 0.01, a starts at 0. Pixels are the product of the axes after the channels (1 where
        there are none). With one code per layer, [B, layers, n], the squared length is the mean over the layers. The
        mean a moves before it is used, in training mode with gradients enabled, by the local batch: the samples are
        coupled through a share ``decay`` of it. No gradient flows through a. ``method`` says how the gradient is
        taken, see ``slope``.
    Elsewhere:
        One formula, but the gradient also flows through the share ``decay`` of a: NVlabs/stylegan2
        ``G_logistic_ns_pathreg`` and stylegan2-ada-pytorch (the authors': the same numbers, at every 4th step on half
        a batch), stylegan3, PyTorch-StudioGAN, rosinality's and BasicSR's ``g_path_regularize``.
        lucidrains/stylegan2-pytorch takes a from before, detached, and moves it only at the steps with the penalty
        (every 32nd, after 5,000).
    Use when:
        A generator with an intermediate latent space whose interpolations should be smooth; the code is w there.
    Paper:
        Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", arXiv:1912.04958.

    Raises:
        InputError: a negative weight, a decay outside [0, 1], or an unknown method.
    """
    not_negative(weight=weight)
    between_0_and_1(decay=decay)
    return PathLength(weight, decay, method)


def _several(fake: Tensor, what: str) -> None:
    require(len(fake) > 1, f"a batch of {len(fake)}: {what} compares samples, wanted at least 2")


def mode_seeking(weight: float = 1.0, epsilon: float = 1e-5) -> GeneratorPenalty:
    """Ask for different samples where codes differ.

    Formula:
        λ/(d(G(z₁), G(z₂))/d(z₁, z₂) + ε), d the mean absolute difference
    Convention:
        λ = ``weight`` = 1, ε = ``epsilon`` = 1e-5. Each sample's partner is the next one in the batch (the first for
        the last): the samples are coupled in pairs, and a batch of one is refused. Not negative, at most λ/ε.
    Elsewhere:
        The authors' HelenMao/MSGAN, all four models: d is a mean over the *whole batch* before the division, one value
        for it, on two sets of codes for one condition: equal to a ratio for each pair only where there is one pair.
    Use when:
        A conditional generator ignores its code.
    Paper:
        Mao et al. 2019, "Mode Seeking Generative Adversarial Networks for Diverse Image Synthesis", arXiv:1903.05628.

    Raises:
        InputError: a negative weight, an epsilon that is not positive; when called, a batch of one.
    """
    not_negative(weight=weight)
    positive(epsilon=epsilon)

    def penalty(
        generator: Generator, critic: Critic, codes: Tensor, fake: Tensor, rng: torch.Generator | None = None
    ) -> PerSample:
        _several(fake, "mode_seeking")
        apart, codes_apart = (
            per_sample((each - each.roll(-1, 0)).abs().flatten(1)) for each in (fake, codes.to(fake.device))
        )
        # 1/(a/c + ε) = c/(a + ε·c), which is finite for equal codes too
        below = apart + epsilon * codes_apart
        return weight * codes_apart / below.clamp_min(torch.finfo(below.dtype).tiny)

    return penalty


@runtime_checkable
class Encodes(Protocol):
    """A critic that shows its representation of a sample."""

    def encode(self, samples: Tensor) -> Tensor:
        """Return one row of features per sample, ``[B, ...]``."""
        ...


def pulling_away(weight: float = 0.1) -> GeneratorPenalty:
    """Ask for samples whose representations in the critic are orthogonal.

    Formula:
        λ/(N(N - 1))·Σ over i ≠ j of cos²(S_i, S_j), S = critic.encode(fake)
    Convention:
        λ = ``weight`` = 0.1. The value of the i-th sample is λ times the mean of cos² to the others, so that the mean
        over the batch is the formula. The samples are coupled, and a batch of one is refused.
    Elsewhere:
        torchgan ``energy_based_pulling_away_term`` normalises each feature over the batch instead of each sample's
        features, and counts i = j too; PyTorch-GAN ``pullaway_loss`` does not square the cosine. Neither equals the
        paper's.
    Use when:
        The critic is an auto-encoder (EBGAN) and the generator collapses.
    Paper:
        Zhao, Mathieu and LeCun 2017, "Energy-based Generative Adversarial Network", arXiv:1609.03126.

    Raises:
        InputError: a negative weight; when called, a batch of one, or a critic without ``encode``.
    """
    not_negative(weight=weight)

    def penalty(
        generator: Generator, critic: Critic, codes: Tensor, fake: Tensor, rng: torch.Generator | None = None
    ) -> PerSample:
        _several(fake, "pulling_away")
        if not isinstance(critic, Encodes):
            raise InputError(f"critic is a {type(critic).__name__} without encode: pulling_away compares its features")
        directions = functional.normalize(wide(critic.encode(fake).flatten(1)), dim=1)
        with torch.autocast(fake.device.type, enabled=False):
            similarity = (directions @ directions.T).square()
        others = 1 - torch.eye(len(fake), device=fake.device, dtype=similarity.dtype)
        return weight * (similarity * others).sum(1) / (len(fake) - 1)

    return penalty
