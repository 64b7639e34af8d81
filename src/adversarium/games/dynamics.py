"""What a game rule does near an equilibrium: predicted from the spectrum of its own update, and seen when played.

Nothing here knows how a rule works. Its update is run, and differentiated by central differences, in the weights and
in all that rule and optimizers remember from step to step (momentum, a past gradient, slow weights): memory is a part
of the state like any other, and an equilibrium attracts where the spectral radius of that map is below 1.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

from adversarium.errors import InputError, require
from adversarium.games.game import Game
from adversarium.games.toys import Toy
from adversarium.types import GameRule

Optimizers = Callable[[Game], tuple[Optimizer, Optimizer]]
"""Make both players' optimizers for a game, the critic's first."""

Verdict = Literal["attracts", "circles", "repels", "no linearisation"]
"""What an equilibrium does to a game that starts close to it. "circles": neither closer nor away, to first order."""

_WIDTH = 3e-5  # of the differences, in the weights' units
_CLOSE = 1e-6  # where a smooth update is linear, in the weights' units
# a radius closer to 1 is 1: the differences are good to about 1e-12, a double root to the root of that
_NEUTRAL = 1e-6
_NEAR, _FAR = 1e-6, 1e2  # shares of the first distance at which a game has arrived, or left


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the spectrum of a rule's update says.

    Attributes:
        eigenvalues: of the update of one period, by falling size, complex; none where there is no linearisation.
        radius: the growth per step of the slowest mode, the period-th root of the largest size; a toy's neutral
            eigenvalues are left out. NaN where there is no linearisation.
        verdict: by the radius: below 1 attracts, above repels, within 1e-6 of 1 circles.
    """

    eigenvalues: Tensor
    radius: float
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """A game played: ``positions [T + 1, n]`` and ``distances [T + 1]`` from the nearest equilibrium.

    Both are NaN from the step on at which the game left the finite numbers, or a rule that solves for its step found
    none: ``stopped`` then says why, and is empty otherwise.
    """

    positions: Tensor
    distances: Tensor
    stopped: str = ""


def descent(critic_step: float, generator_step: float | None = None, momentum: float = 0.0) -> Optimizers:
    """Make plain gradient descent for both players; the generator's step is the critic's unless given.

    ``momentum`` may be negative, which ``SGD`` itself refuses at construction.
    """

    def optimizers(game: Game) -> tuple[Optimizer, Optimizer]:
        pair = (
            SGD(game.critic, lr=critic_step),
            SGD(game.generator, lr=critic_step if generator_step is None else generator_step),
        )
        for optimizer in pair:
            optimizer.param_groups[0]["momentum"] = momentum
        return pair

    return optimizers


def update_jacobian(rule: GameRule, toy: Toy, optimizers: Optimizers) -> Tensor:
    """Return the Jacobian at the equilibrium of one period of the rule's update, float64.

    Its axes are the weights, the critic's first, and then the numbers that rule and optimizers remember, which are
    those of ``optimizer.state`` that are shaped like their weights. Measured by central differences of the update
    itself: exact up to rounding for a linear game, to about 1e-11 for a smooth one.

    Raises:
        InputError: the update is not differentiable at the equilibrium, of which Adam's and RMSProp's are not in any
            game: they divide by the root of a mean squared gradient, and all gradients are 0 there.
    """
    jacobian = _measured(rule, toy, optimizers)
    require(
        jacobian is not None,
        f"{rule.name} on {toy.name}: the update is not differentiable at the equilibrium, wanted a smooth game",
    )
    assert jacobian is not None
    return jacobian


def update_eigenvalues(rule: GameRule, toy: Toy, optimizers: Optimizers) -> Tensor:
    """Return the eigenvalues of :func:`update_jacobian`, complex, by falling size.

    Raises:
        InputError: as in :func:`update_jacobian`.
    """
    return _eigenvalues(update_jacobian(rule, toy, optimizers))


