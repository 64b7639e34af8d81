"""How well do the diagnostics find what is wrong? Provoked failures and sound runs, judged as by a detector.

    python benchmarks/diagnosis.py --out FOLDER [--kinds ...] [--data ...] [--seeds 0-9] [--workers 1]
    python benchmarks/diagnosis.py --out FOLDER --table [--seeds 0-9]
    python benchmarks/diagnosis.py --out FOLDER --repair [--kinds ...] [--data ...] [--seeds 0-9] [--workers 1]
    python benchmarks/diagnosis.py --out FOLDER --calibrate [--kinds ...] [--seeds 100-103]

The first trains each (kind, data, seed) of `_provoked.py` once, `healthy` being a kind too, and keeps its config, log,
facts on its data, and 1,000 or 2,500 samples of the averaged generator; no checkpoints. What is there already is not
trained again, so that it can be stopped and continued, and detectors can be changed and judged without training.

`--table` asks `adversarium.diagnostics.diagnose` about each kept run, and prints as markdown: for each kind and data
the share of runs in which each kind was found; each kind's sensitivity (the share of the runs in which it was provoked
where it was found, among others or alone), and the false alarms: the share of sound runs with any finding.

`--repair` sets the options of the first remedy of the provoked finding (for a problem of the data: takes sound data)
and trains again with the same seed, for as long as a sound run. A run counts as repaired if the finding is gone, none
came that is more severe, and the samples are as near to the data as those of sound runs (`_provoked.GOOD`). A run in
which the provoked kind was not found counts as not repaired.

`--calibrate` prints, for each number in the records and a few ways to read it, how well it tells a kind's runs from
the sound ones: the area under the ROC curve, and both sides' quantiles. Thresholds are fixed on the seeds 100 to 103;
what is reported is measured on the seeds 0 to 9.
"""

import argparse
import dataclasses
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _provoked import FULL_KIMG, GOOD, HEALTHY, PROVOKED, Options, path_of, sound
from torch import Tensor

from adversarium import diagnostics
from adversarium.config import TrainConfig, with_budget
from adversarium.data import open_data
from adversarium.data.toys import Mixture
from adversarium.diagnostics import Circumstances, Finding
from adversarium.errors import InputError
from adversarium.features import open_features
from adversarium.metrics.modes import mode_scores
from adversarium.presets import PRESETS
from adversarium.train import StoppedError, load_generator, sample_run, train
from adversarium.train.folder import RunFolder

CALIBRATION = "100-103"
REPORTED = "0-9"


@dataclass(frozen=True, order=True)
class Case:
    """A run to train.

    Attributes:
        kind: the failure that is provoked, or ``healthy``.
        name: on what; of sound runs also by which method.
        seed: the seed.
    """

    kind: str
    name: str
    seed: int

    @property
    def options(self) -> Options:
        """The options of ``adversarium train``, all but the seed and the folder."""
        if self.kind == "healthy":
            data, _, method = self.name.partition(" ")
            return HEALTHY[data][method]
        return PROVOKED[self.kind][self.name]

    def folder(self, out: Path) -> Path:
        """Where it is kept."""
        return out / self.kind / self.name.replace(" ", "-") / str(self.seed)


def cases(kinds: Sequence[str], data: Sequence[str], seeds: Sequence[int]) -> list[Case]:
    """Return what was asked for, seed by seed, so that what is there early has all kinds."""
    names = [(kind, name) for kind, names in PROVOKED.items() for name in names]
    names += [("healthy", f"{name} {method}") for name, methods in HEALTHY.items() for method in methods]
    return [
        Case(kind, name, seed)
        for seed in seeds
        for kind, name in names
        if (not kinds or kind in kinds) and (not data or sound(Case(kind, name, 0).options["data"]) in data)
    ]


# ---- runs


def configured(case: Case, made: Path) -> TrainConfig:
    """Return the configuration of a case."""
    options = {**case.options, "data": path_of(case.options["data"], made)}
    return TrainConfig(**options, seed=case.seed, device="cpu", sample_every_kimg=1e9, checkpoint_every_seconds=1e9)


