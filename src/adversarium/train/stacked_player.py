"""One player of many games: its networks stacked, and one optimizer that moves them all."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from adversarium.nets.stacked import StackedNetwork
from adversarium.train.optimizers import build_optimizer, set_progress
from adversarium.types import OptimizerSettings, at


class StackedPlayer:
    """A player's networks and optimizers as one of each, of which the games' own become views.

    Args:
        networks: the player's, one for each game.
        optimizers: theirs, in the same state but for its numbers.
        settings: theirs, which differ in nothing but the learning rate.
        max_norm: what each game's gradients are scaled down to before every step of the optimizer, if anything.

    Attributes:
        network: the networks as one.
        optimizer: over its parameters.
        restored: the games whose optimizers were given another state since.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        optimizers: Sequence[Optimizer],
        settings: Sequence[OptimizerSettings],
        max_norm: float | None,
    ) -> None:
        self._networks, self._optimizers, self._settings = networks, optimizers, settings
        self._max_norm = max_norm
        self._shares: Tensor | None = None
        self._before: list[Tensor] = []
        self.restored: set[int] = set()
        self.network = StackedNetwork(networks)
        self.optimizer = build_optimizer(settings[0], self.network.parameters())
        self._take_states()
        self.network.share(networks)
        self.optimizer.register_step_pre_hook(self._before_step)
        self.optimizer.register_step_post_hook(self._after_step)
        # what a game's own optimizer remembers is looked up when it is asked for
        self._hooks = [
            (
                optimizer.register_state_dict_pre_hook(partial(self._asked, index)),
                optimizer.register_load_state_dict_post_hook(partial(self._loaded, index)),
            )
            for index, optimizer in enumerate(optimizers)
        ]

    def set_progress(self, images: int) -> None:
        """Give all optimizers the settings that hold after so many images."""
        rates = [at(each.learning_rate, images) for each in self._settings]
        for optimizer, settings in zip(self._optimizers, self._settings, strict=True):
            set_progress(optimizer, settings, images)
        set_progress(self.optimizer, self._settings[0], images)
        for group in self.optimizer.param_groups:
            group["lr"] = max(rates)
        differ = min(rates) != max(rates)
        weight = self.network.weights[0]
        self._shares = torch.tensor(rates, dtype=torch.float64).div(max(rates)).to(weight) if differ else None

    def gradient_norms(self) -> Tensor:
        """Return the norm of each game's gradients, all together, ``[K]``."""
        norms = [
            torch.linalg.vector_norm(each.grad.flatten(1), dim=1) for each in self._moved() if each.grad is not None
        ]
        found: Tensor = torch.linalg.vector_norm(torch.stack(norms), dim=0)
        return found

    def release(self, index: int) -> None:
        """Give a game's network and optimizer what is theirs, as numbers of their own."""
        self._give_state(index, copied=True)
        for parameter in self._networks[index].parameters():
            parameter.data = parameter.data.clone()
        for hook in self._hooks[index]:
            hook.remove()

    def _asked(self, index: int, _: Optimizer) -> None:
        self._give_state(index)

    def _loaded(self, index: int, _: Optimizer) -> None:
        self.restored.add(index)

    def _moved(self) -> list[nn.Parameter]:
        return [each for each in self.network.weights if each.grad is not None]

    def _before_step(self, *_: Any) -> None:
        if self._max_norm is not None:  # as torch.nn.utils.clip_grad_norm_ does
            factor = (self._max_norm / (self.gradient_norms() + 1e-6)).clamp_max(1.0)
            for each in self._moved():
                assert each.grad is not None
                each.grad.mul_(_along(factor, each))
        if self._shares is not None:
            self._before = [each.detach().clone() for each in self._moved()]

    @torch.no_grad()
    def _after_step(self, *_: Any) -> None:
        # a step of these optimizers is in proportion to the learning rate: each game goes its share of the longest
        if self._shares is not None:
            for each, before in zip(self._moved(), self._before, strict=True):
                each.copy_(torch.lerp(before, each, _along(self._shares, each)))

    def _take_states(self) -> None:
        groups = zip(*(network.parameters() for network in self._networks), strict=True)
        for weight, parameters in zip(self.network.weights, groups, strict=True):
            states = [
                optimizer.state.get(each, {}) for optimizer, each in zip(self._optimizers, parameters, strict=True)
            ]
            if states[0]:
                self.optimizer.state[weight] = {
                    name: torch.stack([state[name] for state in states])
                    if value.shape == parameters[0].shape
                    else value.clone()
                    for name, value in states[0].items()
                }

    def _give_state(self, index: int, copied: bool = False) -> None:
        if index in self.restored:
            return
        own = self._optimizers[index].state
        own.clear()
        for weight, parameter in zip(self.network.weights, self._networks[index].parameters(), strict=True):
            for name, value in self.optimizer.state.get(weight, {}).items():
                slice_of = value[index] if value.shape == weight.shape else value
                own[parameter][name] = slice_of.clone() if copied else slice_of


def _along(per_game: Tensor, weight: Tensor) -> Tensor:
    return per_game.view(-1, *[1] * (weight.ndim - 1))