def predict(rule: GameRule, toy: Toy, optimizers: Optimizers) -> Prediction:
    """Say what the rule does near the equilibrium, by the spectrum of its update.

    Raises:
        InputError: optimizers that are not differentiable at any equilibrium, see :func:`update_jacobian`; a rule that
            solves for its step and finds none.
    """
    jacobian = _measured(rule, toy, optimizers)
    if jacobian is None:
        none = torch.zeros(0, dtype=torch.complex128)
        return Prediction(eigenvalues=none, radius=math.nan, verdict="no linearisation")
    eigenvalues = _eigenvalues(jacobian)
    moving = eigenvalues[(eigenvalues - 1).abs().argsort()[toy.neutral :]]
    radius = float(moving.abs().max()) ** (1 / rule.period)
    verdict: Verdict = "circles" if abs(radius - 1) <= _NEUTRAL else "attracts" if radius < 1 else "repels"
    return Prediction(eigenvalues=eigenvalues, radius=radius, verdict=verdict)


def simulate(rule: GameRule, toy: Toy, optimizers: Optimizers, start: Tensor, steps: int) -> Trajectory:
    """Play a game from ``start``, ``[n]``, for some steps of a rule; any optimizers will do.

    Raises:
        InputError: a start of another shape than the equilibrium's.
    """
    wanted = toy.equilibrium.shape
    require(start.shape == wanted, f"start has shape {list(start.shape)}: wanted {list(wanted)}, as the equilibrium")
    positions = torch.full((steps + 1, *wanted), math.nan, dtype=torch.float64)
    distances = torch.full((steps + 1,), math.nan, dtype=torch.float64)
    stopped = ""
    with _left_as_it_was(toy.game):
        toy.game.move_to(start)
        pair, closures = optimizers(toy.game), toy.game.closures(rule)
        for step in range(steps + 1):
            if step:
                try:
                    rule(*closures, *pair)
                except ArithmeticError as error:
                    stopped = f"{rule.name} found no step {step}: {error}"
                    break
            position = toy.game.position()
            if not position.isfinite().all() or not math.isfinite(distance := toy.distance(position)):
                break
            positions[step], distances[step] = position, distance
    return Trajectory(positions=positions, distances=distances, stopped=stopped)


def observe(trajectory: Trajectory, tolerance: float = 1e-4) -> Verdict:
    """Say what the equilibrium did, from the distances of a game alone.

    A game that came within a millionth of its first distance was attracted, one that ended a hundred times as far
    away, or not among the finite numbers, was repelled. Of any other, the second half is compared: the mean logarithm
    of the distance in its fourth quarter, less that in its third, per step; the means are weighted by a window that
    falls to 0 at both ends, in which the ups and downs of a turn cancel. A growth within ±``tolerance`` per step
    circles. Start so close that the game is linear, and let it run for some turns.

    Raises:
        InputError: a game of fewer than 8 steps, or one that starts at an equilibrium; one that its rule could not
            go on with.
    """
    distances = trajectory.distances
    require(not trajectory.stopped, f"the game cannot be judged: {trajectory.stopped}")
    require(len(distances) > 8, f"the trajectory has {len(distances) - 1} steps: wanted at least 8")
    require(bool(distances[0] > 0), f"the first distance is {float(distances[0])}: wanted a start off the equilibrium")
    shares = distances / distances[0]
    if not shares.isfinite().all():
        return "repels"
    if shares[-1] > _FAR:
        return "repels"
    if shares.min() < _NEAR:
        return "attracts"
    quarter = len(shares) // 4
    window = torch.hann_window(quarter + 1, periodic=False, dtype=torch.float64)[1:]
    window = window / window.sum()
    logarithms = shares.log()
    growth = float(window @ (logarithms[-quarter:] - logarithms[-2 * quarter : -quarter])) / quarter
    return "circles" if abs(growth) <= tolerance else "attracts" if growth < 0 else "repels"


# --- one period of a rule as a map -----------------------------------------------------------------


