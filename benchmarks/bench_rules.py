"""What a game rule costs beside its gradients: a step by the rule over the same work written out by hand, in turn.

    python benchmarks/bench_rules.py [--rounds 41] [--only extragradient,...] [--precision auto|fp32|bf16]
        [--threads N] [--clock wall|cpu]

DCGAN on 32×32×3, width 64, batch 64, preset nsgan with Adam as `adversarium train` builds it, without batch norm. Both
sides are the same `train.Step` with the same closures; only what calls them differs:

- a first-order rule over alternating descent with as many evaluations of either player, each with its optimizer's
  step, and for extrapolation from the past, whose formula steps twice for each evaluation, with two;
- a second-order rule over its formula written out with `torch.autograd.grad`, no backward pass more than it takes, and
  one optimizer's step of either player (`BY_HAND`); competitive descent with SGD, over as many products as its solver
  took and without the solver.

The bar is 5 % more. Two ratios without a bar: `bare` is the rule over its evaluations alone, without any optimizer's
step (for a second-order rule: over the losses and each player's gradients, with graphs), `plain` is the rule over as
many steps of alternating descent with one evaluation of either player.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence

import numpy as np
import torch
from _measure import CLOCKS, in_turn, milliseconds, ratios, report
from torch import Tensor
from torch.autograd import grad
from torch.optim import Optimizer

from adversarium.config import TrainConfig
from adversarium.data import ArraySource, Codec
from adversarium.games import GAMES, alternating
from adversarium.games.linearised import Linearised
from adversarium.train import Step
from adversarium.train.build import build
from adversarium.train.optimizers import build_optimizer
from adversarium.train.resolve import resolve
from adversarium.types import Closure, GameRule, Play

BATCH, SHAPE = 64, (3, 32, 32)
BAR = 1.05


def weights(optimizer: Optimizer) -> list[Tensor]:
    return list(optimizer.param_groups[0]["params"])


def step_by(gradient: Sequence[Tensor], *optimizers: Optimizer) -> None:
    for each, part in zip([each for player in optimizers for each in weights(player)], gradient, strict=True):
        each.grad = part
    for optimizer in optimizers:
        optimizer.step()


# The formulas of the second-order rules, with the closures' losses L_C and L_G, ψ the critic's weights and θ the
# generator's. `grad` of several numbers with a vector is a backward pass from all of them at once.


def consensus_by_hand(critic: Closure, generator: Closure, *optimizers: Optimizer) -> None:
    psi, theta = map(weights, optimizers)
    loss, answer = critic(), generator()
    g = [*grad(loss, psi, create_graph=True), *grad(answer, theta, create_graph=True)]
    uphill = grad(g, psi + theta, detached(g), materialize_grads=True)
    step_by(torch._foreach_add(detached(g), uphill, alpha=10.0), *optimizers)


def symplectic_by_hand(critic: Closure, generator: Closure, *optimizers: Optimizer) -> None:
    psi, theta = map(weights, optimizers)
    by_loss, by_answer = both_by_both(critic, generator, psi, theta)
    g = by_loss[: len(psi)] + by_answer[len(psi) :]
    v = detached(g)
    uphill = grad(g, psi + theta, v, retain_graph=True, materialize_grads=True)
    ahead = [*grad(by_loss, psi, v, materialize_grads=True), *grad(by_answer, theta, v, materialize_grads=True)]
    adjustment = torch._foreach_sub(uphill, ahead)
    aligned = dot(v, uphill) * dot(adjustment, uphill) / (2 * sum(each.numel() for each in v)) + 0.1
    step_by(torch._foreach_add(v, adjustment, alpha=0.5 * float(aligned.sign())), *optimizers)


def competitive_by_hand(critic: Closure, generator: Closure, *optimizers: Optimizer) -> None:
    """As many products with the off-diagonal blocks as the rule took; no solver. The numbers mean nothing."""
    psi, theta = map(weights, optimizers)
    by_loss, by_answer = both_by_both(critic, generator, psi, theta)
    v = detached(by_loss[: len(psi)] + by_answer[len(psi) :])
    for _ in range(Products.latest):
        v = [
            *grad(by_loss[len(psi) :], psi, v[len(psi) :], retain_graph=True, materialize_grads=True),
            *grad(by_answer[: len(psi)], theta, v[: len(psi)], retain_graph=True, materialize_grads=True),
        ]
    step_by(v, *optimizers)


def unrolled_by_hand(critic: Closure, generator: Closure, *optimizers: Optimizer) -> None:
    """All of the critic's gradients at the same weights: the same passes, and nothing to keep or to put back."""
    psi, theta = map(weights, optimizers)
    rate = optimizers[0].param_groups[0]["lr"]
    found = [grad(critic(), psi, create_graph=True) for _ in range(GAMES["unrolled"]().critic_evaluations - 1)]
    answer = grad(critic(), psi)
    by: Sequence[Tensor] = [*torch._foreach_neg(answer), *grad(generator(), theta)]
    first = detached(found[0])
    for gradients in reversed(found):
        pulled = grad(gradients, psi + theta, by[: len(psi)], materialize_grads=True)
        by = torch._foreach_sub(by, pulled, alpha=rate)
    step_by([*first, *by[len(psi) :]], *optimizers)


