"""What is looked at while a run trains: what may go wrong, and how good the samples are."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from adversarium.data import ArraySource, Density, Latent, Source
from adversarium.diagnostics import Circumstances, History, Record, UpdateSizes, data_facts, diagnose, probe
from adversarium.diagnostics.finding import FINDING
from adversarium.metrics import References
from adversarium.presets import PRESETS
from adversarium.train.build import Training, known
from adversarium.train.evaluation import Evaluator

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
            self._real = _some(training.data, count, 0, device)
            # of a density both are fresh draws
            self._held_out = None if training.held_out is None else _some(training.held_out, count, 1, device)
            self._codes = Latent(known(config.latent_dim), _SEED, device).next(count)
            self._circumstances = Circumstances(
                config=config, preset=PRESETS[config.preset], data=data_facts(training.data)
            )
            if len(self._real) < 2:
                self._every = 0

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
        return self._updates.measure() | probe(
            step.generator,
            step.critic,
            step.objective.loss,
            self._real,
            self._held_out,
            self._codes,
            rng=torch.Generator().manual_seed(_SEED),
            density=source if isinstance(source, Density) else None,
        )


class Quality:
    """Measures a run's averaged generator at intervals, and knows when it was best.

    Args:
        training: the run; its configuration names a protocol.
        records: the records of a resumed run so far, which hold its earlier numbers.
        tell: called with what is to be said of a number, once: that it was computed in a second-best way, say.

    Attributes:
        name: the protocol, which is the number's name in a record too.
        cost: a sentence on what the measurements will cost, and on what real samples would score.

    Raises:
        InputError: the protocol is unknown, or does not fit the data.
    """

    def __init__(
        self, training: Training, records: Sequence[Record], *, tell: Callable[[str], None] = lambda message: None
    ) -> None:
        config = training.config
        assert config.evaluate is not None
        self._training, self._tell = training, tell
        self._told: set[str] = set()
        self._evaluator = Evaluator(
            config.evaluate,
            References(training.data, training.held_out),
            training.codec,
            known(config.latent_dim),
            training.average.module,
            device=config.device,
        )
        self.name = self._evaluator.protocol.name
        self.best: float | None = None
        self._since_best = 0
        for record in records:
            if self.name in record:
                self._count(record[self.name])
        self.cost = (
            f"{self.name} is measured every {config.evaluate_every_kimg:g} kimg, in about "
            f"{self._evaluator.seconds:.1f} s each time"
        )
        if self._evaluator.floor is not None:
            self.cost += f"; of real samples it is {self._evaluator.floor:.4g}"

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
        return self._count(record[self.name])

    def _count(self, value: float) -> bool:
        better = self._evaluator.is_better(value, self.best)
        self.best, self._since_best = (value, 0) if better else (self.best, self._since_best + 1)
        return better


def _some(source: Source, count: int, number: int, device: torch.device) -> Tensor:
    """Return samples as the networks see them: an even choice of stored ones, or a density's draw of a number."""
    if isinstance(source, ArraySource):
        samples = torch.from_numpy(source.take(source.spread(count)))
    else:
        samples = source.sample(count, torch.Generator().manual_seed(_SEED + number))
    return source.codec.encode(samples.to(device))
