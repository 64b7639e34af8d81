"""Measuring a generator's samples by protocols: any module's, and that of a run in training, on the way."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from adversarium.data import Codec
from adversarium.errors import InputError
from adversarium.features import Features
from adversarium.metrics.cost import estimate_cost
from adversarium.metrics.measurement import Measurement, measure
from adversarium.metrics.measuring import Draw, Measuring
from adversarium.metrics.references import References
from adversarium.train.feed import Feed
from adversarium.train.sample import draw_samples


def drawing(module: nn.Module, codec: Codec, feed: Feed) -> Draw:
    """Return what draws samples of a generator, decoded.

    It raises :class:`InputError` where the generator returns NaN or infinity: bytes have no way to say so.
    """
    checked = _Finite(module)
    return lambda n, seed: draw_samples(checked, codec, feed, n, seed)


class _Finite(nn.Module):
    """A generator that says so when it has left the finite numbers."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, codes: Tensor, *condition: Tensor) -> Tensor:
        """Return its samples."""
        samples: Tensor = self.module(codes, *condition)
        if not samples.isfinite().all():
            raise InputError("the generator returns NaN or infinity: its samples cannot be measured")
        return samples


class Evaluator:
    """One protocol, to measure a generator by while it trains: a single draw, of the same codes every time.

    Making it opens the features, and computes the real samples' rows and the floor.

    Args:
        protocol: what to measure.
        references: the real samples.
        codec: what a sample is.
        feed: what the generator makes its samples of.
        generator: the generator as it is before training, to time it.
        features: the caller's own, by name.
        weights: files of features that need one, by the features' name.
        device: where features and the metric are computed.
        measuring: the protocol, ready, in place of making it of the references, features, weights and device.

    Attributes:
        protocol: what it measures.
        seconds: about what each measurement costs, from timing parts of one.
        floor: the same number of real samples; ``None`` where there are too few.

    Raises:
        InputError: as :class:`~adversarium.metrics.Measuring`.
    """

    def __init__(
        self,
        protocol: str,
        references: References,
        codec: Codec,
        feed: Feed,
        generator: nn.Module,
        *,
        features: Mapping[str, Features] | None = None,
        weights: Mapping[str, Path] | None = None,
        device: torch.device | str = "cpu",
        measuring: Measuring | None = None,
    ) -> None:
        if measuring is None:
            measuring = Measuring([protocol], references, repeats=1, features=features, weights=weights, device=device)
        self._measuring = measuring
        (self.protocol,) = self._measuring.protocols
        self._codec, self._feed = codec, feed
        self.seconds = estimate_cost(self._measuring, drawing(generator, codec, feed)).draw
        floor = self._measuring.floor([self.protocol])[self.protocol].values
        self.floor = floor[0] if floor else None

    def measure(self, generator: nn.Module) -> Measurement:
        """Return the protocol's number for the generator as it is now, which is left in the mode it was in.

        Raises:
            InputError: its samples cannot be measured (NaN, say).
        """
        (found,) = measure(self._measuring, drawing(generator, self._codec, self._feed))
        return found

    def is_better(self, new: float, best: float | None) -> bool:
        """Return whether a number is better than the best so far (``None``: there is none); NaN never is."""
        if not math.isfinite(new):
            return False
        if best is None or not math.isfinite(best):
            return True
        better = self.protocol.metric.better
        if not isinstance(better, str):
            return abs(new - better) < abs(best - better)
        return new < best if better == "lower" else new > best
