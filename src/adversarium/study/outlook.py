"""Before hours are spent: whether each method can run on the data at all, and how long it will take."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from adversarium.data import Source
from adversarium.errors import InputError, lookup, require
from adversarium.games import GAMES
from adversarium.metrics.cost import estimate_cost
from adversarium.spec import make
from adversarium.study.material import Material
from adversarium.study.methods import check_methods
from adversarium.study.plan import Method, Plan
from adversarium.study.run import SEED_OF_TRIALS, gradients_of, run_config
from adversarium.study.search import PRUNERS, SAMPLERS, dimensions, import_optuna
from adversarium.train.build import build
from adversarium.train.evaluator import drawing
from adversarium.train.resolve import conditions_for, known, resolve
from adversarium.train.stacked import stackable

TIMED_STEPS = 3
"""Steps of each method that are taken to see that they can be, and how long they last."""


@dataclass(frozen=True, kw_only=True)
class Prospect:
    """What is known of a method before its runs.

    Attributes:
        method: its name.
        steps: of the generator in a run; ``None`` of a budget in seconds.
        seconds: about how long a run takes with all measurements, on one worker.
        together: how many runs of it are trained stacked.
        alone: why they are not, where they are not.
    """

    method: str
    steps: int | None
    seconds: float
    together: int
    alone: str


def prospects(
    plan: Plan,
    source: Source,
    *,
    workers: int,
    device: str = "auto",
    on_method: Callable[[str], None] = lambda name: None,
) -> list[Prospect]:
    """Return what is known of each method of a plan, after a few steps of each.

    Raises:
        InputError: a plan that cannot be carried out: methods, seeds, protocols, searches or a budget that do not fit;
            the message names the method.
    """
    check_methods(plan.methods, plan.options)
    require(len(plan.seeds) >= 1, "a study wants seeds: at least one")
    require(len(set(plan.seeds)) == len(plan.seeds), f"seeds are {list(plan.seeds)}: wanted different ones")
    fits = all(0 <= seed < SEED_OF_TRIALS for seed in plan.seeds)
    require(fits, f"seeds are {list(plan.seeds)}: wanted whole numbers from 0 to 2^31 - 1")
    require(plan.measurements >= 1, f"measurements is {plan.measurements}: wanted at least 1")
    require(0 < plan.level < 1, f"level is {plan.level:g}: wanted a number between 0 and 1")
    if plan.trials:
        import_optuna()
        lookup("sampler", plan.sampler, SAMPLERS)
        lookup("pruner", plan.pruner, PRUNERS)
        for method in plan.methods:
            dimensions(method)
        Material.of_trials(plan, source)
    material = Material.of_runs(plan, source)
    found = []
    for method in plan.methods:
        on_method(method.name)
        try:
            found.append(_prospect(plan, method, material, workers, device))
        except InputError as error:
            raise InputError(f"method {method.name}: {error}") from error
    return found


def _prospect(plan: Plan, method: Method, material: Material, workers: int, device: str) -> Prospect:
    source = material.source
    config = run_config(
        plan,
        method,
        source,
        seed=plan.seeds[0],
        hold_out=material.hold_out,
        out=Path("study"),
        options={"device": device},
    )
    conditions = conditions_for(config, source)
    config = resolve(config, source.codec, None if conditions is None else conditions.condition)
    training = build(config, source)
    images = 0
    try:
        for _ in range(TIMED_STEPS):
            started = time.perf_counter()
            images = training.move(images)
            training.step.measurements()
            seconds = time.perf_counter() - started
    except ArithmeticError:  # it diverges at once, which the study will tell
        seconds = time.perf_counter() - started
    each = images / TIMED_STEPS
    if config.steps is not None:
        steps: int | None = config.steps
    else:
        steps = None if config.kimg is None else math.ceil(config.kimg * 1000 / each)
    measuring = estimate_cost(material.measuring, drawing(training.average.module, training.codec, training.feed)).draw
    whole = plan.budget.amount if steps is None else steps * seconds
    least = plan.measurements * seconds if steps is None else plan.measurements
    if (plan.budget.amount if steps is None else steps) < least:
        gradients = gradients_of(make(known(config.game), "game", GAMES))
        one = {"seconds": seconds, "kimg": each / 1000, "gradients": gradients}[plan.budget.unit]
        raise InputError(
            f"budget is {plan.budget}, which is {'less than' if whole < seconds else 'about'} "
            f"{max(1, round(whole / seconds))} steps: too few for {plan.measurements} measurements; wanted at least "
            f"{math.ceil(100 * one * plan.measurements) / 100:g} {plan.budget.unit}, or fewer --measurements"
        )
    alone = stackable(config) if plan.budget.unit != "seconds" else "a budget in seconds is of each run"
    together = 1 if alone else max(1, math.ceil(len(plan.seeds) / max(1, workers // len(plan.methods))))
    return Prospect(
        method=method.name,
        steps=steps,
        seconds=whole + plan.measurements * measuring,
        together=together,
        alone=alone,
    )
