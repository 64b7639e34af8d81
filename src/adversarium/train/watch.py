"""What is looked at while a run trains: what may go wrong, and how good the samples are."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from adversarium.data import ArraySource, Density, Latent, Source
from adversarium.data.source import some_of
from adversarium.diagnostics import Circumstances, History, Record, UpdateSizes, data_facts, diagnose, probe
from adversarium.diagnostics.finding import FINDING
from adversarium.metrics import References
from adversarium.metrics.measuring import Measuring
from adversarium.nets.minibatch import couples_samples
from adversarium.train.evaluator import Evaluator
from adversarium.train.passes import bound
from adversarium.train.terms import played
from adversarium.train.training import Training

PROBED = 128
"""Samples a side that the probe looks at, the same ones at every look. Fewer where batches are small, which says that
memory is short and would make a look dear: twice a batch, and at least :data:`FEWEST`."""

FEWEST = 32

_SEED = 103  # of the probe's draws, apart from those of training


class Watch:
    """Looks at a run at intervals and changes nothing in it, not even a random stream.

    A single sample, which no other can be compared with, is not looked at.

    Args:
        training: the run.
        records: the records of a resumed run so far.
    """

    def __init__(self, training: Training, records: Sequence[Record] = ()) -> None:
        config, step = training.config, training.step
        self._training = training
        self._every = config.diagnose_every_steps
        self._updates = UpdateSizes(critic=step.critic, generator=step.generator)
        self._history = History(records)
        if self._every:
            device, count = torch.device(config.device), min(max(2 * config.batch_size, FEWEST), PROBED)
            self._seen = looked_at(training, count, device)
            # a conditional critic is asked the same of each real sample and of the fake in its place
            codes = len(self._seen.real) if training.conditions is not None else count
            self._codes = Latent(training.latent.prior, _SEED, device).next(codes)
            if len(self._seen.real) < 2:
                self._every = 0

    @cached_property
    def _circumstances(self) -> Circumstances:
        # measured at the first look: a probe alone needs no facts on the data
        config = self._training.config
        return Circumstances(config=config, preset=played(config), data=data_facts(self._training.data))

    def before_step(self) -> None:
        """Remember what the next step's update is measured by, where it will be."""
        if self._every and (self._training.step.steps + 1) % self._every == 0:
            self._updates.remember()

    def due(self) -> bool:
        """Return whether the step that was just taken is one to look at."""
        return self._every > 0 and self._training.step.steps % self._every == 0

    def look(self, record: dict[str, float]) -> None:
        """Take note of a new record and, where it is due, add what the probe measures and how severe each failure is.

        The probe's numbers are named ``probe_...``, the severities ``finding_...``; those see all records.
        """
        if not self._every:
            return
        if self.due():
            record |= self.probe()
        self._history.add(record)
        if self.due():
            found = diagnose(self._history, self._circumstances)
            record |= {f"{FINDING}{each.kind}": each.severity for each in found}

    def probe(self) -> dict[str, float]:
        """Return what the probe measures."""
        step = self._training.step
        source = self._training.data
        seen = self._seen
        return self._updates.measure() | probe(
            bound(step.generator, seen.condition),
            step.judge(seen.condition),
            step.objective.loss,
            seen.real,
            seen.held_out,
            self._codes,
            rng=torch.Generator().manual_seed(_SEED),
            density=source if isinstance(source, Density) else None,
        )


