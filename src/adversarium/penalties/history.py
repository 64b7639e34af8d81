"""Historical averaging: a player is held near the mean of the weights that it has had."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from adversarium.errors import InputError, require
from adversarium.penalties._check import not_negative
from adversarium.penalties._values import wide
from adversarium.penalties.generator import Generator
from adversarium.penalties.scores import Side, call_with_scores
from adversarium.types import Critic, PerSample


class PastWeights(nn.Module):
    """The running mean of a network's trained parameters, in buffers.

    Attributes:
        mean: the mean, all parameters in one row ``[n]``, those of four axes with the second one last; empty until a
            network has been seen.
        updates: how often it has been seen, t.
    """

    mean: Tensor
    updates: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(0))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def forward(self, network: object, player: str) -> Tensor:
        """Return the squared distance of a network's weights to their mean so far, ``[]``, and move the mean.

        Raises:
            InputError: a network that is no ``nn.Module``, has no trained parameter, or is not the one seen before.
        """
        if not isinstance(network, nn.Module):
            raise InputError(f"{player} is a {type(network).__name__}: a penalty on weights wanted an nn.Module")
        trained = [_row(each) for each in network.parameters() if each.requires_grad]
        require(len(trained) > 0, f"{player} has no trained parameter: there is no weight to average")
        weights = torch.cat(trained)
        if self.mean.numel() == 0:  # said by the shape, which a GPU need not be waited for
            past = weights.detach().clone()
        else:
            require(
                len(weights) == len(self.mean),
                f"{player} has {len(weights)} trained numbers, and their mean {len(self.mean)}: "
                "wanted the same network, with the same parts of it trained",
            )
            past = self.mean.to(weights.device, weights.dtype)
        if self.training and torch.is_grad_enabled():
            self.updates = self.updates.to(weights.device) + 1
            self.mean = torch.lerp(past, weights.detach(), 1 / self.updates.to(weights.dtype))
        return functional.mse_loss(weights, past, reduction="sum")  # in fewer passes over the weights than a square

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any, **more: Any) -> None:
        # a mean that is still empty takes any shape, and the saved numbers' own precision
        saved = state_dict.get(f"{prefix}mean")
        if saved is not None and 0 in (saved.numel(), self.mean.numel()):
            self.mean = torch.zeros_like(saved, device=self.mean.device)
        super()._load_from_state_dict(state_dict, prefix, *others, **more)


def _row(parameter: Tensor) -> Tensor:
    """Return a parameter in one row, kernels of images in the order of channels_last, in which they mostly lie."""
    numbers = wide(parameter)
    return (numbers.movedim(1, -1) if numbers.ndim == 4 else numbers).flatten()


class HistoricalAveraging(nn.Module):
    """The penalty that ``historical_averaging`` makes; a :class:`~adversarium.types.Penalty`.

    Attributes:
        past: the mean of the critic's weights so far.
    """

    reads: tuple[Side, ...] = ()

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight, self.past = weight, PastWeights()

    def forward(self, critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator | None = None) -> PerSample:
        """Return the penalty, the same for each sample, ``[B]``, and move the mean."""
        return call_with_scores(self, critic, real, fake, rng)

    def from_scores(
        self,
        critic: Critic,
        real: Tensor,
        fake: Tensor,
        rng: torch.Generator | None,
        real_scores: Tensor | None,
        fake_scores: Tensor | None,
    ) -> PerSample:
        """Do the same. It reads no score."""
        distance: Tensor = self.past(critic, "critic")
        return (self.weight * distance).expand(len(real))


class GeneratorHistoricalAveraging(nn.Module):
    """The penalty that ``generator_historical_averaging`` makes; a :class:`~adversarium.types.GeneratorPenalty`.

    Attributes:
        past: the mean of the generator's weights so far.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight, self.past = weight, PastWeights()

    def forward(
        self, generator: Generator, critic: Critic, codes: Tensor, fake: Tensor, rng: torch.Generator | None = None
    ) -> PerSample:
        """Return the penalty, the same for each code, ``[B]``, and move the mean."""
        distance: Tensor = self.past(generator, "generator")
        return (self.weight * distance).expand(len(codes))


def historical_averaging(weight: float = 1.0) -> HistoricalAveraging:
    """Hold the critic near the mean of the weights that it has had.

    Formula:
        λ·‖θ - (1/t)·Σ over i = 1..t of θ_i‖², θ the critic's trained parameters, θ_i those at the i-th call before
    Convention:
        λ = ``weight`` = 1. Past times are the calls before this one, in training mode with gradients enabled; at the
        first the value is 0. No gradient flows through the mean, which is a buffer in float32 at least: put the module
        where checkpoints see it. Frozen parameters do not count, and what is trained must not change. It does not look
        at the samples: each has the same value. The mean weighs all times alike, so the pull towards an early mean
        stays: a schedule of the term's weight may let go.
    Elsewhere:
        torchgan ``HistoricalAverageDiscriminatorLoss``: the same numbers at λ = ``lambd`` = 1, descended in an
        optimizer step of its own; its sums are in no checkpoint.
    Use when:
        The players circle each other instead of approaching the equilibrium.
    Paper:
        Salimans et al. 2016, "Improved Techniques for Training GANs", arXiv:1606.03498.

    Raises:
        InputError: a negative weight; when called, a critic that is no nn.Module with trained parameters, or another
            one than before.
    """
    not_negative(weight=weight)
    return HistoricalAveraging(weight)


def generator_historical_averaging(weight: float = 1.0) -> GeneratorHistoricalAveraging:
    """Hold the generator near the mean of the weights that it has had.

    Formula:
        λ·‖θ - (1/t)·Σ over i = 1..t of θ_i‖², θ the generator's trained parameters, θ_i those at the i-th call before
    Convention:
        As in ``historical_averaging``, with the generator's parameters. λ = ``weight`` = 1.
    Elsewhere:
        torchgan ``HistoricalAverageGeneratorLoss``: the same numbers at λ = ``lambd`` = 1, descended in an optimizer
        step of its own.
    Use when:
        The players circle each other instead of approaching the equilibrium.
    Paper:
        Salimans et al. 2016, "Improved Techniques for Training GANs", arXiv:1606.03498.

    Raises:
        InputError: a negative weight; when called, a generator that is no nn.Module with trained parameters, or
            another one than before.
    """
    not_negative(weight=weight)
    return GeneratorHistoricalAveraging(weight)
