"""Before hours are spent: whether each method can run on the data at all, and how long it will take."""

import itertools
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from adversarium.data import Source
from adversarium.errors import InputError, lookup, require
from adversarium.games import GAMES
from adversarium.metrics.cost import estimate_cost
from adversarium.spec import make
from adversarium.study.jobs import Job, JobState
from adversarium.study.material import Material
from adversarium.study.methods import check_methods
from adversarium.study.plan import SEED_OF_TRIALS, Method, Plan, check_plan
from adversarium.study.pool import cores_here
from adversarium.study.power import least_seeds
from adversarium.study.progress import makespan
from adversarium.study.run import gradients_of, resolved, run_config, trial_key
from adversarium.study.search import PRUNERS, SAMPLERS, dimensions, import_optuna, options_of
from adversarium.train.build import build
from adversarium.train.evaluator import drawing
from adversarium.train.resolve import known
from adversarium.train.stacked import StackedTraining, stackable
from adversarium.train.training import Training
from adversarium.train.watch import Watch

TIMED_STEPS = 4
"""Steps of each method that are taken at least, to see that they can be, and how long they last."""

MOST_TOGETHER = 64
"""So many runs are trained stacked at most."""

WIDEST_STACKED = 256
"""On a CPU, networks up to this width gain by being stacked.

Seconds one after another over seconds stacked, of 64 games with batches of 64 on two cores (``bench_stacked.py``): 8.2
at width 32, 4.7 at 64, 3.05 at 128, 1.5 at 256, 0.82 at 512.
"""

