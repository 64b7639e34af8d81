"""Relativistic losses: the critic judges whether real data are *more* real than fakes."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, relu

from adversarium.errors import InputError, lookup
from adversarium.losses._check import check_scale, check_scores
from adversarium.types import Cost, Coupling, Loss

# Each base is the cost of a score difference that ought to be large and positive.
BASES: dict[str, Cost] = {
    "logistic": lambda gap: -logsigmoid(gap),
    "least_squares": lambda gap: (gap - 1).square(),
    "hinge": lambda gap: relu(1 - gap),
    "wasserstein": lambda gap: -gap,
    "exponential": lambda gap: torch.expm1(-gap),
}


def relativistic(
    pairing: Literal["paired", "average", "all_pairs"] = "paired",
    base: Literal["logistic", "least_squares", "hinge", "wasserstein", "exponential"] | Cost = "logistic",
    generator_real_term: bool = True,
    scale: float = 1.0,
) -> Loss:
    """Score differences instead of scores: RSGAN (paired, logistic), RaSGAN (average, logistic) and their kin.

    Formula:
        paired:    critic f(r - s);                generator f(s - r)
        average:   critic f(r - E s) + f(E r - s); generator f(s - E r) + f(E s - r)
        all_pairs: critic mean_j f(r_i - s_j);     generator mean_i f(s_j - r_i)
        f(gap) = -log σ(gap) (logistic), (gap - 1)² (least_squares), max(0, 1 - gap) (hinge), -gap (wasserstein),
        e^(-gap) - 1 (exponential), or any callable: a falling convex cost of the gap
    Convention:
        ``paired`` is the published RSGAN and R3GAN's loss, ``average`` RaSGAN. ``average`` is the sum of its halves,
        as in the paper; ``scale=0.5`` makes it their mean. ``least_squares`` has no ½. The means run
        over every score of the local batch, real and fake apart. The real half of the average generator reaches
        the generator through E s; ``generator_real_term=False`` drops it, which is what many tutorials print as
        "RSGAN". ``all_pairs`` has the expectation of ``paired`` with the least variance of all unbiased estimates;
        N scores take N² numbers of memory, so it is not for patch critics. Adding a constant to the critic changes
        nothing, so its scores have no zero. At the optimal critic log(p/q) + const the paired log loss is
        log 2 - JS(p⊗q, q⊗p). With ``wasserstein`` every pairing is the Wasserstein loss (``average`` twice it).
        An f-divergence of p⊗q from q⊗p costs a gap -g(gap) + f*(g(-gap)), which must be bounded below or the critic
        of disjoint data wins without end: that leaves Jensen-Shannon and GAN (``logistic``), Pearson
        (``least_squares`` after an affine change), squared Hellinger (``exponential``, may overflow to +infinity)
        and total variation (not convex); KL, reverse KL, Neyman and Jeffreys are not bounded.
    Elsewhere:
        Paired, equal: brownvc/R3GAN ``AdversarialTraining``; the author's AlexiaJM/RelativisticGAN ``loss_D == 5``.
        PyTorch-GAN ``relativistic_gan.py``: an equal critic (the mean of two equal halves), but the generator's
        relativistic loss is overwritten by the non-saturating one on the next line. Average, equal: tensorflow/gan
        ``relativistic_*_loss`` (logistic). Average, half (``scale=0.5``): the author's ``loss_D == 6, 7, 8``;
        google/lecam-gan's critic ``loss_rahinge_dis`` (its generator's real half has the mean real score in place of
        each); xinntao/BasicSR ``ESRGANModel``, whose critic detaches the means: equal values, another gradient;
        PyTorch-GAN ``--rel_avg_gan``, for the critic only.
    Use when:
        ``paired`` with R1 and R2 is a strong modern baseline (``r3gan``); ``average`` serves super-resolution.
        ``all_pairs`` for small batches, though its author found no gain in sample quality.
    Paper:
        Jolicoeur-Martineau 2018, "The relativistic discriminator: a key element missing from standard GAN",
        arXiv:1807.00734; all pairs and f-divergences: Jolicoeur-Martineau 2019, "On Relativistic f-Divergences",
        arXiv:1901.02474.

    Raises:
        InputError: an unknown pairing or base, a base that does not fall, a scale that is not positive, or
            ``generator_real_term=False`` with another pairing than ``average``, the only one with two terms.
    """
    cost = lookup("relativistic base", base, BASES) if isinstance(base, str) else base
    probe = cost(torch.tensor([-1.0, 1.0]))
    if probe.shape != (2,) or not probe[0] > probe[1]:
        raise InputError(
            f"the base costs {probe.tolist()} at the gaps -1 and 1: wanted one cost per gap, and a falling one"
        )
    lookup("pairing", pairing, {"paired": None, "average": None, "all_pairs": None})
    check_scale(scale)
    if pairing != "average" and not generator_real_term:
        raise InputError('generator_real_term=False needs pairing="average": the others have a single term')

    def paired(higher: Tensor, lower: Tensor) -> Tensor:
        return scale * cost(higher - lower)

    def all_pairs(higher: Tensor, lower: Tensor) -> Tensor:
        gaps = higher.flatten()[:, None] - lower.flatten()
        return scale * cost(gaps).mean(1).view(higher.shape)

    def average(higher: Tensor, lower: Tensor, *, lower_term: bool = True) -> Tensor:
        values = cost(higher - lower.mean())
        return scale * (values + cost(higher.mean() - lower) if lower_term else values)

    def critic(real_scores: Tensor | None, fake_scores: Tensor) -> Tensor:
        real_scores = check_scores(real_scores, fake_scores)
        return side(real_scores, fake_scores)

    def generator(real_scores: Tensor | None, fake_scores: Tensor) -> Tensor:
        real_scores = check_scores(real_scores, fake_scores)
        if pairing == "average":
            return average(fake_scores, real_scores, lower_term=generator_real_term)
        return side(fake_scores, real_scores)

    side = {"paired": paired, "average": average, "all_pairs": all_pairs}[pairing]
    coupling: Coupling = "batch_mean" if pairing == "average" else pairing
    if pairing == "paired" and base == "wasserstein":
        coupling = "none"  # f(r - s) = s - r
    return Loss(
        name="relativistic",
        critic=critic,
        generator=generator,
        generator_needs_real=True,
        coupling=coupling,
        arguments={
            "pairing": pairing,
            "base": base,
            "generator_real_term": generator_real_term,
            "scale": scale,
        },
    )
