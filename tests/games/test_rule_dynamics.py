"""The spectrum of a rule's update against matrices written down, and verdicts against paths with known growth."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.optim import Optimizer

from adversarium.errors import InputError
from adversarium.games import GAMES, Game, alternating, lookahead, optimistic, simultaneous
from adversarium.games.dynamics import (
    Trajectory,
    descent,
    observe,
    predict,
    simulate,
    update_eigenvalues,
    update_jacobian,
)
from adversarium.games.toys import Toy, bilinear, dirac, gaussian
from adversarium.losses import LOSSES
from adversarium.penalties import PENALTIES, attached
from adversarium.types import Closure, GameRule

every_seed = pytest.mark.parametrize("seed", range(4))


def rng_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uniform(low: float, high: float, rng: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=rng))


def field_matrix(toy: Toy) -> Tensor:
    """Return M with G(z) = M·z of a linear game."""
    columns = []
    for axis in torch.eye(len(toy.equilibrium), dtype=torch.float64):
        toy.game.move_to(axis)
        by = [
            *torch.autograd.grad(toy.game.critic_loss(), toy.game.critic),
            *torch.autograd.grad(toy.game.generator_loss(), toy.game.generator),
        ]
        columns.append(torch.cat(by))
    toy.game.move_to(toy.equilibrium)
    return torch.stack(columns, dim=1)


def assert_equal(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


# --- Jacobians that can be written down ------------------------------------------------------------


@every_seed
def test_plain_descent_has_the_weights_alone(seed: int):
    rng = rng_of(seed)
    toy, one, other = bilinear((1.3, 0.4), rng), uniform(0.1, 2, rng), uniform(0.1, 2, rng)
    rates = torch.diag(torch.tensor([one, one, other, other], dtype=torch.float64))
    expected = torch.eye(4) - rates @ field_matrix(toy)
    assert_equal(update_jacobian(simultaneous(), toy, descent(one, other)), expected)


@every_seed
@pytest.mark.parametrize("sign", [1, -1])
def test_momentum_is_a_part_of_the_state(sign: int, seed: int):
    """(z, m) -> (z - h·(β·m + G), β·m + G); the buffers lie behind the weights, the critic's first."""
    rng = rng_of(seed)
    toy, h, beta = bilinear((1.3, 0.4), rng), uniform(0.1, 2, rng), sign * uniform(0.1, 0.9, rng)
    matrix, one = field_matrix(toy), torch.eye(4, dtype=torch.float64)
    expected = torch.cat(
        (torch.cat((one - h * matrix, -h * beta * one), dim=1), torch.cat((matrix, beta * one), dim=1))
    )
    assert_equal(update_jacobian(simultaneous(), toy, descent(h, momentum=beta)), expected)


@every_seed
def test_what_a_rule_remembers_is_a_part_of_the_state(seed: int):
    """Optimistic descent: (z, d) -> (z - 2h·G - d, -h·G), d the move before."""
    rng = rng_of(seed)
    toy, h = bilinear((1.3, 0.4), rng), uniform(0.1, 2, rng)
    move, one = -h * field_matrix(toy), torch.eye(4, dtype=torch.float64)
    expected = torch.cat((torch.cat((one + 2 * move, -one), dim=1), torch.cat((move, 0 * one), dim=1)))
    assert_equal(update_jacobian(optimistic(), toy, descent(h)), expected)


@every_seed
def test_a_period_is_measured_whole(seed: int):
    """Lookahead around simultaneous descent: (z, z₀) -> twice (1 - α)·z₀ + α·(1 - hM)^k·z."""
    rng = rng_of(seed)
    toy, h, k, alpha = bilinear((1.3, 0.4), rng), uniform(0.1, 1, rng), 2 + seed, uniform(0.1, 0.9, rng)
    one = torch.eye(4, dtype=torch.float64)
    inner = torch.linalg.matrix_power(one - h * field_matrix(toy), k)
    row = torch.cat((alpha * inner, (1 - alpha) * one), dim=1)
    found = update_jacobian(lookahead(k, alpha, simultaneous()), toy, descent(h))
    assert_equal(found, torch.cat((row, row)))


