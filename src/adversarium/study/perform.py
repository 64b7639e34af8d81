"""A study's jobs, done in this process: its runs, and the trials of its searches."""

import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from adversarium.errors import InputError
from adversarium.study.jobs import Claim
from adversarium.study.material import Material, open_source
from adversarium.study.methods import folder_name
from adversarium.study.plan import SEED_OF_TRIALS, Method, Plan
from adversarium.study.record import Record
from adversarium.study.run import record_of, refuse_disk_errors, resolved, run_config, versions
from adversarium.study.search import Search, best_trial
from adversarium.study.trial import Judged, judge
from adversarium.study.worker import MOST_DEATHS, Report
from adversarium.train.build import build
from adversarium.train.loop import StoppedError, train_together
from adversarium.train.precision import resolve_device


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
        refuse_disk_errors(ended)
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
            _remove(out)
            return told
        trial, options = search.trial(key)
        try:
            configs = [
                run_config(
                    self._plan,
                    method,
                    material,
                    seed=SEED_OF_TRIALS + number,
                    out=out / f"seed{number}",
                    options={**options, "device": self._device},
                )
                for number in range(self._plan.trial_seeds)
            ]
            if not out.exists():
                build(resolved(configs[0], material.source), material.source)
        except InputError as error:  # options that do not go together; anything else is no fault of theirs
            judged: Judged | None = Judged(why=str(error))
        else:
            judged = judge(
                configs,
                material,
                measurements=self._plan.measurements,
                together=1 if claim.deaths >= 2 else payload["together"],  # alone, as runs are then
                stopping=lambda: report.stopping,
                report=lambda share: report(key, share),
                is_hopeless=lambda cost, count: search.is_hopeless(trial, cost, count),
            )
        if judged is None:
            return None
        search.tell(trial, judged.cost, pruned=judged.pruned, why=judged.why)
        _remove(out)  # nobody else trains its runs, whose folders were locked here
        return {"options": dict(options), **dataclasses.asdict(judged)}

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


def _remove(trial: Path) -> None:
    """Remove the runs of a trial, of which only the number counts; what cannot be removed harms nobody."""
    shutil.rmtree(trial, ignore_errors=True)


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
