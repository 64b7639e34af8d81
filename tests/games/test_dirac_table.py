"""Every loss x penalty x rule on the Dirac game: predicted by the update's spectrum, confirmed by playing the game.

The prediction knows nothing of the path, and the path's verdict nothing of the spectrum. The default suite plays a
sample of the table that holds every member; `make slow` plays it all.
"""

import functools
import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from adversarium.errors import InputError
from adversarium.games import GAMES
from adversarium.games.dynamics import Trajectory, descent, observe, predict, simulate, update_eigenvalues
from adversarium.games.toys import Toy, dirac
from adversarium.losses import LOSSES
from adversarium.penalties import PENALTIES, WANTED_METHODS, attached
from adversarium.types import GameRule, Loss, Penalty

STEP, STEPS = 0.4, 64
START = torch.tensor([0.8e-6, 0.6e-6], dtype=torch.float64)
TOLERANCE = 1e-3  # of the observed growth per step; no cell that attracts or repels does so this slowly


def mirror(samples: Tensor, rng: torch.Generator | None = None) -> Tensor:
    """Return an augmentation that draws nothing."""
    return -samples


def member(factory: Callable[..., object], **arguments: object) -> Callable[[], object]:
    # under the import hook a factory compiles its type checks at each call
    return functools.cache(lambda: factory(**arguments))


OF_NUMBERS = [
    name for name, make in LOSSES.items() if (loss := make()).score_width is None and loss.critic_kind == "score"
]
LOSS_ROWS = {name: member(LOSSES[name]) for name in OF_NUMBERS} | {
    "least_squares(-1,1,0)": member(LOSSES["least_squares"], fake=-1.0, real=1.0, target=0.0),
    "relativistic(average)": member(LOSSES["relativistic"], pairing="average"),
    "f_divergence(reverse_kl)": member(LOSSES["f_divergence"], divergence="reverse_kl"),
    "f_divergence(total_variation)": member(LOSSES["f_divergence"], divergence="total_variation"),
}

# strong enough to be seen in a short game; the Dirac game has no images to shift and flip
PENALTY_ARGUMENTS: dict[str, dict[str, object]] = {
    "zero_centred": {"weight": 0.25},
    "r1": {"gamma": 0.5},
    "r2": {"gamma": 0.5},
    "max_gradient": {"weight": 0.25},
    "cr": {"augment": mirror},
    "bcr": {"augment": mirror},
    "spectral_regularisation": {"weight": 0.5},
    "orthogonal_regularisation": {"weight": 0.1},
}
RANDOM = {"noise_r1", "noise_r2"}  # their values are draws: there is no one game to predict
PENALTY_ROWS = {"none": lambda: None} | {
    name: member(make, **PENALTY_ARGUMENTS.get(name, {}))
    for name, make in PENALTIES.items()
    if name not in RANDOM and name not in WANTED_METHODS  # the game has no classes
}

# the target slope is 1, and the slope |ψ| is 0 at the equilibrium: the field jumps by ∓2λ across ψ = 0
KINKED = {(loss, penalty) for loss in LOSS_ROWS for penalty in ("wgan_gp", "dragan")}

RULE_ARGUMENTS: dict[str, dict[str, object]] = {"consensus": {"gamma": 0.5}, "symplectic": {"gamma": 0.5}}
RULE_ROWS = {name: member(make, **RULE_ARGUMENTS.get(name, {})) for name, make in GAMES.items()} | {
    "alternating(3,2)": member(GAMES["alternating"], n_critic=3, n_generator=2)
}

Cell = tuple[str, str, str]
TABLE: list[Cell] = list(itertools.product(LOSS_ROWS, PENALTY_ROWS, RULE_ROWS))


def sample() -> list[Cell]:
    """Return cells in which each rule meets about every fourth penalty, and each penalty every fourth rule."""
    losses = itertools.cycle(LOSS_ROWS)
    pairs = itertools.product(enumerate(PENALTY_ROWS), enumerate(RULE_ROWS))
    return [(next(losses), penalty, rule) for (i, penalty), (j, rule) in pairs if (i + j) % 4 == 0]


def toy_of(loss: str, penalty: str, rule: GameRule) -> Toy:
    of_loss, of_penalty = LOSS_ROWS[loss](), PENALTY_ROWS[penalty]()
    assert isinstance(of_loss, Loss)
    if of_penalty is not None:
        assert isinstance(of_penalty, Penalty)
        of_penalty = attached(of_penalty) if rule.second_order else of_penalty
    return dirac(of_loss, of_penalty)


