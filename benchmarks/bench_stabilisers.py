"""What each stabiliser costs beyond its extra passes: a step with it over a step with those passes alone.

    python benchmarks/bench_stabilisers.py [--rounds 11] [--only ada ...] [--threads N] [--clock wall|cpu]

DCGAN on 32×32×3, width 64, batch 64, channels_last as the trainer keeps it, non-saturating loss, Adam, fp32, without
batch norm: a critic step and a generator step. The denominator of a stabiliser that asks the critic again (for scores,
classes, embeddings, a code) is a step of the same networks with terms that ask the same and make nothing of it; of all
others it is the plain step. What a stabiliser's own layers cost in passes and updates is then in the denominator too,
as is minibatch discrimination's learned map, 4096 to 500, there without comparisons. For these ``to_plain`` says what
the whole step costs over a plain one. The bar: at most 1.05.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from functools import partial

import torch
from _measure import CLOCKS, in_turn, milliseconds, ratios, report
from torch import Tensor

from adversarium import losses
from adversarium.conditionals import CONDITIONALS, Conditional
from adversarium.games import alternating
from adversarium.nets import NETWORKS
from adversarium.nets.minibatch import MINIBATCH_LAYERS, MinibatchDiscrimination
from adversarium.penalties import GENERATOR_PENALTIES, PENALTIES, SAMPLE_PENALTIES, per_sample
from adversarium.stabilisers import AUGMENTATIONS, ReplayPool, packed_shape
from adversarium.train import Step
from adversarium.types import Condition, Objective, Term

SHAPE, LATENT, BATCH, WIDTH = (3, 32, 32), 64, 64, 64
LABELS = Condition("label", 10)
BAR = 1.05


Question = Callable[[object, Tensor], Tensor]


def scores(critic: object, samples: Tensor) -> Tensor:
    return per_sample(critic(samples))  # type: ignore[operator]


def shown(name: str) -> Question:
    """Return the question for what a critic shows of samples by a method, as one number for each."""

    def question(critic: object, samples: Tensor) -> Tensor:
        found = getattr(critic, name)(samples)
        return sum(each.mean(1) for each in (found if isinstance(found, tuple) else (found,)))

    return question


def sample_term(question: Question, *, real: bool, fake: bool) -> Term:
    """Return a term that asks the critic, and makes nothing of the answers."""

    def penalty(critic: object, reals: Tensor, fakes: Tensor, rng: object = None) -> Tensor:
        return 0 * sum(question(critic, each) for each, wanted in ((reals, real), (fakes, fake)) if wanted)

    return Term(name="passes", penalty=penalty)


def latent_term(question: Question) -> Term:
    def penalty(generator: object, critic: object, codes: Tensor, fake: Tensor, rng: object = None) -> Tensor:
        return 0 * question(critic, fake)

    return Term(name="passes", penalty=penalty)


class MapAlone(MinibatchDiscrimination):
    """The learned map of minibatch discrimination, as many columns, and no comparisons."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, (x @ self.weight).unflatten(1, (self.kernels, self.dimensions)).sum(2)], 1)


def compares(name: str, *, alone: bool) -> Callable[[torch.nn.Module, torch.Generator], torch.nn.Module]:
    """Return what puts a minibatch layer into a critic, or what is left of it without the comparisons."""

    def insert(critic: torch.nn.Module, rng: torch.Generator) -> torch.nn.Module:
        critic = MINIBATCH_LAYERS[name]()(critic, rng)
        for layer in critic.modules():
            if alone and isinstance(layer, MinibatchDiscrimination):
                layer.__class__ = MapAlone
        return critic

    return insert


def step(
    objective: Objective,
    *,
    conditional: Conditional | None = None,
    insert: Callable[[torch.nn.Module, torch.Generator], torch.nn.Module] | None = None,
    packing: int = 1,
    joint: bool | None = None,
    **options: object,
) -> Callable[[], None]:
    rng = torch.Generator().manual_seed(0)
    family = NETWORKS["dcgan"]

    def plain(shape: tuple[int, ...]) -> torch.nn.Module:
        critic = family.critic(shape, width=WIDTH, batch_norm=False, rng=rng)
        return critic if insert is None else insert(critic, rng)

    asked = conditional is not None and bool(conditional.kinds)
    latent = LATENT + (conditional.categories + conditional.continuous if conditional is not None else 0)
    generator = family.generator(
        SHAPE, latent, width=WIDTH, batch_norm=False, rng=rng, **({"condition": LABELS} if asked else {})
    )
    shape = packed_shape(SHAPE, packing)
    critic = plain(shape)
    if conditional is not None:
        critic = conditional.critic(plain, shape, LABELS if asked else None, rng=rng)
    for network in (generator, critic):
        network.to(memory_format=torch.channels_last)
    samples = torch.randn(BATCH, *SHAPE, generator=rng).tanh()
    labels = torch.randint(10, (BATCH,), generator=rng)
    codes = torch.randn(BATCH, LATENT, generator=rng)
    if conditional is not None and conditional.categories:
        codes = torch.cat([codes, torch.nn.functional.one_hot(labels, conditional.categories).float()], 1)
    return Step(
        generator=generator,
        critic=critic,
        objective=objective,
        rule=alternating(),
        critic_optimizer=torch.optim.Adam(critic.parameters(), lr=1e-6, fused=True),
        generator_optimizer=torch.optim.Adam(generator.parameters(), lr=1e-6, fused=True),
        real=lambda n: (samples, labels) if asked else samples,
        latent=lambda n: codes,
        rng=torch.Generator().manual_seed(1),
        batch_size=BATCH,
        packing=packing,
        joint=joint,
        **options,  # type: ignore[arg-type]
    )