def both_by_both(
    critic: Closure, generator: Closure, psi: list[Tensor], theta: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    loss, answer = critic(), generator()
    one, other = (grad(value, psi + theta, create_graph=True, materialize_grads=True) for value in (loss, answer))
    return list(one), list(other)


def detached(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [each.detach() for each in tensors]


def dot(one: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
    return torch.stack([(a * b).sum() for a, b in zip(one, other, strict=True)]).sum()


BY_HAND: dict[str, Play] = {
    "consensus": consensus_by_hand,
    "symplectic": symplectic_by_hand,
    "competitive": competitive_by_hand,
    "unrolled": unrolled_by_hand,
}


class Products:
    """How many products `competitive` took in its latest step: its solver decides."""

    latest = 0

    @classmethod
    def counted(cls, rule: GameRule) -> GameRule:
        product = Linearised.cross_product

        def counting(at: Linearised, vector: Sequence[Tensor]) -> list[Tensor]:
            cls.latest += 1
            return product(at, vector)

        def play(critic: Closure, generator: Closure, *optimizers: Optimizer) -> None:
            cls.latest = 0
            Linearised.cross_product = counting  # type: ignore[method-assign]
            try:
                rule.play(critic, generator, *optimizers)
            finally:
                Linearised.cross_product = product  # type: ignore[method-assign]

        return dataclasses.replace(rule, play=play)


def past_by_hand(critic: Closure, generator: Closure, *optimizers: Optimizer) -> None:
    """Step along the last gradients, and again by the new ones; put nothing back."""
    for closure, optimizer in zip((critic, generator), optimizers, strict=True):
        optimizer.step()
        closure()
        optimizer.step()


def bare(rule: GameRule) -> GameRule:
    """Return the rule's evaluations, and nothing else."""

    def play(critic: Closure, generator: Closure, *optimizers: Optimizer) -> None:
        evaluations = (critic, rule.critic_evaluations), (generator, rule.generator_evaluations)
        for (closure, count), optimizer in zip(evaluations, optimizers, strict=True):
            for _ in range(count):
                loss = closure()
                if rule.second_order:
                    grad(loss, weights(optimizer), create_graph=True)

    return GameRule(name="bare", play=play, second_order=rule.second_order)


def ideal(rule: GameRule) -> GameRule:
    """Return what the rule is measured against."""
    if rule.second_order:
        return GameRule(name="by hand", play=BY_HAND[rule.name], second_order=True)
    if rule.name == "extrapolation_from_the_past":
        return GameRule(name="by hand", play=past_by_hand)
    return alternating(rule.critic_evaluations, rule.generator_evaluations)


def step_of(play: GameRule, source: ArraySource, precision: str, *, plain_descent: bool) -> Step:
    """Return the step that `adversarium train` builds, with another rule."""
    config = TrainConfig(
        preset="nsgan", network="dcgan", width=64, batch_size=BATCH, precision=precision, critic_batch_norm=False,
        generator_batch_norm=False, device="cpu",
        # a rule that solves for plain steps wants steps of a size that leaves it something to solve
        **({"optimizer": "sgd", "beta1": 0.0, "critic_learning_rate": 0.05, "generator_learning_rate": 0.05}
           if plain_descent else {}),
    )  # fmt: skip
    training = build(resolve(config, source.codec), source)
    critic, generator = training.step.critic, training.step.generator
    return Step(
        generator=generator,
        critic=critic,
        objective=training.step.objective,
        rule=play,
        # new ones: the old step measures what its own optimizers are about to use
        critic_optimizer=build_optimizer(training.settings[0], critic.parameters()),
        generator_optimizer=build_optimizer(training.settings[1], generator.parameters()),
        real=lambda n: training.stream.next(n).samples,
        latent=training.latent.next,
        rng=training.penalty_rng,
        batch_size=BATCH,
        precision=training.config.precision,
    )


def compare(rule: GameRule, source: ArraySource, options: argparse.Namespace) -> bool:
    repeats = rule.period

    def repeated(step: Step) -> Callable[[], None]:
        def run() -> None:
            for _ in range(repeats):
                step()
            step.measurements()

        return run

    played = Products.counted(rule) if rule.name == "competitive" else rule
    steps = {
        name: repeated(step_of(play, source, options.precision, plain_descent=rule.plain_descent))
        for name, play in (("rule", played), ("ideal", ideal(rule)), ("bare", bare(rule)), ("plain", alternating()))
    }
    times = in_turn(steps, rounds=options.rounds, warm_up=2, clock=options.clock)
    facts = {
        "clock": options.clock,
        "threads": torch.get_num_threads(),
        "evaluations": [rule.critic_evaluations, rule.generator_evaluations],
        **({"products": Products.latest} if rule.name == "competitive" else {}),
        "rule_ms": milliseconds(times["rule"], repeats),
        "ideal_ms": milliseconds(times["ideal"], repeats),
    }
    label = f"rule/{rule.name}/dcgan-3x32x32/batch{BATCH}/{options.precision}"
    ok = report(label, ratios(times, "rule", "ideal"), at_most=BAR, **facts)
    for other in ("bare", "plain"):
        report(f"{label}/{other}", ratios(times, "rule", other))
    return ok


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--only", help="names of rules, with commas between")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--threads", type=int, help="torch's threads (default: torch's own choice)")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: where others keep the machine busy")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    noise = np.random.default_rng(0).integers(0, 256, (2048, *SHAPE), np.uint8)
    source = ArraySource("noise", noise, Codec(SHAPE))
    rules = [GAMES[name]() for name in (options.only.split(",") if options.only else GAMES)]
    # a step draws new batches, so a rule that wants one batch is none for it
    results = [compare(rule, source, options) for rule in rules if not rule.fixed_batch]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