def run(config: TrainConfig, folder: Path) -> dict[str, Any]:
    """Train a run, and keep what is needed to judge it; a folder that is there is whole."""
    torch.set_num_threads(1)
    part = folder.with_name(f".{folder.name}")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    config = dataclasses.replace(config, out=str(part))
    source = open_data(config.data)
    started, ended, quality = time.process_time(), "", {}
    try:
        trained = train(config)
    except StoppedError as error:
        ended = str(error)
    seconds = time.process_time() - started
    if not ended:
        count = 2500 if isinstance(source, Mixture) or not source.codec.is_image else 1000
        samples = sample_run(load_generator(trained.path, device="cpu"), count, seed=1000 + config.seed)
        np.savez_compressed(part / "samples.npz", samples=samples)
        quality = {name: round(value, 5) for name, value in judged(samples, config.data).items()}
    outcome = {"seconds": round(seconds, 1), "ended": ended, "quality": quality}
    (part / "data_facts.json").write_text(json.dumps(diagnostics.data_facts(source)))
    (part / "outcome.json").write_text(json.dumps(outcome))
    shutil.rmtree(part / "checkpoints", ignore_errors=True)
    part.replace(folder)
    return outcome


def judged(samples: Any, data: str) -> dict[str, float]:
    """Return how near samples are to the sound data, and how much of them they cover: modes, or the least digit."""
    seen = torch.as_tensor(samples).float()
    truth = open_data(sound(Path(data).name))
    if isinstance(truth, Mixture):
        seen = seen[:, : len(truth.modes[0])]
        real = truth.sample(2500, torch.Generator().manual_seed(1))
        scores = mode_scores(seen, truth.modes, truth.std)
        return {
            "distance": distance(seen, real),
            "covered": covered(seen, truth),
            "high_quality": float(scores.high_quality),
        }
    see = open_features("lenet").see
    seen = see(seen[:, :1])
    real = see(torch.from_numpy(truth.take(np.arange(0, 10_000, 10))))
    assert seen.probabilities is not None
    shares = seen.probabilities.mean(0).double()
    return {
        "distance": distance(seen.rows, real.rows),
        "covered": float(10 * shares.min()),
        "sure": float((seen.probabilities.amax(1) > 0.9).double().mean()),
    }


def covered(samples: Tensor, truth: Mixture) -> float:
    """Return the share of modes with a fifth of their samples or more nearer than a quarter of the modes' distance."""
    nearest, which = torch.cdist(samples.double(), truth.modes).min(dim=1)
    close = nearest < torch.pdist(truth.modes).min() / 4
    counts = torch.bincount(which[close], minlength=len(truth.modes))
    return float((counts >= 0.2 * len(samples) / len(truth.modes)).double().mean())


def distance(one: Tensor, other: Tensor) -> float:
    """Return the energy distance of two sets of points over twice their mean distance: from 0 (equal) to 1."""
    one, other = one.double(), other.double()
    within = [torch.pdist(each).mean() for each in (one, other)]
    return float(1 - sum(within) / (2 * torch.cdist(one, other).mean()))


@dataclass(frozen=True)
class Kept:
    """A run that was trained."""

    case: Case
    records: list[dict[str, float]]
    circumstances: Circumstances
    outcome: dict[str, Any]

    @classmethod
    def read(cls, case: Case, folder: Path) -> "Kept":
        """Read it."""
        files = RunFolder.open(folder)
        config = files.config()
        outcome = json.loads((folder / "outcome.json").read_text())
        facts = json.loads((folder / "data_facts.json").read_text())
        circumstances = Circumstances(config=config, preset=PRESETS[config.preset], ended=outcome["ended"], data=facts)
        return cls(case, files.records(), circumstances, outcome)

    def findings(self) -> list[Finding]:
        """Return what is found wrong with it."""
        return diagnostics.diagnose(self.records, self.circumstances)

    def good(self) -> bool:
        """Return whether its samples are as near to the data as those of sound runs."""
        quality = self.outcome["quality"]
        farthest, least = GOOD[sound(Path(self.circumstances.config.data).name)]
        return bool(quality) and quality["distance"] <= farthest and quality["covered"] >= least


def repaired(before: Kept) -> TrainConfig | None:
    """Return the configuration as the first remedy of the provoked finding changes it, for a run of full length."""
    found = [each for each in before.findings() if each.kind == before.case.kind]
    if not found or not found[0].remedies:
        return None
    try:
        config = dataclasses.replace(before.circumstances.config, **found[0].remedies[0].options)
    except InputError as error:
        print(f"{before.case}: the remedy is refused: {error}", file=sys.stderr)
        return None
    if before.case.kind.startswith("data_"):  # the remedy is to mend the data
        config = dataclasses.replace(config, data=sound(Path(config.data).name))
    if config == before.circumstances.config:
        return None
    return with_budget(config, {"kimg": FULL_KIMG[sound(Path(config.data).name)]})


def repaired_folder(config: TrainConfig, out: Path) -> Path:
    """Return where a repaired run is kept: one folder for all kinds whose remedies lead to the same run."""
    settings = json.dumps(dataclasses.asdict(dataclasses.replace(config, out=None)), sort_keys=True)
    return out / "repaired" / hashlib.sha256(settings.encode()).hexdigest()[:16]


