"""The training loop: steps until the budget is spent, with records, pictures and checkpoints on the way."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from adversarium.config import TrainConfig, with_budget
from adversarium.data import DATASETS, Source, default_share, open_data
from adversarium.data.source import some_of
from adversarium.errors import InputError
from adversarium.files import remove_leftovers, sync_file
from adversarium.train import checkpoint, pictures
from adversarium.train.build import Training, build
from adversarium.train.folder import RunFolder, refuse_used
from adversarium.train.resolve import conditions_for, resolve
from adversarium.train.sample import generate
from adversarium.train.step import NonFiniteError
from adversarium.train.transfer import begin_with, like_run
from adversarium.train.watch import Quality, Watch
from adversarium.train.writers import Observer, Record, jsonl, summary_writer_class, tensorboard

SECONDS_BETWEEN_SIGNS_OF_LIFE = 10.0
"""A record comes at least this often, however slow the steps are."""


class StoppedError(RuntimeError):
    """A run stopped before its budget was spent; the message says why, and from where it can go on."""


@dataclass(frozen=True)
class Run:
    """How a call of :func:`train` or :func:`resume` ended.

    Attributes:
        path: the run's folder.
        steps: generator steps taken in all.
        images: real samples shown to the critic in all.
        signal: the number of the signal that ended it early, or ``None``.
        best: the best checkpoint by the run's protocol, where it has one.
        exhausted: whether it ended before its budget was spent because it had not improved.
        quality: what was measured on the way, in a sentence or two; empty where nothing was.
    """

    path: Path
    steps: int
    images: int
    signal: int | None
    best: Path | None = None
    exhausted: bool = False
    quality: str = ""


@dataclass
class _Position:
    """Where a run stands."""

    images: int = 0
    seconds: float = 0.0


def train(
    config: TrainConfig,
    *,
    source: Source | None = None,
    observers: Sequence[Observer] = (),
    on_start: Callable[[RunFolder, Training, Source], None] = lambda *_: None,
    on_decode: Callable[[int, int], None] = lambda done, total: None,
    tell: Callable[[str], None] = lambda message: None,
) -> Run:
    """Train a new run.

    Args:
        config: what to do.
        source: the data, where they are not what ``config.data`` names.
        observers: called with each record.
        on_start: called once, before the first step.
        on_decode: called while image files are decoded, with how many are done and how many there are.
        tell: called with a sentence on what measuring on the way will cost, before it starts, and with what is to be
            said of its numbers.

    Raises:
        InputError: the configuration, the data or the folder cannot be used; nothing was written.
        StoppedError: a number became non-finite, or a file could not be written.
    """
    if config.out is not None:
        refuse_used(Path(config.out))  # said before images are decoded and features computed
    if source is None:
        source = open_data(config.data, size=config.size, progress=on_decode)
        if config.data not in DATASETS:  # the run can be resumed from any folder
            config = replace(config, data=str(Path(config.data).expanduser().resolve()))
    if config.from_run is not None:
        config = like_run(config)
    conditions = conditions_for(config, source)
    config = resolve(config, source.codec, None if conditions is None else conditions.condition)
    if config.hold_out is None:
        config = replace(config, hold_out=default_share(source))
    if config.tensorboard:
        summary_writer_class()
    training = build(config, source)
    if config.from_run is not None:
        begin_with(training, Path(config.from_run), tell)
    quality = Quality(training, [], tell=tell) if config.evaluate is not None else None
    folder = RunFolder.begin(config, source, training.conditions)
    with folder.lock():
        on_start(folder, training, source)
        if quality is not None:
            tell(quality.cost)
        return _run(folder, training, _Position(), [], quality, observers)


def resume(
    path: Path,
    *,
    budget: dict[str, float] | None = None,
    device: str | None = None,
    patience: int | None = None,
    source: Source | None = None,
    observers: Sequence[Observer] = (),
    on_start: Callable[[RunFolder, Training, Source], None] = lambda *_: None,
    on_decode: Callable[[int, int], None] = lambda done, total: None,
    tell: Callable[[str], None] = lambda message: None,
    warn: Callable[[str], None] = lambda message: None,
) -> Run:
    """Continue a run exactly where its newest whole checkpoint stands.

    Args:
        path: the run's folder.
        budget: another budget, ``{"steps": 9000}`` say, in place of the run's own from now on.
        device: another device, in place of the run's own from now on.
        patience: another patience, likewise: a run that has used up its own goes on with more.
        source: the data, where they are not what the run's configuration names.
        observers: called with each record.
        on_start: called once, before the first step.
        on_decode: as in :func:`train`.
        tell: as in :func:`train`.
        warn: called with a sentence for each damaged checkpoint that was passed over.

    Raises:
        InputError: there is no usable run, or its data have changed.
        StoppedError: as in :func:`train`.
    """
    folder = RunFolder.open(path)
    config = folder.config()
    if budget:
        config = with_budget(config, budget)
    if device is not None:
        config = replace(config, device=device)
    if patience is not None:
        config = replace(config, patience=patience)
    config = resolve(config, folder.codec(), folder.condition())
    with folder.lock():
        remove_leftovers(folder.path)
        source = source if source is not None else open_data(config.data, size=config.size, progress=on_decode)
        folder.check_data(source)
        training = build(config, source)
        position, records = _Position(), []
        if checkpoint.newest_first(folder.checkpoints):
            found, problems = checkpoint.load_newest(folder.checkpoints)
            for problem in problems:
                warn(f"{problem}; going back to {found.path.name}")
            training.restore(found)
            checkpoint.set_aside_newer(found.path)
            position = _Position(found.counters["images"], found.counters["seconds"])
            records = folder.forget_after(training.step.steps)
        else:
            if folder.metrics.exists():
                warn(f"{path}: holds no checkpoint yet; starting again from step 0")
                folder.forget_after(0)
            if config.from_run is not None:
                begin_with(training, Path(config.from_run), tell)
        quality = Quality(training, records, tell=tell) if config.evaluate is not None else None
        folder.write_config(config)
        on_start(folder, training, source)
        if quality is not None:
            tell(quality.cost)
        return _run(folder, training, position, records, quality, observers)


def _run(
    folder: RunFolder,
    training: Training,
    position: _Position,
    records: list[Record],
    quality: Quality | None,
    observers: Sequence[Observer],
) -> Run:
    """Train, and turn what may go wrong on the way into a sentence that says where to go on."""
    folder.forget_stopped()
    try:
        with ExitStack() as stack:
            writers = [stack.enter_context(jsonl(folder.metrics))]
            if training.config.tensorboard:
                writers.append(stack.enter_context(tensorboard(folder.path, position.images, records)))
            caught = stack.enter_context(_signals())
            _loop(folder, training, position, records, quality, [*writers, *observers], caught)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"at step {training.step.steps}; go on from the last checkpoint with: "
            f"adversarium train --resume {folder.path}"
        ) from None
    # NonFiniteError, or a rule that found no step; a disk; samples that cannot be measured, a part without gradient
    except (ArithmeticError, OSError, InputError) as error:
        kept = checkpoint.newest_first(folder.checkpoints)
        what = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) and error.strerror else str(error)
        where = f"the last good checkpoint is {kept[0]}" if kept else "there is no checkpoint yet"
        if not isinstance(error, OSError):
            folder.write_stopped(training.step.steps, what)
            where += f"; why: adversarium doctor {folder.path}"
        raise StoppedError(f"stopped at step {training.step.steps}: {what}; {where}") from error
    complete = _progress(training.config, training.step.steps, position) >= 1.0
    exhausted = quality is not None and quality.exhausted and not complete
    best = checkpoint.newest_first(folder.best) if quality is not None else []
    return Run(
        folder.path,
        training.step.steps,
        position.images,
        signal=caught[0] if caught and not complete and not exhausted else None,
        best=best[0] if best else None,
        exhausted=exhausted,
        quality="" if quality is None else quality.summary,
    )


def _loop(
    folder: RunFolder,
    training: Training,
    position: _Position,
    records: list[Record],
    quality: Quality | None,
    observers: Sequence[Observer],
    caught: list[int],
) -> None:
    config, step = training.config, training.step
    watch = Watch(training, records)
    codes = training.feed.sheet(config.seed, is_image=training.codec.is_image)
    last_save, last_log = time.monotonic(), (time.monotonic(), position.images)
    progress = _progress(config, step.steps, position)

    def save(where: Path, keep: int) -> None:
        tensors = training.tensors()
        for name, value in tensors.items():
            if value.is_floating_point() and not value.isfinite().all():
                raise NonFiniteError(name, step.steps, float(value[~value.isfinite()].flatten()[0]))
        sync_file(folder.metrics)  # a checkpoint never outlives the records before it
        checkpoint.save(
            where,
            tensors,
            {
                **training.identity(),
                "step": step.steps,
                "critic_steps": step.critic_steps,
                "images": position.images,
                "seconds": position.seconds,
            },
            keep=keep,
        )

    def draw(path: Path) -> None:
        made = generate(training.average.module, training.codec, *codes)
        if training.codec.is_image:
            pictures.write_image(path, pictures.grid_of(made))
        else:
            pictures.write_scatter(path, made, some_of(training.data, len(made), seed=0).float().numpy())

    ended = progress >= 1.0 or (quality is not None and quality.exhausted)
    mark = time.monotonic()
    while not ended:
        before = position.images
        watch.before_step()
        position.images = training.move(before)
        mark = _tick(position, mark)
        progress = _progress(config, step.steps, position)
        # asked once: a signal that comes later in this turn gets a turn, and a checkpoint, of its own
        ended = progress >= 1.0 or bool(caught)
        saves = ended or time.monotonic() - last_save >= config.checkpoint_every_seconds
        best = False
        measures = quality is not None and (
            _crossed(before, position.images, config.evaluate_every_kimg * 1000) or progress >= 1.0
        )

        # a checkpoint is never written over numbers that were not looked at
        logs = step.steps % config.log_every_steps == 0 or mark - last_log[0] >= SECONDS_BETWEEN_SIGNS_OF_LIFE
        if logs or saves or measures or watch.due():
            measured = step.measurements()  # on a GPU this waits for the steps so far
            mark = _tick(position, mark)
            now, since = mark, last_log
            record = {
                "step": step.steps,
                "kimg": position.images / 1000,
                "seconds": position.seconds,
                "progress": progress,
                "images_per_second": (position.images - since[1]) / (now - since[0]),
                "critic_learning_rate": step.critic_optimizer.param_groups[0]["lr"],
                "generator_learning_rate": step.generator_optimizer.param_groups[0]["lr"],
                **measured,
            }
            watch.look(record)
            if quality is not None and measures:
                best = quality.measure(record)
                ended = ended or quality.exhausted
                saves = saves or ended
            last_log = (time.monotonic() if measures else now, position.images)
            records.append(record)
            for observer in observers:
                observer(record)
        if best:
            save(folder.best, keep=1)
        if saves:
            save(folder.checkpoints, keep=config.keep_checkpoints)
            last_save = time.monotonic()
        if _crossed(before, position.images, config.sample_every_kimg * 1000) and not ended:
            draw(folder.samples / f"{position.images / 1000:09.3f}kimg.png")
        mark = time.monotonic()  # reports, checkpoints and pictures are not training
    if records:
        draw(folder.path / "samples.png")
        pictures.write_curves(
            folder.path / "curves.png",
            records,
            f"{config.preset} on {config.data}",
            measured=None if quality is None else quality.name,
            floor=None if quality is None else quality.floor,
        )


def _progress(config: TrainConfig, steps: int, position: _Position) -> float:
    """Return the share of the budget that is spent, from 0 to 1."""
    if config.steps is not None:
        spent = steps / config.steps
    elif config.kimg is not None:
        spent = position.images / (config.kimg * 1000)
    else:
        assert config.seconds is not None
        spent = position.seconds / config.seconds
    return min(spent, 1.0)


def _crossed(before: int, after: int, interval: float) -> bool:
    return before // interval != after // interval


def _tick(position: _Position, mark: float) -> float:
    """Add the time since ``mark`` to the run's, and return the time now."""
    now = time.monotonic()
    position.seconds += now - mark
    return now


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM, so that the step in hand is finished first; a second SIGINT interrupts at once."""
    caught: list[int] = []

    def catch(number: int, frame: object) -> None:
        if caught and number == signal.SIGINT:
            raise KeyboardInterrupt
        caught.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield caught  # only the main thread may set handlers
        return
    old = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
