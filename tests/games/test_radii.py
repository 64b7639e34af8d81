"""Every game rule against its closed form, from the spectrum of its own update, and the order of its calls."""

import cmath
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from adversarium.errors import InputError
from adversarium.games import (
    GAMES,
    alternating,
    competitive,
    consensus,
    extragradient,
    extrapolation_from_the_past,
    lookahead,
    optimistic,
    proximal_point,
    simultaneous,
    symplectic,
    unrolled,
)
from adversarium.games.dynamics import descent, predict, update_eigenvalues, update_jacobian
from adversarium.games.toys import bilinear, dirac
from adversarium.losses import LOSSES
from adversarium.penalties import PENALTIES
from adversarium.types import GameRule, Loss

BAR = 1e-6
every_seed = pytest.mark.parametrize("seed", range(3))


class Draw:
    """Random parameters, by a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = torch.Generator().manual_seed(seed)

    def number(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.rng))

    def whole(self, low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=self.rng))


@dataclass(frozen=True)
class Case:
    """A rule, its steps, and its radius per step on min max s·x·y."""

    rule: GameRule
    critic_step: float
    generator_step: float
    radius: Callable[[float], float]


def largest(*roots: complex) -> float:
    return max(abs(root) for root in roots)


def turning(middle: float) -> tuple[complex, complex]:
    """Return the roots of x² - 2·middle·x + 1."""
    return middle + cmath.sqrt(middle**2 - 1), middle - cmath.sqrt(middle**2 - 1)


# rules that take no notice of a change of the weights' units depend on the two steps through their product alone
def by_product(rule: GameRule, draw: Draw, highest: float, radius: Callable[[float], float]) -> Case:
    one, other = draw.number(0.05, highest), draw.number(0.05, highest)
    return Case(rule, one, other, lambda s: radius(math.sqrt(one * other) * s))


def alternates(draw: Draw) -> Case:
    n_critic, n_generator = draw.whole(1, 4), draw.whole(1, 4)
    return by_product(
        alternating(n_critic, n_generator),
        draw,
        2.0,
        lambda a: largest(*turning(1 - n_critic * n_generator * a**2 / 2)),
    )


def past(a: float) -> float:
    return largest(*np.roots([1, -(1 - 2j * a), -1j * a]).tolist())


def looks_ahead(draw: Draw) -> Case:
    k, alpha = draw.whole(1, 7), draw.number(0.1, 1.0)
    if draw.whole(0, 1):
        inner, modes = simultaneous(), lambda a: (1 - 1j * a,)
    else:
        inner, modes = alternating(), lambda a: turning(1 - a**2 / 2)
    return by_product(
        lookahead(k, alpha, inner),
        draw,
        2.0,
        lambda a: largest(*(1 - alpha + alpha * mode**k for mode in modes(a))) ** (1 / k),
    )


def adjusts(make: Callable[[float], GameRule]) -> Callable[[Draw], Case]:
    def case(draw: Draw) -> Case:
        gamma, h = draw.number(0.0, 3.0), draw.number(0.05, 1.5)
        return Case(make(gamma), h, h, lambda s: abs(complex(1 - h * gamma * s**2, h * s)))

    return case


def unrolls(draw: Draw) -> Case:
    k, inner, one, other = draw.whole(1, 5), draw.number(0.05, 0.5), draw.number(0.05, 1), draw.number(0.05, 1)
    given = draw.whole(0, 1)
    rate = inner if given else one

    def radius(s: float) -> float:
        step = np.array([[1, one * s], [-other * s, 1 - 2 * k * rate * other * s**2]])
        return largest(*np.linalg.eigvals(step).tolist())

    return Case(unrolled(k, inner if given else None), one, other, radius)


CASES: dict[str, Callable[[Draw], Case]] = {
    "simultaneous": lambda draw: by_product(simultaneous(), draw, 2.0, lambda a: math.sqrt(1 + a**2)),
    "alternating": alternates,
    "extragradient": lambda draw: by_product(extragradient(), draw, 2.0, lambda a: math.sqrt(1 - a**2 + a**4)),
    "extrapolation_from_the_past": lambda draw: by_product(extrapolation_from_the_past(), draw, 1.0, past),
    "optimistic": lambda draw: by_product(optimistic(), draw, 1.0, past),
    "lookahead": looks_ahead,
    "consensus": adjusts(consensus),
    "symplectic": adjusts(lambda gamma: symplectic(gamma, align=gamma > 1.5)),
    "competitive": lambda draw: by_product(competitive(), draw, 4.0, lambda a: 1 / math.sqrt(1 + a**2)),
    "proximal_point": lambda draw: by_product(proximal_point(), draw, 4.0, lambda a: 1 / math.sqrt(1 + a**2)),
    "unrolled": unrolls,
}


def test_every_rule_has_its_radius():
    assert set(CASES) == set(GAMES)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(6))
def test_the_radius_on_bilinear_games(name: str, seed: int):
    draw = Draw(seed)
    case = CASES[name](draw)
    assert case.rule.name == name
    spectrum = [draw.number(0.2, 1.5) for _ in range(draw.whole(1, 4))]
    found = predict(case.rule, bilinear(spectrum, draw.rng), descent(case.critic_step, case.generator_step))
    expected = max(case.radius(s) for s in spectrum)
    assert found.radius == pytest.approx(expected, abs=BAR, rel=1e-9)
    neutral = abs(expected - 1) < 1e-9
    assert found.verdict == ("circles" if neutral else "attracts" if expected < 1 else "repels")


@pytest.mark.parametrize("name", CASES)
@every_seed
@pytest.mark.parametrize("loss_name", ["minimax", "nonsaturating"])
def test_the_radius_on_the_dirac_game_is_that_of_half_the_speed(loss_name: str, name: str, seed: int):
    case = CASES[name](Draw(100 + seed))
    found = predict(case.rule, dirac(LOSSES[loss_name]()), descent(case.critic_step, case.generator_step))
    assert found.radius == pytest.approx(case.radius(0.5), abs=BAR)


@pytest.mark.parametrize(
    ("rule", "limit"),
    [
        (extragradient(), 1.0),
        (optimistic(), 1 / math.sqrt(3)),
        (extrapolation_from_the_past(), 1 / math.sqrt(3)),
    ],
    ids=lambda value: value.name if isinstance(value, GameRule) else "",
)
@every_seed
def test_the_largest_step_that_converges(rule: GameRule, limit: float, seed: int):
    speed = Draw(seed).number(0.3, 2.0)
    verdicts = [predict(rule, bilinear((speed,)), descent(share * limit / speed)).verdict for share in (0.99, 1.01)]
    assert verdicts == ["attracts", "repels"]


# --- momentum --------------------------------------------------------------------------------------


def test_negative_momentum_converges_as_published():
    found = predict(alternating(), bilinear(), descent(0.1, momentum=-0.5))
    assert found.radius == pytest.approx(0.9985178, abs=1e-7)
    assert found.verdict == "attracts"


@pytest.mark.parametrize("rule", [simultaneous(), alternating()], ids=["simultaneous", "alternating"])
@every_seed
def test_momentum_of_either_sign(rule: GameRule, seed: int):
    """Gidel et al. 2019: (x - 1)²(x - β)² + h²x² = 0 for simultaneous, with x³ for alternating descent."""
    draw = Draw(seed)
    h, beta = draw.number(0.05, 0.5), draw.number(0.1, 0.8)
    for momentum in (-beta, beta):
        coefficients = np.polymul(np.poly([1, 1]), np.poly([momentum, momentum]))
        coefficients[1 if rule.name == "alternating" else 2] += h**2
        found = predict(rule, bilinear(), descent(h, momentum=momentum))
        assert found.radius == pytest.approx(largest(*np.roots(coefficients).tolist()), abs=BAR)
        if momentum > 0:
            assert found.verdict == "repels"


# --- the Dirac game --------------------------------------------------------------------------------


def pair_of(middle: float, discriminant: float) -> tuple[complex, complex]:
    return middle - cmath.sqrt(discriminant), middle + cmath.sqrt(discriminant)


def assert_spectrum(found: torch.Tensor, expected: tuple[complex, ...], tolerance: float = BAR) -> None:
    """Compare as sets, by the polynomials' coefficients: a double root splits by the root of any error."""
    coefficients = np.poly(np.array(expected))
    np.testing.assert_allclose(np.poly(found.numpy()), coefficients, rtol=0, atol=tolerance)
    if abs(expected[0] - expected[1]) > 1e-2:
        ordered, wanted = (
            sorted(each, key=lambda z: (round(z.imag, 4), z.real)) for each in (found.tolist(), expected)
        )
        assert [abs(a - b) < tolerance for a, b in zip(ordered, wanted, strict=True)] == [True, True]


