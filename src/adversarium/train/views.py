"""Networks as a step sees them: evaluated in a precision, and critics of several samples as ones of single samples."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from adversarium.nets.body import features_of
from adversarium.penalties import wide
from adversarium.stabilisers import pack
from adversarium.train.precision import autocast

_SHOWN = ("encode", "features", "features_given", "classify", "contrast", "recognise")
"""What a critic may show of a sample besides its score."""


class Autocast(nn.Module):
    """A network evaluated in a precision; penalties on weights find its modules, and on features what it shows."""

    def __init__(self, network: nn.Module, precision: str, device: torch.device, *, widen: bool) -> None:
        super().__init__()
        self.network, self.precision, self.device, self.widen = network, precision, device, widen
        # as attributes: a protocol does not look for them by __getattr__
        for name in _SHOWN:
            if hasattr(network, name):
                self.__dict__[name] = partial(self._evaluate, getattr(network, name))
        self.__dict__.setdefault("features", partial(self._evaluate, partial(features_of, network)))

    def forward(self, x: Tensor, *condition: Tensor) -> Tensor:
        """Return the network's output."""
        result: Tensor = self._evaluate(self.network, x, *condition)
        return wide(result) if self.widen else result

    def _evaluate(self, function: Callable[..., Any], *inputs: Tensor) -> Any:
        with autocast(self.precision, self.device):
            return function(*inputs)


class SingleView(nn.Module):
    """A critic that sees several samples at once, of packs or of groups, as one of any number of single samples.

    Each sample gets its pack's score, whose gradient is shared out: the gradient of the sum of the scores by a sample
    is that of its pack's score. Samples that fill no pack or group are filled up with the first ones. Each group of
    packs is shown by itself; without a ``group`` all are shown at once.
    """

    def __init__(self, critic: nn.Module, degree: int, group: int | None = None) -> None:
        super().__init__()
        self.critic, self.degree, self.group = critic, degree, group

    def forward(self, samples: Tensor, *condition: Tensor) -> Tensor:
        """Return the samples' scores, ``[B, ...]``."""
        count = len(samples)
        multiple = self.degree * (self.group or 1)
        rows = torch.arange(count + -count % multiple, device=samples.device) % count
        scores = torch.cat(
            [
                self.critic(pack(samples[some], self.degree), *(each[some] for each in condition))
                for some in (rows.split(multiple) if self.group else (rows,))
            ]
        )
        value = scores.detach()
        shared: Tensor = value + (scores - value) / self.degree
        return shared.repeat_interleave(self.degree, 0)[:count]
