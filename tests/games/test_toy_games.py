"""The toy games against sampled expectations, closed forms, and what an equilibrium is."""

import cmath
import math

import pytest
import torch
from torch import Tensor

from adversarium.errors import InputError
from adversarium.games import GAMES, TOYS, alternating, simultaneous
from adversarium.games.dirac import dirac_field
from adversarium.games.dynamics import descent, observe, predict, simulate, update_eigenvalues
from adversarium.games.toys import Toy, bilinear, dirac, gaussian
from adversarium.losses import LOSSES
from adversarium.penalties import PENALTIES

every_seed = pytest.mark.parametrize("seed", range(4))


def rng_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, rng: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def uniform(low: float, high: float, rng: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=rng))


def covariance_of(axes: int, rng: torch.Generator) -> Tensor:
    root = normal(axes, axes, rng=rng)
    return root @ root.T + 0.2 * torch.eye(axes)


def gradient(toy: Toy) -> Tensor:
    """Return (∇ by the critic's weights of its loss, ∇ by the generator's of its loss)."""
    by = [
        *torch.autograd.grad(toy.game.critic_loss(), toy.game.critic),
        *torch.autograd.grad(toy.game.generator_loss(), toy.game.generator),
    ]
    return torch.cat([each.flatten() for each in by])


def jacobian(toy: Toy) -> Tensor:
    """Return the field's Jacobian where the game stands: exactly, by differences where it is at most cubic."""
    here, columns = toy.game.position(), []
    for axis in torch.eye(len(here), dtype=torch.float64):
        ends = []
        for sign in (1, -1):
            toy.game.move_to(here + sign * 1e-3 * axis)
            ends.append(-gradient(toy))
        columns.append((ends[0] - ends[1]) / 2e-3)
    toy.game.move_to(here)
    return torch.stack(columns, dim=1)


def assert_same(found: Tensor, expected: list[complex], tolerance: float = 1e-8) -> None:
    def ordered(values: list[complex]) -> list[complex]:
        return sorted(values, key=lambda z: (round(z.real, 5), round(z.imag, 5)))

    assert len(found) == len(expected)
    for one, other in zip(ordered(found.tolist()), ordered(expected), strict=True):
        assert abs(one - other) < tolerance


EXAMPLES: dict[str, Toy] = {
    "bilinear": bilinear((1.0, 0.3), rng_of(0)),
    "dirac": dirac(LOSSES["minimax"](), PENALTIES["r1"]()),
    "gaussian": gaussian((0.5, -1.0), ((2.0, 0.4), (0.4, 1.0)), latent=2, r1=0.5),
}


@pytest.mark.parametrize("name", TOYS)
def test_a_toy_stands_at_its_equilibrium(name: str):
    toy = EXAMPLES[name]
    assert toy.name == name
    assert toy.distance(toy.equilibrium) < 1e-12
    torch.testing.assert_close(toy.game.position(), toy.equilibrium)
    assert gradient(toy).abs().max() < 1e-12
    for weight in toy.game.weights:
        assert weight.is_leaf
        assert weight.requires_grad
        assert weight.dtype == torch.float64
        assert weight.ndim > 0


@pytest.mark.parametrize("name", TOYS)
@pytest.mark.parametrize("rule", [each for each in GAMES if each != "proximal_point"])  # the slow reference
def test_no_rule_moves_along_the_neutral_dimensions(name: str, rule: str):
    """As many eigenvalues of any update are 1 as the set of equilibria has dimensions."""
    toy = EXAMPLES[name]
    found = update_eigenvalues(GAMES[rule](), toy, descent(0.3))
    assert int(((found - 1).abs() < 1e-7).sum()) == toy.neutral


# --- bilinear --------------------------------------------------------------------------------------


@every_seed
def test_the_bilinear_spectrum(seed: int):
    rng = rng_of(seed)
    spectrum = [uniform(0.1, 2.0, rng) for _ in range(1 + seed)]
    toy = bilinear(spectrum, rng)
    assert_same(torch.linalg.eigvals(jacobian(toy)), [1j * s * sign for s in spectrum for sign in (1, -1)])
    x, y = normal(2, len(spectrum), rng=rng)
    toy.game.move_to(torch.cat((x, y)))
    assert (toy.game.critic_loss() + toy.game.generator_loss()).item() == 0
    assert abs(toy.game.generator_loss().item()) <= max(spectrum) * float(x.norm() * y.norm())
    assert toy.distance(torch.cat((x, y))) == pytest.approx(math.hypot(float(x.norm()), float(y.norm())))


def test_without_rng_the_bilinear_game_is_that_of_the_numbers():
    toy = bilinear((2.0, 0.5))
    toy.game.move_to(torch.tensor([1.0, 3.0, -2.0, 5.0], dtype=torch.float64))
    assert toy.game.generator_loss().item() == 2 * 1 * -2 + 0.5 * 3 * 5


