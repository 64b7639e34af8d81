"""Products with a game's Jacobian against the dense Jacobian, from formulas that use no autograd."""

import gc
import weakref
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from waves import Waves

from adversarium.errors import InputError
from adversarium.games import GAMES, Game
from adversarium.games._solve import RESTART, flat, gmres, shaped
from adversarium.games.linearised import Linearised, derivatives, dot, pulled_back

SECOND_ORDER = [name for name, factory in GAMES.items() if factory().second_order]


def linearised(game: Game, **options: Any) -> Linearised:
    return Linearised(game.critic_loss, game.generator_loss, game.critic, game.generator, **options)


def close(one: Tensor, other: Tensor, relative: float = 1e-12) -> None:
    torch.testing.assert_close(one, other, rtol=relative, atol=relative * float(other.abs().max() + 1e-300))


@pytest.mark.parametrize("seed", range(4))
def test_products_equal_the_dense_jacobian(seed: int):
    waves = Waves(seed)
    game = waves.game()
    vector = torch.randn(len(waves.start), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    parts, dense, at = shaped(vector, game.weights), waves.jacobian(waves.start), linearised(game)
    close(flat(at.gradients), waves.gradient(waves.start))
    close(flat(at.product(parts)), dense @ vector)
    close(flat(at.transposed_product(parts)), dense.T @ vector)
    close(flat(at.cross_product(parts)), waves.off_diagonal(waves.start) @ vector)
    close(dot(parts, parts), vector @ vector)
    assert not any(each.requires_grad for each in at.product(parts) + at.cross_product(parts))


@pytest.mark.parametrize("seed", range(2))
def test_the_transposed_product_needs_no_derivatives_by_the_other_player(seed: int):
    waves = Waves(seed)
    game = waves.game()
    at = linearised(game, transposed_only=True)
    close(flat(at.gradients), waves.gradient(waves.start))
    close(flat(at.transposed_product(at.gradients)), waves.jacobian(waves.start).T @ waves.gradient(waves.start))
    with pytest.raises(AssertionError, match="transposed_only"):
        at.product(at.gradients)


def test_losses_without_second_derivatives_and_weights_without_use():
    """L_C = a·ψ, which is linear and knows no θ; L_G = θ·ψ·b, which does not use all of θ."""
    rng = torch.Generator().manual_seed(0)
    a, b, psi, theta, unused = torch.randn(5, 3, generator=rng, dtype=torch.float64)
    psi, theta, unused = (each.requires_grad_() for each in (psi, theta, unused))
    game = Game(
        critic=(psi,),
        generator=(unused, theta),
        critic_loss=lambda: (a * psi).sum(),
        generator_loss=lambda: (theta * psi * b).sum(),
    )
    at, zeros = linearised(game), torch.zeros_like(a)
    vector = list(torch.randn(3, 3, generator=rng, dtype=torch.float64))
    for ours, exact in (
        (at.gradients, [a, zeros, psi * b]),
        (at.product(vector), [zeros, zeros, b * vector[0]]),
        (at.cross_product(vector), [zeros, zeros, b * vector[0]]),
        (at.transposed_product(vector), [b * vector[2], zeros, zeros]),
        (pulled_back([a, psi * b], vector[:2], [psi]), [b * vector[1]]),
        (pulled_back([a], vector[:1], [psi]), [zeros]),
        (derivatives(a.sum(), [psi]), [zeros]),
    ):
        for one, other in zip(ours, exact, strict=True):
            close(one, other.detach() if other.requires_grad else other)


def test_a_game_of_two_strangers_has_no_cross_blocks():
    psi, theta = (torch.randn(4, dtype=torch.float64).requires_grad_() for _ in range(2))
    game = Game(
        critic=(psi,), generator=(theta,), critic_loss=lambda: (psi**3).sum(), generator_loss=lambda: theta.exp().sum()
    )
    at = linearised(game)
    ones = [torch.ones_like(psi), torch.ones_like(theta)]
    close(flat(at.product(ones)), torch.cat([6 * psi, theta.exp()]).detach())
    close(flat(at.transposed_product(ones)), torch.cat([6 * psi, theta.exp()]).detach())
    assert not flat(at.cross_product(ones)).any()


@pytest.mark.parametrize("player", ["critic", "generator"])
@pytest.mark.parametrize("name", SECOND_ORDER)
def test_what_a_closure_must_return(name: str, player: str):
    weights = [torch.ones(2, requires_grad=True) for _ in range(2)]
    optimizers = [torch.optim.SGD([each], lr=0.1) for each in weights]
    right = lambda: (weights[0] * weights[1]).sum()  # noqa: E731
    for wrong, words in (
        (lambda: None, "None"),
        (lambda: weights[0] * weights[1], r"shape \[2\] with a graph"),
        (lambda: right().detach(), r"shape \[\] without a graph"),
    ):
        closures = (wrong, right) if player == "critic" else (right, wrong)
        with pytest.raises(InputError, match=f"the {player}'s closure returned .*{words}"):
            GAMES[name]()(*closures, *optimizers)
        assert all(bool((each == 1).all()) for each in weights)


class Traced(torch.autograd.Function):
    """The identity, which knows which graphs still live."""

    alive: ClassVar[list[weakref.ref[Any]]] = []

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        Traced.alive.append(weakref.ref(ctx))
        return value.clone()

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> Tensor:
        return Traced.apply(above)


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_graphs_are_freed_without_the_garbage_collector(name: str):
    game = Waves(0).game()
    optimizers = [torch.optim.SGD(each, lr=0.01) for each in (game.critic, game.generator)]
    Traced.alive.clear()
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            GAMES[name]()(
                lambda: Traced.apply(game.critic_loss()), lambda: Traced.apply(game.generator_loss()), *optimizers
            )
        assert len(Traced.alive) >= 40
        assert not any(each() is not None for each in Traced.alive)
    finally:
        gc.enable()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("n", [1, 5, 40, 3 * RESTART])
def test_gmres_solves_general_systems(n: int, dtype: torch.dtype):
    rng = torch.Generator().manual_seed(n)
    matrix = torch.eye(n, dtype=torch.float64) + torch.randn(n, n, generator=rng, dtype=torch.float64) / (2 * n**0.5)
    target = torch.randn(n, generator=rng, dtype=torch.float64)
    found = gmres(lambda vector: matrix.to(dtype) @ vector - vector, target.to(dtype), 1e-12, 500)
    assert found.dtype == dtype
    close(found.double(), torch.linalg.solve(matrix, target), 1e-10 if dtype == torch.float64 else 2e-5)


def test_gmres_goes_on_after_a_restart():
    """A game that rotates four times as fast as it is pulled: more iterations than vectors are kept."""
    noise = torch.randn(120, 120, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rotation = noise - noise.T
    matrix = torch.eye(120, dtype=torch.float64) + 4 * rotation / torch.linalg.matrix_norm(rotation, 2)
    target, calls = noise[0], []
    found = gmres(lambda vector: (calls.append(1), matrix @ vector - vector)[1], target, 1e-12, 500)
    assert len(calls) > RESTART
    close(found, torch.linalg.solve(matrix, target), 1e-10)


def test_gmres_of_nothing_and_of_an_invariant_space():
    assert not gmres(torch.zeros_like, torch.zeros(3), 1e-6, 10).any()
    calls = []
    target = torch.tensor([1.0, 2.0, 0.0, 0.0])
    close(gmres(lambda vector: (calls.append(1), vector)[1], target, 1e-6, 10), target / 2, 1e-6)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("diagonal", "target", "iterations"),
    [
        ([1.0, 2.0, 0.0], [1.0, 1.0, 1.0], 100),  # singular
        ([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], 2),  # not enough iterations
        ([1.0, 2.0, 3.0], [1.0, float("inf"), 1.0], 100),
        ([1.0, 2.0, float("nan")], [1.0, 1.0, 1.0], 100),
    ],
)
def test_gmres_returns_no_wrong_answer(diagonal: list[float], target: list[float], iterations: int):
    of, to = torch.tensor(diagonal, dtype=torch.float64), torch.tensor(target, dtype=torch.float64)
    with pytest.raises(ArithmeticError, match="residual"):
        gmres(lambda vector: of * vector - vector, to, 1e-10, iterations)


def test_a_player_without_trained_weights_has_no_derivatives():
    weight = torch.ones(2, dtype=torch.float64).requires_grad_()
    assert derivatives(weight.square().sum(), []) == []
