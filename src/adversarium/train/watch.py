"""What is looked at while a run trains: what may go wrong, and how good the samples are."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from adversarium.data import ArraySource, Density, Latent, Source
from adversarium.diagnostics import Circumstances, History, Record, UpdateSizes, data_facts, diagnose, probe
from adversarium.metrics import References
from adversarium.presets import PRESETS
from adversarium.train.build import Training, known
from adversarium.train.evaluation import Evaluator

PROBED = 128
"""Samples a side that the probe looks at, the same ones at every look."""

_SEED = 103  # of the probe's draws, apart from those of training


class Watch:
    """Looks at a run at intervals and changes nothing in it, not even a random stream.

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
            device = torch.device(config.device)
            self._real = _some(training.data, 0, device)
            # of a density both are fresh draws
            self._held_out = None if training.held_out is None else _some(training.held_out, 1, device)
            self._codes = Latent(known(config.latent_dim), _SEED, device).next(PROBED)
            self._circumstances = Circumstances(
                config=config, preset=PRESETS[config.preset], data=data_facts(training.data)
            )

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
            record |= {f"finding_{each.kind}": each.severity for each in found}

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

    Attributes:
        name: the protocol, which is the number's name in a record too.
        cost: a sentence on what the measurements will cost.

    Raises:
        InputError: the protocol is unknown, or does not fit the data.
    """

    def __init__(self, training: Training, records: Sequence[Record]) -> None:
        config = training.config
        assert config.evaluate is not None
        self._training = training
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

    @property
    def exhausted(self) -> bool:
        """Whether the run has used up its patience."""
        patience = self._training.config.patience
        return patience is not None and self._since_best >= patience

    def measure(self, record: dict[str, float]) -> bool:
        """Add the number to a record; return whether it is the best so far."""
        record[self.name] = self._evaluator.measure(self._training.average.module).mean
        return self._count(record[self.name])

    def _count(self, value: float) -> bool:
        better = self._evaluator.is_better(value, self.best)
        self.best, self._since_best = (value, 0) if better else (self.best, self._since_best + 1)
        return better


def _some(source: Source, number: int, device: torch.device) -> Tensor:
    """Return samples as the networks see them: an even choice of stored ones, or a density's draw of a number."""
    if isinstance(source, ArraySource):
        rows = np.linspace(0, len(source) - 1, min(PROBED, len(source))).astype(np.int64)
        samples = torch.from_numpy(source.take(rows))
    else:
        samples = source.sample(PROBED, torch.Generator().manual_seed(_SEED + number))
    return source.codec.encode(samples.to(device))
