"""The training loop: steps until the budget is spent, with records, pictures and checkpoints on the way."""

import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from adversarium.config import TrainConfig, with_budget
from adversarium.data import DATASETS, Source, default_share, open_data
from adversarium.errors import InputError
from adversarium.files import remove_leftovers
from adversarium.metrics.measuring import Measuring
from adversarium.train import checkpoint
from adversarium.train.build import build
from adversarium.train.folder import RunFolder, refuse_used
from adversarium.train.resolve import conditions_for, resolve
from adversarium.train.rounds import Live, Moved, Rounds
from adversarium.train.stacked import StackedTraining, stackable
from adversarium.train.training import Training
from adversarium.train.transfer import begin_with, like_run
from adversarium.train.watch import Quality
from adversarium.train.writers import Observer, jsonl, summary_writer_class, tensorboard


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


def train(
    config: TrainConfig,
    *,
    given: Collection[str] = (),
    source: Source | None = None,
    observers: Sequence[Observer] = (),
    on_start: Callable[[RunFolder, Training, Source], None] = lambda *_: None,
    on_decode: Callable[[int, int], None] = lambda done, total: None,
    tell: Callable[[str], None] = lambda message: None,
) -> Run:
    """Train a new run.

    Args:
        config: what to do.
        given: names of options that count as asked for even where they have their default's value. It matters with
            ``config.from_run``: the networks are that run's, but for what was asked for.
        source: the data, where they are not what ``config.data`` names.
        observers: called with each record.
        on_start: called once, before the first step.
        on_decode: called while image files are decoded, with how many are done and how many there are.
        tell: called with a sentence on what was taken over from ``config.from_run``, on what measuring on the way will
            cost, before it starts, and with what is to be said of its numbers.

    Raises:
        InputError: the configuration, the data or the folder cannot be used, which may show in the first steps only;
            nothing is left of the run.
        StoppedError: a number became non-finite, or a file could not be written.
    """
    if config.out is not None:
        refuse_used(Path(config.out))  # said before images are decoded and features computed
    if source is None:
        source = open_data(config.data, size=config.size, progress=on_decode)
        if config.data not in DATASETS:  # the run can be resumed from any folder
            config = replace(config, data=str(Path(config.data).expanduser().resolve()))
    if config.from_run is not None:
        config = like_run(config, source.codec, given, tell)
    live = _begun(config, source, observers, tell)
    with live.folder.lock():
        try:
            on_start(live.folder, live.training, source)
            if live.quality is not None:
                tell(live.quality.cost)
            return _alone(live)
        except InputError:
            live.folder.take_back()
            raise


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
        InputError: there is no usable run, or its data have changed; or it has no record and no checkpoint yet, and
            as :func:`train`.
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
    with folder.lock():
        remove_leftovers(folder.path)
        source = source if source is not None else open_data(config.data, size=config.size, progress=on_decode)
        live = _reopened(folder, config, source, observers, tell, warn)
        on_start(folder, live.training, source)
        if live.quality is not None:
            tell(live.quality.cost)
        return _alone(live)


def train_together(
    configs: Sequence[TrainConfig],
    *,
    source: Source,
    measuring: Measuring | None = None,
    observers: Sequence[Sequence[Observer]] | None = None,
    pictured: bool = True,
) -> list[Run | StoppedError]:
    """Train runs of one method at once, stacked where they can be, or else one after the other.

    A run whose folder is there already goes on from its newest whole checkpoint. What stops a run that has begun does
    not stop the others.

    Args:
        configs: a run each, with its ``out``; for the same budget.
        source: the data of all.
        measuring: the protocol that all of them are evaluated by, ready.
        observers: of each run. What they raise ends all runs.
        pictured: whether the runs draw pictures.

    Returns:
        How each ended, in their order; runs that were not begun because of a signal stand at 0 steps.

    Raises:
        InputError: a configuration, the data or a folder cannot be used, which may show in the first steps only.
    """
    with ExitStack() as stack:
        caught = stack.enter_context(_signals())
        lives = []
        for config, watchers in zip(configs, observers or [()] * len(configs), strict=True):
            assert config.out is not None
            path = Path(config.out)
            if (path / "config.json").exists():
                folder = RunFolder.open(path)
                stack.enter_context(folder.lock())
                live = _reopened(folder, config, source, watchers, measuring=measuring)
            else:
                live = _begun(config, source, watchers, measuring=measuring)
                stack.enter_context(live.folder.lock())
            live.pictured = pictured
            lives.append(live)
        ended: dict[int, Run | StoppedError] = {}
        for group in _stacks(lives):
            # a run that a signal finds before its first step is left as it is
            ends = [_ended(live, caught) for live in group] if caught else _play(group, caught)
            for live, end in zip(group, ends, strict=True):
                ended[lives.index(live)] = end
        return [ended[number] for number in range(len(lives))]


