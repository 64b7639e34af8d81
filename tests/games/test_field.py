"""The field of a game against chosen spectra, closed forms, central differences and descent played step by step."""

import cmath
import functools
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adversarium.data.toys import ring
from adversarium.errors import InputError
from adversarium.games import Game, NotConverged, path_angle
from adversarium.games import field as field_module
from adversarium.games._arnoldi import Which, arranged
from adversarium.games.field import Field, Stability, spectrum, stability
from adversarium.games.toys import bilinear
from adversarium.losses import LOSSES, nonsaturating
from adversarium.nets import mlp

every_seed = pytest.mark.parametrize("seed", range(3))


def rng_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, rng: torch.Generator) -> Tensor:
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def rotated(matrix: Tensor, critics: int, rng: torch.Generator) -> Tensor:
    """Change either player's basis at random: the same eigenvalues, hidden."""
    bases = [torch.linalg.qr(normal(n, n, rng=rng))[0] for n in (critics, len(matrix) - critics)]
    basis = torch.block_diag(*bases)
    return basis @ matrix @ basis.T


def linear_game(matrix: Tensor, critics: int, at: Tensor | None = None, centre: Tensor | None = None) -> Game:
    """Return the game whose field is ``matrix @ (z - centre)``; each player's own block has to be symmetric."""
    start = torch.zeros(len(matrix), dtype=matrix.dtype) if at is None else at
    psi, theta = (part.clone().requires_grad_() for part in start.split([critics, len(matrix) - critics]))
    centre = torch.zeros_like(start) if centre is None else centre

    def loss_of(own: slice, other: slice) -> Tensor:
        away = torch.cat((psi, theta)) - centre
        mine, others = away[own], away[other]
        return -(mine @ matrix[own, own] @ mine / 2 + mine @ matrix[own, other] @ others)

    first, second = slice(0, critics), slice(critics, None)
    return Game(
        critic=(psi,),
        generator=(theta,),
        critic_loss=lambda: loss_of(first, second),
        generator_loss=lambda: loss_of(second, first),
    )


def random_matrix(critics: int, generators: int, rng: torch.Generator) -> Tensor:
    matrix = normal(critics + generators, critics + generators, rng=rng)
    for own in (slice(0, critics), slice(critics, None)):
        matrix[own, own] = (matrix[own, own] + matrix[own, own].T) / 2
    return matrix


def matrix_of(pairs: list[complex], alone: list[float], rng: torch.Generator) -> tuple[Tensor, int]:
    """Return a matrix with the eigenvalues ``pairs``, their conjugates and ``alone``, and how many weights ψ has."""
    blocks = [torch.tensor([[each.real, each.imag], [-each.imag, each.real]], dtype=torch.float64) for each in pairs]
    first = len(pairs) + (len(alone) + 1) // 2
    order = [2 * i for i in range(len(pairs))] + list(range(2 * len(pairs), 2 * len(pairs) + (len(alone) + 1) // 2))
    order += [i for i in range(2 * len(pairs) + len(alone)) if i not in order]
    diagonal = torch.diag(torch.tensor(alone, dtype=torch.float64))
    return rotated(torch.block_diag(*blocks, diagonal)[order][:, order], first, rng), first


def ring_game(width: int, dtype: torch.dtype, seed: int, steps: int = 0, batch: int = 64) -> Game:
    rng = rng_of(seed)
    generator = mlp.vector_generator((2,), 2, width=width, rng=rng)
    critic = mlp.vector_critic((2,), width=width, rng=rng)
    loss, real, codes = nonsaturating(), ring().sample(batch, rng), torch.randn(batch, 2, generator=rng)
    optimizers = [torch.optim.Adam(net.parameters(), lr=2e-3) for net in (critic, generator)]
    for _ in range(steps):
        for side, optimizer in zip((loss.critic, loss.generator), optimizers, strict=True):
            optimizer.zero_grad()
            side(critic(real), critic(generator(codes))).mean().backward()
            optimizer.step()
    for net in (critic, generator):
        net.to(dtype)
    real, codes = real.to(dtype), codes.to(dtype)
    return Game(
        critic=tuple(critic.parameters()),
        generator=tuple(generator.parameters()),
        critic_loss=lambda: loss.critic(critic(real), critic(generator(codes))).mean(),
        generator_loss=lambda: loss.generator(critic(real), critic(generator(codes))).mean(),
    )


def smooth_game(seed: int) -> Game:
    """Small tanh networks: smooth, so that central differences are exact to about 1e-9."""
    rng = rng_of(seed)
    critic = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    generator = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    with torch.no_grad():
        for each in (*critic.parameters(), *generator.parameters()):
            each.copy_(normal(*each.shape, rng=rng))
    real, codes, loss = normal(8, 2, rng=rng), normal(8, 3, rng=rng), LOSSES["relativistic"]()
    return Game(
        critic=tuple(critic.parameters()),
        generator=tuple(generator.parameters()),
        critic_loss=lambda: loss.critic(critic(real), critic(generator(codes))).mean(),
        generator_loss=lambda: loss.generator(critic(real), critic(generator(codes))).mean(),
    )


def slow_value(game: Game) -> Tensor:
    parts = torch.autograd.grad(game.critic_loss(), game.critic)
    parts += torch.autograd.grad(game.generator_loss(), game.generator)
    return -torch.cat([each.flatten() for each in parts])


def slow_jacobian(game: Game, width: float = 1e-5) -> Tensor:
    start, columns = game.position(), []
    for axis in torch.eye(len(start), dtype=start.dtype):
        values = []
        for sign in (1, -1):
            game.move_to(start + sign * width * axis)
            values.append(slow_value(game))
        columns.append((values[0] - values[1]) / (2 * width))
    game.move_to(start)
    return torch.stack(columns, dim=1)


def by_size(values: Tensor, which: str) -> list[complex]:
    key = (lambda each: -abs(each)) if which == "LM" else (lambda each: -each.real)
    return sorted(values.tolist(), key=lambda each: (round(key(each), 9), -abs(each.imag), -each.imag))


def assert_same(found: Tensor, expected: list[complex], tolerance: float) -> None:
    assert found.dtype == torch.complex128
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.complex128), rtol=0, atol=tolerance)


