"""Penalties on the scores at hand: they ask for the critic's scores at the samples, which the loss has already."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from adversarium.penalties._check import given
from adversarium.penalties.slope import check_samples
from adversarium.types import Critic, PerSample

Side = Literal["real", "fake"]


@runtime_checkable
class FromScores(Protocol):
    """A penalty that can take the loss's scores in place of passes of its own."""

    @property
    def reads(self) -> tuple[Side, ...]:
        """At which samples the scores are needed."""
        ...

    def from_scores(
        self,
        critic: Critic,
        real: Tensor,
        fake: Tensor,
        rng: torch.Generator | None,
        real_scores: Tensor | None,
        fake_scores: Tensor | None,
    ) -> Tensor:
        """Return the penalty of each sample, given the scores at the sides that it ``reads``."""
        ...


@dataclass(frozen=True)
class Scored:
    """A batch that the critic has scored; scores of a side that a penalty does not read may be None."""

    critic: Critic
    real: Tensor
    fake: Tensor
    rng: torch.Generator | None
    real_scores: Tensor | None
    fake_scores: Tensor | None

    def side(self, name: Side) -> tuple[Tensor, Tensor]:
        """Return the samples of a side and their scores.

        Raises:
            InputError: the scores are missing.
        """
        if name == "real":
            return self.real, given(self.real_scores, name)
        return self.fake, given(self.fake_scores, name)


@dataclass(frozen=True)
class ScorePenalty:
    """A function of a scored batch, ``[B]``; a :class:`~adversarium.types.Penalty`.

    ``reads`` says at which samples the scores are needed.
    """

    reads: tuple[Side, ...]
    value: Callable[[Scored], Tensor]

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator | None = None) -> PerSample:
        """Return the penalty of each sample, ``[B]``."""
        return call_with_scores(self, critic, real, fake, rng)

    def from_scores(
        self,
        critic: Critic,
        real: Tensor,
        fake: Tensor,
        rng: torch.Generator | None,
        real_scores: Tensor | None,
        fake_scores: Tensor | None,
    ) -> PerSample:
        """Return the penalty of each sample, given the scores at the sides that it ``reads``."""
        return self.value(Scored(critic, real, fake, rng, real_scores, fake_scores))


def call_with_scores(
    penalty: FromScores, critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator | None
) -> Tensor:
    """Compute the scores that a penalty reads, then the penalty. No gradient reaches samples or generator."""
    return call_with_attached_scores(penalty, critic, real.detach(), fake.detach(), rng)


def call_with_attached_scores(
    penalty: FromScores, critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator | None
) -> Tensor:
    """Do the same, and keep the samples' own graphs."""
    check_samples(real, "real")
    check_samples(fake, "fake")
    scores = {side: critic(samples) for side, samples in (("real", real), ("fake", fake)) if side in penalty.reads}
    return penalty.from_scores(critic, real, fake, rng, scores.get("real"), scores.get("fake"))