def _begun(
    config: TrainConfig,
    source: Source,
    observers: Sequence[Observer],
    tell: Callable[[str], None] = lambda message: None,
    measuring: Measuring | None = None,
) -> Live:
    """Return a new run, at its first step, with its folder."""
    conditions = conditions_for(config, source)
    config = resolve(config, source.codec, None if conditions is None else conditions.condition)
    if config.hold_out is None:
        config = replace(config, hold_out=default_share(source))
    if config.tensorboard:
        summary_writer_class()
    training = build(config, source)
    if config.from_run is not None:
        begin_with(training, Path(config.from_run), tell)
    quality = None if config.evaluate is None else Quality(training, [], tell=tell, measuring=measuring)
    folder = RunFolder.begin(config, source, training.conditions)
    return Live(folder, training, quality=quality, observers=observers)


def _reopened(
    folder: RunFolder,
    config: TrainConfig,
    source: Source,
    observers: Sequence[Observer],
    tell: Callable[[str], None] = lambda message: None,
    warn: Callable[[str], None] = lambda message: None,
    measuring: Measuring | None = None,
) -> Live:
    """Return a run as its newest whole checkpoint left it."""
    config = resolve(config, folder.codec(), folder.condition())
    folder.check_data(source)
    training = build(config, source)
    live = Live(folder, training, observers=observers)
    if checkpoint.newest_first(folder.checkpoints):
        found, problems = checkpoint.load_newest(folder.checkpoints)
        for problem in problems:
            warn(f"{problem}; going back to {found.path.name}")
        training.restore(found)
        checkpoint.set_aside_newer(found.path)
        live.images, live.seconds = found.counters["images"], found.counters["seconds"]
        live.records = folder.forget_after(training.step.steps)
    else:
        if folder.metrics.exists():
            warn(f"{folder.path}: holds no checkpoint yet; starting again from step 0")
            folder.forget_after(0)
        if config.from_run is not None:
            begin_with(training, Path(config.from_run), tell)
    if config.evaluate is not None:
        live.quality = Quality(training, live.records, tell=tell, measuring=measuring)
    folder.write_config(config)
    return live


def _stacks(lives: Sequence[Live]) -> list[list[Live]]:
    """Return the runs in groups that can be trained together: those of networks that can be stacked."""
    groups: list[list[Live]] = []
    for live in lives:
        for group in groups:
            if not stackable(group[0].training.config, live.training.config):
                group.append(live)
                break
        else:
            groups.append([live])
    return groups


def _alone(live: Live) -> Run:
    """Train one run.

    Raises:
        InputError: it can not be trained at all, and has written nothing yet.
        StoppedError: as :func:`train`.
    """
    with _signals() as caught:
        (end,) = _play([live], caught)
    if isinstance(end, StoppedError):
        raise end
    return end


