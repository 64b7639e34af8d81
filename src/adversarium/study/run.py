"""A study's jobs, done: its runs, trained and measured, and the trials of its searches."""

import dataclasses
import os
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

import adversarium
from adversarium.config import TrainConfig, with_budget
from adversarium.data import Source, conditions_of
from adversarium.diagnostics import Circumstances, diagnose
from adversarium.errors import InputError, require
from adversarium.games import GAMES
from adversarium.metrics.measurement import measure
from adversarium.metrics.metric import Metric
from adversarium.metrics.protocols import Protocol
from adversarium.spec import make
from adversarium.study import statistics
from adversarium.study.jobs import Claim
from adversarium.study.material import Material, open_source
from adversarium.study.methods import config_of, folder_name
from adversarium.study.plan import SEED_OF_TRIALS, Method, Plan
from adversarium.study.record import Point, Record, Suspicion, finite
from adversarium.study.search import Search, best_trial
from adversarium.study.worker import MOST_DEATHS, Report
from adversarium.train.build import build
from adversarium.train.evaluator import drawing
from adversarium.train.folder import RunFolder
from adversarium.train.loop import Run, StoppedError, train_together
from adversarium.train.precision import resolve_device
from adversarium.train.resolve import conditions_for, known, resolve
from adversarium.train.sample import generate, load_generator
from adversarium.train.terms import played
from adversarium.types import GameRule

IMAGES, POINTS = 16, 1000
"""Samples that a record keeps."""

_SEED_OF_SAMPLES = 0


class Pruned(Exception):
    """A trial that is hopeless was given up."""


def gradients_of(rule: GameRule) -> int:
    """Return how many gradients of either player's loss a step takes."""
    return rule.critic_evaluations + rule.generator_evaluations


def trial_key(method: str, number: int) -> str:
    """Return the key of a trial's job."""
    return f"trial/{method}/{number}"


def cost_of(value: float | None, metric: Metric) -> float | None:
    """Return a protocol's number as a cost: smaller is better, whatever the metric."""
    return None if value is None else statistics.cost(value, metric.better)