_TIMED_SECONDS, _MOST_STEPS = 0.5, 32
_RUN_SECONDS = 0.3  # of folders, checkpoints and a record, for each run
_REPORT_SECONDS = 5.0
_MOST_START_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class Prospect:
    """What is known of a method before its runs.

    Attributes:
        method: its name.
        steps: of the generator in a run; ``None`` of a budget in seconds.
        seconds: about how long as many runs as are trained together take, with all measurements, on one worker.
        trial_seconds: about how long a trial takes, with all its seeds.
        together: how many runs of it are trained stacked.
        alone: why they are not, where they are not.
    """

    method: str
    steps: int | None
    seconds: float
    trial_seconds: float
    together: int
    alone: str


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What is known of a study before it begins.

    Attributes:
        prospects: of its methods, in the plan's order.
        seconds: about how long it takes with that many workers, from their start to its report.
        workers: how many there are work for.
    """

    prospects: tuple[Prospect, ...]
    seconds: float
    workers: int


def outlook(
    plan: Plan,
    source: Source,
    *,
    workers: int,
    device: str = "auto",
    on_method: Callable[[str], None] = lambda name: None,
) -> Outlook:
    """Return what is known of a plan's methods after a few steps of each, and how long it will all take.

    Raises:
        InputError: a plan that cannot be carried out: methods, seeds, protocols, searches or a budget that do not fit;
            the message names the method.
    """
    require(workers >= 1, f"workers is {workers}: wanted at least 1")
    starting, began = min(time.process_time(), _MOST_START_SECONDS), time.perf_counter()  # as each worker will
    check_methods(plan.methods, plan.options)
    check_plan(plan)
    trials = _searched(plan, source) if plan.trials else None
    material = Material.of_runs(plan, source)
    starting += time.perf_counter() - began
    found = []
    with _threads(max(1, cores_here() // workers)):
        for method in plan.methods:
            on_method(method.name)
            try:
                if trials is not None:
                    _try_settings(plan, method, trials, device)
                found.append(_prospect(plan, method, material, workers, device))
            except InputError as error:
                said = str(error)
                named = said.startswith(f"method {method.name}:")
                raise InputError(said if named else f"method {method.name}: {said}") from error
    jobs = jobs_of(plan, found)
    busy = min(workers, lots_of(jobs))
    seconds = starting + played(jobs, busy) * max(1.0, busy / cores_here()) + _REPORT_SECONDS
    return Outlook(prospects=tuple(found), seconds=seconds, workers=busy)


def _searched(plan: Plan, source: Source) -> Material:
    """Return what trials are judged by, once it is clear that they can be made."""
    import_optuna()
    lookup("sampler", plan.sampler, SAMPLERS)
    lookup("pruner", plan.pruner, PRUNERS)
    for method in plan.methods:
        dimensions(method, plan.options)
    return Material.of_trials(plan, source)


def _try_settings(plan: Plan, method: Method, material: Material, device: str) -> None:
    """Refuse a search that looks where no run of this method could be: at the ends of each dimension."""
    for each in dimensions(method, plan.options):
        for value in each.ends:
            options = options_of({each.option: value})
            try:
                _built(plan, method, material, SEED_OF_TRIALS, device, options, whole=bool(each.choices))
            except InputError as error:
                raise InputError(f"search of {each.option} tries {value}: {error}") from error


def _built(
    plan: Plan,
    method: Method,
    material: Material,
    seed: int,
    device: str,
    options: dict[str, object] | None = None,
    whole: bool = True,
) -> Training | None:
    """Return a run at its first step; where the ``whole`` of it is not wanted its options are checked only."""
    config = run_config(
        plan, method, material, seed=seed, out=Path("study"), options={**(options or {}), "device": device}
    )
    config = resolved(config, material.source)
    return build(config, material.source) if whole else None


def too_few_seeds(plan: Plan) -> int:
    """Return how many seeds it takes that any two methods can be told apart; 0 where there are as many."""
    pairs = math.comb(len(plan.methods), 2)
    wanted = least_seeds(pairs, plan.level) if pairs else 0
    return wanted if wanted > len(plan.seeds) else 0


def jobs_of(plan: Plan, prospects: Sequence[Prospect]) -> list[Job]:
    """Return all that a study has to do: each method's trials, then the runs; the first seed of all methods first."""
    found = []
    for each, method in zip(prospects, plan.methods, strict=True):
        # trials learn from those before: a worker holds one at a time
        for number in range(plan.trials if method.search else 0):
            found.append(
                Job(
                    key=trial_key(method.name, number),
                    group=f"trial/{method.name}",
                    payload={"kind": "trial", "method": method.name, "number": number, "together": each.together},
                    cost=each.trial_seconds,
                )
            )
    for seed in plan.seeds:
        for each, method in zip(prospects, plan.methods, strict=True):
            found.append(
                Job(
                    key=f"run/{method.name}/{seed}",
                    group=f"run/{method.name}",
                    after=f"trial/{method.name}" if plan.trials and method.search else "",
                    cost=each.seconds / each.together,
                    together=each.together,
                    payload={"kind": "run", "method": method.name, "seed": seed},
                )
            )
    return found


def _prospect(plan: Plan, method: Method, material: Material, workers: int, device: str) -> Prospect:
    training = _training(plan, method, material, plan.seeds[0], device)
    config = training.config
    rule = make(known(config.game), "game", GAMES)
    images = rule.critic_evaluations * config.batch_size
    seconds = _timed(training)
    if config.steps is not None:
        steps: int | None = config.steps
    else:
        steps = None if config.kimg is None else math.ceil(config.kimg * 1000 / images)
    taken = max(1, round(plan.budget.amount / seconds)) if steps is None else steps
    if taken < plan.measurements:
        one = {"seconds": seconds, "kimg": images / 1000, "gradients": gradients_of(rule)}[plan.budget.unit]
        least = math.ceil(100 * one * plan.measurements) / 100
        raise InputError(
            f"budget is {plan.budget}, which is about {taken} step{'s' * (taken > 1)}: too few for "
            f"{plan.measurements} measurements; wanted at least {least:g} {plan.budget.unit}, or --measurements "
            f"{taken}"
        )
    alone = _why_alone(plan, training)
    together = 1 if alone else _together(plan, workers)
    draw = drawing(training.average.module, training.codec, training.feed)
    measuring = estimate_cost(material.measuring, draw).draw
    each = _RUN_SECONDS + plan.measurements * measuring
    if config.diagnose_every_steps:
        began = time.perf_counter()
        Watch(training).probe()
        each += taken // config.diagnose_every_steps * (time.perf_counter() - began)
    # of a run, and of no trial: the untrained generator, and the further protocols
    more = measuring + (0.0 if material.others is None else estimate_cost(material.others, draw).draw)
    whole = plan.budget.amount if steps is None else steps * seconds

    def stacked(count: int) -> float:
        """Return how long so many runs take together."""
        if count == 1:
            return whole
        runs = [_training(plan, method, material, seed, device) for seed in plan.seeds[:count]]
        return taken * _timed_together(runs)

    tried = min(together, plan.trial_seeds) if plan.trials and method.search else 1
    return Prospect(
        method=method.name,
        steps=steps,
        seconds=stacked(together) + together * (each + more),
        trial_seconds=plan.trial_seeds * (stacked(tried) / tried + each),
        together=together,
        alone=alone,
    )