@pytest.mark.parametrize("name", GAMES)
def test_measuring_changes_nothing_and_repeats_itself(name: str):
    toy = dirac(LOSSES["minimax"](), attached(PENALTIES["r2"](0.5)))
    elsewhere = toy.equilibrium + 0.1
    toy.game.move_to(elsewhere)
    first, second = (update_jacobian(GAMES[name](), toy, descent(0.1)) for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-12)
    assert torch.equal(toy.game.position(), elsewhere)


def test_counters_start_each_period_alike():
    """A rule whose steps shrink with a count has the update of the count that stands after the first period: 2."""

    def play(critic: Closure, generator: Closure, critic_optimizer: Optimizer, generator_optimizer: Optimizer) -> None:
        state = critic_optimizer.state[toy.game.critic[0]]
        count = int(state.get("tiring.count", torch.tensor(0.0))) + 1
        for optimizer in (critic_optimizer, generator_optimizer):
            optimizer.param_groups[0]["lr"] = 0.3 / count
        simultaneous()(critic, generator, critic_optimizer, generator_optimizer)
        state["tiring.count"] = torch.tensor(float(count))

    toy = bilinear((0.7,))
    found = update_jacobian(GameRule(name="tiring", play=play), toy, descent(0.3))
    assert_equal(found, torch.eye(2) - 0.15 * field_matrix(toy))


@every_seed
def test_a_nonlinear_game_is_measured_to_1e_10(seed: int):
    """Simultaneous descent on the 1-D Gaussian game: 1 - h·∂G/∂z, G differentiated twice by autograd."""
    rng = rng_of(seed)
    toy, h = gaussian((uniform(-1, 1, rng),), ((uniform(0.5, 2, rng),),), r1=0.4, r2=0.3), uniform(0.1, 1, rng)
    by = torch.autograd.grad(toy.game.critic_loss(), toy.game.critic, create_graph=True)
    by += torch.autograd.grad(toy.game.generator_loss(), toy.game.generator, create_graph=True)
    rows = [
        torch.cat(
            [
                torch.zeros(each.numel()).double() if part is None else part.flatten()
                for each, part in zip(
                    toy.game.weights,
                    torch.autograd.grad(number.sum(), toy.game.weights, retain_graph=True, allow_unused=True),
                    strict=True,
                )
            ]
        )
        for number in by
    ]
    found = update_jacobian(simultaneous(), toy, descent(h))
    torch.testing.assert_close(found, torch.eye(4) - h * torch.stack(rows), rtol=0, atol=1e-10)


def test_eigenvalues_come_by_falling_size():
    found = update_eigenvalues(alternating(), bilinear((1.0, 2.0)), descent(1.5, momentum=0.3)).abs()
    assert (found[:-1] >= found[1:]).all()


# --- predictions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "verdict"), [(simultaneous(), "repels"), (alternating(), "circles"), (optimistic(), "attracts")]
)
def test_the_three_verdicts(rule: GameRule, verdict: str):
    found = predict(rule, bilinear((1.0, 0.5)), descent(0.3))
    assert found.verdict == verdict
    assert found.radius == pytest.approx(float(found.eigenvalues.abs().max()))


def test_neutral_eigenvalues_say_nothing_of_stability():
    toy = gaussian((0.0, 0.0), latent=3, r1=0.5)
    found = predict(simultaneous(), toy, descent(0.2))
    assert float(found.eigenvalues.abs().max()) == pytest.approx(1)
    assert found.radius < 1
    assert found.verdict == "attracts"


def kinked(angle: float) -> Toy:
    """Return a linear game plus a force that bends along one line through the equilibrium, across no axis."""
    toy = bilinear()
    (x,), (y,) = toy.game.critic, toy.game.generator

    def bent() -> Tensor:
        across = (x * math.cos(angle) + y * math.sin(angle)).squeeze()
        return toy.game.critic_loss() + 0.1 * across * across.abs()

    game = Game(critic=(x,), generator=(y,), critic_loss=bent, generator_loss=toy.game.generator_loss)
    return Toy(name="kinked", game=game, equilibrium=toy.equilibrium, distance=toy.distance)