@pytest.mark.parametrize("spectrum", [(), (1.0, 0.0), (-1.0,)])
def test_a_spectrum_is_of_positive_numbers(spectrum: tuple[float, ...]):
    with pytest.raises(InputError, match="spectrum is"):
        bilinear(spectrum)


# --- Dirac -----------------------------------------------------------------------------------------


@every_seed
@pytest.mark.parametrize("name", ["minimax", "hinge", "relativistic"])
@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_the_dirac_game_is_that_of_its_field(name: str, noise: float, seed: int):
    loss, penalty = LOSSES[name](), PENALTIES["r2"](0.4)
    at = normal(2, rng=rng_of(seed))
    toy = dirac(loss, penalty, noise)
    toy.game.move_to(at)
    torch.testing.assert_close(-gradient(toy), dirac_field(at, loss, penalty, noise), rtol=0, atol=0)


def test_dirac_losses_have_graphs_to_both_players():
    toy = dirac(LOSSES["nonsaturating"]())
    toy.game.move_to(torch.tensor([0.5, 0.8], dtype=torch.float64))
    for loss in (toy.game.critic_loss(), toy.game.generator_loss()):
        assert all(bool(each.abs().sum() > 0) for each in torch.autograd.grad(loss, toy.game.weights))


def test_the_dirac_game_moves_no_average():
    penalty = PENALTIES["lecam"]()
    toy = dirac(LOSSES["hinge"](), penalty)
    simulate(alternating(), toy, descent(0.1), torch.ones(2).double(), 3)
    assert int(penalty.updates) == 0


def test_a_critic_that_is_no_line_is_refused():
    with pytest.raises(InputError, match="of an autoencoder's scores"):
        dirac(LOSSES["ebgan"]())
    with pytest.raises(InputError, match="of vector scores"):
        dirac(LOSSES["realness"]())


# --- Gaussian --------------------------------------------------------------------------------------


@every_seed
def test_gaussian_losses_equal_sampled_expectations(seed: int):
    rng = rng_of(seed)
    axes, codes, count = 2, 3, 400_000
    mean, covariance = normal(axes, rng=rng), covariance_of(axes, rng)
    gamma_1, gamma_2 = uniform(0.1, 1.0, rng), uniform(0.1, 1.0, rng)
    toy = gaussian(mean, covariance, codes, gamma_1, gamma_2)
    position = normal(len(toy.equilibrium), rng=rng)
    toy.game.move_to(position)
    quadratic, linear, factor, offset = (each.detach() for each in toy.game.weights)

    real = mean + normal(count, axes, rng=rng) @ torch.linalg.cholesky(covariance).T
    fake = normal(count, codes, rng=rng) @ factor.T + offset

    def critic(x: Tensor) -> Tensor:
        return 0.5 * ((x @ quadratic) * x).sum(1) + x @ linear

    def squared_slope(x: Tensor) -> Tensor:
        return torch.func.vmap(torch.func.grad(lambda one: critic(one[None])[0]))(x).square().sum(1)

    draws = critic(fake) - critic(real) + 0.5 * (gamma_1 * squared_slope(real) + gamma_2 * squared_slope(fake))
    for sampled, exact in ((draws, toy.game.critic_loss()), (critic(real) - critic(fake), toy.game.generator_loss())):
        assert abs((sampled.mean() - exact).item()) < 5 * float(sampled.std()) / count**0.5


@every_seed
@pytest.mark.parametrize("damped", [False, True])
def test_gaussian_eigenvalues_of_one_axis(damped: bool, seed: int):
    """-γs²/2 ± √(γ²s⁴/4 - s²), s² the eigenvalues of [[μ² + σ², μ], [μ, 1]]: ½(t ± √(t² - 4σ²)), t = μ² + σ² + 1."""
    rng = rng_of(seed)
    mu, sigma = uniform(-2, 2, rng), uniform(0.3, 2, rng)
    r1, r2 = (uniform(0.1, 1.5, rng), uniform(0, 1, rng)) if damped else (0.0, 0.0)
    toy = gaussian((mu,), ((sigma**2,),), r1=r1, r2=r2)
    trace, gamma = mu**2 + sigma**2 + 1, r1 + r2
    expected: list[complex] = []
    for side in (1, -1):
        squared = 0.5 * (trace + side * math.sqrt(trace**2 - 4 * sigma**2))
        root = cmath.sqrt(gamma**2 * squared**2 / 4 - squared)
        expected += [-gamma * squared / 2 + root, -gamma * squared / 2 - root]
    assert_same(torch.linalg.eigvals(jacobian(toy)), expected)
    assert toy.neutral == 0


