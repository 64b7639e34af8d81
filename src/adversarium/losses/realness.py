"""Realness as a distribution: a critic that returns K logits for each sample."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from adversarium.errors import lookup, require
from adversarium.losses._additive import critic_of
from adversarium.losses._check import check_scores
from adversarium.types import Coupling, Halves, Loss


def realness(
    outcomes: int = 20,
    generator: Literal["relative", "anchor", "saturating"] = "relative",
    skew: float = 5.0,
    real_anchor: Sequence[float] | None = None,
    fake_anchor: Sequence[float] | None = None,
) -> Loss:
    """RealnessGAN: the critic's distribution over K outcomes is drawn to one anchor on real data, to another on fakes.

    Formula:
        D = softmax of the K logits of a sample
        critic:    KL(A₁‖D(x)) + KL(A₀‖D(G))
        generator: KL(D(x)‖D(G)) - KL(A₀‖D(G)) (relative), KL(A₁‖D(G)) - KL(A₀‖D(G)) (anchor)
                   or -KL(A₀‖D(G)) (saturating)
    Convention:
        Scores are [B, K] (or [B, ..., K]), K = ``outcomes``, from fake to real along the last axis; values have no
        such axis. A₁ and A₀ are ``real_anchor`` and ``fake_anchor``, distributions over the outcomes; by default the
        densities of skew normals with shapes ``skew`` and -``skew`` at K points from -3 to 3. (The authors' code
        makes histograms of samples, and shifts them.) The optimal critic is (p·A₁ + q·A₀)/(p + q). ``relative``
        compares the i-th fake with the i-th real sample. ``anchor`` is linear in the logits and never saturates.
        With K = 2 and anchors (0, 1) and (1, 0) the critic's side is ``minimax``'s of the difference of the logits,
        so is ``saturating``, and ``anchor`` is ``wasserstein``'s generator.
    Use when:
        To study what a richer score gives a plain network; take more outcomes for more varied data.
    Paper:
        Xiangli et al. 2020, "Real or Not Real, that is the Question", arXiv:2002.05512.

    Raises:
        InputError: fewer than two outcomes, an unknown generator side, anchors that are not two different
            distributions over the outcomes, or (from either side) scores without K columns.
    """
    require(outcomes >= 2, f"outcomes is {outcomes}: wanted at least 2")
    lookup("generator", generator, {"relative": None, "anchor": None, "saturating": None})
    a1 = _anchor("real_anchor", real_anchor, outcomes, skew)
    a0 = _anchor("fake_anchor", fake_anchor, outcomes, -skew)
    require(not torch.equal(a0, a1), "real_anchor and fake_anchor are the same: the critic would have nothing to tell")

    halves = Halves(real=lambda r: _kl(a1.to(r), r), fake=lambda s: _kl(a0.to(s), s))
    needs_real = generator == "relative"

    def generator_side(real_scores: Tensor | None, fake_scores: Tensor) -> Tensor:
        real_scores = check_scores(real_scores, fake_scores, need_real=needs_real, width=outcomes)
        if generator == "relative":
            log_ratio = real_scores.log_softmax(-1) - fake_scores.log_softmax(-1)
            return (real_scores.softmax(-1) * log_ratio).sum(-1) - halves.fake(fake_scores)
        if generator == "anchor":
            return halves.real(fake_scores) - halves.fake(fake_scores)
        return -halves.fake(fake_scores)

    coupling: Coupling = "paired" if needs_real else "none"
    return Loss(
        name="realness",
        critic=critic_of(halves, outcomes),
        generator=generator_side,
        generator_needs_real=needs_real,
        coupling=coupling,
        arguments={
            "outcomes": outcomes,
            "generator": generator,
            "skew": skew,
            "real_anchor": real_anchor,
            "fake_anchor": fake_anchor,
        },
        halves=halves,
        score_width=outcomes,
    )


def _kl(anchor: Tensor, logits: Tensor) -> Tensor:
    """Return KL(anchor‖softmax(logits)) over the last axis; an outcome of probability 0 counts 0."""
    entropy: Tensor = torch.special.entr(anchor).sum()
    return -entropy - (anchor * logits.log_softmax(-1)).sum(-1)


def _anchor(name: str, given: Sequence[float] | None, outcomes: int, skew: float) -> Tensor:
    if given is None:
        points = torch.linspace(-3, 3, outcomes, dtype=torch.float64)
        density: Tensor = (-points.square() / 2).exp() * torch.special.erfc(-skew * points / 2**0.5)
        return density / density.sum()
    anchor = torch.tensor(given, dtype=torch.float64)
    require(
        anchor.shape == (outcomes,), f"{name} has {len(given)} entries: wanted one for each of {outcomes} outcomes"
    )
    total = float(anchor.sum())
    require(
        bool((anchor >= 0).all()) and abs(total - 1) < 1e-6,
        f"{name} runs from {float(anchor.min())} and sums to {total}: wanted probabilities that sum to 1",
    )
    return anchor / total