def _training(plan: Plan, method: Method, material: Material, seed: int, device: str) -> Training:
    training = _built(plan, method, material, seed, device)
    assert training is not None
    return training


def _why_alone(plan: Plan, training: Training) -> str:
    """Return why runs of a method are not trained stacked; empty where they are."""
    if plan.budget.unit == "seconds":
        return "a budget in seconds is of each run"
    width = training.config.width or 0
    if next(training.step.critic.parameters()).device.type == "cpu" and width > WIDEST_STACKED:
        return f"its networks are {width} wide: on a CPU, stacks of more than {WIDEST_STACKED} are slower"
    return stackable(training.config)


def _together(plan: Plan, workers: int) -> int:
    """Return how many runs of a method one worker takes, so that all have work."""
    share = max(1, workers // len(plan.methods))  # of the workers, for each method
    return min(math.ceil(len(plan.seeds) / share), MOST_TOGETHER)


def _timed(training: Training) -> float:
    """Return how long a step takes."""
    images, marks = 0, [time.perf_counter()]
    try:
        for _ in _some_steps(marks):
            images = training.move(images)
            training.step.measurements()  # waits for a GPU
            marks.append(time.perf_counter())
    except ArithmeticError:  # it diverges at once, which the study will tell
        marks.append(time.perf_counter())
    return _typical(marks)


def _timed_together(trainings: Sequence[Training]) -> float:
    """Return how long a step of stacked runs takes."""
    stack, images, marks = StackedTraining(trainings), 0, [time.perf_counter()]
    for _ in _some_steps(marks):
        if not stack.playing:
            break
        try:
            images = stack.move(images)
            for number in stack.playing:
                trainings[number].step.measurements()
        except ArithmeticError:
            pass
        marks.append(time.perf_counter())
    return _typical(marks)


def _some_steps(marks: Sequence[float]) -> Iterator[int]:
    """Yield as long as more steps are to be timed."""
    while len(marks) <= TIMED_STEPS or (len(marks) <= _MOST_STEPS and marks[-1] - marks[0] < _TIMED_SECONDS):
        yield len(marks)


def _typical(marks: Sequence[float]) -> float:
    """Return how long a step takes, whatever else the machine did in one of them."""
    took = [after - before for before, after in itertools.pairwise(marks)]
    return statistics.median(took[1:] or took)  # the first makes what the others use


def lots_of(jobs: Sequence[Job]) -> int:
    """Return how often workers claim, until they have all of these jobs."""
    counts = Counter((job.group, job.together) for job in jobs)
    return sum(math.ceil(count / together) for (_, together), count in counts.items())


def played(jobs: Sequence[Job], workers: int) -> float:
    """Return how long these jobs take so many workers, of whom none has begun."""
    states = [
        JobState(job=job, state="waiting", worker="", attempt=0, progress=0.0, seconds=0.0, result=None)
        for job in jobs
    ]
    return makespan(states, workers, lambda state: state.job.cost)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute with as many threads as a worker has."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