def loss_of(name: str) -> Loss:
    return LOSSES["relativistic"](pairing="average", scale=0.5) if name == "average" else LOSSES[name]()


LOGARITHMIC = ("minimax", "nonsaturating", "relativistic")


@pytest.mark.parametrize("name", [*LOGARITHMIC, "average", "wasserstein"])
@every_seed
def test_plain_losses(name: str, seed: int):
    h = Draw(seed).number(0.05, 2.0)
    speed = 1.0 if name == "wasserstein" else 0.5
    found = update_eigenvalues(simultaneous(), dirac(loss_of(name)), descent(h))
    assert_spectrum(found, (1 + 1j * h * speed, 1 - 1j * h * speed))


@pytest.mark.parametrize("name", LOGARITHMIC)
@pytest.mark.parametrize("penalty", ["r1", "r2"])
@every_seed
def test_r1_and_r2(name: str, penalty: str, seed: int):
    draw = Draw(seed)
    gamma, h = draw.number(0.05, 3.0), draw.number(0.05, 2.0)
    found = update_eigenvalues(simultaneous(), dirac(loss_of(name), PENALTIES[penalty](gamma)), descent(h))
    one, other = pair_of(-gamma / 2, gamma**2 / 4 - 0.25)
    assert_spectrum(found, (1 + h * one, 1 + h * other))


