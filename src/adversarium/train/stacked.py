"""Many games at once: runs of one method on small networks, moved together as one game of stacked networks."""

import dataclasses
from collections.abc import Sequence

from adversarium.config import TrainConfig
from adversarium.errors import require
from adversarium.games import GAMES
from adversarium.penalties import WANTED_METHODS
from adversarium.spec import make
from adversarium.train.resolve import known
from adversarium.train.slots import terms_of
from adversarium.train.stacked_game import Stack
from adversarium.train.step import NonFiniteError
from adversarium.train.terms import played
from adversarium.train.training import Training

FREE = frozenset(
    {
        *("seed", "critic_learning_rate", "generator_learning_rate", "penalty_scale"),
        *("steps", "kimg", "seconds", "hold_out", "out", "from_run", "log_every_steps", "sample_every_kimg"),
        *("checkpoint_every_seconds", "keep_checkpoints", "diagnose_every_steps", "evaluate", "evaluate_every_kimg"),
        *("evaluate_times", "patience", "tensorboard"),
    }
)
"""Options in which games that are moved together may differ."""

_ABSENT = (
    "conditional",
    "minibatch",
    "augment",
    "replay_pool",
    "compile",
    "critic_batch_norm",
    "generator_batch_norm",
)
_ONES = ("packing", "penalty_fraction", "top_k")
_NETWORKS = ("mlp", "vector-mlp", "vector-autoencoder")
_ON_WEIGHTS = (
    *("spectral_regularisation", "orthogonal_regularisation"),
    *("historical_averaging", "generator_historical_averaging"),
)


def stackable(*configs: TrainConfig) -> str:
    """Return why runs cannot be moved together, or an empty text where they can. Of one run: with others like it.

    Args:
        configs: resolved configurations.
    """
    for config in configs:
        preset, rule = played(config), make(known(config.game), "game", GAMES)
        for name in _ABSENT:
            if getattr(config, name):
                return f"{name} is {getattr(config, name)!r}"
        for name in _ONES:
            if getattr(config, name) != 1:
                return f"{name} is {getattr(config, name)!r}"
        if config.network not in _NETWORKS:
            return f"network is {config.network!r}: only {', '.join(_NETWORKS)} are stacked"
        if config.precision != "fp32":
            return f"precision is {config.precision!r}"
        if rule.second_order:
            return f"game is {config.game}, which differentiates through both players"
        for constraint in preset.constraints:
            if constraint.name != "clip":
                return f"{config.preset} has the constraint {constraint.name}"
        for term in terms_of(preset.objective):
            if term.name in (*_ON_WEIGHTS, *WANTED_METHODS):
                return f"the term {term.name} looks into the networks"
            if term.fraction != 1:
                return f"the term {term.name} has fraction {term.fraction}"
        for field in dataclasses.fields(TrainConfig):
            values = [getattr(each, field.name) for each in (config, configs[0])]
            if field.name not in FREE and values[0] != values[1]:
                return f"{field.name} differs: {values[0]!r} and {values[1]!r}"
    return ""


class StackedTraining:
    """Runs that are moved together: each of them is all the time what it would be if it had been moved alone.

    The runs' weights, averages and optimizer states are views of stacked ones, so that each can be looked at, measured
    and saved as ever between two moves, or restored (all at the same step). A run whose numbers become non-finite
    leaves the others as it was before that step, and so does one that is let go; it can then be moved alone.

    The same up to rounding, that is: sums are taken in another order. After 100 steps in float32 nothing differs by
    more than 1e-5, but for losses of score differences (Wasserstein's and the relativistic ones): there the bias of
    the critic's last layer has no gradient, nor has that of a unit that is active on every sample, and Adam makes
    whole steps of the rounding that is left of it. So after a few steps those biases differ by 1e-3, and after 100
    steps all else by up to 1e-2, as two single runs do on machines that round differently. In float64 all are equal to
    1e-8.

    Args:
        trainings: the runs, all at the same step, in configurations that :func:`stackable` finds no fault with.

    Attributes:
        errors: what stopped a run, by its number; a GPU is not waited for, and says so at the run's measurements.

    Raises:
        InputError: the runs cannot be moved together; says why, and the way out.
    """

    def __init__(self, trainings: Sequence[Training]) -> None:
        require(len(trainings) > 0, "there are no trainings: wanted at least one")
        reason = stackable(*(each.config for each in trainings))
        require(not reason, f"the trainings cannot be stacked: {reason}; train them one after another")
        self.trainings = tuple(trainings)
        self.errors: dict[int, NonFiniteError] = {}
        self._playing = dict(enumerate(trainings))
        self._stack: Stack | None = None

    @property
    def playing(self) -> tuple[int, ...]:
        """The numbers of the runs that still move."""
        return tuple(self._playing)

    def move(self, images: int) -> int:
        """Do for all that play what ``Training.move`` does for one; return the number of images now.

        Raises:
            InputError: no run plays any more, or one was restored at another step than the others.
        """
        require(len(self._playing) > 0, "every training has left: there is none to move")
        if self._stack is None or self._stack.restored:
            self._release()
            self._stack = Stack(list(self._playing.values()))
        now = self._stack.move(images)
        for training, error in self._stack.errors:
            number = next(key for key, each in self._playing.items() if each is training)
            self.errors[number] = error
            self.leave(number)
        return now

    def leave(self, number: int) -> None:
        """Let a run go: from now on it is moved alone, or not at all."""
        require(number in self._playing, f"number is {number}: wanted one of {list(self._playing)}")
        self._release()
        self._playing.pop(number)

    def _release(self) -> None:
        if self._stack is not None:
            self._stack.release()
        self._stack = None
