"""Relativistic losses: the critic judges whether real data are *more* real than fakes."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor
from torch.nn.functional import logsigmoid, relu

from adversarium.errors import InputError, lookup
from adversarium.losses._check import check_scores
from adversarium.types import Coupling, Loss

Base = Callable[[Tensor], Tensor]

# Each base is the cost of a score difference that ought to be large and positive.
BASES: dict[str, Base] = {
    "logistic": lambda gap: -logsigmoid(gap),
    "least_squares": lambda gap: (gap - 1).square(),
    "hinge": lambda gap: relu(1 - gap),
}


def relativistic(
    pairing: Literal["paired", "average"] = "paired",
    base: Literal["logistic", "least_squares", "hinge"] = "logistic",
    generator_real_term: bool = True,
    scale: float = 1.0,
) -> Loss:
    """Score differences instead of scores: RSGAN (paired, logistic), RaSGAN (average, logistic) and their kin.

    Formula:
        paired:  critic f(r - s);                generator f(s - r)
        average: critic f(r - E s) + f(E r - s); generator f(s - E r) + f(E s - r)
        f(gap) = -log σ(gap) (logistic), (gap - 1)² (least_squares) or max(0, 1 - gap) (hinge)
    Convention:
        ``paired`` is the published RSGAN and R3GAN's loss, ``average`` RaSGAN. ``average`` is the sum of its halves,
        as in the paper; the author's code takes their mean (``scale=0.5``). ``least_squares`` has no ½. The means
        run over every score of the local batch, real and fake apart. The real half of the average generator reaches
        the generator through E s; ``generator_real_term=False`` drops it, which is what many tutorials print as
        "RSGAN". Adding a constant to the critic changes nothing, so its scores have no zero. At the optimal critic
        log(p/q) + const the paired log loss is log 2 - JS(p⊗q, q⊗p).
    Use when:
        ``paired`` with R1 and R2 is a strong modern baseline (``r3gan``); ``average`` serves super-resolution.
    Paper:
        Jolicoeur-Martineau 2018, "The relativistic discriminator: a key element missing from standard GAN",
        arXiv:1807.00734.

    Raises:
        InputError: an unknown pairing or base, or ``generator_real_term=False`` with ``pairing="paired"``, which
            has a single term.
    """
    cost = lookup("relativistic base", base, BASES)
    lookup("pairing", pairing, {"paired": None, "average": None})
    if pairing == "paired" and not generator_real_term:
        raise InputError('generator_real_term=False needs pairing="average": a paired loss has a single term')

    def paired(higher: Tensor, lower: Tensor) -> Tensor:
        return scale * cost(higher - lower)

    def average(higher: Tensor, lower: Tensor, *, lower_term: bool = True) -> Tensor:
        values = cost(higher - lower.mean())
        return scale * (values + cost(higher.mean() - lower) if lower_term else values)

    def critic(real_scores: Tensor | None, fake_scores: Tensor) -> Tensor:
        real_scores = check_scores(real_scores, fake_scores)
        side = paired if pairing == "paired" else average
        return side(real_scores, fake_scores)

    def generator(real_scores: Tensor | None, fake_scores: Tensor) -> Tensor:
        real_scores = check_scores(real_scores, fake_scores)
        if pairing == "paired":
            return paired(fake_scores, real_scores)
        return average(fake_scores, real_scores, lower_term=generator_real_term)

    coupling: Coupling = "paired" if pairing == "paired" else "batch_mean"
    return Loss(
        name="relativistic",
        critic=critic,
        generator=generator,
        generator_needs_real=True,
        coupling=coupling,
        arguments={
            "pairing": pairing,
            "base": base,
            "generator_real_term": generator_real_term,
            "scale": scale,
        },
    )