@pytest.mark.parametrize("angle", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("rule", [simultaneous(), lookahead()], ids=["simultaneous", "lookahead"])
def test_a_kink_has_no_linearisation(rule: GameRule, angle: float):
    for h in (1e-3, 0.3):
        found = predict(rule, kinked(angle), descent(h))
        assert found.verdict == "no linearisation"
        assert math.isnan(found.radius)
        assert len(found.eigenvalues) == 0
    with pytest.raises(InputError, match="on kinked: the update is not differentiable at the equilibrium"):
        update_jacobian(rule, kinked(angle), descent(0.3))


@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.RMSprop])
@pytest.mark.parametrize("measure", [update_jacobian, update_eigenvalues, predict])
def test_an_adaptive_step_is_not_differentiable_at_an_equilibrium(
    measure: Callable[..., object], make: type[Optimizer]
):
    toy = bilinear()
    with pytest.raises(InputError, match=f"got {make.__name__}: .* not differentiable at an equilibrium"):
        measure(simultaneous(), toy, lambda game: (make(game.critic), make(game.generator)))


# --- games played ----------------------------------------------------------------------------------


@every_seed
def test_a_simulated_path_is_that_of_the_powers(seed: int):
    rng = rng_of(seed)
    toy, h = bilinear((1.0, 0.4), rng), uniform(0.1, 0.8, rng)
    start = torch.randn(4, generator=rng, dtype=torch.float64)
    path = simulate(alternating(2), toy, descent(h), start, 30)
    jacobian = update_jacobian(alternating(2), toy, descent(h))
    assert path.positions.shape == (31, 4)
    assert path.distances.shape == (31,)
    for step in range(31):
        torch.testing.assert_close(path.positions[step], torch.linalg.matrix_power(jacobian, step) @ start)
    torch.testing.assert_close(path.distances, path.positions.norm(dim=1))
    assert torch.equal(toy.game.position(), toy.equilibrium)


def test_adaptive_optimizers_can_be_played():
    toy = dirac(LOSSES["nonsaturating"](), PENALTIES["r1"]())
    path = simulate(
        alternating(),
        toy,
        lambda game: (torch.optim.Adam(game.critic, 0.02), torch.optim.Adam(game.generator, 0.02)),
        torch.ones(2).double(),
        200,
    )
    assert path.distances[-1] < 0.5 * path.distances[0]


@pytest.mark.parametrize("name", ["simultaneous", "proximal_point"])
def test_a_path_ends_where_the_numbers_do(name: str):
    def losing() -> Tensor:  # a loss without a floor: each step is e times the one before, and more
        return -sum(weight.square().square().sum() for weight in game.weights)

    toy = bilinear()
    game = Game(critic=toy.game.critic, generator=toy.game.generator, critic_loss=losing, generator_loss=losing)
    lost = Toy(name="lost", game=game, equilibrium=toy.equilibrium, distance=toy.distance)
    path = simulate(GAMES[name](), lost, descent(1.0), torch.ones(2).double(), 20)
    ended = int(path.distances.isfinite().sum())
    assert 0 < ended < 21
    assert path.positions[:ended].isfinite().all()
    assert path.positions[ended:].isnan().all()
    assert bool(path.stopped) == (name == "proximal_point")  # the other's numbers end by themselves
    if not path.stopped:
        assert observe(path) == "repels"


def test_a_start_of_another_shape_is_refused():
    with pytest.raises(InputError, match=r"start has shape \[3\]: wanted \[2\]"):
        simulate(simultaneous(), bilinear(), descent(0.1), torch.zeros(3).double(), 1)


# --- what is seen ----------------------------------------------------------------------------------


def path_of(distances: Tensor) -> Trajectory:
    return Trajectory(positions=distances[:, None].double(), distances=distances.double())


@every_seed
@pytest.mark.parametrize(("sign", "verdict"), [(1, "repels"), (0, "circles"), (-1, "attracts")])
def test_growth_is_seen_under_ten_times_larger_turns(sign: int, verdict: str, seed: int):
    rng = rng_of(seed)
    steps = torch.arange(801, dtype=torch.float64)
    rate, turn, wobble = sign * uniform(3e-4, 3e-2, rng), uniform(0.2, 1.5, rng), uniform(0.1, 0.8, rng)
    for start in (1e-5, 1.0):
        distances = start * (rate * steps).exp() * (1 + wobble * (turn * steps + seed).sin())
        assert observe(path_of(distances)) == verdict


