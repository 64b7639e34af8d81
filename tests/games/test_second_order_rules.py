"""The second-order rules beside slow twins: dense Jacobians from formulas, a dense solver, unrolling by functions."""

import math
from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import SGD, Adam, Optimizer, RMSprop
from waves import Waves

from adversarium.errors import InputError
from adversarium.games import GAMES, Game, competitive, consensus, proximal_point, symplectic, unrolled
from adversarium.games._solve import flat, shaped
from adversarium.losses import LOSSES
from adversarium.penalties import PENALTIES, attached
from adversarium.types import GameRule

Direction = Callable[[Waves, Tensor, Tensor], Tensor]
"""``(game, z, learning rates) -> direction``: what stands in the gradient's place."""


# --- twins ---------------------------------------------------------------------------------------


def consensus_twin(gamma: float) -> Direction:
    return lambda game, z, h: game.gradient(z) + gamma * game.jacobian(z).T @ game.gradient(z)


def symplectic_twin(gamma: float, align: bool, epsilon: float = 0.1, signs: list[float] | None = None) -> Direction:
    def direction(game: Waves, z: Tensor, h: Tensor) -> Tensor:
        g, j = game.gradient(z), game.jacobian(z)
        antisymmetric = (j - j.T) / 2
        downhill = j.T @ g  # ∇½|G|²
        sign = 1.0
        if align:
            sign = math.copysign(1, float(g @ downhill * (antisymmetric.T @ g @ downhill)) / len(z) + epsilon)
        if signs is not None:
            signs.append(sign)
        return g + gamma * sign * antisymmetric.T @ g

    return direction


def competitive_twin(game: Waves, z: Tensor, h: Tensor) -> Tensor:
    """The paper's update of either player, with the other eliminated, and a learning rate for each weight."""
    j, g, m = game.off_diagonal(z), game.gradient(z), game.critic_size
    (h_x, h_y), (g_x, g_y) = h.split([m, len(h) - m]), g.split([m, len(h) - m])
    to_x, to_y = h_x[:, None] * j[:m, m:], h_y[:, None] * j[m:, :m]
    x = torch.linalg.solve(torch.eye(len(h_x)) - to_x @ to_y, h_x * g_x - to_x @ (h_y * g_y))
    y = torch.linalg.solve(torch.eye(len(h_y)) - to_y @ to_x, h_y * g_y - to_y @ (h_x * g_x))
    return torch.cat([x, y]) / h


def proximal_twin(game: Waves, z: Tensor, h: Tensor) -> Tensor:
    new, residual = z, h * game.gradient(z)
    while float(residual.norm()) > 1e-14:
        new = new - torch.linalg.solve(torch.eye(len(z)) + h[:, None] * game.jacobian(new), residual)
        residual = new - z + h * game.gradient(new)
    return game.gradient(new)


def unrolled_twin(k: int, inner: float | None, through: str = "critic") -> Direction:
    def direction(game: Waves, z: Tensor, h: Tensor) -> Tensor:
        m = game.critic_size
        theta = z[m:].clone().requires_grad_()
        psi = z[:m].clone().requires_grad_()
        for _ in range(k):
            (slope,) = torch.autograd.grad(game.loss(0, torch.cat([psi, theta])), psi, create_graph=True)
            psi = psi - (h[:m] if inner is None else inner) * slope
        if through == "generator":
            (total,) = torch.autograd.grad(game.loss(1, torch.cat([psi, theta])), theta)
            return torch.cat([game.gradient(z)[:m], total])
        # the generator's own loss at the critic's answer, and minus the critic's through the answer
        value = game.loss(1, torch.cat([psi.detach(), theta])) - game.loss(0, torch.cat([psi, theta.detach()]))
        (total,) = torch.autograd.grad(value, theta)
        return torch.cat([game.gradient(z)[:m], total])

    return direction


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


MakeOptimizer = Callable[[Sequence[Tensor], float], Optimizer]


