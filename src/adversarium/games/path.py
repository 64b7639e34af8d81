"""The vector field of a game along a straight line, on which attraction and rotation leave different traces."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from adversarium.errors import require
from adversarium.games.game import Game, require_trained


@dataclass(frozen=True, kw_only=True, eq=False)
class PathAngle:
    """The field v along a straight line between two points.

    Attributes:
        positions: how far along, ``[P]``: 0 at the start, 1 at the end.
        cosines: of the angle between v and the way from start to end, ``[P]``; NaN where v is 0.
        norms: |v|, ``[P]``.
    """

    positions: Tensor
    cosines: Tensor
    norms: Tensor


def path_angle(game: Game, end: Tensor, points: int = 61, span: tuple[float, float] = (-0.1, 1.1)) -> PathAngle:
    """Return the angle between v and the way from the game's present weights to ``end``, ``[n]``, along that way.

    How to read it: let the way pass a stationary point at a distance d, and s be how far it is past the nearest place.
    Where v only attracts to the point, the cosine is -s/√(s² + d²): it changes sign from + to -, the sharper the
    closer. Where v only rotates around it, the cosine is ±d/√(s² + d²): a bump up to ±1, and no change of sign. Both
    together give a bump and a change of sign beside it. |v| is least there. The way goes on beyond its ends, a tenth
    of its length by default, so that a change at the end is seen.

    The weights are afterwards what they were, whatever happens.

    Berard, Gidel, Almahairi, Vincent and Lacoste-Julien 2020, "A Closer Look at the Optimization Landscapes of
    Generative Adversarial Networks", arXiv:1906.04848.

    Raises:
        InputError: an ``end`` of another length, that is not finite or where the game already is; fewer than 2 points.
    """
    require_trained(game)
    start = game.position()
    require(points >= 2, f"points is {points}: wanted at least 2")
    require(end.shape == start.shape, f"end has shape {list(end.shape)}: wanted {list(start.shape)}, as the game's")
    way = end.to(start) - start
    length = way.norm()
    require(bool(0 < length < math.inf), "end is where the game is, or not finite: wanted another point")
    positions = torch.linspace(*span, points, dtype=torch.float64)
    cosines, norms = [], []
    try:
        for share in positions.tolist():
            game.move_to(start + share * way)
            value = game.field()
            norms.append(value.norm())
            cosines.append(value @ way / (norms[-1] * length))
    finally:
        game.move_to(start)
    return PathAngle(
        positions=positions, cosines=torch.stack(cosines).double().cpu(), norms=torch.stack(norms).double().cpu()
    )