def test_turns_cancel_within_a_few_of_them():
    for phase in range(60):
        turn = 0.4 + 0.5 * phase / 59  # the last two quarters hold 3 to 7 turns each
        distances = 1 + 0.8 * (turn * torch.arange(201, dtype=torch.float64) + phase).sin()
        assert observe(path_of(distances), 5e-4) == "circles"


def test_the_tolerance_is_a_rate_per_step():
    path = path_of((5e-3 * torch.arange(101)).exp())
    assert [observe(path, tolerance) for tolerance in (4.9e-3, 5.1e-3)] == ["repels", "circles"]


def test_a_game_that_arrived_was_attracted_whatever_rounding_does_then():
    distances = (-0.5 * torch.arange(200.0)).exp().clamp_min(1e-9)
    assert observe(path_of(distances)) == "attracts"
    distances[-1] = math.nan
    assert observe(path_of(distances)) == "repels"


def test_a_game_that_left_for_a_cycle_was_repelled():
    assert observe(path_of(1e-4 * (0.1 * torch.arange(400.0)).exp().clamp_max(1e3))) == "repels"


@pytest.mark.parametrize(("distances", "message"), [(torch.ones(8), "7 steps"), (torch.zeros(20), "first distance")])
def test_too_little_is_refused(distances: Tensor, message: str):
    with pytest.raises(InputError, match=message):
        observe(path_of(distances))


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("seed", range(2))
def test_what_is_predicted_is_seen(name: str, seed: int):
    """On the one-axis Gaussian game, whose penalty and distribution are drawn anew."""
    rng = rng_of(seed)
    toy = gaussian((uniform(-1, 1, rng),), ((uniform(0.5, 1.5, rng),),), r1=uniform(0.3, 1.0, rng))
    rule, h = GAMES[name](0.3) if name in ("consensus", "symplectic") else GAMES[name](), uniform(0.1, 0.4, rng)
    prediction = predict(rule, toy, descent(h))
    assert abs(math.log(prediction.radius)) > 2e-3
    start = toy.equilibrium + 1e-4 * torch.randn(4, generator=rng, dtype=torch.float64)
    assert observe(simulate(rule, toy, descent(h), start, 48), 1e-3) == prediction.verdict


def cubed(bend: float, kink: float) -> Toy:
    """Return the bilinear game with a force on the critic that bends, or has a kink, at the equilibrium."""
    psi, theta = (torch.zeros(1, dtype=torch.float64).requires_grad_() for _ in range(2))
    game = Game(
        critic=(psi,),
        generator=(theta,),
        critic_loss=lambda: (psi * theta + bend * psi**3 + kink * psi * psi.abs()).sum(),
        generator_loss=lambda: (-psi * theta).sum(),
    )
    return Toy(
        name="cubed", game=game, equilibrium=torch.zeros(2, dtype=torch.float64), distance=lambda z: float(z.norm())
    )


def test_a_bend_is_no_kink():
    rule, optimizers = GAMES["simultaneous"](), descent(0.3)
    assert predict(rule, cubed(300.0, 0.0), optimizers).radius == pytest.approx(math.sqrt(1.09), abs=1e-6)
    assert predict(rule, cubed(0.0, 1.0), optimizers).verdict == "no linearisation"


def test_a_game_that_its_rule_cannot_go_on_with_is_not_judged():
    toy, rule = (
        dirac(LOSSES["nonsaturating"](), attached(PENALTIES["r1"]())),
        GAMES["proximal_point"](max_iterations=2),
    )
    path = simulate(rule, toy, descent(0.3), toy.equilibrium + 0.5, 20)
    assert "found no step" in path.stopped
    with pytest.raises(InputError, match="cannot be judged: proximal_point found no step"):
        observe(path)
    with pytest.raises(InputError, match="proximal_point found no step near the equilibrium"):
        predict(GAMES["proximal_point"](max_iterations=1), toy, descent(0.3))


def test_a_game_that_came_close_and_left_was_repelled():
    distances = torch.cat((torch.logspace(0, -7, 20), torch.logspace(-7, 6, 20))).double()
    assert observe(Trajectory(positions=distances[:, None], distances=distances)) == "repels"