# --- value and products ----------------------------------------------------------------------------


@every_seed
def test_value_and_jacobian_equal_central_differences(seed: int):
    game = smooth_game(seed)
    field = Field(game)
    torch.testing.assert_close(field.value, slow_value(game), rtol=0, atol=1e-14)
    torch.testing.assert_close(field.dense(), slow_jacobian(game), rtol=0, atol=1e-8)
    assert field.products == len(field.value)


@every_seed
def test_rates_multiply_each_players_rows(seed: int):
    game = smooth_game(seed)
    critics = sum(each.numel() for each in game.critic)
    plain, scaled = Field(game), Field(game, critic_rate=0.3, generator_rate=2.0)
    rows = torch.full_like(plain.value, 2.0)
    rows[:critics] = 0.3
    torch.testing.assert_close(scaled.value, rows * plain.value, rtol=1e-14, atol=0)
    torch.testing.assert_close(scaled.dense(), rows[:, None] * plain.dense(), rtol=1e-13, atol=1e-15)


@every_seed
def test_the_transposed_product_is_the_transpose(seed: int):
    field, rng = Field(smooth_game(seed), critic_rate=0.3, generator_rate=2.0), rng_of(seed)
    one, other = normal(len(field.value), rng=rng), normal(len(field.value), rng=rng)
    assert float(one @ field.product(other)) == pytest.approx(float(field.transposed_product(one) @ other), rel=1e-12)
    axes = torch.eye(len(field.value), dtype=torch.float64)
    transposed = torch.stack([field.transposed_product(axis) for axis in axes])
    torch.testing.assert_close(transposed, field.dense(), rtol=1e-12, atol=1e-15)


def test_looking_changes_nothing():
    game = smooth_game(0)
    before, state = game.position(), torch.get_rng_state()
    spectrum(game)
    path_angle(game, before + 1)
    assert torch.equal(game.position(), before)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(each.grad is None for each in game.weights)


# --- eigenvalues -----------------------------------------------------------------------------------


@every_seed
@pytest.mark.parametrize("which", ["LM", "LR"])
def test_a_small_random_game_has_its_matrix_eigenvalues(which: str, seed: int):
    matrix = random_matrix(5, 7, rng_of(seed))
    expected = by_size(torch.from_numpy(np.linalg.eigvals(matrix.numpy())), which)
    field = Field(linear_game(matrix, 5))
    for k in range(1, 13):
        found = field.eigenvalues(k, which)
        cut = k < 12 and expected[k - 1].imag > 0 and expected[k] == expected[k - 1].conjugate()
        assert_same(found, expected[: k + cut], 1e-9)


