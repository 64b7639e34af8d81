"""A run in training, round by round: a move of both players, then records, measurements, checkpoints and pictures."""

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from adversarium.config import TrainConfig
from adversarium.data.source import some_of
from adversarium.errors import InputError
from adversarium.files import sync_file
from adversarium.train import checkpoint, pictures
from adversarium.train.folder import RunFolder
from adversarium.train.sample import generate
from adversarium.train.step import NonFiniteError
from adversarium.train.training import Training
from adversarium.train.watch import Quality, Watch
from adversarium.train.writers import Observer, Record

SECONDS_BETWEEN_SIGNS_OF_LIFE = 10.0
"""A record comes at least this often, however slow the steps are."""


class Moved(NamedTuple):
    """What a move of both players led to: images in all, and the run's share of how long it took."""

    images: int
    seconds: float


Rounds = Generator[int, Moved, None]
"""Yields the number of images so far where both players are to move, and is sent what that led to."""


@dataclass(eq=False)
class Live:
    """A run in training.

    Attributes:
        folder: where it writes.
        training: what moves.
        records: its records so far.
        images: real samples shown to the critic so far.
        seconds: of training so far; of steps that were taken stacked, the run's share.
        quality: what measures it on the way, where something does.
        observers: called with each record.
        pictured: whether pictures are drawn.
    """

    folder: RunFolder
    training: Training
    records: list[Record] = field(default_factory=list)
    images: int = 0
    seconds: float = 0.0
    quality: Quality | None = None
    observers: Sequence[Observer] = ()
    pictured: bool = True

    @property
    def progress(self) -> float:
        """The share of the budget that is spent, from 0 to 1."""
        config = self.training.config
        if config.steps is not None:
            spent = self.training.step.steps / config.steps
        elif config.kimg is not None:
            spent = self.images / (config.kimg * 1000)
        else:
            assert config.seconds is not None
            spent = self.seconds / config.seconds
        return min(spent, 1.0)

    @property
    def exhausted(self) -> bool:
        """Whether it has used up its patience."""
        return self.quality is not None and self.quality.exhausted

    def rounds(self, writers: Sequence[Observer], caught: Sequence[int]) -> Rounds:
        """Train until the budget is spent, the patience used up, or a signal ``caught``.

        Args:
            writers: called with each record, before the observers.
            caught: numbers of signals, to which others add.
        """
        config, step, quality = self.training.config, self.training.step, self.quality
        watch = Watch(self.training, self.records)
        codes = self.training.feed.sheet(config.seed, is_image=self.training.codec.is_image)
        last_save, last_log = time.monotonic(), (time.monotonic(), self.images)
        progress = self.progress
        ended = progress >= 1.0 or self.exhausted
        while not ended:
            before, progress_before = self.images, progress
            watch.before_step()
            moved = yield before
            self.images = moved.images
            self.seconds += moved.seconds
            progress = self.progress
            # asked once: a signal that comes later in this turn gets a turn, and a checkpoint, of its own
            ended = progress >= 1.0 or bool(caught)
            saves = ended or time.monotonic() - last_save >= config.checkpoint_every_seconds
            best = False
            measures = quality is not None and (
                progress >= 1.0 or _is_to_measure(config, before, self.images, progress_before, progress)
            )

            # a checkpoint is never written over numbers that were not looked at
            silent = time.monotonic() - last_log[0] >= SECONDS_BETWEEN_SIGNS_OF_LIFE
            logs = step.steps % config.log_every_steps == 0 or silent
            if logs or saves or measures or watch.due():
                mark = time.monotonic()
                measured = step.measurements()  # on a GPU this waits for the steps so far
                now = time.monotonic()
                self.seconds += now - mark
                record = {
                    "step": step.steps,
                    "kimg": self.images / 1000,
                    "seconds": self.seconds,
                    "progress": progress,
                    "images_per_second": (self.images - last_log[1]) / (now - last_log[0]),
                    "critic_learning_rate": step.critic_optimizer.param_groups[0]["lr"],
                    "generator_learning_rate": step.generator_optimizer.param_groups[0]["lr"],
                    **measured,
                }
                watch.look(record)
                if quality is not None and measures:
                    best = _measured(quality, record)
                    ended = ended or quality.exhausted
                    saves = saves or ended
                last_log = (time.monotonic() if measures else now, self.images)
                self.records.append(record)
                for observer in (*writers, *self.observers):
                    observer(record)
            if best:
                self._save(self.folder.best, keep=1)
            if saves:
                self._save(self.folder.checkpoints, keep=config.keep_checkpoints)
                last_save = time.monotonic()
            if self.pictured and _crossed(before, self.images, config.sample_every_kimg * 1000) and not ended:
                self._draw(self.folder.samples / f"{self.images / 1000:09.3f}kimg.png", *codes)
        if self.records and self.pictured:
            self._draw(self.folder.path / "samples.png", *codes)
            pictures.write_curves(
                self.folder.path / "curves.png",
                self.records,
                f"{config.preset} on {config.data}",
                measured=None if quality is None else quality.name,
                floor=None if quality is None else quality.floor,
            )

    def _save(self, where: Path, keep: int) -> None:
        step, tensors = self.training.step, self.training.tensors()
        for name, value in tensors.items():
            if value.is_floating_point() and not value.isfinite().all():
                raise NonFiniteError(name, step.steps, float(value[~value.isfinite()].flatten()[0]))
        sync_file(self.folder.metrics)  # a checkpoint never outlives the records before it
        checkpoint.save(
            where,
            tensors,
            {
                **self.training.identity(),
                "step": step.steps,
                "critic_steps": step.critic_steps,
                "images": self.images,
                "seconds": self.seconds,
            },
            keep=keep,
        )

    def _draw(self, path: Path, codes: Tensor, condition: Tensor | None) -> None:
        training = self.training
        made = generate(training.average.module, training.codec, codes, condition)
        if training.codec.is_image:
            pictures.write_image(path, pictures.grid_of(made))
        else:
            pictures.write_scatter(path, made, some_of(training.data, len(made), seed=0).float().numpy())


class UnmeasurableError(ArithmeticError):
    """A run's samples cannot be measured: they are not finite, say."""


def _measured(quality: Quality, record: Record) -> bool:
    """Measure and return whether it is the best so far."""
    try:
        return quality.measure(record)
    except InputError as error:  # what was asked for is sound: it was checked before the first step
        raise UnmeasurableError(str(error)) from error


def _is_to_measure(config: TrainConfig, before: int, images: int, progress_before: float, progress: float) -> bool:
    if config.evaluate_times is not None:
        times = config.evaluate_times
        return int(progress_before * times) != int(progress * times)
    return _crossed(before, images, config.evaluate_every_kimg * 1000)


def _crossed(before: int, after: int, interval: float) -> bool:
    return before // interval != after // interval