def heavy_ball(momentum: float) -> MakeOptimizer:
    def make(weights: Sequence[Tensor], lr: float) -> Optimizer:
        optimizer = SGD(weights, lr=lr)
        optimizer.param_groups[0]["momentum"] = momentum  # the constructor refuses a negative one
        return optimizer

    return make


OPTIMIZERS: dict[str, MakeOptimizer] = {
    "descent": lambda weights, lr: SGD(weights, lr=lr),
    "momentum": heavy_ball(0.8),
    "negative momentum": heavy_ball(-0.5),
    "rmsprop": lambda weights, lr: RMSprop(weights, lr=lr / 10, eps=1e-3),
    "adam": lambda weights, lr: Adam(weights, lr=lr / 10, betas=(0.5, 0.9), eps=1e-3),
    "amsgrad": lambda weights, lr: Adam(weights, lr=lr / 10, betas=(0.5, 0.9), eps=1e-3, amsgrad=True),
}

WRAPPING: dict[str, tuple[GameRule, Direction]] = {
    "consensus": (consensus(gamma=0.3), consensus_twin(0.3)),
    "consensus 1": (consensus(gamma=1.0), consensus_twin(1.0)),
    "symplectic": (symplectic(gamma=0.7), symplectic_twin(0.7, True)),
    "symplectic, other epsilon": (symplectic(epsilon=0.0), symplectic_twin(1.0, True, 0.0)),
    "symplectic, not aligned": (symplectic(align=False), symplectic_twin(1.0, False)),
    "unrolled": (unrolled(k=4, inner_learning_rate=0.2), unrolled_twin(4, 0.2)),
    "unrolled through the generator": (
        unrolled(k=3, inner_learning_rate=0.3, through="generator"),
        unrolled_twin(3, 0.3, "generator"),
    ),
    "unrolled 1": (unrolled(k=1, inner_learning_rate=0.5), unrolled_twin(1, 0.5)),
}
SOLVING: dict[str, tuple[GameRule, Direction]] = {
    "competitive": (competitive(), competitive_twin),
    "proximal_point": (proximal_point(), proximal_twin),
    "unrolled": (unrolled(), unrolled_twin(5, None)),
}


def close(ours: Tensor, exact: Tensor, relative: float = 1e-9) -> None:
    torch.testing.assert_close(ours, exact, rtol=relative, atol=relative * float(exact.abs().max()))


def beside(waves: Waves, rule: GameRule, direction: Direction, make: MakeOptimizer, steps: int = 100) -> None:
    """Play a game and its twin on two flat vectors, and compare the way."""
    game, sizes = waves.game(), (waves.critic_size, len(waves.start) - waves.critic_size)
    ours = make(game.critic, 0.03), make(game.generator, 0.05)
    twins = [part.clone().requires_grad_() for part in waves.start.split(sizes)]
    theirs = make(twins[:1], 0.03), make(twins[1:], 0.05)
    h = torch.cat([torch.full((size,), o.param_groups[0]["lr"]) for size, o in zip(sizes, theirs, strict=True)])
    for step in range(steps):
        found = direction(waves, torch.cat(twins).detach(), h).split(sizes)
        for each, optimizer, part in zip(twins, theirs, found, strict=True):
            each.grad = part
            optimizer.step()
        game.play(rule, *ours)
        if step % 10 == 9:
            close(game.position(), torch.cat(twins).detach())
    assert float((game.position() - waves.start).norm()) > 0.1


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", WRAPPING)
def test_the_rule_around_an_optimizer_equals_its_twin(name: str, optimizer: str):
    beside(Waves(len(name)), *WRAPPING[name], OPTIMIZERS[optimizer])


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", SOLVING)
def test_a_rule_that_solves_for_plain_descent_equals_its_twin_with_a_rate_for_each_weight(name: str, seed: int):
    """And through the twin's dense system, with every weight tensor in a parameter group of its own."""
    waves = Waves(seed, scale=0.5)
    game, (rule, direction) = waves.game(), SOLVING[name]
    rates = torch.rand(len(game.weights), generator=torch.Generator().manual_seed(seed)) / 2
    groups = [{"params": [each], "lr": float(rate)} for each, rate in zip(game.weights, rates, strict=True)]
    m = len(game.critic)
    optimizers = SGD(groups[:m]), SGD(groups[m:])
    h = flat([torch.full_like(each, rate) for each, rate in zip(game.weights, rates.tolist(), strict=True)])
    z = waves.start
    for _ in range(100):
        z = z - h * direction(waves, z, h)
        game.play(rule, *optimizers)
        close(game.position(), z)
    assert float((z - waves.start).norm()) > 0.1


