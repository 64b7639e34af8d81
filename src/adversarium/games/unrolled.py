"""Unrolled descent: the generator sees through the critic's next steps."""

from typing import Literal

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.optim import Optimizer

from adversarium.errors import lookup, require
from adversarium.games._solve import step_by
from adversarium.games._weights import rates, weights
from adversarium.games.linearised import derivatives, number, pulled_back
from adversarium.types import Closure, GameRule


def unrolled(
    k: int = 5, inner_learning_rate: float | None = None, through: Literal["critic", "generator"] = "critic"
) -> GameRule:
    """Let the generator descend against the critic as it will be after ``k`` of the critic's steps.

    Formula:
        ψ₀ = ψ;  ψᵢ₊₁ = ψᵢ - η·∇_ψ L_C(ψᵢ, θ);  then at once
        ψ <- ψ - step(∇_ψ L_C(ψ, θ)) and θ <- θ - step(∂_θ L_G(ψ_k, θ) + (dψ_k/dθ)ᵀ·∂_ψ V(ψ_k, θ))
        with V = -L_C, or V = L_G for ``through="generator"``
    Convention:
        The published game has one value V, which the generator descends on as a whole, so that V = L_G = -L_C. Most
        generator sides leave out the real scores, which do not depend on θ but do on ψ_k: through such a side alone
        the generator is driven away from an equilibrium, and so the critic's loss stands for V. With
        ``through="generator"`` the generator takes the total derivative of its own loss. The k steps are plain
        gradient steps; η is ``inner_learning_rate``, or the critic optimizer's learning rate, and each evaluation sees
        a fresh batch. The critic itself moves one step, by the first of its gradients. Under plain descent the matrix
        of a step on the bilinear game, in (ψ, θ), is ``[[1, h], [-h, 1 - 2kηh]]``.
    Elsewhere:
        The authors' demo (poolio/unrolled_gan, whose k is 5 as well) unrolls steps of Adam, on one batch.
    Use when:
        Modes are dropped, and k + 1 evaluations with second derivatives are affordable.
    Paper:
        Metz, Poole, Pfau and Sohl-Dickstein 2017, "Unrolled Generative Adversarial Networks", arXiv:1611.02163.

    Raises:
        InputError: ``k`` below 1, an ``inner_learning_rate`` that is not positive, or a ``through`` that is neither.
    """
    require(isinstance(k, int) and k >= 1, f"k is {k}: wanted a whole number, at least 1")
    fits = inner_learning_rate is None or inner_learning_rate > 0
    require(fits, f"inner_learning_rate is {inner_learning_rate}: wanted a positive number")
    lookup("through", through, {"critic": None, "generator": None})
    evaluations = k + (through == "critic")

    def play(critic: Closure, generator: Closure, critic_optimizer: Optimizer, generator_optimizer: Optimizer) -> None:
        moved, other = weights(critic_optimizer), weights(generator_optimizer)
        steps = rates(critic_optimizer) if inner_learning_rate is None else [inner_learning_rate] * len(moved)
        start = [each.data for each in moved]
        found = []  # the critic's gradients at ψ₀ ... ψ_k-1, with graphs
        # Closures read the weights in place, so the weights have to change while the graphs of earlier evaluations
        # wait. Each step gives them new memory, and the hooks let a graph keep the memory that it saw in place of the
        # weights. (allow_mutation_on_saved_tensors is no help: it does not see that a slice of a weight was saved.)
        try:
            with saved_tensors_hooks(_keep, _give_back):
                for _ in range(k):
                    found.append(derivatives(number("critic", critic), moved, create_graph=True))
                    for each, rate, gradient in zip(moved, steps, found[-1], strict=True):
                        each.data = each.data - rate * gradient.detach()
                answer = derivatives(number("critic", critic), moved) if through == "critic" else None
                by = derivatives(number("generator", generator), [*moved, *other])
        finally:
            for each, value in zip(moved, start, strict=True):
                each.data = value
        if answer is not None:
            by = [-each for each in answer] + by[len(moved) :]
        # backwards through ψᵢ₊₁ = ψᵢ - η·g(ψᵢ, θ), with ``by`` = (∂V/∂ψᵢ₊₁, what has come together of d/dθ)
        for gradients in reversed(found):
            pushed = [rate * part for rate, part in zip(steps, by[: len(moved)], strict=True)]
            by = list(torch._foreach_sub(by, pulled_back(gradients, pushed, [*moved, *other])))
        step_by(found[0] + by[len(moved) :], critic_optimizer, generator_optimizer)

    return GameRule(
        name="unrolled",
        play=play,
        critic_evaluations=evaluations,
        evaluations_per_move=evaluations,
        second_order=True,
        arguments={"k": k, "inner_learning_rate": inner_learning_rate, "through": through},
    )


def _keep(saved: Tensor) -> tuple[Tensor, int]:
    return saved.detach(), saved._version


def _give_back(kept: tuple[Tensor, int]) -> Tensor:
    # autograd's own check, which hooks switch off
    saved, version = kept
    require(saved._version == version, "unrolled: a closure overwrote, in place, a tensor that an earlier one needs")
    return saved