def _measured(rule: GameRule, toy: Toy, optimizers: Optimizers) -> Tensor | None:
    """Return the Jacobian of one period, or None where it has none."""
    with _left_as_it_was(toy.game), _refusing(rule):
        toy.game.move_to(toy.equilibrium)
        update = _Period(rule, toy.game, optimizers)
        origin = update.state()
        count, rng = len(origin), torch.Generator().manual_seed(0)
        # across all axes: on an axis, where a weight is 0, autograd has no second derivative of a slope
        basis = torch.linalg.qr(torch.randn(count, count, generator=rng, dtype=torch.float64)).Q

        def slopes(width: float) -> Tensor:
            ends = [[update(origin + sign * width * way) for way in basis] for sign in (1, -1)]
            return (torch.stack(ends[0]) - torch.stack(ends[1])) / (2 * width)

        # two widths cancel the error's leading term
        jacobian = ((4 * slopes(_WIDTH) - slopes(2 * _WIDTH)) / 3).T @ basis
        # differentiable: whichever way one leaves, the change is the Jacobian's
        ways = torch.nn.functional.normalize(torch.randn(8, count, generator=rng, dtype=torch.float64))
        moving = (jacobian - torch.eye(count)).abs().max()

        def error(width: float) -> float:
            changes = torch.stack([update(origin + width * way) - origin for way in ways]) / width
            return float((changes - ways @ jacobian.T).abs().max())

        # where it bends, the error shrinks with the width; at a kink it does not
        bent = error(_CLOSE)
        smooth = bent < 1e-4 * moving + 1e-8 or error(_CLOSE / 10) < bent / 2
        return jacobian if smooth else None


@contextmanager
def _refusing(rule: GameRule) -> Iterator[None]:
    try:
        yield
    except ArithmeticError as error:
        raise InputError(f"{rule.name} found no step near the equilibrium: {error}") from error


class _Period:
    """One period of a rule as a map of the weights and of all that is remembered, from the state at an equilibrium."""

    def __init__(self, rule: GameRule, game: Game, optimizers: Optimizers) -> None:
        self.rule, self.game = rule, game
        self.closures = game.closures(rule)  # once: a closure is cheap to call, but not to make
        origin = game.position()
        # rules start to remember when weights start to move: a period from either side of the equilibrium makes all
        # memory exist, and the mean of the two is the memory at the equilibrium
        way = torch.randn(origin.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        sides = []
        for sign in (1, -1):
            self.optimizers = optimizers(game)
            _refuse_adaptive(self.optimizers)
            game.move_to(origin + sign * _CLOSE * way)
            self._play()
            sides.append(self.state()[len(origin) :])
        self._put(torch.cat((origin, (sides[0] + sides[1]) / 2)))
        self.memory = [
            (optimizer, weight, {name: _copy(value) for name, value in values.items()})
            for optimizer in self.optimizers
            for weight, values in optimizer.state.items()
        ]

    def __call__(self, state: Tensor) -> Tensor:
        """Return the state one period later."""
        for optimizer, weight, values in self.memory:  # counters too, which are no coordinates
            optimizer.state[weight] = {name: _copy(value) for name, value in values.items()}
        self._put(state)
        self._play()
        return self.state()

    def state(self) -> Tensor:
        """Return all coordinates as one vector, a copy."""
        return torch.cat([each.detach().flatten() for each in self._coordinates()])

    def _coordinates(self) -> list[Tensor]:
        remembered = [
            value
            for optimizer in self.optimizers
            for weight, values in optimizer.state.items()
            for name, value in sorted(values.items())
            if not name.endswith("count")
            and isinstance(value, Tensor)
            and value.is_floating_point()
            and value.shape == weight.shape
        ]
        return [*self.game.weights, *remembered]

    @torch.no_grad()
    def _put(self, state: Tensor) -> None:
        coordinates = self._coordinates()
        for each, part in zip(coordinates, state.split([each.numel() for each in coordinates]), strict=True):
            each.copy_(part.view_as(each))

    def _play(self) -> None:
        for _ in range(self.rule.period):
            self.rule(*self.closures, *self.optimizers)


def _refuse_adaptive(optimizers: tuple[Optimizer, Optimizer]) -> None:
    for optimizer in optimizers:
        require(
            isinstance(optimizer, SGD),
            f"got {type(optimizer).__name__}: optimizers that divide by the size of past gradients, as Adam and "
            "RMSProp do, are not differentiable at an equilibrium, where it is 0; wanted torch.optim.SGD",
        )


def _copy(value: object) -> object:
    return value.clone() if isinstance(value, Tensor) else value


@contextmanager
def _left_as_it_was(game: Game) -> Iterator[None]:
    position = game.position()
    try:
        yield
    finally:
        game.move_to(position)


def _eigenvalues(jacobian: Tensor) -> Tensor:
    values: Tensor = torch.linalg.eigvals(jacobian)
    return values[values.abs().argsort(descending=True)]
