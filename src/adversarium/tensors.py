"""What several rooms do with tensors alike: precision, means per sample, random draws, words for wrong ones."""

from collections.abc import Callable, Sequence
from numbers import Integral, Real

import torch
from jaxtyping import Float
from torch import Tensor

from adversarium.errors import InputError


def wide(numbers: Tensor) -> Tensor:
    """Return half precision numbers in float32, and others as they are."""
    return numbers.float() if numbers.dtype in (torch.float16, torch.bfloat16) else numbers


def per_sample(scores: Tensor) -> Float[Tensor, " batch"]:
    """Return the mean of each sample's scores (patches), ``[B]``, in float32 at least."""
    scores = wide(scores)
    return scores.flatten(1).mean(1) if scores.ndim > 1 else scores


class Generators(torch.Generator):
    """Several generators as one, for batches in which several games take turns by row.

    :func:`draw` asks each of them for its own rows: row r of what it returns is the (r mod K)-th one's.

    Attributes:
        each: the K generators.
    """

    def __new__(cls, each: Sequence[torch.Generator]) -> "Generators":
        """Return it without torch reading the argument."""
        return super().__new__(cls)

    def __init__(self, each: Sequence[torch.Generator]) -> None:
        super().__init__()
        self.each = tuple(each)


def draw(
    make: Callable[..., Tensor],
    size: int | torch.Size,
    like: Tensor,
    rng: torch.Generator | None,
    dtype: torch.dtype,
) -> Tensor:
    """Return ``make(size, ...)``, random numbers on the device of ``like``.

    They are drawn where the generator lives and then moved, without waiting for the device: a CPU stream gives the
    same numbers on every device. Without a generator they are drawn from the global one of ``like``'s device.

    Args:
        make: ``torch.rand``, ``torch.randn``, ``torch.randperm``, or ``torch.randint`` with its limits bound.
        size: the shape, or what ``make`` takes in its place.
        like: says where the numbers are wanted.
        rng: the generator.
        dtype: of the numbers.

    Raises:
        InputError: ``rng`` is no generator.
    """
    if rng is not None and not isinstance(rng, torch.Generator):
        seed = rng if is_whole(rng) else 0
        raise InputError(
            f"rng is {described(rng)}: wanted a torch.Generator, torch.Generator().manual_seed({seed}) say, or None"
        )
    if isinstance(rng, Generators):
        if isinstance(size, int):
            raise InputError("several generators cannot draw one order of all rows: each orders its own")
        rows, *others = size
        share = torch.Size((rows // len(rng.each), *others))
        parts = [draw(make, share, like, each, dtype) for each in rng.each]
        return torch.stack(parts, 1).flatten(0, 1)
    drawn = make(size, generator=rng, device=like.device if rng is None else rng.device, dtype=dtype)
    # from a GPU to the CPU it has to be waited for: the numbers would be read before they have come
    return drawn.to(like.device, non_blocking=like.device.type != "cpu")


def described(value: object) -> str:
    """Return what a value is, in few words, for a message that refuses it."""
    if isinstance(value, Tensor):
        return f"{value.dtype} of shape {list(value.shape)}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    if value is None or isinstance(value, str | bool | Real):
        return repr(value)
    return f"a {type(value).__name__}"


def is_number(value: object) -> bool:
    """Return whether a value is a real number, which True and False are not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    """Return whether a value is an integer, which True, False and 2.0 are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)