@every_seed
def test_gaussian_eigenvalues_of_more_axes(seed: int):
    """With μ = 0: s² = (λᵢ + λⱼ)/2 for each pair of eigenvalues of Σ, and 1 for each axis of the mean."""
    rng = rng_of(seed)
    axes, codes, gamma = 1 + seed, 2 + seed, uniform(0.1, 0.6, rng)
    covariance = covariance_of(axes, rng)
    toy = gaussian([0.0] * axes, covariance, codes, r1=gamma)
    values = torch.linalg.eigvalsh(covariance).tolist()
    squares = [1.0] * axes + [(values[i] + values[j]) / 2 for i in range(axes) for j in range(i + 1)]
    expected: list[complex] = [0.0] * toy.neutral
    for squared in squares:
        root = cmath.sqrt(gamma**2 * squared**2 / 4 - squared)
        expected += [-gamma * squared / 2 + root, -gamma * squared / 2 - root]
    # the zeros of the rotations are a multiple eigenvalue, which splits by the root of the differences' error
    found = torch.linalg.eigvals(jacobian(toy)).tolist()
    for value in expected:
        nearest = min(found, key=lambda each: abs(each - value))
        found.remove(nearest)
        assert abs(nearest - value) < (1e-5 if value == 0 else 1e-7)


@every_seed
def test_the_distance_is_to_the_nearest_rotation(seed: int):
    rng = rng_of(seed)
    axes, codes = 2, 3
    mean, covariance = normal(axes, rng=rng), covariance_of(axes, rng)
    toy = gaussian(mean, covariance, codes)
    rotation = torch.linalg.qr(normal(codes, codes, rng=rng)).Q
    parts = list(toy.equilibrium.split([axes**2, axes, axes * codes, axes]))
    parts[2] = (parts[2].view(axes, codes) @ rotation).flatten()
    parts[0] = torch.tensor([0.0, 3.0, -3.0, 0.0], dtype=torch.float64)  # antisymmetric: D is 0 all the same
    turned = torch.cat(parts)
    assert toy.distance(turned) < 1e-12
    toy.game.move_to(turned)
    assert gradient(toy).abs().max() < 1e-12
    assert toy.neutral == 1 + 6 - 3

    away = turned + 0.3 * normal(len(turned), rng=rng)
    symmetric = away[:4].view(2, 2) + away[:4].view(2, 2).T
    others = math.hypot(float(symmetric.norm()) / 2, float(away[4:6].norm()), float((away[12:] - mean).norm()))
    angles = torch.linalg.qr(normal(4000, codes, codes, rng=rng)).Q
    root = torch.linalg.qr(parts[2].view(axes, codes).T)  # rows that are Σ's root, whatever their rotation
    spun = root.R.T @ angles[:, :axes, :]
    sampled = torch.linalg.matrix_norm(spun - away[6:12].view(axes, codes)).min()
    assert toy.distance(away) <= math.hypot(others, float(sampled)) + 1e-12
    assert toy.distance(away) > math.hypot(others, float(sampled)) - 0.1


def test_r1_makes_the_gaussian_game_converge_to_the_data():
    toy = gaussian((1.0, -0.5), ((1.0, 0.3), (0.3, 0.5)), r1=1.0)
    start = toy.equilibrium + 0.05 * normal(len(toy.equilibrium), rng=rng_of(0))
    for penalised, verdict in ((toy, "attracts"), (gaussian((1.0, -0.5), ((1.0, 0.3), (0.3, 0.5))), "repels")):
        assert predict(simultaneous(), penalised, descent(0.2)).verdict == verdict
    path = simulate(simultaneous(), toy, descent(0.2), start, 400)
    assert observe(path) == "attracts"
    _, _, factor, offset = path.positions[-1].split([4, 2, 4, 2])
    factor = factor.view(2, 2)
    torch.testing.assert_close(factor @ factor.T, torch.tensor([[1.0, 0.3], [0.3, 0.5]]).double(), rtol=0, atol=1e-3)
    torch.testing.assert_close(offset, torch.tensor([1.0, -0.5]).double(), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mean": ()}, "mean has shape"),
        ({"mean": (0.0, 0.0), "covariance": ((1.0,),)}, "covariance has shape"),
        ({"mean": (0.0, 0.0), "covariance": ((1.0, 0.5), (0.0, 1.0))}, "symmetric, positive definite"),
        ({"covariance": ((-1.0,),)}, "symmetric, positive definite"),
        ({"mean": (0.0, 0.0), "latent": 1}, "latent is 1"),
        ({"r1": -1.0}, "r1 is -1.0"),
    ],
)
def test_what_is_no_gaussian_is_refused(arguments: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        gaussian(**arguments)