@every_seed
@pytest.mark.parametrize("which", ["LM", "LR"])
def test_arnoldi_finds_a_chosen_spectrum(which: str, seed: int):
    rng = rng_of(seed)
    pairs = [complex(-each, 3 * each) for each in (0.5 + torch.rand(20, generator=rng, dtype=torch.float64)).tolist()]
    matrix, critics = matrix_of(
        pairs, (-3 * torch.rand(220, generator=rng, dtype=torch.float64) ** (1 / 3)).tolist(), rng
    )
    expected = by_size(torch.linalg.eigvals(matrix), which)
    field = Field(linear_game(matrix, critics))
    for k in (9, 10):
        found = field.eigenvalues(k, which, rng=rng)
        assert len(found) == k + (expected[k - 1].imag > 0)
        assert_same(found, expected[: len(found)], 1e-6)


def test_eigenvalues_of_0_to_the_right_are_found():
    """Relative to themselves their error could never be small: networks have thousands of them."""
    rng = rng_of(0)
    every = [-1e-9 * i for i in range(40)] + [-1 - i / 50 for i in range(230)]
    matrix, critics = matrix_of([complex(-5, 8)], every, rng)
    found = Field(linear_game(matrix, critics)).eigenvalues(1, "LR", rng=rng, restarts=30)
    assert_same(found, [0], 1e-7)


def test_a_field_without_a_derivative_has_eigenvalues_of_0():
    found = Field(linear_game(torch.zeros(300, 300, dtype=torch.float64), 100)).eigenvalues(4)
    assert_same(found, [0.0] * 4, 0)


@every_seed
@pytest.mark.parametrize("size", [6, 150])
def test_bilinear_eigenvalues_are_plus_and_minus_i_sigma(size: int, seed: int):
    rng = rng_of(seed)
    sigmas = (0.1 + torch.rand(size, generator=rng, dtype=torch.float64)).sort(descending=True).values
    matrix, critics = matrix_of([complex(0, each) for each in sigmas.tolist()], [], rng)
    found = Field(linear_game(matrix, critics)).eigenvalues(6, rng=rng)
    assert_same(found, [complex(0, sign * each) for each in sigmas[:3].tolist() for sign in (1, -1)], 1e-7)


@functools.cache
def ring_eigenvalues(seed: int) -> Tensor:
    return torch.linalg.eigvals(slow_jacobian(ring_game(8, torch.float64, seed, steps=100), width=1e-7))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("which", ["LM", "LR"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-3)])
def test_a_ring_gan_has_the_eigenvalues_of_its_dense_jacobian(
    dtype: torch.dtype, tolerance: float, which: str, seed: int
):
    exact = ring_eigenvalues(seed)
    error = tolerance * float(exact.abs().max())
    found = Field(ring_game(8, dtype, seed, steps=100)).eigenvalues(10, which, rng=rng_of(seed)).tolist()
    assert len(found) in (10, 11)
    # one of these has a double eigenvalue, which Arnoldi lists once
    expected = by_size(exact, which)
    expected = [each for each, last in zip(expected, [math.inf, *expected], strict=False) if abs(each - last) > error]
    assert max(abs(a - b) for a, b in zip(found, expected, strict=False)) < error


@every_seed
@pytest.mark.parametrize("gamma", [0.0, 0.4, 1.7])
@pytest.mark.parametrize("name", ["minimax", "nonsaturating", "wasserstein", "relativistic"])
def test_dirac_games_have_the_published_eigenvalues(name: str, gamma: float, seed: int):
    """-γ/2 ± √(γ²/4 - f'(0)²) with R1 or R2, here with an amount of either."""
    share = float(torch.rand((), generator=rng_of(seed)))
    critic, loss = nn.Linear(1, 1, bias=False).double(), LOSSES[name]()
    nn.init.zeros_(critic.weight)
    theta, real = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True), torch.zeros(1, 1, dtype=torch.float64)

    def critic_loss() -> Tensor:
        at_real = real.clone().requires_grad_()
        slopes = [torch.autograd.grad(critic(x).sum(), x, create_graph=True)[0] for x in (at_real, theta)]
        penalty = gamma / 2 * (share * slopes[0].square() + (1 - share) * slopes[1].square()).sum()
        return loss.critic(critic(real), critic(theta)).sum() + penalty

    def generator_loss() -> Tensor:
        return loss.generator(critic(real), critic(theta)).sum()

    slope = 1.0 if name == "wasserstein" else 0.5
    root = cmath.sqrt(gamma**2 / 4 - slope**2)
    field = Field(
        Game(critic=(critic.weight,), generator=(theta,), critic_loss=critic_loss, generator_loss=generator_loss)
    )
    expected = by_size(torch.tensor([-gamma / 2 + root, -gamma / 2 - root], dtype=torch.complex128), "LM")
    assert_same(field.eigenvalues(2), expected, 1e-12)
    assert field.stability().verdict == ("attracts" if gamma else "circles")