# ---- what comes of it


def kept(out: Path, wanted: Sequence[Case]) -> list[Kept]:
    """Return those of the wanted runs that are there."""
    return [Kept.read(case, case.folder(out)) for case in wanted if case.folder(out).exists()]


def table(runs: Sequence[Kept]) -> str:
    """Return the confusion table, the sensitivities and the false alarms, as markdown."""
    found = {each.case: [finding.kind for finding in each.findings()] for each in runs}
    groups: dict[tuple[str, str], list[Kept]] = {}
    for each in runs:
        groups.setdefault((each.case.kind, each.case.name), []).append(each)
    kinds = [*PROVOKED, *sorted({kind for several in found.values() for kind in several} - set(PROVOKED))]
    heads = ["provoked", "on", "runs", "failed", *(kind.replace("_", " ") for kind in kinds)]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for (kind, name), members in groups.items():
        shares = [np.mean([each in found[member.case] for member in members]) for each in kinds]
        cells = [f"{100 * share:.0f}" if share else "" for share in shares]
        cells = [f"**{cell or 0}**" if each == kind else cell for each, cell in zip(kinds, cells, strict=True)]
        failed = np.mean([not member.good() for member in members])
        lines.append(f"| {' | '.join([kind, name, str(len(members)), f'{100 * failed:.0f} %', *cells])} |")
    lines += ["", "| kind | runs | found | first of the findings |", "|---|---|---|---|"]
    for kind in PROVOKED:
        provoked = [found[each.case] for each in runs if each.case.kind == kind]
        if provoked:
            right = np.mean([kind in each for each in provoked])
            first = np.mean([each[:1] == [kind] for each in provoked])
            lines.append(f"| {kind} | {len(provoked)} | {100 * right:.0f} % | {100 * first:.0f} % |")
    sound_runs = [each for each in runs if each.case.kind == "healthy"]
    alarms = [each for each in sound_runs if found[each.case]]
    if sound_runs:
        poor = sum(not each.good() for each in sound_runs)
        among = sum(not each.good() for each in alarms)
        share = len(alarms) / len(sound_runs)
        lines += ["", f"False alarms: {len(alarms)} of {len(sound_runs)} sound runs, {share:.1%}."]
        lines.append(f"Samples of {poor} of the sound runs are not good after all, {among} of the false alarms.")
        lines += [f"- {each.case.name}, seed {each.case.seed}: {', '.join(found[each.case])}" for each in alarms]
    return "\n".join(lines)


def repair_table(out: Path, runs: Sequence[Kept]) -> str:
    """Return the share of the provoked runs that their first remedy repaired, as markdown."""
    lines = ["| kind | on | runs | repaired | else |", "|---|---|---|---|---|"]
    groups: dict[tuple[str, str], list[Kept]] = {}
    for each in runs:
        if each.case.kind != "healthy":
            groups.setdefault((each.case.kind, each.case.name), []).append(each)
    good = 0
    for (kind, name), members in groups.items():
        verdicts = [_repaired(each, out) for each in members]
        good += verdicts.count("repaired")
        others = {each: verdicts.count(each) for each in dict.fromkeys(verdicts) if each != "repaired"}
        said = ", ".join(f"{each}: {count}" for each, count in others.items())
        lines.append(
            f"| {kind} | {name} | {len(members)} | {verdicts.count('repaired') / len(members):.0%} | {said} |"
        )
    total = sum(map(len, groups.values()))
    return "\n".join([*lines, "", f"Repaired: {good} of {total} runs, {good / max(1, total):.1%}."])


def _repaired(before: Kept, out: Path) -> str:
    """Return ``repaired``, or why a run is not."""
    kind = before.case.kind
    found = before.findings()
    if kind not in {each.kind for each in found}:
        return "not found"
    config = repaired(before)
    if config is None:
        return "no valid option to set"
    folder = repaired_folder(config, out)
    if not folder.exists():
        return "not run"
    after = Kept.read(before.case, folder)
    severity = {each.kind: each.severity for each in found}
    now = after.findings()
    if kind in {each.kind for each in now}:
        return "found again"
    worse = [each.kind for each in now if each.severity > severity[kind] and each.kind not in severity]
    if worse:
        return f"now {worse[0]}"
    return "repaired" if after.good() else "gone, but samples are not good"


# ---- how to choose thresholds


