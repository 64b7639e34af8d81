"""Metrics class by class."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from adversarium.errors import InputError, require
from adversarium.metrics._check import check_pair


def per_class(
    function: Callable[[Tensor, Tensor], Any],
    real: Tensor,
    real_labels: Tensor,
    fake: Tensor,
    fake_labels: Tensor,
    *,
    classes: Sequence[int] | None = None,
) -> dict[int, Any]:
    """Return ``function(real, fake)`` of each class's rows, by class.

    Of ``frechet_distance`` it sees what the whole hides: classes that are confused with each other, or one that is
    poor. There are fewer samples in each: compare a class's value with that of real against real, not with the
    whole's.

    Args:
        function: of two sets of rows, any number of each.
        real: rows ``[N, D]``.
        real_labels: their classes ``[N]``.
        fake: rows ``[M, D]``.
        fake_labels: their classes ``[M]``: those they were generated for, or a classifier's.
        classes: which; all of either set without it.

    Raises:
        InputError: labels that do not fit the rows, no classes, a class that has no rows on a side, or what the
            function raises, with the class.
    """
    real, fake = check_pair(real, fake)
    for name, rows, labels in (("real", real, real_labels), ("fake", fake, fake_labels)):
        kind = type(labels).__name__
        require(isinstance(labels, Tensor), f"{name}_labels is {kind}: wanted a tensor [{len(rows)}] of classes")
        require(
            labels.dim() == 1 and len(labels) == len(rows),
            f"{name}_labels has shape {list(labels.shape)}: wanted a class for each of {len(rows)} rows",
        )
        integers = not labels.is_floating_point() and not labels.is_complex()
        require(integers, f"{name}_labels is {labels.dtype}: wanted integers")
    known = {name: set(labels.unique().tolist()) for name, labels in (("real", real_labels), ("fake", fake_labels))}
    wanted = sorted(known["real"] | known["fake"]) if classes is None else list(classes)
    require(bool(wanted), "classes is empty: wanted at least one class, or None for all")
    for name, of_side in known.items():
        missing = [each for each in wanted if each not in of_side]
        others = [each for each in wanted if each not in missing]
        require(
            not missing,
            f"{name} has no samples of the classes {missing}; classes={others} leaves them out",
        )
    values = {}
    for each in wanted:
        sides = [rows[labels.to(rows.device) == each] for rows, labels in ((real, real_labels), (fake, fake_labels))]
        try:
            values[each] = function(*sides)
        except InputError as error:
            raise InputError(f"class {each}: {error}") from error
    return values
