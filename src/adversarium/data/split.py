"""What is trained on, and what is kept apart to measure with."""

import dataclasses

import numpy as np

from adversarium.data.source import ArraySource, Source
from adversarium.errors import InputError

SHARE = 0.05
"""The share of the data that is held out where no other is asked for and no test split was published."""

LEAST = 50
"""Fewer samples than this are not worth holding out where nobody asks for it: they would measure nothing."""

_SEED = 20140610  # the same samples are held out of every run


def default_share(source: Source) -> float:
    """Return the share of a source that is held out unless another is asked for.

    0 of a density, which can be drawn from again, of data with a published test split, and of few data (a share of
    ``SHARE`` would be fewer than ``LEAST`` samples); otherwise ``SHARE``.
    """
    if not isinstance(source, ArraySource) or source.test is not None or SHARE * len(source) < LEAST:
        return 0.0
    return SHARE


def splits(source: Source, share: float) -> tuple[Source, Source | None]:
    """Return what is trained on, and what is not: samples held out of a source, or else its own test split.

    The held-out samples are a random draw, the same at every call, so that runs of other seeds can be compared on
    them. A density is both. No sample is copied.

    Args:
        source: the data.
        share: what share of it to hold out, from 0 to below 1. 0: nothing; then the second is the published test
            split, or ``None``.

    Raises:
        InputError: a share outside that range, or one that leaves nothing to train on.
    """
    if not 0 <= share < 1:
        raise InputError(f"hold_out is {share}: wanted a share from 0 to below 1")
    if not isinstance(source, ArraySource):
        return source, source
    if share == 0:
        return source, source.test
    count = len(source)
    held = max(1, round(share * count))
    if held >= count:
        raise InputError(f"hold_out is {share}: of {count} samples it leaves none to train on")
    rows = source.rows if source.rows is not None else np.arange(count)
    order = np.random.default_rng(_SEED).permutation(count)
    return (
        dataclasses.replace(source, rows=rows[np.sort(order[held:])]),
        dataclasses.replace(source, rows=rows[np.sort(order[:held])], test=None),
    )