def _play(lives: Sequence[Live], caught: Sequence[int]) -> list[Run | StoppedError]:
    """Train runs in lockstep; turn what goes wrong on the way into a sentence that says where to go on.

    Those at the fewest steps move: where a process was killed between the checkpoints of two runs, one is behind until
    it is where the other is.
    """
    ended: dict[int, Run | StoppedError] = {}
    asked: list[int] = []  # the signals that runs see: all the same in one round, so that they end at one step
    with ExitStack() as files:
        rounds: dict[int, Rounds] = {}
        before: dict[int, int] = {}
        for number, live in enumerate(lives):
            live.folder.forget_stopped()
            writers = [files.enter_context(jsonl(live.folder.metrics))]
            if live.training.config.tensorboard:
                writers.append(files.enter_context(tensorboard(live.folder.path, live.images, live.records)))
            rounds[number] = live.rounds(writers, asked)

        def turn(number: int, go_on: Callable[[], int]) -> None:
            """Let a run go on until both players are to move again, or it ends."""
            live = lives[number]
            try:
                before[number] = go_on()
                return
            except StopIteration:
                ended[number] = _ended(live, asked)
            # NonFiniteError, or a rule that found no step; a disk; samples that cannot be measured, a part without
            # gradient
            except (ArithmeticError, OSError, InputError) as error:
                ended[number] = _stopped(live, error)
            del rounds[number]

        try:
            for number in list(rounds):
                turn(number, partial(next, rounds[number]))
            stack = _Stack(lives)
            while rounds:
                last = min(lives[number].training.step.steps for number in rounds)
                playing = [number for number in rounds if lives[number].training.step.steps == last]
                moved = stack.move(playing, before[playing[0]])
                asked[:] = caught
                for number in playing:
                    turn(number, partial(_go_on, rounds[number], moved[number]))
        except KeyboardInterrupt:
            first = lives[next(iter(rounds), 0)]
            raise KeyboardInterrupt(
                f"at step {first.training.step.steps}; go on from the last checkpoint with: "
                f"adversarium train --resume {first.folder.path}"
            ) from None
    return [ended[number] for number in range(len(lives))]


class _Stack:
    """Moves those of some runs that play: stacked where they are several, and alone where it is one."""

    def __init__(self, lives: Sequence[Live]) -> None:
        self._lives = lives
        self._numbers: list[int] = []  # of the runs that are stacked
        self._stacked: StackedTraining | None = None

    def move(self, playing: Sequence[int], images: int) -> dict[int, Moved | Exception]:
        """Move both players of the runs that play; return what that led each to, or what stopped it."""
        mark = time.monotonic()
        self._gather(playing)
        errors: dict[int, Exception] = {}
        try:
            if self._stacked is None:
                images = self._lives[playing[0]].training.move(images)
            else:
                images = self._stacked.move(images)
                errors = {self._numbers[index]: error for index, error in self._stacked.errors.items()}
                _wait_for(self._lives[playing[0]].training.step.critic)  # or the first to measure waits for all
        except (ArithmeticError, OSError, InputError) as error:
            return dict.fromkeys(playing, error)
        moved = Moved(images, (time.monotonic() - mark) / len(playing))
        return {number: errors.get(number, moved) for number in playing}

    def _gather(self, playing: Sequence[int]) -> None:
        """Stack these runs and no others."""
        stacked = self._stacked
        if stacked is not None:
            for index in stacked.playing:
                if self._numbers[index] not in playing or not set(playing) <= set(self._numbers):
                    stacked.leave(index)
            if stacked.playing:
                return
        self._numbers, self._stacked = list(playing), None
        if len(playing) > 1:
            self._stacked = StackedTraining([self._lives[number].training for number in playing])


def _wait_for(module: nn.Module) -> None:
    """Wait until a GPU has done what it was asked for."""
    device = next(module.parameters()).device
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _go_on(rounds: Rounds, moved: Moved | Exception) -> int:
    """Let a run go on until its players are to move again; return its images."""
    return rounds.throw(moved) if isinstance(moved, Exception) else rounds.send(moved)


def _ended(live: Live, caught: Sequence[int]) -> Run:
    complete = live.progress >= 1.0
    exhausted = live.exhausted and not complete
    best = checkpoint.newest_first(live.folder.best) if live.quality is not None else []
    return Run(
        live.folder.path,
        live.training.step.steps,
        live.images,
        signal=caught[0] if caught and not complete and not exhausted else None,
        best=best[0] if best else None,
        exhausted=exhausted,
        quality="" if live.quality is None else live.quality.summary,
    )


def _stopped(live: Live, error: Exception) -> StoppedError:
    """Return why a run stopped, with where it can go on.

    Raises:
        InputError: it had not begun: there is nothing to go on from, and nothing to look at.
    """
    folder, step = live.folder, live.training.step.steps
    kept = checkpoint.newest_first(folder.checkpoints)
    if isinstance(error, InputError) and not folder.has_begun():
        raise error
    what = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) and error.strerror else str(error)
    where = f"the last good checkpoint is {kept[0]}" if kept else "there is no checkpoint yet"
    if not isinstance(error, OSError):
        folder.write_stopped(step, what)
        where += f"; why: adversarium doctor {folder.path}"
    stopped = StoppedError(f"stopped at step {step}: {what}; {where}")
    stopped.__cause__ = error
    return stopped


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
