"""The rows of the golden table: which function is compared with which, what is expected, and why."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from cases import (
    ENERGIES,
    SCORES,
    THREE_CHANNELS,
    equilibrium,
    largest_singular_value_one,
    loss_formula,
    one_centred,
    orthogonal_columns,
    orthogonal_features,
    penalty_cases,
    rounded,
)
from ours import STEPS, Numbers
from theirs import (
    Theirs,
    convolution,
    mimicry,
    mimicry_norm,
    mimicry_penalty,
    their_loss,
    torchgan,
    torchgan_equilibrium,
    torchgan_features,
    torchgan_penalty,
)
from torch.nn.functional import logsigmoid, relu


@dataclass(frozen=True, kw_only=True)
class Row:
    """One of our members against one of their functions, what is expected of the comparison, and why.

    Attributes:
        truth: the paper's formula at a case.
        instead: where they differ, what the explanation says that theirs is.
        verdict: ``equal``, ``factor k`` or ``different``; and on how many cases theirs raises.
        right: who agrees with ``truth`` on every case.
        differs: the cases on which the two differ.
        draws: how many random numbers we and they draw.
    """

    member: str
    theirs: str
    call: Theirs
    truth: Callable[[dict[str, Any]], Numbers]
    formula: str
    why: str
    instead: Callable[[dict[str, Any]], Numbers] | None = None
    verdict: str = "equal"
    right: str = "both"
    differs: tuple[str, ...] = ()
    draws: tuple[str, str] = ("none", "none")
    kind: str = "loss"
    side: str = "critic"
    arguments: dict[str, object] = field(default_factory=dict)
    cases: dict[str, dict[str, Any]] = field(default_factory=lambda: SCORES)


def loss_rows() -> list[Row]:
    log_critic = loss_formula("critic", lambda r, s: -logsigmoid(r) - logsigmoid(-s))
    not_saturating = loss_formula("generator", lambda r, s: -logsigmoid(s))
    saturating = loss_formula("generator", lambda r, s: logsigmoid(-s))
    critic = functools.partial(Row, side="critic")
    generator = functools.partial(Row, side="generator")
    both = ("real", "fake")
    rows = [
        generator(
            member="minimax",
            theirs="torchgan 0.1.0 losses.MinimaxGeneratorLoss(nonsaturating=False)",
            call=their_loss("generator", torchgan.MinimaxGeneratorLoss(nonsaturating=False), "fake"),
            truth=saturating,
            formula="log(1 - σ(s))",
            why="Both saturate, as the paper's minimax game does.",
        ),
        generator(
            member="minimax",
            theirs="torchgan 0.1.0 losses.MinimaxGeneratorLoss()",
            call=their_loss("generator", torchgan.MinimaxGeneratorLoss(), "fake"),
            truth=saturating,
            formula="log(1 - σ(s))",
            why="By default theirs is the non-saturating loss under the name minimax: its gradient is -σ(-s), "
            "the minimax game's is -σ(s).",
            instead=not_saturating,
            verdict="different",
            right="ours",
            differs=tuple(SCORES),
        ),
        generator(
            member="minimax",
            theirs="torch-mimicry 0.1.16 modules.losses.minimax_loss_gen",
            call=their_loss("generator", mimicry.minimax_loss_gen, "fake"),
            truth=saturating,
            formula="log(1 - σ(s))",
            why="Theirs is the non-saturating loss under the name minimax.",
            instead=not_saturating,
            verdict="different",
            right="ours",
            differs=tuple(SCORES),
        ),
        generator(
            member="nonsaturating",
            theirs="torchgan 0.1.0 losses.MinimaxGeneratorLoss()",
            call=their_loss("generator", torchgan.MinimaxGeneratorLoss(), "fake"),
            truth=not_saturating,
            formula="-log σ(s)",
            why="The formula of the name nonsaturating, from logits.",
        ),
        generator(
            member="nonsaturating",
            theirs="torch-mimicry 0.1.16 modules.losses.minimax_loss_gen",
            call=their_loss("generator", mimicry.minimax_loss_gen, "fake"),
            truth=not_saturating,
            formula="-log σ(s)",
            why="The formula of the name nonsaturating, from logits.",
        ),
        generator(
            member="nonsaturating",
            theirs="torch-mimicry 0.1.16 modules.losses.ns_loss_gen",
            call=their_loss("generator", mimicry.ns_loss_gen, "fake"),
            truth=not_saturating,
            formula="-log σ(s)",
            why="Theirs is -log(sigmoid(s) + 1e-8): bounded by 18.4, and without a gradient where the critic rejects "
            "a sample with confidence, the very place for which the loss was made: -9e-6 instead of -1 at s = -30.",
            instead=loss_formula("generator", lambda r, s: -(s.sigmoid() + 1e-8).log()),
            verdict="different",
            right="ours",
            differs=tuple(SCORES),
        ),
    ]
    rows.append(
        generator(
            member="epsilon_log",
            theirs="torch-mimicry 0.1.16 modules.losses.ns_loss_gen",
            call=their_loss("generator", mimicry.ns_loss_gen, "fake"),
            truth=not_saturating,
            formula="-log σ(s)",
            why="Our misprint of this name, kept to be studied, is theirs: -log(sigmoid(s) + 1e-8).",
            right="neither",
        )
    )
    for member in ("minimax", "nonsaturating"):
        rows += [
            critic(
                member=member,
                theirs=name,
                call=their_loss("critic", function, *order),
                truth=log_critic,
                formula="-log σ(r) - log(1 - σ(s))",
                why="The log loss from logits, exact at any score.",
            )
            for name, function, order in (
                ("torchgan 0.1.0 losses.MinimaxDiscriminatorLoss", torchgan.MinimaxDiscriminatorLoss(), both),
                ("torch-mimicry 0.1.16 modules.losses.minimax_loss_dis", mimicry.minimax_loss_dis, both[::-1]),
            )
        ]
    for a, b, c in ((0.0, 1.0, 1.0), (-1.0, 1.0, 0.0)):
        named = {"fake": a, "real": b, "target": c}
        coding = f"({a:g}, {b:g}, {c:g})"
        rows += [
            critic(
                member="least_squares",
                arguments=named,
                theirs=f"torchgan 0.1.0 losses.LeastSquaresDiscriminatorLoss(a={a:g}, b={b:g})",
                call=their_loss("critic", torchgan.LeastSquaresDiscriminatorLoss(a=a, b=b), *both),
                truth=loss_formula("critic", lambda r, s, a=a, b=b: 0.5 * (r - b) ** 2 + 0.5 * (s - a) ** 2),
                formula="½(r - b)² + ½(s - a)²",
                why=f"The paper's loss with its ½, coding (a, b, c) = {coding}.",
            ),
            generator(
                member="least_squares",
                arguments=named,
                theirs=f"torchgan 0.1.0 losses.LeastSquaresGeneratorLoss(c={c:g})",
                call=their_loss("generator", torchgan.LeastSquaresGeneratorLoss(c=c), "fake"),
                truth=loss_formula("generator", lambda r, s, c=c: 0.5 * (s - c) ** 2),
                formula="½(s - c)²",
                why=f"The paper's loss with its ½, coding (a, b, c) = {coding}.",
            ),
        ]
    wasserstein = {
        "torchgan 0.1.0 losses.Wasserstein{}Loss": (
            ("Discriminator", torchgan.WassersteinDiscriminatorLoss(), both),
            ("Generator", torchgan.WassersteinGeneratorLoss(), ("fake",)),
        ),
        "torch-mimicry 0.1.16 modules.losses.wasserstein_loss_{}": (
            ("dis", mimicry.wasserstein_loss_dis, both),
            ("gen", mimicry.wasserstein_loss_gen, ("fake",)),
        ),
    }
    for name, ((first, dis, order), (second, gen, only)) in wasserstein.items():
        rows += [
            critic(
                member="wasserstein",
                theirs=name.format(first),
                call=their_loss("critic", dis, *order),
                truth=loss_formula("critic", lambda r, s: s - r),
                formula="s - r",
                why="Linear in the scores, the same sign (up = real).",
            ),
            generator(
                member="wasserstein",
                theirs=name.format(second),
                call=their_loss("generator", gen, *only),
                truth=loss_formula("generator", lambda r, s: -s),
                formula="-s",
                why="Linear in the scores, the same sign (up = real).",
            ),
        ]
    energy = torchgan.EnergyBasedDiscriminatorLoss(margin=5.0)
    lowering = loss_formula("generator", lambda r, s: -s)
    return [
        *rows,
        critic(
            member="ebgan",
            arguments={"margin": 5.0},
            theirs="torchgan 0.1.0 losses.EnergyBasedDiscriminatorLoss(margin=5)",
            call=their_loss("critic", lambda r, s: energy(-r, -s), *both),
            truth=loss_formula("critic", lambda r, s: -r + relu(5 + s)),
            formula="E(x) + max(0, m - E(G)), E = -score",
            why="Theirs reads energies, ours scores (up = real): minus the energies. Their margin is 80 by default.",
        ),
        generator(
            member="ebgan",
            theirs="torchgan 0.1.0 losses.EnergyBasedGeneratorLoss",
            call=their_loss("generator", lambda s: torchgan.EnergyBasedGeneratorLoss()(-s), "fake"),
            truth=lowering,
            formula="E(G), E = -score",
            why="Theirs reads energies, ours scores (up = real): minus the energies.",
        ),
        critic(
            member="began",
            theirs="torchgan 0.1.0 losses.BoundaryEquilibriumDiscriminatorLoss(gamma=0.5)",
            call=torchgan_equilibrium,
            truth=equilibrium,
            formula="L(x) - k·L(G), k ← clip(k + 0.001·(γ·L(x) - L(G)), 0, 1), L = -score",
            why="The third call: k has moved twice. Their γ is 0.75 by default, ours 0.5.",
            cases=ENERGIES,
        ),
        generator(
            member="began",
            theirs="torchgan 0.1.0 losses.BoundaryEquilibriumGeneratorLoss",
            call=their_loss("generator", lambda s: torchgan.BoundaryEquilibriumGeneratorLoss()(-s), "fake"),
            truth=lowering,
            formula="L(G), L = -score",
            why="Theirs reads errors, ours scores (up = real): minus the errors.",
        ),
        critic(
            member="hinge",
            theirs="torch-mimicry 0.1.16 modules.losses.hinge_loss_dis",
            call=their_loss("critic", mimicry.hinge_loss_dis, "fake", "real"),
            truth=loss_formula("critic", lambda r, s: relu(1 - r) + relu(1 + s)),
            formula="max(0, 1 - r) + max(0, 1 + s)",
            why="The sum of both halves, not their mean.",
        ),
        generator(
            member="hinge",
            theirs="torch-mimicry 0.1.16 modules.losses.hinge_loss_gen",
            call=their_loss("generator", mimicry.hinge_loss_gen, "fake"),
            truth=loss_formula("generator", lambda r, s: -s),
            formula="-s",
            why="The generator has no margin.",
        ),
    ]


def penalty_rows() -> list[Row]:
    cases = penalty_cases("same")
    several = tuple(name for name in cases if ", 1x" not in name and "slope 0," not in name)  # samples with a slope
    return [
        Row(
            kind="penalty",
            member="wgan_gp",
            theirs="torchgan 0.1.0 losses.WassersteinGradientPenalty",
            call=torchgan_penalty(torchgan.WassersteinGradientPenalty()),
            truth=one_centred,
            formula="10·E(‖∇D(x̂)‖ - 1)², x̂ = u·x + (1 - u)·G(z), one u per sample",
            why="Theirs takes one norm over the whole batch: on a linear critic of slope 1 it is 10·(√N - 1)² instead "
            "of 0, and it pulls the slope to 1/√N. They agree for a batch of one, and on a zero critic (both finite).",
            instead=functools.partial(one_centred, over_batch=True),
            verdict="different",
            right="ours",
            differs=several,
            draws=("one per sample", "one per batch"),
            cases=cases,
        ),
        Row(
            kind="penalty",
            member="wgan_gp",
            theirs="torch-mimicry 0.1.16 nets.wgan_gp.WGANGPBaseDiscriminator.compute_gradient_penalty_loss",
            call=mimicry_penalty,
            truth=one_centred,
            formula="10·E(‖∇D(x̂)‖ - 1)², x̂ = u·x + (1 - u)·G(z), one u per sample",
            why="Theirs reshapes the random numbers to three channels and raises on any other count. On three "
            "channels it is ours, random numbers included, zero critic included.",
            verdict="equal, raises on 3 of 13",
            right="ours",
            differs=tuple(name for name in cases if name not in THREE_CHANNELS),
            draws=("one per sample", "one per sample"),
            cases=penalty_cases("different"),
        ),
        Row(
            kind="penalty",
            member="dragan",
            theirs="torchgan 0.1.0 losses.DraganGradientPenalty",
            call=torchgan_penalty(torchgan.DraganGradientPenalty()),
            truth=one_centred,
            formula="10·E(‖∇D(x + δ)‖ - 1)², δ a random shift of about the data's spread",
            why="Theirs takes one norm over the whole batch, as its WGAN-GP does. Each number's shift is the product "
            "of two uniform ones. (Linear critics do not see the shift; for the tanh critic the data are constant, "
            "and so without spread.)",
            instead=functools.partial(one_centred, over_batch=True),
            verdict="different",
            right="ours",
            differs=several,
            draws=("one per number", "two per number"),
            cases=penalty_cases("constant"),
        ),
    ]


def other_rows() -> list[Row]:
    rng = torch.Generator().manual_seed(2)
    weights = {"8x3x3x3": {"weight": rounded(rng, 8, 3, 3, 3)}, "2x3x2x2": {"weight": rounded(rng, 2, 3, 2, 2)}}
    spectral = functools.partial(
        Row,
        kind="weight",
        member="spectral_norm",
        truth=largest_singular_value_one,
        formula="W/σ(W), W reshaped to [out, rest]",
        cases=weights,
    )
    return [
        Row(
            kind="features",
            side="generator",
            member="pulling_away",
            theirs="torchgan 0.1.0 losses.EnergyBasedPullingAwayTerm(0.1)",
            call=torchgan_features,
            truth=orthogonal_features,
            formula="0.1/(N(N - 1))·Σ over i ≠ j of cos²(S_i, S_j)",
            why="Theirs normalises each feature over the batch, not each sample's features, so what it squares is no "
            "cosine, and it counts i = j too.",
            instead=orthogonal_columns,
            verdict="different",
            right="ours",
            differs=("5x4", "2x3"),
            cases={"5x4": {"features": rounded(rng, 5, 4)}, "2x3": {"features": rounded(rng, 2, 3)}},
        ),
        spectral(
            theirs="torch-mimicry 0.1.16 modules.spectral_norm.SNConv2d",
            call=lambda case: convolution(mimicry_norm.SNConv2d, case),
            why=f"After {STEPS} power iterations. (Theirs starts from a random vector, ours after 15 iterations.)",
        ),
        spectral(
            theirs="torchgan 0.1.0 layers.SpectralNorm2d",
            call=lambda case: convolution(torch.nn.Conv2d, case),
            why=f"After {STEPS} power iterations. (Theirs starts from a random vector, ours after 15 iterations.)",
        ),
    ]