class Performer:
    """Does a study's jobs in this process.

    Args:
        plan: the study.
        folder: where its runs go.
        url: its database, where its searches have their trials.
        name: its name there.
        chosen: returns the results of a method's trials, once they are all done.
        again: does what asks the database, again where its trouble may pass.
        device: where to train and measure.
        on_decode: called while image files are decoded.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        *,
        url: str,
        name: str,
        chosen: Callable[[str], Sequence[Mapping[str, Any]]],
        again: Callable[[Callable[[], Any]], Any] = lambda work: work(),
        device: str = "auto",
        on_decode: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self._plan, self._folder, self._url, self._name, self._chosen = plan, folder, url, name, chosen
        self._device, self._again = device, again
        self._methods = {method.name: method for method in plan.methods}
        self._source = open_source(plan, on_decode)
        self._materials: dict[str, Material] = {}
        self._searches: dict[str, Search] = {}

    def __call__(self, claims: Sequence[Claim], report: Report) -> dict[str, Mapping[str, Any]]:
        """Do jobs of one group; return their results by key, of those that were done.

        Args:
            claims: the jobs.
            report: called with a job's key and how far it is, from 0 to 1; what it raises ends the work.
        """
        kind = claims[0].job.payload["kind"]
        if claims[0].deaths >= MOST_DEATHS:  # it is held alone, then
            return {claim.job.key: self._given_up(claim) for claim in claims}
        material = self._material(kind)
        if report.stopping:  # from here on a run looks for signals itself
            return {}
        if kind == "run":
            return self._runs(claims, material, report)
        found: dict[str, Mapping[str, Any]] = {}
        for claim in claims:
            if (result := self._trial(claim, material, report)) is not None:
                found[claim.job.key] = result
        return found

    def _material(self, kind: str) -> Material:
        """Return the data of runs or of trials, with what measures them, made once."""
        if kind not in self._materials:
            make_one = Material.of_runs if kind == "run" else Material.of_trials
            self._materials[kind] = make_one(self._plan, self._source, str(resolve_device(self._device)))
        return self._materials[kind]

    def _runs(self, claims: Sequence[Claim], material: Material, report: Report) -> dict[str, Mapping[str, Any]]:
        method = self._methods[claims[0].job.payload["method"]]
        options: Mapping[str, Any] = {}
        if self._plan.trials and method.search:
            trials = self._chosen(method.name)
            best = best_trial(trials)
            if best is None:
                return {claim.job.key: _without_settings(method, claim, trials).as_dict() for claim in claims}
            options = best["options"]
        configs = [
            run_config(
                self._plan,
                method,
                material,
                seed=claim.job.payload["seed"],
                out=self._folder / "runs" / folder_name(method.name) / f"seed{claim.job.payload['seed']}",
                options={**options, "device": self._device},
            )
            for claim in claims
        ]
        ended = train_together(
            configs,
            source=material.source,
            measuring=material.measuring,
            pictured=False,  # pictures come with the report
            observers=[
                [lambda line, key=claim.job.key: report(key, line["progress"])]  # type: ignore[misc]
                for claim in claims
            ],
        )
        _refuse_disk_errors(ended)
        return {
            claim.job.key: record_of(
                method, claim.job.payload["seed"], Path(str(config.out)), end, material,
                attempts=claim.attempt, together=len(claims),
            ).as_dict()
            for claim, config, end in zip(claims, configs, ended, strict=True)
            if isinstance(end, StoppedError) or end.signal is None
        }  # fmt: skip

    def _trial(self, claim: Claim, material: Material, report: Report) -> Mapping[str, Any] | None:
        """Do one trial of a method's search; return its options and what they cost, ``None`` where a signal came."""
        key, payload = claim.job.key, claim.job.payload
        method, search = self._methods[payload["method"]], self._search(payload["method"])
        out = self._folder / "trials" / folder_name(method.name) / f"trial{payload['number']}"
        if (told := search.told(key)) is not None:
            return told
        trial, options = search.trial(key)
        metric = Protocol.parse(material.protocol).metric

        def watch(line: Mapping[str, float]) -> None:
            report(key, line["progress"])
            cost = cost_of(finite(line.get(material.protocol)), metric)
            measured = round(line["progress"] * self._plan.measurements)
            if cost is not None and line["progress"] < 1 and search.is_hopeless(trial, cost, measured):
                raise Pruned

        pruned, why, cost = False, "", None
        try:
            config = run_config(
                self._plan, method, material, seed=SEED_OF_TRIALS, out=out, options={**options, "device": self._device}
            )
            if not out.exists():
                build(resolved(config, material.source), material.source)
        except InputError as error:  # options that do not go together; anything else is no fault of theirs
            why = str(error)
        trained = not why
        if trained:
            try:
                (end,) = train_together(
                    [config], source=material.source, measuring=material.measuring, observers=[[watch]], pictured=False
                )
            except Pruned:
                pruned = True
            else:
                _refuse_disk_errors([end])
                if isinstance(end, Run) and end.signal is not None:
                    return None
                value, why = ended_with(RunFolder.open(out).records(), end, material)
                cost = cost_of(value, metric)
        search.tell(trial, cost, pruned=pruned, why=why)
        if trained:  # of its run only the number counts; and nobody else trains it, whose folder was locked here
            shutil.rmtree(out, ignore_errors=True)
        return {"options": dict(options), "cost": cost, "pruned": pruned, "why": why}

    def _search(self, name: str) -> Search:
        """Return the search of a method, opened once."""
        if name not in self._searches:
            self._searches[name] = Search(self._url, self._name, self._plan, self._methods[name], again=self._again)
        return self._searches[name]

    def _given_up(self, claim: Claim) -> Mapping[str, Any]:
        """Return the result of a job that keeps killing its workers: it failed."""
        method = self._methods[claim.job.payload["method"]]
        why = (
            f"{claim.deaths} processes died of it, one after the other, and none got further than those before: "
            "out of memory, say"
        )
        if claim.job.payload["kind"] == "trial":
            search = self._search(method.name)
            if (told := search.told(claim.job.key)) is not None:
                return told
            trial, options = search.trial(claim.job.key)
            search.tell(trial, None, why=why)
            return {"options": dict(options), "cost": None, "pruned": False, "why": why}
        return _without_run(method, claim, why).as_dict()


def _without_settings(method: Method, claim: Claim, trials: Sequence[Mapping[str, Any]]) -> Record:
    """Return the record of a run for which the search found no settings: it counts as failed."""
    why = next((each["why"] for each in trials if each["why"]), "")
    return _without_run(
        method, claim, f"all {len(trials)} trials of its search failed" + (f"; the first: {why}" if why else "")
    )


def _without_run(method: Method, claim: Claim, why: str) -> Record:
    """Return the record of a run of which nothing is known but why it failed."""
    return Record(
        method=method.name,
        seed=claim.job.payload["seed"],
        value=None,
        why=why,
        attempts=claim.attempt,
        options=dict(method.options),
        versions=versions(),
    )


def _refuse_disk_errors(ended: Sequence[Run | StoppedError]) -> None:
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
    circumstances = Circumstances(config=config, preset=played(config), ended=why)
    last = lines[-1] if lines else {"step": 0, "kimg": 0.0, "seconds": 0.0}
    return Record(
        method=method.name,
        seed=seed,
        value=value,
        why=why,
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
