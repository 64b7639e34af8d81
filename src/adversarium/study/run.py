"""A run of a study: its configuration, how it ended, and what is kept of it."""

import dataclasses
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

import adversarium
from adversarium.config import TrainConfig, with_budget
from adversarium.data import Source, conditions_of
from adversarium.diagnostics import Circumstances, diagnose
from adversarium.errors import require
from adversarium.games import GAMES
from adversarium.metrics.measurement import measure
from adversarium.metrics.metric import Metric
from adversarium.spec import make
from adversarium.study import statistics
from adversarium.study.material import Material
from adversarium.study.methods import config_of
from adversarium.study.plan import Method, Plan
from adversarium.study.record import Point, Record, Suspicion, finite
from adversarium.train.build import build
from adversarium.train.evaluator import drawing
from adversarium.train.folder import RunFolder
from adversarium.train.loop import Run, StoppedError
from adversarium.train.resolve import conditions_for, known, resolve
from adversarium.train.sample import generate, load_generator
from adversarium.train.terms import played
from adversarium.types import GameRule

IMAGES, POINTS = 16, 1000
"""Samples that a record keeps."""

_SEED_OF_SAMPLES = 0


def gradients_of(rule: GameRule) -> int:
    """Return how many gradients of either player's loss a step takes."""
    return rule.critic_evaluations + rule.generator_evaluations


def trial_key(method: str, number: int) -> str:
    """Return the key of a trial's job."""
    return f"trial/{method}/{number}"


def cost_of(value: float | None, metric: Metric) -> float | None:
    """Return a protocol's number as a cost: smaller is better, whatever the metric."""
    return None if value is None else statistics.cost(value, metric.better)


def refuse_disk_errors(ended: Sequence[Run | StoppedError]) -> None:
    """Raise what stopped a run that is no failure of its method: a disk that is full, say."""
    for end in ended:
        if isinstance(end, StoppedError) and isinstance(end.__cause__, OSError):
            raise end.__cause__


def run_config(
    plan: Plan,
    method: Method,
    material: Material,
    *,
    seed: int,
    out: Path,
    options: Mapping[str, Any],
) -> TrainConfig:
    """Return the configuration of one run of a study.

    Raises:
        InputError: options that do not go together, or a budget that does not reach for one step.
    """
    config = config_of(
        method,
        {
            **plan.options,
            "data": plan.data,
            "seed": seed,
            "out": str(out),
            "hold_out": material.hold_out,
            "evaluate": material.protocol,
            "evaluate_times": plan.measurements,
            "keep_checkpoints": 1,
            **options,
        },
    )
    if plan.budget.unit != "gradients":
        return with_budget(config, {plan.budget.unit: plan.budget.amount})
    each = gradients_of(rule_played(config, material.source))
    steps = int(plan.budget.amount) // each
    require(
        steps >= 1,
        f"budget is {plan.budget}, and a step of {method.name} takes {each}: wanted at least "
        f"{each * plan.measurements}gradients",
    )
    return with_budget(config, {"steps": steps})


def resolved(config: TrainConfig, source: Source) -> TrainConfig:
    """Return the configuration of a run with every option known.

    Raises:
        InputError: options that do not go together, or with the data.
    """
    conditions = conditions_for(config, source)
    return resolve(config, source.codec, None if conditions is None else conditions.condition)


def rule_played(config: TrainConfig, source: Source) -> GameRule:
    """Return the game rule of a run."""
    return make(known(resolved(config, source).game), "game", GAMES)


def ended_with(
    lines: Sequence[Mapping[str, float]], end: Run | StoppedError, material: Material
) -> tuple[float | None, str]:
    """Return the protocol's number at the end of a run, or ``None`` and why there is none."""
    if isinstance(end, StoppedError):
        return None, str(end)
    measured = [line for line in lines if material.protocol in line]
    value = finite(measured[-1][material.protocol]) if measured else None
    return value, "" if value is not None else f"{material.protocol} is not finite"


def record_of(
    method: Method,
    seed: int,
    path: Path,
    end: Run | StoppedError,
    material: Material,
    *,
    attempts: int = 1,
    together: int = 1,
) -> Record:
    """Return what is kept of a run that has ended: read from its folder, and measured once more where it is sound."""
    folder = RunFolder.open(path)
    config, lines = folder.config(), folder.records()
    each = gradients_of(make(known(config.game), "game", GAMES))
    curve = tuple(
        Point(
            kimg=line["kimg"],
            seconds=line["seconds"],
            gradients=int(line["step"]) * each,
            value=finite(line[material.protocol]),
        )
        for line in lines
        if material.protocol in line
    )
    value, why = ended_with(lines, end, material)
    others, samples = _looked_at(folder, material) if not why else ({}, None)
    untrained = None if why else _untrained(config, material)
    circumstances = Circumstances(config=config, preset=played(config), ended=why)
    last = lines[-1] if lines else {"step": 0, "kimg": 0.0, "seconds": 0.0}
    return Record(
        method=method.name,
        seed=seed,
        value=value,
        why=why,
        untrained=untrained,
        floor=_floor(material),
        others=others,
        curve=curve,
        suspicions=tuple(
            Suspicion(
                kind=found.kind,
                what=found.what,
                since_kimg=found.since_kimg,
                severity=found.severity,
                cause=found.cause,
            )
            for found in diagnose(lines, circumstances)
        ),
        steps=int(last["step"]),
        kimg=last["kimg"],
        gradients=int(last["step"]) * each,
        seconds=last["seconds"],
        together=together,
        attempts=attempts,
        options=dataclasses.asdict(config),
        versions=versions(),
        samples=samples,
        folder=str(path),
    )


def _floor(material: Material) -> float | None:
    """Return what the study's protocol says of real samples."""
    ((_, floor),) = material.measuring.floor(material.measuring.protocols).items()
    return finite(floor.values[0]) if floor.values else None


def _untrained(config: TrainConfig, material: Material) -> float | None:
    """Return the study's protocol of a run's generator as it was before the first step."""
    training = build(config, material.source)
    (found,) = measure(material.measuring, drawing(training.average.module, training.codec, training.feed))
    return finite(found.mean)


def _looked_at(folder: RunFolder, material: Material) -> tuple[dict[str, float | None], npt.NDArray[Any]]:
    """Return the further protocols of a run's generator, and samples at the codes that all runs are pictured at."""
    trained = load_generator(folder.path, device=str(material.measuring.device))
    feed = trained.feed
    if feed.conditions is not None:  # vectors are in the data alone
        feed = dataclasses.replace(feed, conditions=conditions_of(material.source))
    others: dict[str, float | None] = {}
    if material.others is not None:
        for each in measure(material.others, drawing(trained.module, trained.codec, feed)):
            others[each.protocol.name] = finite(each.mean)
    count = IMAGES if trained.codec.is_image else POINTS
    codes, condition = feed.draw(count, torch.Generator().manual_seed(_SEED_OF_SAMPLES))
    return others, generate(trained.module, trained.codec, codes, condition)


def versions() -> dict[str, str]:
    """Return the versions that a result depends on, and the machine."""
    return {
        "adversarium": adversarium.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "threads": str(torch.get_num_threads()),
    }
