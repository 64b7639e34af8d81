"""A trial of a search: one choice of settings, trained with each of the trials' seeds and judged by its mean cost."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from adversarium.config import TrainConfig
from adversarium.metrics.protocols import Protocol
from adversarium.study.material import Material
from adversarium.study.record import finite
from adversarium.study.run import cost_of, ended_with, refuse_disk_errors
from adversarium.train.folder import RunFolder
from adversarium.train.loop import Run, train_together


@dataclass(frozen=True, kw_only=True)
class Judged:
    """How a trial ended.

    Attributes:
        cost: the mean over its runs, smaller is better; ``None`` where one of them failed, or it was given up.
        pruned: whether it was given up.
        why: why it failed.
    """

    cost: float | None = None
    pruned: bool = False
    why: str = ""


def judge(
    configs: Sequence[TrainConfig],
    material: Material,
    *,
    measurements: int,
    together: int,
    report: Callable[[float], None],
    is_hopeless: Callable[[float, int], bool],
    stopping: Callable[[], bool] = lambda: False,
) -> Judged | None:
    """Train the runs of a trial, until one fails or they are hopeless; return ``None`` where it is to be stopped.

    Args:
        configs: the runs: of one choice of settings, each of another seed.
        material: what they are trained on, and judged by.
        measurements: how often each is measured.
        together: how many are trained stacked.
        report: told how far the trial is, from 0 to 1.
        is_hopeless: asked after each measurement of the runs that are trained first, given what those cost by now, in
            the mean, and how many measurements there were. Every trial has the same seeds in the same order, so that
            those of equal numbers can be compared; a pruner would take the first measurement of a later run, which
            has hardly begun, for a step back of the whole.
        stopping: whether this process was asked to stop.
    """
    course = _Course(configs, material, measurements)
    first = range(len(configs))[:together]

    def watch(number: int, line: Mapping[str, float]) -> None:
        measured = course.note(number, line)
        report(course.share)
        if not measured:
            return
        for other in range(number // together * together, len(configs))[:together]:
            if why := RunFolder(Path(str(configs[other].out))).stopped():
                raise _DecidedError(Judged(why=f"a run of it stopped: {why}"))
        if number in first and course.count < len(first) * measurements and is_hopeless(course.cost, course.count):
            raise _DecidedError(Judged(pruned=True))

    costs = []
    for start in range(0, len(configs), together):
        if stopping():  # a run that a signal finds at its end ends as it would have
            return None
        numbers = range(len(configs))[start : start + together]
        try:
            ends = train_together(
                [configs[number] for number in numbers],
                source=material.source,
                measuring=material.measuring,
                observers=[[partial(watch, number)] for number in numbers],
                pictured=False,
            )
        except _DecidedError as error:
            return error.judged
        refuse_disk_errors(ends)
        if any(isinstance(end, Run) and end.signal is not None for end in ends):
            return None
        for number, end in zip(numbers, ends, strict=True):
            value, why = ended_with(RunFolder.open(Path(str(configs[number].out))).records(), end, material)
            cost = cost_of(value, Protocol.parse(material.protocol).metric)
            if cost is None:
                return Judged(why=why)
            costs.append(cost)
    return Judged(cost=statistics.fmean(costs))


class _DecidedError(Exception):
    """What comes of a trial is known before its runs have ended."""

    def __init__(self, judged: Judged) -> None:
        super().__init__(judged)
        self.judged = judged


class _Course:
    """How far the runs of a trial are, and what they cost by now; those of a worker that died count too."""

    def __init__(self, configs: Sequence[TrainConfig], material: Material, measurements: int) -> None:
        self._protocol, self._measurements = material.protocol, measurements
        self._metric = Protocol.parse(material.protocol).metric
        self._shares, self._counts, self._costs = [0.0] * len(configs), [0] * len(configs), dict[int, float]()
        for number, config in enumerate(configs):
            path = Path(str(config.out))
            if (path / "config.json").exists():
                for line in RunFolder.open(path).records():
                    self.note(number, line)

    def note(self, number: int, line: Mapping[str, float]) -> bool:
        """Note what a run says; return whether it was measured."""
        self._shares[number] = line["progress"]
        cost = cost_of(finite(line.get(self._protocol)), self._metric)
        if cost is None:
            return False
        # measured as soon as a whole part of the run is over; a quotient may be a little less than it
        self._counts[number], self._costs[number] = int(line["progress"] * self._measurements + 1e-9), cost
        return True

    @property
    def share(self) -> float:
        """How far all are, from 0 to 1."""
        return statistics.fmean(self._shares)

    @property
    def count(self) -> int:
        """How many measurements there were, of all."""
        return sum(self._counts)

    @property
    def cost(self) -> float:
        """What the runs that were measured cost, each by its last measurement, in the mean."""
        return statistics.fmean(self._costs.values())