def follows(path: Trajectory, eigenvalues: Tensor, period: int) -> bool:
    """Say whether a path is one of powers of a matrix with these eigenvalues (Cayley and Hamilton).

    Only the weights are seen, not what is remembered; but with c the matrix's characteristic polynomial, any linear
    view z_t of the state has Σ c_k·z_{t+k} = 0. Read while the game is close enough to be linear to about 1e-6.
    """
    seen = path.positions[2 * period :: period].numpy()  # from where all memory exists
    polynomial = np.poly(eigenvalues.numpy()).real
    order = len(polynomial) - 1
    windows = [seen[t : t + order + 1] for t in range(len(seen) - order)]
    close = [window for window in windows if np.abs(window).max() < 1e-3]
    assert close
    return all(
        np.abs(polynomial[::-1] @ window).max() <= 1e-5 * np.abs(polynomial).sum() * np.abs(window).max()
        for window in close
    )


def disagreement(loss: str, penalty: str, name: str) -> str | None:
    """Return what is wrong with a cell, or nothing."""
    rule = RULE_ROWS[name]()
    assert isinstance(rule, GameRule)
    toy, optimizers = toy_of(loss, penalty, rule), descent(STEP)
    prediction = predict(rule, toy, optimizers)
    path = simulate(rule, toy, optimizers, START, STEPS)
    if path.stopped:  # a rule that solves for its step may find none where the field jumps
        return None if (loss, penalty) in KINKED else f"{loss}, {penalty}, {name}: {path.stopped}"
    seen = observe(path, TOLERANCE)
    cell = f"{loss}, {penalty}, {name}: radius {prediction.radius:.6f}, {prediction.verdict}, seen {seen}"
    if (prediction.verdict == "no linearisation") != ((loss, penalty) in KINKED):
        return f"{cell}: kinked?"
    if prediction.verdict == "no linearisation":
        return None if seen == "repels" else cell
    if not follows(path, prediction.eigenvalues, rule.period):
        return f"{cell}: off the Jacobian's powers"
    if prediction.verdict == "circles":
        # a double eigenvalue 1 lets a game drift, as least squares does without a penalty: no faster than in a line
        shares = path.distances / path.distances[0]
        moves = rule.critic_evaluations * rule.generator_evaluations
        drift = 1 + 2 * moves * STEP * torch.arange(STEPS + 1)
        return None if bool(((shares < 2 * drift) & (shares > 0.02)).all()) else f"{cell}: leaves or arrives"
    slow = abs(math.log(prediction.radius)) < 2 * TOLERANCE
    return f"{cell}: too slow to see" if slow else None if seen == prediction.verdict else cell


def test_the_table_and_its_sample_hold_every_member():
    assert {"minimax", "nonsaturating", "least_squares", "hinge", "wasserstein", "relativistic"} <= set(OF_NUMBERS)
    assert set(PENALTY_ROWS) - {"none"} | RANDOM == set(PENALTIES) - set(WANTED_METHODS)
    assert set(GAMES) <= set(RULE_ROWS)
    for rows, column in zip((LOSS_ROWS, PENALTY_ROWS, RULE_ROWS), zip(*sample(), strict=True), strict=True):
        assert set(rows) == set(column)


@pytest.mark.parametrize("name", sorted(RANDOM))
def test_a_random_penalty_is_refused(name: str):
    toy = dirac(LOSSES["minimax"](), PENALTIES[name]())
    with pytest.raises(InputError, match="differ between equal samples"):
        predict(GAMES["simultaneous"](), toy, descent(STEP))


@pytest.mark.parametrize("cell", sample(), ids=", ".join)
def test_a_sample_of_the_table(cell: Cell):
    assert disagreement(*cell) is None


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("penalty", PENALTY_ROWS)
@pytest.mark.parametrize("loss", LOSS_ROWS)
def test_the_table(loss: str, penalty: str):
    assert [wrong for rule in RULE_ROWS if (wrong := disagreement(loss, penalty, rule))] == []


def test_a_path_of_another_matrix_is_seen():
    """The comparison with powers of the Jacobian can fail: a step of 1 % more is another matrix."""
    rule, toy = GAMES["extragradient"](), dirac(LOSSES["minimax"](), PENALTIES["r1"](0.5))
    path = simulate(rule, toy, descent(STEP), START, STEPS)
    spectra = [update_eigenvalues(rule, toy, descent(share * STEP)) for share in (1.0, 1.01)]
    assert [follows(path, spectrum, rule.period) for spectrum in spectra] == [True, False]
