"""What networks for square images have in common."""

from collections.abc import Mapping
from typing import TypeVar

from adversarium.errors import InputError, require

Plan = TypeVar("Plan")


def plan_for(network: str, sample_shape: tuple[int, ...], width: int, plans: Mapping[int, Plan]) -> tuple[int, Plan]:
    """Return the channels of square images, and what a network plans for their size in pixels.

    Raises:
        InputError: a width below 1, or samples that are not square images of a planned size.
    """
    require(width >= 1, f"width is {width}: wanted at least 1")
    if len(sample_shape) != 3 or sample_shape[1] != sample_shape[2] or sample_shape[1] not in plans:
        sizes = ", ".join(str(size) for size in plans)
        raise InputError(
            f"the {network} network cannot make samples of shape {list(sample_shape)}: wanted [channels, pixels, "
            f"pixels] with pixels one of {sizes}; --size resizes a folder of images, and vectors take --network "
            "vector-mlp"
        )
    return sample_shape[0], plans[sample_shape[1]]