READINGS = {
    "first quarter": lambda values: np.median(values[: max(1, len(values) // 4)]),
    "last third": lambda values: np.median(values[-max(1, len(values) // 3) :]),
    "largest": np.max,
    "least": np.min,
    "deviation, last half": lambda values: np.std(values[len(values) // 2 :]),
}
"""Ways to make a number of a series."""


def calibration(runs: Sequence[Kept], best: int = 12) -> str:
    """Return which numbers tell a kind's runs from sound ones, and what they are on both sides, as markdown."""
    read = {each.case: _statistics(each.records) for each in runs}
    lines = []
    for kind in PROVOKED:
        for name in dict.fromkeys(case.name for case in read if case.kind == kind):
            lines += [
                f"## {kind} on {name}",
                "",
                "| number | area | provoked: least, median, most | sound: the same |",
            ]
            lines.append("|---|---|---|---|")
            failing = [values for case, values in read.items() if (case.kind, case.name) == (kind, name)]
            well = [values for case, values in read.items() if case.kind == "healthy"]
            rows = []
            for number in sorted({key for values in failing for key in values}):
                one = np.array([values[number] for values in failing if number in values])
                other = np.array([values[number] for values in well if number in values])
                if len(one) and len(other):
                    area = (np.sign(one[:, None] - other[None]).mean() + 1) / 2
                    rows.append((-abs(area - 0.5), number, area, _three(one), _three(other)))
            lines += [f"| {row[1]} | {row[2]:.2f} | {row[3]} | {row[4]} |" for row in sorted(rows)[:best]]
            lines.append("")
    return "\n".join(lines)


def _statistics(records: Sequence[dict[str, float]]) -> dict[str, float]:
    given = {"step", "kimg", "seconds", "progress", "critic_learning_rate", "generator_learning_rate"}
    names = {name for record in records for name in record} - given
    found = {}
    for name in names - {"images_per_second"}:
        values = np.array([record[name] for record in records if name in record])
        found |= {f"{name}, {how}": float(reading(values)) for how, reading in READINGS.items()}
    return found


def _three(values: Any) -> str:
    return ", ".join(f"{each:.3g}" for each in (values.min(), np.median(values), values.max()))


# ---- the command line


def seeds_in(text: str) -> list[int]:
    """Return the seeds that ``0-3,7`` names."""
    parts = [part.split("-") for part in text.split(",")]
    return [seed for part in parts for seed in range(int(part[0]), int(part[-1]) + 1)]


def work(config: TrainConfig, folder: Path) -> str:
    """Train a run, and return a line that says how it went."""
    return json.dumps({"folder": str(folder), **run(config, folder)})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder where runs are kept")
    parser.add_argument("--kinds", default="", help=f"of healthy, {', '.join(PROVOKED)} (default: all)")
    parser.add_argument("--data", default="", help="of ring, grid, mnist (default: all)")
    parser.add_argument("--seeds", default=None, help=f"(default: {REPORTED}; with --calibrate {CALIBRATION})")
    parser.add_argument("--workers", type=int, default=1, help="runs at a time, each on one core")
    does = parser.add_mutually_exclusive_group()
    does.add_argument("--table", action="store_true", help="judge the runs that are there")
    does.add_argument("--repair", action="store_true", help="follow the first remedies of the runs that are there")
    does.add_argument("--calibrate", action="store_true", help="tell what tells the failing from the sound")
    given = parser.parse_args()
    kinds, data = ([part for part in text.split(",") if part] for text in (given.kinds, given.data))
    for kind in kinds:
        if kind not in (*PROVOKED, "healthy"):
            parser.error(f"--kinds: {kind!r} is none of healthy, {', '.join(PROVOKED)}")
    wanted = cases(kinds, data, seeds_in(given.seeds or (CALIBRATION if given.calibrate else REPORTED)))
    if given.table or given.calibrate:
        runs = kept(given.out, wanted)
        print(table(runs) if given.table else calibration(runs))
        return 0
    missing: dict[Path, TrainConfig] = {}
    if given.repair:
        for each in kept(given.out, [case for case in wanted if case.kind != "healthy"]):
            config = repaired(each)
            if config is not None:
                missing.setdefault(repaired_folder(config, given.out), config)
    else:
        missing = {case.folder(given.out): configured(case, given.out / "data") for case in wanted}
    missing = {folder: config for folder, config in missing.items() if not folder.exists()}
    failed = False
    pool = ProcessPoolExecutor(given.workers, mp_context=get_context("spawn"))
    try:
        jobs = {pool.submit(work, config, folder): folder for folder, config in missing.items()}
        for job in as_completed(jobs):
            error = job.exception()
            failed = failed or error is not None
            print(job.result() if error is None else f"{jobs[job]}: {error!r}", flush=True)
    finally:
        pool.shutdown(cancel_futures=True)
    if given.repair:
        print(repair_table(given.out, kept(given.out, wanted)))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
