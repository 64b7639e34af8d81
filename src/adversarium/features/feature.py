"""What features are: a function from samples to rows that a metric can compare."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


class Seen(NamedTuple):
    """What was seen in a batch: rows ``[B, D]`` float32 and, where there are classes, probabilities ``[B, K]``."""

    rows: Tensor
    probabilities: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Features:
    """A map from samples to rows.

    Attributes:
        name: as protocols write it.
        see: samples as they are stored (uint8 images ``[B, C, H, W]``, or floats of the same range, 0 to 255;
            vectors ``[B, D]``) to what is seen in them. It is differentiable in float samples where its network is.
        classes: the names of the classes whose probabilities it gives, or empty.
    """

    name: str
    see: Callable[[Tensor], Seen]
    classes: tuple[str, ...] = ()
