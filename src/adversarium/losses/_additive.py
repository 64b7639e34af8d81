"""The constructor of losses that read each score on its own."""

from collections.abc import Mapping

from torch import Tensor

from adversarium.losses._check import check_scores
from adversarium.types import Cost, CriticKind, Halves, Loss, ScoreFunction


def critic_of(halves: Halves, width: int | None = None) -> ScoreFunction:
    """Return the critic's side whose halves are given."""

    def critic_side(real_scores: Tensor | None, fake_scores: Tensor) -> Tensor:
        return halves.real(check_scores(real_scores, fake_scores, width=width)) + halves.fake(fake_scores)

    return critic_side


def additive(
    name: str,
    *,
    real: Cost,
    fake: Cost,
    generator: Cost,
    arguments: Mapping[str, object] | None = None,
    score_width: int | None = None,
    critic_kind: CriticKind = "score",
    boundary: float | None = None,
) -> Loss:
    """Return the loss whose critic minimises ``real(r) + fake(s)`` and whose generator minimises ``generator(s)``."""

    def generator_side(real_scores: Tensor | None, fake_scores: Tensor) -> Tensor:
        check_scores(real_scores, fake_scores, need_real=False, width=score_width)
        return generator(fake_scores)

    halves = Halves(real=real, fake=fake)
    return Loss(
        name=name,
        critic=critic_of(halves, score_width),
        generator=generator_side,
        generator_needs_real=False,
        coupling="none",
        arguments=arguments or {},
        halves=halves,
        score_width=score_width,
        critic_kind=critic_kind,
        boundary=boundary,
    )