LOSS = losses.nonsaturating()
PLAIN = Objective(loss=LOSS)
PLAIN_STEP, PLAIN_APART = partial(step, PLAIN), partial(step, PLAIN, joint=False)


def of(conditional: Conditional) -> Objective:
    slots = ("critic_terms", "critic_latent_terms", "generator_terms", "generator_sample_terms")
    return Objective(loss=LOSS, **{slot: getattr(conditional, slot) for slot in slots})


def term(name: str, table: dict) -> Term:
    return Term(name=name, penalty=table[name]())


Make = Callable[[], Callable[[], None]]


def cases() -> dict[str, tuple[Make, Make]]:
    """Return name to the step with the stabiliser and the step that it is measured by."""
    projection, acgan, contrastive, infogan = (
        CONDITIONALS[name]() for name in ("projection", "acgan", "contrastive", "infogan")
    )
    found = {name: (partial(step, PLAIN, augment=make()), PLAIN_STEP) for name, make in AUGMENTATIONS.items()}
    averaging = Objective(
        loss=LOSS,
        critic_terms=(term("historical_averaging", PENALTIES),),
        generator_terms=(term("generator_historical_averaging", GENERATOR_PENALTIES),),
    )
    matching = Objective(loss=LOSS, generator_sample_terms=(term("feature_matching", SAMPLE_PENALTIES),))
    features = Objective(loss=LOSS, generator_sample_terms=(sample_term(shown("features"), real=True, fake=True),))
    classes = Objective(
        loss=LOSS,
        critic_terms=(sample_term(shown("classify"), real=True, fake=True),),
        generator_sample_terms=(sample_term(shown("classify"), real=False, fake=True),),
    )
    embeddings = Objective(
        loss=LOSS,
        critic_terms=(sample_term(shown("contrast"), real=True, fake=False),),
        generator_sample_terms=(sample_term(shown("contrast"), real=False, fake=True),),
    )
    code = latent_term(shown("recognise"))
    codes = Objective(loss=LOSS, critic_latent_terms=(code,), generator_terms=(code,))
    found |= {
        "replay pool": (partial(step, PLAIN, pool=ReplayPool(50)), PLAIN_STEP),
        "top-k": (partial(step, PLAIN, top_k=0.5), PLAIN_STEP),
        "packing 2": (partial(step, PLAIN, packing=2), PLAIN_STEP),
        "historical averaging": (partial(step, averaging), PLAIN_STEP),
        "feature matching": (partial(step, matching), partial(step, features)),
        "projection": (partial(step, PLAIN, conditional=projection), PLAIN_STEP),
        "acgan": (partial(step, of(acgan), conditional=acgan), partial(step, classes, conditional=acgan)),
        "contrastive": (
            partial(step, of(contrastive), conditional=contrastive),
            partial(step, embeddings, conditional=contrastive),
        ),
        "infogan": (partial(step, of(infogan), conditional=infogan), partial(step, codes, conditional=infogan)),
    }
    return found | {
        name: (
            partial(step, PLAIN, insert=compares(name, alone=False), joint=False),
            partial(step, PLAIN, insert=compares(name, alone=True), joint=False)
            if name == "minibatch_discrimination"
            else PLAIN_APART,
        )
        for name in MINIBATCH_LAYERS
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--only", nargs="*", choices=list(cases()), help="some of them (default: all)")
    parser.add_argument("--threads", type=int, help="torch's threads (default: torch's own choice)")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: where others keep the machine busy")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    results = []
    for name, (with_it, without) in cases().items():
        if options.only and name not in options.only:
            continue
        candidates = {"with": with_it(), "without": without()}
        if without not in (PLAIN_STEP, PLAIN_APART):
            candidates["plain"] = PLAIN_STEP()
        times = in_turn(candidates, rounds=options.rounds, warm_up=2, clock=options.clock)
        results.append(
            report(
                f"stabilisers/{name}/dcgan-3x32x32/batch{BATCH}/fp32",
                ratios(times, "with", "without"),
                at_most=BAR,
                clock=options.clock,
                threads=torch.get_num_threads(),
                with_ms=milliseconds(times["with"]),
                without_ms=milliseconds(times["without"]),
                fastest=round(min(times["with"]) / min(times["without"]), 4),
                mean=round(statistics.fmean(times["with"]) / statistics.fmean(times["without"]), 4),
                **(
                    {"to_plain": round(statistics.median(ratios(times, "with", "plain")), 4)}
                    if "plain" in times
                    else {}
                ),
            )
        )
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
