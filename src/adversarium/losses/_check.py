"""What every loss asks of its scores before it touches them."""

from torch import Tensor

from adversarium.errors import InputError, require
from adversarium.tensors import described


def check_scores(
    real_scores: Tensor | None, fake_scores: Tensor, *, need_real: bool = True, width: int | None = None
) -> Tensor:
    """Return the real scores (the fake ones where none are needed), or say what is wrong with either.

    Raises:
        InputError: scores are missing, a list of several critics', not floating point, empty, without the ``width``
            numbers that each score has, or of different shapes (``[B, 1]`` against ``[B]`` would broadcast to
            ``[B, B]`` in silence).
    """
    if real_scores is None:
        if need_real:
            raise InputError("real_scores is None: this side of the loss wants the scores of real samples")
        real_scores = fake_scores
    for name, scores in (("fake_scores", fake_scores), ("real_scores", real_scores)):
        check_numbers(name, scores)
        if width is not None and (scores.ndim < 2 or scores.shape[-1] != width):
            raise InputError(f"{name} has shape {list(scores.shape)}: wanted [B, {width}] or [B, ..., {width}]")
    if real_scores.shape != fake_scores.shape:
        raise InputError(
            f"real_scores has shape {list(real_scores.shape)} and fake_scores {list(fake_scores.shape)}: "
            "wanted the same shape for both"
        )
    return real_scores


def check_numbers(name: str, numbers: Tensor) -> None:
    """Refuse what is not a batch of floating point numbers."""
    if not isinstance(numbers, Tensor):
        several = isinstance(numbers, list | tuple) and name.endswith("scores")
        way_out = "; make the loss one of several critics' scores with component.over_scales(loss)" if several else ""
        raise InputError(f"{name} is {described(numbers)}: wanted one tensor, [B] or [B, ...]{way_out}")
    if not numbers.is_floating_point():
        raise InputError(f"{name} has dtype {numbers.dtype}: wanted floating point numbers")
    if numbers.ndim == 0 or numbers.numel() == 0:
        raise InputError(f"{name} has shape {list(numbers.shape)}: wanted [B] or [B, ...] with B at least 1")


def check_scale(scale: float, name: str = "scale") -> None:
    """Refuse a factor that would turn a player's aim round."""
    require(scale > 0, f"{name} is {scale}: wanted a positive number")