def test_alignment_turns_the_adjustment_both_ways():
    signs: list[float] = []
    for seed in range(6):
        waves = Waves(seed, scale=3.0)
        beside(waves, symplectic(0.1), symplectic_twin(0.1, True, signs=signs), OPTIMIZERS["descent"], 20)
    assert set(signs) == {-1.0, 1.0}


@pytest.mark.parametrize("name", [*WRAPPING, *SOLVING])
def test_in_float32(name: str):
    rule, direction = {**WRAPPING, **SOLVING}[name]
    waves = Waves(1)
    game = waves.game(torch.float32)
    h = torch.full_like(waves.start, 0.05)
    game.play(rule, SGD(game.critic, lr=0.05), SGD(game.generator, lr=0.05))
    assert all(each.dtype == torch.float32 for each in game.weights)
    close(game.position().double() - waves.start, -h * direction(waves, waves.start, h), 1e-5)


def test_a_learning_rate_of_zero_stops_one_player():
    for rule in (competitive(), proximal_point()):
        waves = Waves(3)
        game = waves.game()
        game.play(rule, SGD(game.critic, lr=0.0), SGD(game.generator, lr=0.1))
        m = waves.critic_size
        assert game.position()[:m].equal(waves.start[:m])
        assert (game.position() - waves.start).isfinite().all()
        assert (game.position()[m:] != waves.start[m:]).all()


# --- closed forms --------------------------------------------------------------------------------


def update_matrix(game: Game, rule: GameRule, *rates: float) -> Tensor:
    """Return the Jacobian of a rule's own update at 0, by central differences."""
    columns = []
    for axis in torch.eye(len(game.position())) * 1e-4:
        ends = []
        for end in (axis, -axis):
            game.move_to(end)
            game.play(rule, SGD(game.critic, lr=rates[0]), SGD(game.generator, lr=rates[-1]))
            ends.append(game.position())
        columns.append((ends[0] - ends[1]) / 2e-4)
    return torch.stack(columns, dim=1)


def bilinear(rng: torch.Generator, size: int) -> tuple[Game, Tensor]:
    """Return min_θ max_ψ ψᵀMθ, M square or not, and the singular values of M."""
    matrix = torch.randn(size, size + 1, generator=rng)
    psi, theta = (torch.zeros(n).requires_grad_() for n in matrix.shape)
    value = lambda: psi @ matrix @ theta  # noqa: E731
    game = Game(critic=(psi,), generator=(theta,), critic_loss=lambda: -value(), generator_loss=value)
    return game, torch.cat([torch.linalg.svdvals(matrix), torch.zeros(1)])  # one more weight than singular values


def pulled(h: float, gamma: float, s: Tensor) -> Tensor:
    return ((1 - h * gamma * s**2) ** 2 + (h * s) ** 2).sqrt()


def implicit(h: float, gamma: float, s: Tensor) -> Tensor:
    return 1 / (1 + (h * s) ** 2).sqrt()


