"""Penalties on the critic's slope, all on one :func:`slope`."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from adversarium.errors import lookup, require
from adversarium.penalties._check import not_negative
from adversarium.penalties.points import Noise, Points, around, at_fake, at_real, between
from adversarium.penalties.slope import METHODS, Method, check_samples, slope
from adversarium.types import Critic, PerSample


@dataclass(frozen=True)
class GradientPenalty:
    """A function of the critic's slope at some points; a :class:`~adversarium.types.Penalty`.

    ``points`` says where. A trainer that has already evaluated the critic there (``at_real``, ``at_fake``) may call
    ``value`` on the slopes it has, and save a forward pass. ``method`` is how the slope is taken; ``attached`` keeps
    the graph of the fake samples, see :func:`~adversarium.penalties.attached`. With ``squared`` the value is one of
    the slope's square, which is differentiable at slope 0 as often as one likes.
    """

    points: Points
    value: Callable[[Tensor], Tensor]
    method: Method = "exact"
    attached: bool = False
    squared: bool = False

    def __post_init__(self) -> None:
        """Refuse a method that does not exist."""
        lookup("method", self.method, METHODS)

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator | None = None) -> PerSample:
        """Return the penalty of each sample, ``[B]``."""
        check_samples(real, "real")
        check_samples(fake, "fake")
        points = self.points(real.detach(), fake if self.attached else fake.detach(), rng)
        return self.value(slope(critic, points, self.method, attached=self.attached, squared=self.squared))


def wgan_gp(weight: float = 10.0, one_sided: bool = False, method: Method = "exact") -> GradientPenalty:
    """Pull the slope between real and fake samples towards 1.

    Formula:
        two-sided: λ·(‖∇D(x̂)‖ - 1)²;  one-sided: λ·max(0, ‖∇D(x̂)‖ - 1)²
        at x̂ = u·real + (1 - u)·fake, u ~ U(0, 1) for each sample
    Convention:
        λ = ``weight`` = 10. The norm runs over all axes of one sample: for a 1-Lipschitz linear critic the penalty is
        0 at any batch size, channel count and resolution. ``method`` says how the slope is taken, see ``slope``.
    Elsewhere:
        Equal: igul222/improved_wgan_training (the authors', flat samples), PyTorch-StudioGAN ``cal_grad_penalty``,
        NVlabs/stylegan2 ``D_wgan_gp`` (divides by its target²), PyTorch-GAN; torch-mimicry, which raises unless there
        are 3 channels. torchgan takes one norm over the whole batch, BasicSR ``gradient_penalty_loss`` one per pixel.
        Under the root tensorflow/gan adds 1e-10, google/compare_gan 1e-4; LMescheder/GAN_stability nothing: NaN at
        slope 0. One-sided, equal: tensorflow/gan ``wasserstein_gradient_penalty(one_sided=True)`` but for that 1e-10,
        and ZhimingZhou/LGANs-for-reproduce ``bLP`` on flat samples. htt210/GeneralizationAndStabilityInGANs
        ``cal_gradpen_lp`` means it, but its ``torch.max(x, 0)`` is a reduction, and squaring what it returns raises.
    Use when:
        With the Wasserstein loss. One-sided (LP) is the milder form that does not punish slopes below 1.
    Paper:
        Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", arXiv:1704.00028; one-sided:
        Petzka, Fischer and Lukovnikov 2018, "On the regularization of Wasserstein GANs", arXiv:1709.08894.

    Raises:
        InputError: a negative weight.
    """
    not_negative(weight=weight)

    def value(norm: Tensor) -> Tensor:
        excess = torch.relu(norm - 1) if one_sided else norm - 1
        return weight * excess.square()

    return GradientPenalty(points=between, value=value, method=method)


def _half_gamma(gamma: float) -> Callable[[Tensor], Tensor]:
    not_negative(gamma=gamma)
    return lambda square: 0.5 * gamma * square


def r1(gamma: float = 1.0, method: Method = "exact") -> GradientPenalty:
    """Flatten the critic on real data.

    Formula:
        γ/2·‖∇D(x)‖² at the real samples
    Convention:
        With the ½, summed over all axes of a sample. StyleGAN2's rule of thumb: γ = 0.0002·resolution²/batch.
    Elsewhere:
        Equal: NVlabs/stylegan2, stylegan2-ada-pytorch and stylegan3 (γ/2), brownvc/R3GAN (Gamma/2), PyTorch-StudioGAN
        ``cal_r1_reg``. Twice ours: the authors' LMescheder/GAN_stability (its reg_param 10 is our γ = 20), and
        ``d_r1_loss`` of rosinality/stylegan2-pytorch and BasicSR's ``r1_penalty`` alone (their trainers multiply by
        weight/2). lucidrains/stylegan2-pytorch ``gradient_penalty``: γ = 20 on real *and* fake, every 4th step, not
        times 4.
    Use when:
        Nearly always: it makes the game converge locally, and costs one more backward pass through the critic.
    Paper:
        Mescheder, Geiger and Nowozin 2018, "Which Training Methods for GANs do actually Converge?",
        arXiv:1801.04406.

    Raises:
        InputError: a negative gamma.
    """
    return GradientPenalty(points=at_real, value=_half_gamma(gamma), method=method, squared=True)


def r2(gamma: float = 1.0, method: Method = "exact") -> GradientPenalty:
    """Flatten the critic on generated data.

    Formula:
        γ/2·‖∇D(x)‖² at the fake samples
    Convention:
        With the ½, summed over all axes of a sample. No gradient reaches the generator.
    Elsewhere:
        Equal: brownvc/R3GAN (Gamma/2, the same Gamma for R1), NVlabs/stylegan2 ``D_logistic_r2``. Twice ours: the
        authors' LMescheder/GAN_stability with ``reg_type: fake``. rothk/Stabilizing_GANs, an earlier penalty, weights
        γ/2·‖∇D‖² by (1 - σ(r))² on real and by σ(s)² on fake samples.
    Use when:
        Together with ``r1`` and a relativistic loss (``r3gan``).
    Paper:
        Mescheder, Geiger and Nowozin 2018, "Which Training Methods for GANs do actually Converge?",
        arXiv:1801.04406; with R1 in Huang et al. 2025, "The GAN is dead; long live the GAN! A Modern GAN
        Baseline", arXiv:2501.05441.

    Raises:
        InputError: a negative gamma.
    """
    return GradientPenalty(points=at_fake, value=_half_gamma(gamma), method=method, squared=True)


def zero_centred(weight: float = 10.0, method: Method = "exact") -> GradientPenalty:
    """Flatten the critic between real and generated data.

    Formula:
        λ·‖∇D(x̂)‖² at x̂ = u·real + (1 - u)·fake, u ~ U(0, 1) for each sample
    Convention:
        λ = ``weight`` = 10, without the ½ of ``r1``; summed over all axes of a sample.
    Elsewhere:
        Equal, weight apart: the authors' htt210/GeneralizationAndStabilityInGANs ``cal_gradpen(center=0)`` on flat
        samples. LMescheder/GAN_stability ``reg_type: wgangp0`` (reg_param is our weight) squares a ``sqrt``: NaN
        gradients at slope 0.
    Use when:
        The critic memorises a small data set: it is kept from jumping between a real sample and its neighbours.
    Paper:
        Thanh-Tung, Tran and Venkatesh 2019, "Improving Generalization and Stability of Generative Adversarial
        Networks", arXiv:1902.03984 ("0-GP").

    Raises:
        InputError: a negative weight.
    """
    not_negative(weight=weight)
    return GradientPenalty(points=between, value=lambda square: weight * square, method=method, squared=True)


def dragan(
    weight: float = 10.0,
    noise: Noise = "one_sided",
    spread: float = 0.5,
    std: float | None = None,
    interpolate: bool = False,
    method: Method = "exact",
) -> GradientPenalty:
    """Pull the slope around real data towards 1.

    Formula:
        λ·(‖∇D(x + c·s·ε)‖ - 1)² around the real samples, s the standard deviation of the data
        ε for each number of a sample: U(0, 1) one_sided, U(-1, 1) centred, N(0, 1) gaussian
    Convention:
        λ = ``weight`` = 10, c = ``spread`` = 0.5. With ``std=None`` s is that of all numbers of the batch, so that the
        samples are coupled, through this one number; give the data's own as ``std`` and they are not.
    Elsewhere:
        The authors' notebook (kodalinaveen3/DRAGAN) is ``noise="one_sided", interpolate=True``, which shortens the
        noise by one u ~ U(0, 1) per sample, and so is PyTorch-StudioGAN ``cal_dra_penalty`` (with the unbiased
        standard deviation). torchgan shortens each *number* by its own u and takes one norm over the whole batch;
        PyTorch-GAN ``dragan.py`` shortens likewise, one norm per pixel. google/compare_gan is ``noise="centred"`` on
        images in [0, 1], to which it clips, and has sqrt(1e-4 + ‖∇D‖²) for the norm.
    Use when:
        With the non-saturating loss, when the game circles around sharp gradients near the data.
    Paper:
        Kodali, Abernethy, Hays and Kira 2017, "On Convergence and Stability of GANs", arXiv:1705.07215.

    Raises:
        InputError: a negative weight, spread or std, or a noise that is none of the three.
    """
    not_negative(weight=weight, spread=spread, std=std or 0.0)
    return GradientPenalty(
        points=around(noise, spread, std, interpolate),
        value=lambda norm: weight * (norm - 1).square(),
        method=method,
    )


def max_gradient(weight: float = 1.0, method: Method = "exact") -> GradientPenalty:
    """Push down the steepest slope of the batch.

    Formula:
        λ·max over the batch of ‖∇D(x̂)‖², at x̂ = u·real + (1 - u)·fake, u ~ U(0, 1) for each sample
    Convention:
        A statistic of the batch: every sample has the same value, the maximum, which grows with the batch and is
        local to a process in distributed training. ``BATCH_STATISTICS`` names it. λ = ``weight`` = 1.
    Elsewhere:
        Equal, weight apart: PyTorch-StudioGAN ``cal_maxgrad_penalty``. The authors' ZhimingZhou/LGANs-for-reproduce
        (weight 0.1) puts the steepest points of the step before among those of this one; here each step draws its own.
    Use when:
        To bound the Lipschitz constant itself, not a mean slope.
    Paper:
        Zhou et al. 2019, "Lipschitz Generative Adversarial Nets", arXiv:1902.05687 ("MaxGP").

    Raises:
        InputError: a negative weight.
    """
    not_negative(weight=weight)
    return GradientPenalty(
        points=between,
        value=lambda square: (weight * square.max()).expand(square.shape),
        method=method,
        squared=True,
    )


def wgan_div(k: float = 2.0, p: float = 6.0, method: Method = "exact") -> GradientPenalty:
    """Charge a power of the slope, which makes the Wasserstein loss a divergence without a Lipschitz bound.

    Formula:
        k·‖∇D(x̂)‖^p at x̂ = u·real + (1 - u)·fake, u ~ U(0, 1) for each sample
    Convention:
        k = 2 and p = 6, the published choice; the norm runs over all axes of one sample.
    Elsewhere:
        PyTorch-GAN ``wgan_div.py``: k/2·(‖∇D(x)‖^p + ‖∇D(G)‖^p) with k = 2, p = 6, at the real and at the fake
        samples, not between them: k‖w‖^p for a linear critic, as here.
    Use when:
        With the Wasserstein loss, in place of ``wgan_gp``: gentle slopes cost almost nothing, steep ones very much.
    Paper:
        Wu et al. 2018, "Wasserstein Divergence for GANs", arXiv:1712.01026.

    Raises:
        InputError: a negative k, or a p below 1, whose gradient is infinite at a flat critic.
    """
    not_negative(k=k)
    require(p >= 1, f"p is {p}: wanted at least 1")
    squared = p >= 2  # the root has no derivative at 0, and a power below the first has none either
    power = p / 2 if squared else p
    return GradientPenalty(points=between, value=lambda found: k * found.pow(power), method=method, squared=squared)