class Quality:
    """Measures a run's averaged generator at intervals, and knows when it was best.

    Args:
        training: the run; its configuration names a protocol.
        records: the records of a resumed run so far, which hold its earlier numbers.
        tell: called with each number and how it stands to the best one; and with what is to be said of a number, once:
            that it was computed in a second-best way, say.
        measuring: its protocol, ready, where other runs are measured by it too.

    Attributes:
        name: the protocol, which is the number's name in a record too.
        cost: a sentence on what the measurements will cost, and on what real samples would score.
        best: the best number so far, or ``None``; and at how many kimg it was measured (``best_kimg``).

    Raises:
        InputError: the protocol is unknown, or does not fit the data.
    """

    def __init__(
        self,
        training: Training,
        records: Sequence[Record],
        *,
        tell: Callable[[str], None] = lambda message: None,
        measuring: Measuring | None = None,
    ) -> None:
        config = training.config
        assert config.evaluate is not None
        self._training, self._tell = training, tell
        self._told: set[str] = set()
        self._evaluator = Evaluator(
            config.evaluate,
            References(training.data, training.held_out),
            training.codec,
            training.feed,
            training.average.module,
            device=config.device,
            measuring=measuring,
        )
        self.name = self._evaluator.protocol.name
        self.best: float | None = None
        self.best_kimg = 0.0
        self._since_best = 0
        for record in records:
            if self.name in record:
                self._count(record[self.name], record["kimg"])
        often = f"every {config.evaluate_every_kimg:g} kimg"
        if config.evaluate_times is not None:
            often = f"{config.evaluate_times} times"
        self.cost = f"{self.name} is measured {often}, in about {self._evaluator.seconds:.1f} s each time"
        if self._evaluator.floor is not None:
            self.cost += f"; of real samples it is {self._evaluator.floor:.4g}"

    @property
    def floor(self) -> float | None:
        """What the number is of real samples, where there are enough of them."""
        return self._evaluator.floor

    @property
    def summary(self) -> str:
        """The best number and when it was measured, beside that of real samples; and that patience is used up."""
        if self.best is None:
            return f"{self.name}: no finite number was measured"
        real = "" if self.floor is None else f" (real samples {self.floor:.4g})"
        said = f"best: {self.name} = {self.best:.4g} at {self.best_kimg:.4g} kimg{real}"
        if self.exhausted:
            said += (
                f"\nstopped: {self._since_best} measurement{'s' * (self._since_best != 1)} in a row without a better "
                f"one than {self.best:.4g} at {self.best_kimg:.4g} kimg"
            )
        return said

    @property
    def exhausted(self) -> bool:
        """Whether the run has used up its patience."""
        patience = self._training.config.patience
        return patience is not None and self._since_best >= patience

    def measure(self, record: dict[str, float]) -> bool:
        """Add the number to a record; return whether it is the best so far."""
        found = self._evaluator.measure(self._training.average.module)
        for note in found.notes:
            if note not in self._told:
                self._told.add(note)
                self._tell(f"{self.name}: {note}")
        record[self.name] = found.mean
        better = self._count(found.mean, record["kimg"])
        known = "" if self.best is None else f"; the best is {self.best:.4g} at {self.best_kimg:.4g} kimg"
        self._tell(f"{self.name} {found.mean:.4g}{', best so far' if better else known}")
        return better

    def _count(self, value: float, kimg: float) -> bool:
        better = self._evaluator.is_better(value, self.best)
        self._since_best = 0 if better else self._since_best + 1
        if better:
            self.best, self.best_kimg = value, kimg
        return better


@dataclass(frozen=True)
class Seen:
    """What a probe looks at: encoded samples, ``[N, ...]``, and what they are of, where that is asked."""

    real: Tensor
    held_out: Tensor | None
    condition: Tensor | None = None


def looked_at(training: Training, count: int, device: torch.device) -> Seen:
    """Return ``count`` samples that a run is trained on and as many that it is not; fewer of few data.

    Of a conditional run the i-th sample of both has the i-th condition; held-out samples that none matches, and those
    of vectors, are left out.
    """
    data, held_out = training.data, training.held_out

    # data may lie sorted by class, and a critic of packs or groups would see one class in each
    mixed = training.step.packing > 1 or couples_samples(training.step.critic)

    def seen(source: Source, stored: Tensor) -> Tensor:
        return source.codec.encode(stored.to(device))

    def drawn(source: Source, seed: int) -> Tensor:
        stored = some_of(source, count, seed)
        return stored[torch.randperm(len(stored), generator=torch.Generator().manual_seed(seed))] if mixed else stored

    if training.conditions is None:
        return Seen(
            seen(data, drawn(data, _SEED)),
            # of a density both are fresh draws
            None if held_out is None else seen(held_out, drawn(held_out, _SEED + 1)),
        )
    assert isinstance(data, ArraySource)
    numbers = np.random.default_rng(_SEED).permutation(data.spread(count))
    real, labels = torch.from_numpy(data.take(numbers)), data.labels_of(numbers)
    vectors = data.conditions_of(numbers)
    condition = torch.from_numpy(labels if vectors is None else vectors).to(device)
    matched = None if labels is None or vectors is not None else _of_labels(held_out, labels)
    return Seen(seen(data, real), None if matched is None else seen(data, matched), condition)


def _of_labels(source: Source | None, labels: npt.NDArray[np.int64]) -> Tensor | None:
    """Return a stored sample of each of these labels; ``None`` where one has none."""
    if not isinstance(source, ArraySource):
        return None
    everything = np.arange(len(source))
    own = source.labels_of(everything)
    if own is None or not set(labels.tolist()) <= set(own.tolist()):
        return None
    of_class = {label: itertools.cycle(everything[own == label]) for label in set(labels.tolist())}
    return torch.from_numpy(source.take(np.array([next(of_class[label]) for label in labels.tolist()])))