BILINEAR: dict[str, tuple[Callable[[float], GameRule], Callable[[float, float, Tensor], Tensor]]] = {
    "consensus": (lambda gamma: consensus(gamma), pulled),
    "symplectic": (lambda gamma: symplectic(gamma), pulled),
    "competitive": (lambda gamma: competitive(), implicit),
    "proximal_point": (lambda gamma: proximal_point(), implicit),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", BILINEAR)
def test_every_modulus_on_the_bilinear_game(name: str, seed: int):
    rng = torch.Generator().manual_seed(seed)
    h, gamma = (3 * torch.rand(2, generator=rng)).tolist()
    game, s = bilinear(rng, seed + 1)
    make, moduli = BILINEAR[name]
    found = torch.linalg.eigvals(update_matrix(game, make(gamma), h)).abs().sort().values
    each_twice = torch.cat([moduli(h, gamma, s[:-1])] * 2 + [moduli(h, gamma, s[-1:])]).sort().values
    close(found, each_twice, 1e-8)


@pytest.mark.parametrize("seed", range(4))
def test_unrolled_on_the_bilinear_game(seed: int):
    """ψ_k = ψ + kη·Mθ, so the generator's loss is ψᵀMθ + kη·|Mθ|²."""
    rng = torch.Generator().manual_seed(seed)
    h_critic, h_generator, inner = torch.rand(3, generator=rng).tolist()
    matrix = torch.randn(2, 3, generator=rng)
    psi, theta = (torch.zeros(n).requires_grad_() for n in matrix.shape)
    value = lambda: psi @ matrix @ theta  # noqa: E731
    game = Game(critic=(psi,), generator=(theta,), critic_loss=lambda: -value(), generator_loss=value)
    k = seed + 1
    expected = torch.eye(5)
    expected[:2, 2:] = h_critic * matrix
    expected[2:, :2] = -h_generator * matrix.T
    expected[2:, 2:] -= 2 * k * inner * h_generator * matrix.T @ matrix
    found = update_matrix(game, unrolled(k, inner_learning_rate=inner), h_critic, h_generator)
    close(found, expected)


@pytest.mark.parametrize("loss_name", ["minimax", "nonsaturating", "wasserstein"])
@pytest.mark.parametrize("seed", range(2))
def test_consensus_on_the_dirac_game(loss_name: str, seed: int):
    """D(x) = ψx, data at 0: -γf'² ± if'; f' = ½ for the logarithmic losses, 1 for Wasserstein's."""
    h, gamma = torch.rand(2, generator=torch.Generator().manual_seed(seed)).tolist()
    loss, slope = LOSSES[loss_name](), 1.0 if loss_name == "wasserstein" else 0.5
    psi, theta = torch.zeros(1).requires_grad_(), torch.zeros(1).requires_grad_()
    game = Game(
        critic=(psi,),
        generator=(theta,),
        critic_loss=lambda: loss.critic(psi * 0, psi * theta).sum(),
        generator_loss=lambda: loss.generator(psi * 0, psi * theta).sum(),
    )
    field = (torch.linalg.eigvals(update_matrix(game, consensus(gamma), h)) - 1) / h
    close(field.real, torch.full((2,), -gamma * slope**2), 1e-6)
    close(field.imag.sort().values, torch.tensor([-slope, slope]), 1e-6)


@pytest.mark.parametrize("h", [1e-3, 1.0, 1e3])
def test_the_proximal_point_where_whole_newton_steps_fly_off(h: float):
    """z' + h·tanh(z') = z for each weight on its own, far from where the tangent is of use."""
    weights = [torch.tensor([5.0, -3.0]).requires_grad_() for _ in range(2)]
    game = Game(
        critic=(weights[0],),
        generator=(weights[1],),
        critic_loss=lambda: weights[0].cosh().log().sum(),
        generator_loss=lambda: weights[1].cosh().log().sum(),
    )
    before = game.position()
    game.play(proximal_point(), SGD(game.critic, lr=h), SGD(game.generator, lr=h))
    after = game.position()
    close(after + h * after.tanh(), before, 1e-9)


@pytest.mark.parametrize(("through", "stays"), [("critic", True), ("generator", False)])
def test_unrolling_stays_at_an_equilibrium_whose_generator_side_has_no_real_scores(through: str, stays: bool):
    """Wasserstein, D(x) = ψx, the data at 2: both gradients are 0 at (0, 2), but ∂(-ψθ)/∂ψ is -2."""
    psi, theta = torch.zeros(1).requires_grad_(), torch.full((1,), 2.0).requires_grad_()
    game = Game(
        critic=(psi,),
        generator=(theta,),
        critic_loss=lambda: (psi * (theta - 2) + 0.5 * psi.square()).sum(),
        generator_loss=lambda: (-psi * theta).sum(),
    )
    before = game.position()
    game.play(unrolled(3, through=through), SGD(game.critic, lr=0.1), SGD(game.generator, lr=0.1))
    assert torch.equal(game.position(), before) is stays


# --- networks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("through", ["critic", "generator"])
def test_unrolling_networks_with_penalties_of_their_own_second_derivatives(through: str):
    """Convolutions, weights used in slices, R1 and R2: the same as functions of the weights, unrolled by autograd."""
    torch.manual_seed(0)

    class Sliced(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(2, 12))

        def forward(self, x: Tensor) -> Tensor:
            first, second = self.weight.chunk(2)
            return (torch.tanh(x.flatten(1) @ first.T) * (x.flatten(1) @ second.T)).sum(1)

    critic = nn.Sequential(nn.Conv2d(1, 3, 3), nn.LeakyReLU(0.2), Sliced())
    generator = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Unflatten(1, (1, 4, 4)))
    real, codes = torch.randn(5, 1, 4, 4), torch.randn(5, 2)
    r1, r2 = PENALTIES["r1"](gamma=0.7), attached(PENALTIES["r2"](gamma=0.4))
    loss, k, eta = LOSSES["nonsaturating"](), 3, 0.2

    def critic_loss() -> Tensor:
        fake = generator(codes)
        penalty = r1(critic, real, fake, None).mean() + r2(critic, real, fake, None).mean()
        return loss.critic(critic(real), critic(fake)).mean() + penalty

    game = Game(
        critic=tuple(critic.parameters()),
        generator=tuple(generator.parameters()),
        critic_loss=critic_loss,
        generator_loss=lambda: loss.generator(None, critic(generator(codes))).mean(),
    )
    names, psi = [name for name, _ in critic.named_parameters()], [each.detach() for each in critic.parameters()]
    theta = [each.detach().clone().requires_grad_() for each in generator.parameters()]
    fake = functional_call(generator, dict(zip(dict(generator.named_parameters()), theta, strict=True)), codes)

    def answer(weights: Sequence[Tensor], x: Tensor) -> Tensor:
        return functional_call(critic, dict(zip(names, weights, strict=True)), x)

    def slope(weights: Sequence[Tensor], x: Tensor) -> Tensor:
        x = x.clone() if x.requires_grad else x.clone().requires_grad_()  # the weights depend on the old x as well
        (found,) = torch.autograd.grad(answer(weights, x).sum(), x, create_graph=True)
        return found.flatten(1).square().sum(1).mean() / 2

    def value(weights: Sequence[Tensor], x: Tensor) -> Tensor:
        total = loss.critic(answer(weights, real), answer(weights, x)).mean()
        return total + 0.7 * slope(weights, real) + 0.4 * slope(weights, x)

    moved, first = [each.clone().requires_grad_() for each in psi], None
    for _ in range(k):
        slopes = torch.autograd.grad(value(moved, fake), moved, create_graph=True)
        first = slopes if first is None else first
        moved = [each - eta * part for each, part in zip(moved, slopes, strict=True)]
    if through == "generator":
        descended = loss.generator(None, answer(moved, fake)).mean()
    else:
        here = [each.detach() for each in moved]
        descended = loss.generator(None, answer(here, fake)).mean() - value(moved, fake.detach())
    total = torch.autograd.grad(descended, theta)

    before = game.position()
    memory = [each.data_ptr() for each in game.critic]
    game.play(unrolled(k, through=through), SGD(game.critic, lr=eta), SGD(game.generator, lr=1.0))
    assert first is not None
    close(game.position() - before, -flat([eta * each for each in first] + list(total)), 1e-10)
    assert memory == [each.data_ptr() for each in game.critic]


