"""The constructor of losses that read each score on its own."""

from collections.abc import Mapping

from torch import Tensor

from adversarium.losses._check import check_scores
from adversarium.types import Cost, Halves, Loss


def additive(
    name: str, *, real: Cost, fake: Cost, generator: Cost, arguments: Mapping[str, object] | None = None
) -> Loss:
    """Return the loss whose critic minimises ``real(r) + fake(s)`` and whose generator minimises ``generator(s)``."""

    def critic_side(real_scores: Tensor | None, fake_scores: Tensor) -> Tensor:
        return real(check_scores(real_scores, fake_scores)) + fake(fake_scores)

    def generator_side(real_scores: Tensor | None, fake_scores: Tensor) -> Tensor:
        check_scores(real_scores, fake_scores, need_real=False)
        return generator(fake_scores)

    return Loss(
        name=name,
        critic=critic_side,
        generator=generator_side,
        generator_needs_real=False,
        coupling="none",
        arguments=arguments or {},
        halves=Halves(real=real, fake=fake),
    )
