"""A relativistic loss for a critic with a second, attending head."""

from torch import Tensor
from torch.nn.functional import logsigmoid

from adversarium.errors import require
from adversarium.losses._check import check_scores
from adversarium.losses.relativistic import relativistic
from adversarium.types import Loss


def attention_relativistic(weight: float = 1.0) -> Loss:
    """Relativistic average scores, plus the same judgement by an attention head A ("RAGAN" in tutorials).

    Formula:
        critic:    -log σ(C(x) - E C(G)) - log(1 - σ(C(G) - E C(x))) - λ·log(1 - σ(A(G) - E A(x)))
        generator: -log σ(C(G) - E C(x)) + λ·log(1 - σ(A(G) - E A(x)))
    Convention:
        λ = ``weight``. Scores are [B, 2] (or [B, ..., 2]): column 0 is C, column 1 is A, both heads of one critic
        (:class:`~adversarium.nets.attention.AttentionRelativisticCritic`). As it is usually printed, the term with A
        stands in the generator's loss only, so that nothing trains A; here the critic owns A and minimises what the
        generator maximises. The generator's A term saturates, as ``minimax`` does: its gradient by A(G) is
        -λ·σ(A(G) - E A(x)), which vanishes where the head rejects a fake. Its C term has the fake half only, so
        λ = 0 is ``relativistic(pairing="average", generator_real_term=False)``. Only the fake half trains A.
    Use when:
        To study that formula. Its C part alone, ``relativistic(pairing="average")``, is the published method.
    Paper:
        The term with A is in no publication known to us. The rest deviates from Jolicoeur-Martineau 2018, "The
        relativistic discriminator: a key element missing from standard GAN", arXiv:1807.00734.

    Raises:
        InputError: a negative weight, or (from either side) scores without two columns.
    """
    require(weight >= 0, f"weight is {weight}: wanted a number that is not negative")
    average = relativistic(pairing="average", generator_real_term=False)

    def attended(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        return logsigmoid(real_scores[..., 1].mean() - fake_scores[..., 1])  # log(1 - σ(A(G) - E A(x)))

    def critic(real_scores: Tensor | None, fake_scores: Tensor) -> Tensor:
        real_scores = check_scores(real_scores, fake_scores, width=2)
        return average.critic(real_scores[..., 0], fake_scores[..., 0]) - weight * attended(real_scores, fake_scores)

    def generator(real_scores: Tensor | None, fake_scores: Tensor) -> Tensor:
        real_scores = check_scores(real_scores, fake_scores, width=2)
        return average.generator(real_scores[..., 0], fake_scores[..., 0]) + weight * attended(
            real_scores, fake_scores
        )

    return Loss(
        name="attention_relativistic",
        critic=critic,
        generator=generator,
        generator_needs_real=True,
        coupling="batch_mean",
        arguments={"weight": weight},
        score_width=2,
    )