# --- what must not happen ------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*WRAPPING, *SOLVING])
def test_evaluations_and_their_order(name: str):
    rule, _ = {**WRAPPING, **SOLVING}[name]
    game, calls = Waves(0).game(), ""

    def counted(player: str, loss: Callable[[], Tensor]) -> Callable[[], Tensor]:
        def call() -> Tensor:
            nonlocal calls
            calls += player
            return loss()

        return call

    rule(
        counted("c", game.critic_loss),
        counted("g", game.generator_loss),
        SGD(game.critic, 0.1),
        SGD(game.generator, 0.1),
    )
    assert rule.second_order
    if rule.name == "proximal_point":
        assert 2 <= calls.count("cg") <= rule.critic_evaluations == rule.generator_evaluations
        assert calls == "cg" * (len(calls) // 2)
    else:
        assert calls == "c" * rule.critic_evaluations + "g" * rule.generator_evaluations


@pytest.mark.parametrize("name", [*WRAPPING, *SOLVING])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_not_finite_is_not_hidden(name: str, value: float):
    rule, _ = {**WRAPPING, **SOLVING}[name]
    waves = Waves(0)
    game = waves.game()
    optimizers = SGD(game.critic, lr=0.1), SGD(game.generator, lr=0.1)
    closures = game.critic_loss, lambda: value * game.generator_loss()
    if rule.plain_descent:
        with pytest.raises(ArithmeticError, match="residual"):
            rule(*closures, *optimizers)
        assert game.position().equal(waves.start)
    else:
        rule(*closures, *optimizers)
        assert not game.position().isfinite().all()


@pytest.mark.parametrize("call", [2, 4])
@pytest.mark.parametrize("name", ["proximal_point", "unrolled"])
def test_an_evaluation_that_fails_leaves_the_weights_as_they_were(name: str, call: int):
    waves = Waves(0)
    game, calls = waves.game(), []

    def failing() -> Tensor:
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return game.critic_loss()

    with pytest.raises(KeyboardInterrupt):
        SOLVING[name][0](failing, game.generator_loss, SGD(game.critic, lr=3.0), SGD(game.generator, lr=3.0))
    assert game.position().equal(waves.start)


def test_proximal_point_says_when_it_does_not_converge():
    waves = Waves(0, scale=20.0)
    game = waves.game()
    with pytest.raises(ArithmeticError, match=r"did not converge in 3 evaluations: the residual .* is \d"):
        game.play(proximal_point(max_iterations=3), SGD(game.critic, lr=5.0), SGD(game.generator, lr=5.0))
    assert game.position().equal(waves.start)


def test_competitive_says_when_it_is_not_solved():
    waves = Waves(0)
    game = waves.game()
    with pytest.raises(ArithmeticError, match="2 GMRES iterations: the residual is"):
        game.play(competitive(max_iterations=2), SGD(game.critic, lr=5.0), SGD(game.generator, lr=5.0))
    assert game.position().equal(waves.start)


@pytest.mark.parametrize("name", ["competitive", "proximal_point"])
def test_what_solves_for_plain_descent_wants_plain_descent(name: str):
    game = Waves(0).game()
    with pytest.raises(InputError, match=f"{name} got Adam"):
        game.play(SOLVING[name][0], Adam(game.critic), SGD(game.generator, lr=0.1))
    with pytest.raises(InputError, match=f"{name} got SGD"):
        game.play(SOLVING[name][0], SGD(game.critic, lr=0.1), SGD(game.generator, lr=0.1, momentum=0.5))


@pytest.mark.parametrize(
    ("factory", "argument", "value"),
    [
        (consensus, "gamma", -1.0),
        (consensus, "gamma", math.nan),
        (symplectic, "gamma", math.inf),
        (symplectic, "epsilon", -0.1),
        (competitive, "tolerance", 0.0),
        (competitive, "max_iterations", 0),
        (proximal_point, "tolerance", -1.0),
        (proximal_point, "max_iterations", 0),
        (unrolled, "k", 0),
        (unrolled, "inner_learning_rate", 0.0),
    ],
)
def test_wrong_arguments_are_named(factory: Callable[..., GameRule], argument: str, value: float):
    with pytest.raises(InputError, match=f"{argument} is {value}"):
        factory(**{argument: value})


def test_flat_vectors_and_shapes():
    tensors = [torch.randn(2, 3), torch.randn(()), torch.randn(4).float()]
    again = shaped(flat(tensors), tensors)
    assert all(one.equal(other) and one.dtype == other.dtype for one, other in zip(again, tensors, strict=True))


@pytest.mark.parametrize(
    "name", ["consensus", "symplectic", "competitive", "unrolled", "proximal_point", "alternating"]
)
def test_a_weight_that_is_frozen_on_the_way_stays(name: str):
    a, b, theta = (torch.full((1,), each).requires_grad_() for each in (1.0, 2.0, 3.0))
    game = Game(
        critic=(a, b),
        generator=(theta,),
        critic_loss=lambda: (a * theta + b.square() + a.square() * b).sum(),
        generator_loss=lambda: (-a * theta * b).sum(),
    )
    optimizers = SGD([a, b], lr=0.1), SGD([theta], lr=0.1)
    rule = GAMES[name]()
    game.play(rule, *optimizers)
    a.requires_grad_(False)
    before, other = a.clone(), b.detach().clone()
    game.play(rule, *optimizers)
    assert torch.equal(a, before)
    assert not torch.equal(b, other)


def test_unrolling_refuses_a_closure_that_overwrites_its_batch():
    """Hooks on saved tensors switch off autograd's own check, without which the answer would be silently wrong."""
    psi, theta, batch = torch.ones(2).requires_grad_(), torch.ones(2).requires_grad_(), torch.zeros(2)
    draws = torch.Generator().manual_seed(0)

    def critic_loss() -> Tensor:
        batch.copy_(torch.randn(2, generator=draws))
        return ((psi * batch).square() * theta).sum()

    game = Game(critic=(psi,), generator=(theta,), critic_loss=critic_loss, generator_loss=lambda: (psi * theta).sum())
    before = game.position()
    with pytest.raises(InputError, match="overwrote, in place"):
        game.play(unrolled(3), SGD([psi], lr=0.1), SGD([theta], lr=0.1))
    assert torch.equal(game.position(), before)


def test_unrolling_goes_through_batch_norm_and_spectral_norm():
    torch.manual_seed(0)
    critic = nn.Sequential(
        nn.utils.parametrizations.spectral_norm(nn.Linear(2, 4)), nn.BatchNorm1d(4), nn.LeakyReLU(0.2), nn.Linear(4, 1)
    )
    generator = nn.Linear(3, 2)
    game = Game(
        critic=tuple(critic.parameters()),
        generator=tuple(generator.parameters()),
        critic_loss=lambda: (critic(generator(torch.randn(8, 3))) - critic(torch.randn(8, 2))).mean(),
        generator_loss=lambda: -critic(generator(torch.randn(8, 3))).mean(),
    )
    before = game.position()
    game.play(unrolled(3), SGD(game.critic, lr=0.1), SGD(game.generator, lr=0.1))
    assert not torch.equal(game.position(), before)


@pytest.mark.parametrize("factory", [competitive, proximal_point])
@pytest.mark.parametrize("tolerance", [0.0, 1.0, 2.0])
def test_a_tolerance_that_accepts_anything_is_refused(factory: Callable[..., GameRule], tolerance: float):
    with pytest.raises(InputError, match=f"tolerance is {tolerance}"):
        factory(tolerance=tolerance)