@pytest.mark.parametrize("penalty", ["r1", "r2"])
def test_a_gamma_of_one_is_critical(penalty: str):
    h = 0.7
    found = update_eigenvalues(simultaneous(), dirac(loss_of("minimax"), PENALTIES[penalty](1.0)), descent(h))
    assert_spectrum(found, (1 - h / 2, 1 - h / 2))
    toys = [dirac(loss_of("minimax"), PENALTIES[penalty](gamma)) for gamma in (0.999, 1.001)]
    turns = [bool(update_eigenvalues(simultaneous(), toy, descent(h)).imag.any()) for toy in toys]
    assert turns == [True, False]


@every_seed
def test_r1_is_stable_below_4_gamma(seed: int):
    gamma = Draw(seed).number(0.05, 0.9)
    toy = dirac(loss_of("nonsaturating"), PENALTIES["r1"](gamma))
    verdicts = [predict(simultaneous(), toy, descent(4 * gamma * share)).verdict for share in (0.999, 1.0, 1.001)]
    assert verdicts == ["attracts", "circles", "repels"]


@pytest.mark.parametrize("name", LOGARITHMIC)
@every_seed
def test_instance_noise(name: str, seed: int):
    draw = Draw(seed)
    deviation, h = draw.number(0.1, 2.0), draw.number(0.05, 2.0)
    found = update_eigenvalues(simultaneous(), dirac(loss_of(name), noise=deviation), descent(h))
    one, other = pair_of(-(deviation**2) / 4, deviation**4 / 16 - 0.25)
    assert_spectrum(found, (1 + h * one, 1 + h * other))


@pytest.mark.parametrize("name", LOGARITHMIC)
@every_seed
def test_consensus(name: str, seed: int):
    draw = Draw(seed)
    gamma, h = draw.number(0.0, 3.0), draw.number(0.05, 2.0)
    found = update_eigenvalues(consensus(gamma), dirac(loss_of(name)), descent(h))
    middle = 1 - h * gamma / 4
    assert_spectrum(found, (complex(middle, h / 2), complex(middle, -h / 2)))


@pytest.mark.parametrize("name", LOGARITHMIC)
@pytest.mark.parametrize(("n_critic", "n_generator"), [(1, 1), (3, 1), (1, 2), (2, 3)])
@every_seed
def test_alternating(name: str, n_critic: int, n_generator: int, seed: int):
    """1 - α²/2 ± √((1 - α²/2)² - 1) with α = √(n_g n_d h_g h_d)·f'(0), f'(0) = ½."""
    draw = Draw(seed)
    h_d, h_g = draw.number(0.05, 2.0), draw.number(0.05, 2.0)
    found = update_eigenvalues(alternating(n_critic, n_generator), dirac(loss_of(name)), descent(h_d, h_g))
    assert_spectrum(found, turning(1 - n_critic * n_generator * h_d * h_g / 8))


@pytest.mark.parametrize("name", GAMES)
def test_wgan_gp_has_no_linearisation_under_any_rule(name: str):
    toy = dirac(loss_of("wasserstein"), PENALTIES["wgan_gp"]())
    assert predict(GAMES[name](), toy, descent(0.1)).verdict == "no linearisation"
    with pytest.raises(InputError, match="not differentiable at the equilibrium"):
        update_jacobian(GAMES[name](), toy, descent(0.1))


# --- the order of calls ----------------------------------------------------------------------------


@pytest.mark.parametrize(("n_critic", "n_generator"), [(1, 1), (2, 1), (5, 2)])
def test_alternating_calls_come_in_the_published_order(n_critic: int, n_generator: int):
    calls: list[str] = []

    class Recorder(torch.optim.SGD):
        def __init__(self, name: str) -> None:
            super().__init__([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
            self.name = name

        def step(self, closure: None = None) -> None:
            calls.append(f"{self.name} step")

    rule = alternating(n_critic, n_generator)
    rule(lambda: calls.append("critic"), lambda: calls.append("generator"), Recorder("critic"), Recorder("generator"))
    assert calls == ["critic", "critic step"] * n_critic + ["generator", "generator step"] * n_generator


@pytest.mark.parametrize("count", [0, -1])
@pytest.mark.parametrize("player", ["n_critic", "n_generator"])
def test_either_player_moves_at_least_once(player: str, count: int):
    with pytest.raises(InputError, match=f"{player} is {count}"):
        alternating(**{player: count})
