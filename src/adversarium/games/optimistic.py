"""Optimistic descent: each move doubled, less the move before."""

import torch
from torch import Tensor
from torch.optim import Optimizer

from adversarium.games._weights import copies, moving, recall, remember
from adversarium.types import Closure, GameRule

_PREVIOUS = "optimistic.move"


def optimistic() -> GameRule:
    """Take the step twice and take back the step before.

    Formula:
        z <- z + 2·d - d₋, with d the optimizer's move at this step and d₋ at the one before
    Convention:
        Both gradients are taken at the same weights, and d₋ = 0 at the first step, which is thus a double one. Under
        plain gradient descent this is z - 2h·G(z) + h·G(z₋); around Adam it is the published OptimisticAdam
        (Algorithm 1 of the paper). d₋ has the learning rate of its own step. On the bilinear game h < 1/√3 converges.
    Elsewhere:
        ``OMD`` and ``OptimisticAdam`` of GauthierGidel/Variational-Inequality-GAN are this, at a constant learning
        rate, around ``SGD`` and ``Adam``: they give d₋ the learning rate of the present step, and ``OptimisticAdam``
        adds ε before it corrects the second moment's bias. ``optimAdam`` of vsyrgkanis/optimistic_GAN_training, the
        authors' code, corrects the old moments' bias by the present step's factors, and its updates write into the
        old moments what the moments were before the step, so that d₋ can be a step older than published.
    Use when:
        The players circle, and a step has to cost one gradient of each.
    Paper:
        Daskalakis, Ilyas, Syrgkanis and Zeng 2018, "Training GANs with Optimism", arXiv:1711.00141.
    """

    def play(critic: Closure, generator: Closure, critic_optimizer: Optimizer, generator_optimizer: Optimizer) -> None:
        critic()
        generator()
        for optimizer in (critic_optimizer, generator_optimizer):
            _move(optimizer)

    return GameRule(name="optimistic", play=play)


def _move(optimizer: Optimizer) -> None:
    moved = moving(optimizer)
    before = copies(moved)
    optimizer.step()
    move: list[Tensor] = []
    if moved:
        with torch.no_grad():
            move = list(torch._foreach_sub(moved, before))
            torch._foreach_add_(moved, move)
            known = [(each, value) for each in moved if (value := recall(optimizer, each, _PREVIOUS)) is not None]
            if known:
                torch._foreach_sub_([each for each, _ in known], [value for _, value in known])
    remember(optimizer, _PREVIOUS, move)