def test_what_did_converge_is_in_the_error():
    rng = rng_of(0)
    matrix, critics = matrix_of([complex(-5, 8)], [-1 - i / 5000 for i in range(400)], rng)
    with pytest.raises(
        NotConverged, match=r"of 12 eigenvalues \(LM\) converged to 1e-12 within 2 restarts: "
    ) as caught:
        Field(linear_game(matrix, critics)).eigenvalues(12, rng=rng, restarts=2, tolerance=1e-12)
    assert_same(caught.value.eigenvalues, [complex(-5, 8), complex(-5, -8)], 1e-9)
    assert "2 of 12" in str(caught.value)
    assert "-5+8j, -5-8j; wanted" in str(caught.value)


def test_the_start_is_drawn_from_the_generator():
    game = ring_game(12, torch.float64, 0)
    one, again, other = (Field(game).eigenvalues(4, rng=rng_of(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


# --- the verdict -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([-1, -0.5 + 2j, -0.5 - 2j], "attracts"),
        ([-1, 0.5 + 2j, 0.5 - 2j], "repels"),
        ([-1, 1e-3], "repels"),
        ([2j, -2j], "circles"),
        ([-3, 2j, -2j, 0], "circles"),
        ([-3 + 1j, -3 - 1j, 0], "undecided"),
        ([0, 0], "undecided"),
        ([1e-8 + 2j, 1e-8 - 2j], "circles"),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 1e-5, 1e5])
def test_the_verdict_whatever_the_scale(values: list[complex], verdict: str, scale: float):
    found = stability(scale * torch.tensor(values, dtype=torch.complex128))
    assert found.verdict == verdict
    assert (found.largest_stable_step > 0) == (verdict == "attracts")


@every_seed
def test_descent_converges_just_below_the_largest_stable_step_and_not_above(seed: int):
    rng = rng_of(seed)
    real, imaginary = torch.rand(2, 4, generator=rng, dtype=torch.float64)
    pairs = [complex(-0.5 - a, 2 * b) for a, b in zip(real.tolist(), imaginary.tolist(), strict=True)]
    matrix, critics = matrix_of(pairs, [-0.5, -1.5], rng)
    game = linear_game(matrix, critics)
    found = Field(game).stability()
    assert found.verdict == "attracts"
    for share in (0.97, 1.03):
        state, sizes = normal(len(matrix), rng=rng), []
        for _ in range(800):
            game.move_to(state)
            state = state + share * found.largest_stable_step * slow_value(game)
            sizes.append(float(state.norm()))
        assert (sizes[-1] < sizes[400] < sizes[0] / 2) == (share < 1)
        assert (sizes[-1] > 2 * sizes[400]) == (share > 1)


def test_largest_and_rightmost_together_decide_for_a_large_game():
    """Ten eigenvalues are larger than the only positive one, and hundreds are right of the stiffest."""
    rng = rng_of(1)
    calm, stiff = [-0.5 - i / 250 for i in range(260)], [-10.0 - i for i in range(10)]
    for rightmost, verdict in ((0.4, "repels"), (-0.05, "attracts")):
        game = linear_game(*matrix_of([], [*calm, *stiff, rightmost], rng))
        found = spectrum(game, 5, samples=2, tolerance=1e-5)
        assert found.stability.verdict == verdict == Field(game).stability(5, tolerance=1e-5).verdict
        assert not found.complete
        assert stability(found.eigenvalues).verdict == "attracts"
        assert float(found.rightmost[0].real) == pytest.approx(rightmost, abs=1e-3)
    assert found.stability.largest_stable_step == pytest.approx(2 / 19, rel=1e-6)


# --- rotation --------------------------------------------------------------------------------------


@every_seed
def test_the_share_of_rotation_is_exact_for_small_games(seed: int):
    matrix = random_matrix(6, 4, rng_of(seed))
    antisymmetric, symmetric = (matrix - matrix.T) / 2, (matrix + matrix.T) / 2
    expected = antisymmetric.square().sum() / (antisymmetric.square().sum() + symmetric.square().sum())
    found = Field(linear_game(matrix, 6)).rotation()
    assert found.share == pytest.approx(float(expected), rel=1e-12)
    assert found.error == 0


def test_the_estimate_of_rotation_keeps_its_error(monkeypatch: pytest.MonkeyPatch):
    matrix = random_matrix(12, 8, rng_of(0))
    field = Field(linear_game(matrix, 12))
    exact = field.rotation().share
    monkeypatch.setattr(field_module, "SMALL", 0)
    deviations = []
    for seed in range(40):
        found = field.rotation(24, rng=rng_of(seed))
        deviations.append((found.share - exact) / found.error)
    deviations = torch.tensor(deviations)
    assert float(deviations.abs().max()) < 5
    assert abs(float(deviations.mean())) < 0.6
    assert 0.6 < float(deviations.std()) < 1.6


@pytest.mark.parametrize("size", [8, 300])
def test_rotation_is_0_for_a_common_loss_and_1_for_the_bilinear_game(size: int):
    matrix = normal(size, size, rng=rng_of(2))
    half = size // 2
    common = Field(linear_game((matrix + matrix.T) / 2, half)).rotation(2)
    bilinear = matrix - matrix.T
    bilinear[:half, :half] = bilinear[half:, half:] = 0
    turning = Field(linear_game(bilinear, half)).rotation(2)
    assert (common.share, turning.share) == pytest.approx((0, 1), abs=1e-14)
    assert max(common.error, turning.error) < 1e-14
    still = Field(linear_game(torch.zeros(size, size, dtype=torch.float64), half)).rotation()
    assert (still.share, still.error) == (0, 0)


# --- along a line ----------------------------------------------------------------------------------


@every_seed
@pytest.mark.parametrize(("attraction", "turn"), [(0.7, 0.0), (0.0, 1.3), (0.4, 0.9), (0.4, -0.9)])
def test_the_path_angle_has_its_closed_form(attraction: float, turn: float, seed: int):
    """v = -a(z - c) + bR(z - c), with c at the distance d beside the way: see `path_angle`."""
    rng = rng_of(seed)
    start, end = normal(2, rng=rng), normal(2, rng=rng)
    way = (end - start) / (end - start).norm()
    beside = torch.stack((-way[1], way[0]))  # a quarter turn of the way
    nearest, d = 0.9 * (end - start).norm(), 0.05
    centre = start + nearest * way + d * beside
    matrix = torch.tensor([[-attraction, -turn], [turn, -attraction]], dtype=torch.float64)
    game = linear_game(matrix, 1, start, centre)
    found = path_angle(game, end, points=25)

    s = found.positions * (end - start).norm() - nearest
    distance = (s**2 + d**2).sqrt()
    cosines = (-attraction * s + turn * d) / (math.hypot(attraction, turn) * distance)
    torch.testing.assert_close(found.cosines, cosines, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.norms, math.hypot(attraction, turn) * distance, rtol=1e-12, atol=0)
    assert [float(found.positions[0]), float(found.positions[-1])] == pytest.approx([-0.1, 1.1])
    assert (found.cosines.sign().unique().numel() == 1) == (attraction == 0)


def test_the_path_angle_at_the_equilibrium_itself_is_none():
    game = linear_game(-torch.eye(2, dtype=torch.float64), 1, torch.tensor([1.0, 1.0], dtype=torch.float64))
    found = path_angle(game, torch.zeros(2), points=3, span=(0.0, 1.0))
    torch.testing.assert_close(found.cosines, torch.tensor([1, 1, math.nan]).double(), equal_nan=True)
    assert found.norms[-1] == 0


def test_the_weights_return_even_from_an_error():
    game = smooth_game(0)
    before, calls = game.position(), []

    def failing() -> Tensor:
        calls.append(0)
        if len(calls) == 3:
            raise RuntimeError("no more")
        return game.critic_loss()

    broken = Game(
        critic=game.critic, generator=game.generator, critic_loss=failing, generator_loss=game.generator_loss
    )
    with pytest.raises(RuntimeError, match="no more"):
        path_angle(broken, before + 1)
    assert torch.equal(game.position(), before)


# --- the whole -------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [4, 12])
def test_a_spectrum_is_json(width: int):
    game = ring_game(width, torch.float64, 0)
    found = spectrum(game, 4, samples=4)
    written = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert [complex(*each) for each in written["eigenvalues"]] == found.eigenvalues.tolist()
    assert written["complete"] == (width == 4)
    assert written["weights"] == sum(each.numel() for each in game.weights)
    assert written["value_norm"] == pytest.approx(float(slow_value(game).norm()))
    assert written["verdict"] == found.stability.verdict
    assert (written["rotation_error"] > 0) == (width == 12)
    assert written["products"] > 0


def test_what_does_not_fit_is_refused():
    game = smooth_game(0)
    field = Field(game)
    with pytest.raises(InputError, match="critic_rate is 0"):
        Field(game, critic_rate=0.0)
    with pytest.raises(InputError, match="k is 0: wanted at least 1"):
        field.eigenvalues(0)
    with pytest.raises(InputError, match="which is 'SM'"):
        Field.eigenvalues.__wrapped__(field, 3, "SM")
    with pytest.raises(InputError, match="samples is 1"):
        field.rotation(1)
    with pytest.raises(InputError, match=r"the vector has shape \[3\]"):
        field.product(torch.zeros(3))
    with pytest.raises(InputError, match="no eigenvalue"):
        stability(torch.zeros(0))
    with pytest.raises(InputError, match=r"end has shape \[3\]"):
        path_angle(game, torch.zeros(3))
    with pytest.raises(InputError, match="end is where the game is"):
        path_angle(game, game.position())
    with pytest.raises(InputError, match="not finite at these weights"):
        Field(linear_game(torch.full((2, 2), math.nan, dtype=torch.float64), 1))
    kinked = linear_game(torch.eye(2, dtype=torch.float64), 1)
    norm = lambda: torch.linalg.vector_norm(kinked.critic[0]) ** 2  # noqa: E731
    with pytest.raises(InputError, match=r"dv/dz is not finite here: .* \(a norm has none where it is 0\)"):
        Field(Game(critic=kinked.critic, generator=kinked.generator, critic_loss=norm, generator_loss=norm)).dense()
    psi, theta = torch.ones(1, requires_grad=True), torch.ones(1)
    with pytest.raises(InputError, match="require no gradient"):
        Field(Game(critic=(psi,), generator=(theta,), critic_loss=psi.sum, generator_loss=psi.sum))
    assert stability(torch.tensor([-1.0])) == Stability(verdict="attracts", largest_stable_step=2.0)


@pytest.mark.slow  # it imports torch once more
def test_scipy_waits_until_it_is_needed():
    code = "import sys, adversarium.games; print('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


@pytest.mark.parametrize("which", ["LM", "LR"])
def test_pairs_of_equal_size_stay_together(which: Which):
    bilinear_twice = bilinear((1.0, 1.0)).game
    assert Field(bilinear_twice).eigenvalues(1, which).tolist() == pytest.approx([1j, -1j])
    assert Field(bilinear_twice).eigenvalues(3, which).tolist() == pytest.approx([1j, -1j, 1j, -1j])
    ties = torch.tensor([1 + 2j, -1 + 2j, 1 - 2j, -1 - 2j], dtype=torch.complex128)
    for k in (1, 2, 3, 4):
        found = arranged(ties, k, which).tolist()
        assert len(found) == k + k % 2
        assert [each.conjugate() for each in found[::2]] == found[1::2]


def test_a_large_game_that_is_a_multiple_of_the_identity_attracts():
    psi, theta = (torch.randn(150, dtype=torch.float64).requires_grad_() for _ in range(2))
    game = Game(
        critic=(psi,),
        generator=(theta,),
        critic_loss=lambda: psi.square().sum() / 2,
        generator_loss=lambda: theta.square().sum() / 2,
    )
    found = spectrum(game, 3)
    assert found.stability.verdict == "attracts"
    assert found.stability.largest_stable_step == pytest.approx(2.0)
    assert found.eigenvalues.tolist() == pytest.approx([-1.0] * 3)
