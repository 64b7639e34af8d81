"""What the factories of penalties ask of their arguments, and the values of their scores."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from adversarium.errors import InputError, require
from adversarium.tensors import described


def not_negative(**numbers: float) -> None:
    """Refuse a weight that rewards.

    Raises:
        InputError: a negative number, or none at all (NaN).
    """
    for name, number in numbers.items():
        require(number >= 0, f"{name} is {number}: wanted a number that is not negative")


def positive(**numbers: float) -> None:
    """Refuse a scale that is none.

    Raises:
        InputError: a number that is not above 0.
    """
    for name, number in numbers.items():
        require(number > 0, f"{name} is {number}: wanted a positive number")


def between_0_and_1(**numbers: float) -> None:
    """Refuse a share outside [0, 1].

    Raises:
        InputError: a number below 0 or above 1.
    """
    for name, number in numbers.items():
        require(0 <= number <= 1, f"{name} is {number}: wanted a number from 0 to 1")


def of_one_critic(scores: object) -> None:
    """Refuse what is not one critic's scores.

    Raises:
        InputError: no tensor, as the list that several critics in one return.
    """
    require(
        isinstance(scores, Tensor),
        f"the critic's scores are {described(scores)}: a penalty wants one critic's, a tensor [B] or [B, ...]; of "
        "several critics in one, give it each by itself (critic.critics) and sum what it returns",
    )


def given(scores: Tensor | None, side: str) -> Tensor:
    """Return the scores of a side that a penalty reads.

    Raises:
        InputError: they are missing.
    """
    require(scores is not None, f"{side}_scores is None: this penalty reads the scores of the {side} samples")
    assert scores is not None
    return scores


def method_of(critic: object, name: str, wanted_by: str) -> Callable[..., Any]:
    """Return a method that a critic may have beside its scores.

    Raises:
        InputError: it has none; says which term wants it.
    """
    # not isinstance of a protocol: from Python 3.12 on that does not see what __getattr__ passes on
    method = getattr(critic, name, None)
    if not callable(method):
        raise InputError(f"critic is a {type(critic).__name__} without {name}(samples), which {wanted_by} wants")
    found: Callable[..., Any] = method
    return found


def same_count(real: Tensor, fake: Tensor) -> None:
    """Refuse sides that have no pairs.

    Raises:
        InputError: as many real as fake samples were wanted.
    """
    require(len(real) == len(fake), f"there are {len(real)} real and {len(fake)} fake samples: wanted as many of each")
