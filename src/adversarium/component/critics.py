"""What critics of patches and scales share: scores and features in one pass, and several critics of one sample."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from adversarium.errors import require
from adversarium.nets._build import untouched_global_rng
from adversarium.tensors import described, is_whole


class LayeredCritic(nn.Module, ABC):
    """A critic of convolutions: what its layers return are its features, what its head returns its scores.

    Attributes:
        layers: the layers, each with its activation.
        head: the convolution to one channel of scores.
    """

    def __init__(self, layers: Iterable[nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.layers, self.head = nn.ModuleList(layers), head

    @abstractmethod
    def view(self, samples: Tensor) -> Tensor:
        """Return what the first layer sees of the samples.

        Raises:
            InputError: samples of another shape, or too small.
        """

    def forward(self, samples: Tensor) -> Tensor:
        """Return the scores: one for each patch, ``[B, ...]``."""
        return self.scores_and_features(samples)[0]

    def scores_and_features(self, samples: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the scores, and each layer's output ``[B, channels, ...]``, in one pass."""
        seen = self.view(samples)
        features = []
        for layer in self.layers:
            seen = layer(seen)
            features.append(seen)
        scores: Tensor = self.head(seen).squeeze(1)
        return scores, features


class SeveralCritics(nn.Module):
    """Critics that each see the same samples in their own way.

    Attributes:
        critics: each is a critic by itself, of the samples as they are: penalties take it.
    """

    def __init__(self, critics: Iterable[LayeredCritic]) -> None:
        super().__init__()
        self.critics = nn.ModuleList(critics)

    def forward(self, samples: Tensor) -> list[Tensor]:
        """Return each critic's scores, ``[B, ...]``."""
        return [critic(samples) for critic in self._each()]

    def scores_and_features(self, samples: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Return each critic's scores and the outputs of its layers, in one pass."""
        both = [critic.scores_and_features(samples) for critic in self._each()]
        return [scores for scores, _ in both], [features for _, features in both]

    def _each(self) -> Iterable[LayeredCritic]:
        return cast(Iterable[LayeredCritic], self.critics)


def check_layout(samples: Tensor, wanted: str, channels: int, axes: int) -> None:
    """Refuse samples of another layout.

    Raises:
        InputError: no tensor of floating point numbers, or not ``[B, channels, ...]`` with so many axes after them.
    """
    fits = isinstance(samples, Tensor) and samples.is_floating_point()
    require(fits, f"samples is {described(samples)}: wanted {wanted}, floating point numbers")
    fits = samples.ndim == 2 + axes and samples.shape[1] == channels
    require(fits, f"samples have shape {list(samples.shape)}: wanted {wanted}")


def check_whole(least: int, **numbers: int) -> None:
    """Refuse sizes that are none.

    Raises:
        InputError: a number that is not whole, or below the least.
    """
    for name, number in numbers.items():
        fits = is_whole(number) and number >= least
        require(fits, f"{name} is {described(number)}: wanted a whole number, at least {least}")


@torch.no_grad()
def draw_by_inputs(network: nn.Module, rng: torch.Generator) -> None:
    """Draw weights and biases as torch's convolutions do by default: U(-1, 1)/√(inputs of a unit)."""
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            bound = module.weight[0].numel() ** -0.5
            nn.init.uniform_(module.weight, -bound, bound, generator=rng)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -bound, bound, generator=rng)


def normalise_weights(network: nn.Module) -> None:
    """Reparametrise each convolution's weight as a direction and a length for each unit, where it is now."""
    with untouched_global_rng():
        for module in list(network.modules()):
            if isinstance(module, nn.Conv1d | nn.Conv2d):
                weight_norm(module)
