"""Features by name: what metrics compare samples by."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from adversarium.errors import InputError, lookup
from adversarium.features._weights import WeightsWarning
from adversarium.features.chunks import extract
from adversarium.features.dinov2 import dinov2
from adversarium.features.feature import Features, Seen
from adversarium.features.inception import inception
from adversarium.features.lenet import lenet
from adversarium.features.random_conv import random_conv
from adversarium.features.raw import raw

__all__ = [
    "FEATURES",
    "PRETRAINED",
    "Features",
    "Seen",
    "WeightsWarning",
    "dinov2",
    "extract",
    "inception",
    "lenet",
    "open_features",
    "random_conv",
    "raw",
]

FEATURES: dict[str, Callable[..., Features]] = {
    "raw": raw,
    "lenet": lenet,
    "random_conv": random_conv,
    "inception": inception,
    "dinov2": dinov2,
}
"""The features by name, as protocols write them. Those of ``PRETRAINED`` need a file of weights."""

PRETRAINED = ("inception", "dinov2")
"""Features whose weights others publish: from a local file, or downloaded when asked for by name."""


def open_features(
    name_or_callable: str | Features | Callable[[Tensor], Tensor | Seen],
    *,
    weights: Path | str | None = None,
    device: torch.device | str | None = None,
) -> Features:
    """Open features by name, or make features of any module or callable.

    A callable gets float32 samples as they are stored, images from 0 to 255 (``lambda x: net(x / 127.5 - 1)`` gives a
    network another range), and returns ``[B, ...]``, which is flattened to rows, or a ``Seen``. A module sees in eval
    mode, and is left in the modes that it was in.

    Args:
        name_or_callable: a member of ``FEATURES``, a module or another callable; or features, which are returned as
            they are.
        weights: a local file, for the names of ``PRETRAINED``.
        device: where samples are seen. By default: for names the CPU, for a module where its parameters are, for
            another callable where the samples are. A module is not moved.

    Raises:
        InputError: an unknown name, weights for features that have no file, a file that is not what its name says; or
            (when it sees) the callable returns something else than one row for each sample.
    """
    if isinstance(name_or_callable, str):
        factory = lookup("features", name_or_callable, FEATURES)
        if name_or_callable in PRETRAINED:
            return factory(weights, device=device)
        _no_weights(name_or_callable, weights)
        return factory(device=device)
    if isinstance(name_or_callable, Features):
        _no_weights(name_or_callable.name, weights)
        return name_or_callable
    if not callable(name_or_callable):
        raise InputError(
            f"features are {type(name_or_callable).__name__}: wanted a name ({', '.join(FEATURES)}), a module or a "
            "callable"
        )
    name = getattr(name_or_callable, "__name__", type(name_or_callable).__name__)
    _no_weights(name, weights)
    return Features(name=name, see=partial(_see_with, name_or_callable, name, device))


def _no_weights(name: str, weights: Path | str | None) -> None:
    if weights is not None:
        raise InputError(
            f"weights is {str(weights)!r}: the features {name!r} have no file; {', '.join(PRETRAINED)} have one"
        )


def _see_with(
    function: Callable[[Tensor], Tensor | Seen], name: str, device: torch.device | str | None, samples: Tensor
) -> Seen:
    module = function if isinstance(function, nn.Module) else nn.Identity()
    parameter = next(module.parameters(), None)
    if device is None and parameter is not None:
        device = parameter.device
    with eval_mode(module):
        found = function(samples.to(device=device, dtype=torch.float32))
    seen = found if isinstance(found, Seen) else Seen(found)
    if not isinstance(seen.rows, Tensor) or seen.rows.dim() < 2 or len(seen.rows) != len(samples):
        what = list(seen.rows.shape) if isinstance(seen.rows, Tensor) else type(seen.rows).__name__
        raise InputError(
            f"the features {name!r} gave {what} for {len(samples)} samples: wanted a tensor [{len(samples)}, ...]"
        )
    return Seen(seen.rows.flatten(1).float(), seen.probabilities)


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode, and each of its parts back into the mode that it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
