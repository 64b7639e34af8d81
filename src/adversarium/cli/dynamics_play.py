"""What ``adversarium dynamics`` shows: settings of a small game, and what each rule does in them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from adversarium import spec
from adversarium.cli.dynamics_figure import Curve, Portrait
from adversarium.errors import InputError, lookup, require
from adversarium.games import GAMES, simultaneous
from adversarium.games.dynamics import (
    Optimizers,
    Prediction,
    Trajectory,
    descent,
    observe,
    predict,
    simulate,
)
from adversarium.games.field import stability
from adversarium.games.toys import TOYS, Toy, bilinear, dirac, gaussian
from adversarium.losses import LOSSES, MISPRINTS
from adversarium.penalties import PENALTIES, WANTED_METHODS, attached
from adversarium.types import GameRule, Loss, Penalty

Member = TypeVar("Member")

NEAR = 1e-4  # the distance at which a game is taken to be linear, and its verdict seen
TURNS = 6  # around the equilibrium, in a game that is judged
MOST_STEPS = 5_000
GRID = 17  # points of a portrait's field along each axis


@dataclass(frozen=True, kw_only=True)
class Steps:
    """How both players move: plain gradient steps, perhaps with momentum."""

    critic: float
    generator: float
    momentum: float

    @property
    def optimizers(self) -> Optimizers:
        """Make both players' optimizers."""
        return descent(self.critic, self.generator, self.momentum)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A game to be played.

    Attributes:
        names: what it is made of, by kind: ``{"loss": "wasserstein", "penalty": "r1"}``, or nothing.
        toy: the game.
        eigenvalues: of its field's Jacobian at the equilibrium; ``None`` without a linearisation. With unequal steps
            the generator's rows are scaled by the ratio of the two.
        largest_stable_step: the critic's, of simultaneous descent at this ratio of the steps; 0 where none is stable.
    """

    names: Mapping[str, str]
    toy: Toy
    eigenvalues: Tensor | None
    largest_stable_step: float | None

    @property
    def title(self) -> str:
        """What the setting is called in a picture."""
        if not self.names:
            return "phase portrait"
        return "\n".join("no penalty" if name == "none" else name for name in self.names.values())


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a rule does in a setting: predicted from its update's spectrum, and seen when the game is played.

    Attributes:
        setting: the game.
        rule: as it was asked for.
        period: after how many steps it does the same again.
        prediction: from the spectrum.
        near: the game played from so close to the equilibrium that it is linear: what the prediction speaks of.
        far: the game played from where the picture starts.
    """

    setting: Setting
    rule: str
    period: int
    prediction: Prediction
    near: Trajectory
    far: Trajectory

    @property
    def simulated(self) -> str:
        """What the equilibrium did to the game."""
        return observe(self.seen)

    @property
    def seen(self) -> Trajectory:
        """The game that is judged: the one that starts close by, or the other where no closeness makes it linear."""
        return self.near if self.linear else self.far

    @property
    def linear(self) -> bool:
        """Whether the update has a spectrum at the equilibrium."""
        return self.prediction.verdict != "no linearisation"

    @property
    def agrees(self) -> bool | None:
        """Whether the game does what the spectrum says.

        ``None`` where that says nothing, or where the game says something else at a radius within 2e-4 of 1: it drifts
        by what is not of first order, or is slower than ``observe`` can see.
        """
        if not self.linear:
            return None
        same = self.prediction.verdict == self.simulated
        slow = abs(self.prediction.radius - 1) < 2e-4
        return None if slow and not same else same

    @property
    def halves_after(self) -> int | None:
        """The step from which on the distance stays at or below half the first."""
        return _from_then_on(self.seen.distances <= self.seen.distances[0] / 2)

    @property
    def doubles_after(self) -> int | None:
        """The step from which on the distance stays at or above twice the first, or is not finite."""
        distances = self.seen.distances
        return _from_then_on((distances >= 2 * distances[0]) | ~distances.isfinite())

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain numbers, for JSON: an eigenvalue is [real, imaginary]."""
        return {
            **self.setting.names,
            "rule": self.rule,
            "period": self.period,
            "field_eigenvalues": _pairs(self.setting.eigenvalues),
            "update_eigenvalues": _pairs(self.prediction.eigenvalues) if self.linear else None,
            "radius": self.prediction.radius,
            "predicted": self.prediction.verdict,
            "simulated": self.simulated,
            "agrees": self.agrees,
            "halves_after": self.halves_after,
            "doubles_after": self.doubles_after,
            "largest_stable_step": self.setting.largest_stable_step,
            "distances": self.far.distances.tolist(),
            "distances_near": self.near.distances.tolist(),
        }


def _from_then_on(holds: Tensor) -> int | None:
    """Return the index from which on a condition holds to the end, ``None`` if it does not hold at the end."""
    failing = (~holds).nonzero()
    first = int(failing[-1]) + 1 if len(failing) else 0
    return first if first < len(holds) else None


def _pairs(values: Tensor | None) -> list[list[float]] | None:
    return None if values is None else torch.view_as_real(values).tolist()


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be played: lists of members as they were typed, ``all`` for every member that can be played."""

    game: str
    losses: str
    penalties: str
    rules: str
    spectrum: tuple[float, ...]
    steps: Steps
    count: int
    start: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The rows, setting by setting, and what was left out of ``all``, with the reason."""

    rows: tuple[Row, ...]
    left_out: tuple[tuple[str, str], ...]

    @property
    def settings(self) -> list[Setting]:
        """The settings with a row, in order."""
        return list({id(row.setting): row.setting for row in self.rows}.values())


def answer(question: Question, progress: Callable[[int, int], None] = lambda done, whole: None) -> Answer:
    """Play every rule in every setting.

    Raises:
        InputError: an unknown member, or one asked for by its name that cannot be played; nothing can be played.
    """
    rules = _members(question.rules, "rule", GAMES)
    makers = _toys(question)
    rows: list[Row] = []
    left_out: list[tuple[str, str]] = []
    for index, (names, make, asked) in enumerate(makers):
        try:
            setting = _setting(names, make(), question.steps)
        except InputError as error:
            _leave_out(", ".join(names.values()), error, asked, left_out)
            continue
        for place, (name, factory, wanted) in enumerate(rules):
            progress(index * len(rules) + place, len(makers) * len(rules))
            try:
                rows.append(_row(setting, name, factory(), question))
            except InputError as error:
                _leave_out(", ".join([*names.values(), name]), error, asked and wanted, left_out)
    require(bool(rows), f"nothing can be played: {'; '.join(reason for _, reason in left_out)}")
    return Answer(rows=tuple(rows), left_out=tuple(left_out))


def _leave_out(what: str, error: InputError, asked: bool, left_out: list[tuple[str, str]]) -> None:
    if asked:
        raise InputError(f"{what}: {error}" if what else str(error)) from error
    left_out.append((what, str(error)))


def _members(
    text: str, kind: str, table: Mapping[str, Callable[..., Member]], standard: Sequence[str] | None = None
) -> list[tuple[str, Callable[[], Member], bool]]:
    """Return each member of a list: its name, how to make it, and whether it was asked for by that name."""
    found: list[tuple[str, Callable[[], Member], bool]] = []
    for part in spec.split(text):
        if part == "all":
            found += [(name, table[name], False) for name in (standard or table)]
        else:
            spec.make(part, kind, table)  # a mistake is told before anything is played
            found.append((part, partial(spec.make, part, kind, table), True))
    return list({name: (name, make, asked) for name, make, asked in found}.values())


def _toys(question: Question) -> list[tuple[dict[str, str], Callable[[], Toy], bool]]:
    """Return the settings to play: their names, how to make them, and whether they were asked for by name."""
    lookup("game", question.game, TOYS)
    if question.game == "bilinear":
        return [({}, partial(bilinear, question.spectrum), True)]
    if question.game == "gaussian":
        charges = _members(question.penalties, "penalty", GAUSSIAN_PENALTIES)
        return [({"penalty": name}, make, asked) for name, make, asked in charges]
    losses = _members(question.losses, "loss", {**LOSSES, **MISPRINTS}, tuple(LOSSES))
    penalties = _members(question.penalties, "penalty", DIRAC_PENALTIES)
    return [
        ({"loss": loss, "penalty": penalty}, partial(_dirac, make_loss, make_penalty), asked and wanted)
        for loss, make_loss, asked in losses
        for penalty, make_penalty, wanted in penalties
    ]


def _dirac(make_loss: Callable[[], Loss], make_penalty: Callable[[], Penalty | None]) -> Toy:
    penalty = make_penalty()
    return dirac(make_loss(), None if penalty is None else attached(penalty))


def _none() -> None:
    return None


def _gaussian() -> Toy:
    return gaussian()


def _r1(gamma: float = 1.0) -> Toy:
    return gaussian(r1=gamma)


def _r2(gamma: float = 1.0) -> Toy:
    return gaussian(r2=gamma)


# those on a critic of scores alone: the game has no classes
DIRAC_PENALTIES: dict[str, Callable[..., Penalty | None]] = {
    "none": _none,
    **{name: make for name, make in PENALTIES.items() if name not in WANTED_METHODS},
}
GAUSSIAN_PENALTIES: dict[str, Callable[..., Toy]] = {"none": _gaussian, "r1": _r1, "r2": _r2}


def _setting(names: Mapping[str, str], toy: Toy, steps: Steps) -> Setting:
    # one step of simultaneous descent adds the field
    found = predict(simultaneous(), toy, descent(1.0, steps.generator / steps.critic))
    if found.verdict == "no linearisation":
        return Setting(names=names, toy=toy, eigenvalues=None, largest_stable_step=None)
    eigenvalues = found.eigenvalues - 1
    # no rule moves along a set of equilibria
    moving = eigenvalues[eigenvalues.abs().argsort()[toy.neutral :]]
    return Setting(
        names=names, toy=toy, eigenvalues=eigenvalues, largest_stable_step=stability(moving).largest_stable_step
    )


def _row(setting: Setting, name: str, rule: GameRule, question: Question) -> Row:
    toy, optimizers = setting.toy, question.steps.optimizers
    prediction = predict(rule, toy, optimizers)
    count = max(question.count, _steps_to_judge(prediction, rule.period))
    direction = torch.ones_like(toy.equilibrium) / math.sqrt(len(toy.equilibrium))
    near, far = (
        simulate(rule, toy, optimizers, toy.equilibrium + distance * direction, steps)
        for distance, steps in ((NEAR, count), (question.start, question.count))
    )
    row = Row(setting=setting, rule=name, period=rule.period, prediction=prediction, near=near, far=far)
    require(not row.seen.stopped, row.seen.stopped)
    return row


def _steps_to_judge(prediction: Prediction, period: int) -> int:
    """Return how many steps a game near the equilibrium needs for its turns not to pass for growth."""
    if not abs(prediction.radius - 1) < 0.02:  # it is fast, or not known
        return 0
    leading = prediction.eigenvalues[prediction.eigenvalues.abs() > 0.98 * prediction.radius**period]
    angles = leading.angle().abs() / period
    slowest = min((each for each in angles.tolist() if each > 1e-3), default=math.inf)
    return min(math.ceil(TURNS * 2 * math.pi / slowest), MOST_STEPS)


def portrait(setting: Setting, rows: Sequence[Row], reach: float) -> Portrait:
    """Return a setting's vector field on a plane around the equilibrium, with its rules' ways."""
    toy, (plane, axes) = setting.toy, _plane(setting)
    offsets = np.linspace(-reach, reach, GRID)
    points = [toy.equilibrium + torch.tensor([x, y]).to(plane) @ plane for y in offsets for x in offsets]
    flow = []
    for point in points:
        toy.game.move_to(point)
        flow.append(plane @ toy.game.field())
    return Portrait(
        title=setting.title,
        axes=axes,
        equilibrium=(plane @ toy.equilibrium).numpy(),
        offsets=offsets,
        flow=torch.stack(flow).view(GRID, GRID, 2).numpy(),
        curves=tuple(
            Curve(
                rule=row.rule,
                positions=(row.far.positions @ plane.T).numpy(),
                distances=row.far.distances.numpy(),
                multipliers=_per_step(row),
            )
            for row in rows
        ),
    )


def _per_step(row: Row) -> npt.NDArray[np.complex128]:
    """Return the update's eigenvalues, of a rule with a period their roots: what one step contributes."""
    if not row.linear:
        return np.zeros(0, dtype=np.complex128)
    return np.power(row.prediction.eigenvalues.numpy().astype(np.complex128), 1 / row.period)


def _plane(setting: Setting) -> tuple[Tensor, tuple[str, str]]:
    """Return two orthonormal directions, ``[2, n]``, and their names: the critic's first, for a game of two weights.

    Of a larger game, the first two weights of the two players.
    """
    toy = setting.toy
    critics = sum(each.numel() for each in toy.game.critic)
    basis = torch.eye(len(toy.equilibrium)).to(toy.equilibrium)[[0, critics]]
    if len(basis.T) == 2:
        return basis, ("critic's weight ψ", "generator's weight θ")
    return basis, ("critic's first weight", "generator's first weight")
