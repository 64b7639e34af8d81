"""What a metric is: a pure function of rows, and what a table needs to know of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from adversarium.data import Density

Better = Literal["lower", "higher"] | float
"""Which way a value improves; a number: towards it, the value of a perfect sampler."""

Reads = Literal["rows", "probabilities", "held_out", "density"]
"""What a metric compares: feature rows; class probabilities; rows of data that were and were not trained on; samples
with the modes of a known density."""


class MetricWarning(UserWarning):
    """A metric was computed in a stated second-best way; the message says what and why."""


class Estimate(NamedTuple):
    """A value and its standard error, both 0-dimensional."""

    value: Tensor
    standard_error: Tensor


@dataclass(frozen=True, kw_only=True)
class Sets:
    """What a measurement compares.

    Attributes:
        real: feature rows ``[N, D]`` of the reference split.
        fake: feature rows ``[M, D]`` of generated samples.
        rng: for metrics that draw; of the CPU, so that they draw the same on every device.
        held_out: feature rows of data that were not trained on, where ``real`` were.
        real_probabilities: class probabilities ``[N, K]``, where the features have a classifier.
        fake_probabilities: class probabilities ``[M, K]``.
        density: the distribution that the data come from, where it is known; ``fake`` then holds samples themselves.
    """

    real: Tensor
    fake: Tensor
    rng: torch.Generator
    held_out: Tensor | None = None
    real_probabilities: Tensor | None = None
    fake_probabilities: Tensor | None = None
    density: Density | None = None


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that says how good samples are.

    Attributes:
        function: the pure function, whose docstring has the formula.
        measure: evaluates it on what it reads. Metrics that share a ``measure`` are computed together.
        field: which field of the result the number is, where there are several.
        what: that field in a few words.
        better: which way it improves.
        reads: what it compares.
        least: how many samples it needs on each side.
    """

    function: Callable[..., Any]
    measure: Callable[[Sets], Any]
    better: Better
    reads: Reads = "rows"
    field: str | None = None
    what: str = ""
    least: int = 2

    def value(self, result: Any) -> Tensor:
        """Return this metric's number from what :attr:`measure` returned."""
        found = self._found(result)
        number: Tensor = found.value if isinstance(found, Estimate) else found
        return number

    def standard_error(self, result: Any) -> Tensor | None:
        """Return the standard error that the metric itself estimates, where it does."""
        found = self._found(result)
        return found.standard_error if isinstance(found, Estimate) else None

    def _found(self, result: Any) -> Any:
        return result if self.field is None else getattr(result, self.field)
