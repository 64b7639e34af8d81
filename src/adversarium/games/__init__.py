"""Game rules: how the two players move, given two gradients and two optimizers."""

from collections.abc import Callable

from adversarium.games.alternating import alternating
from adversarium.games.competitive import competitive
from adversarium.games.consensus import consensus
from adversarium.games.extragradient import extragradient, extrapolation_from_the_past
from adversarium.games.field import Field, NotConverged, Rotation, Spectrum, Stability, spectrum, stability
from adversarium.games.game import Game
from adversarium.games.lookahead import lookahead
from adversarium.games.optimistic import optimistic
from adversarium.games.path import PathAngle, path_angle
from adversarium.games.proximal import proximal_point
from adversarium.games.simultaneous import simultaneous
from adversarium.games.symplectic import symplectic
from adversarium.games.toys import TOYS, Toy
from adversarium.games.unrolled import unrolled
from adversarium.types import GameRule

GAMES: dict[str, Callable[..., GameRule]] = {
    "simultaneous": simultaneous,
    "alternating": alternating,
    "extragradient": extragradient,
    "extrapolation_from_the_past": extrapolation_from_the_past,
    "optimistic": optimistic,
    "lookahead": lookahead,
    "consensus": consensus,
    "symplectic": symplectic,
    "competitive": competitive,
    "unrolled": unrolled,
    "proximal_point": proximal_point,
}
"""Name to factory: how the two players move."""

__all__ = [
    "GAMES",
    "TOYS",
    "Field",
    "Game",
    "GameRule",
    "NotConverged",
    "PathAngle",
    "Rotation",
    "Spectrum",
    "Stability",
    "Toy",
    "alternating",
    "competitive",
    "consensus",
    "extragradient",
    "extrapolation_from_the_past",
    "lookahead",
    "optimistic",
    "path_angle",
    "proximal_point",
    "simultaneous",
    "spectrum",
    "stability",
    "symplectic",
    "unrolled",
]
