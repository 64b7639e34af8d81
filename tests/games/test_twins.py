"""The first-order rules around torch's optimizers, beside slow twins written from the papers, for 100 steps."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import twins
from torch.optim import SGD, Adam, Optimizer, RMSprop

from adversarium.games import (
    Game,
    alternating,
    extragradient,
    extrapolation_from_the_past,
    lookahead,
    optimistic,
    simultaneous,
)
from adversarium.types import GameRule

STEPS = 100
# so large that the division by the gradients' size does not make chaos of rounding errors where they are small
EPS = 0.1
CRITIC_SHAPES: list[tuple[int, ...]] = [(2, 3), (4,), (1, 2, 1)]
GENERATOR_SHAPES: list[tuple[int, ...]] = [(3,), (2, 2), ()]

RULES: dict[str, tuple[GameRule, Callable[[], twins.Rule]]] = {
    "simultaneous": (simultaneous(), twins.Simultaneous),
    "alternating": (alternating(), twins.Alternating),
    "alternating 3:2": (alternating(3, 2), lambda: twins.Alternating(3, 2)),
    "extragradient": (extragradient(), twins.Extragradient),
    "past": (extrapolation_from_the_past(), twins.ExtrapolationFromThePast),
    "optimistic": (optimistic(), twins.Optimistic),
    "lookahead": (lookahead(), lambda: twins.Lookahead(5, 0.5, twins.Alternating())),
    "lookahead of extragradient": (
        lookahead(k=3, alpha=0.7, inner=extragradient()),
        lambda: twins.Lookahead(3, 0.7, twins.Extragradient()),
    ),
    "lookahead of optimistic": (
        lookahead(k=4, alpha=0.3, inner=optimistic()),
        lambda: twins.Lookahead(4, 0.3, twins.Optimistic()),
    ),
    "nested lookahead": (
        lookahead(k=12, alpha=0.4, inner=lookahead(k=3, alpha=0.7, inner=simultaneous())),
        lambda: twins.Lookahead(3, 0.7, twins.Simultaneous(), outer_k=12, outer_alpha=0.4),
    ),
    "nested lookahead, periods that do not fit": (
        lookahead(k=7, alpha=0.4, inner=lookahead(k=3, alpha=0.7)),
        lambda: twins.Lookahead(3, 0.7, twins.Alternating(), outer_k=7, outer_alpha=0.4),
    ),
}

MakeTorch = Callable[[list[dict[str, object]]], Optimizer]
MakeTwin = Callable[[twins.Vector], twins.Stepper]


def heavy_ball(momentum: float) -> MakeTorch:
    def make(groups: list[dict[str, object]]) -> Optimizer:
        optimizer = SGD(groups)
        for group in optimizer.param_groups:  # its constructor refuses a negative one
            group["momentum"] = momentum
        return optimizer

    return make


OPTIMIZERS: dict[str, tuple[MakeTorch, MakeTwin]] = {
    "sgd": (SGD, twins.Descent),
    "momentum 0.9": (heavy_ball(0.9), lambda lr: twins.HeavyBall(lr, 0.9)),
    "momentum -0.5": (heavy_ball(-0.5), lambda lr: twins.HeavyBall(lr, -0.5)),
    "rmsprop": (
        lambda groups: RMSprop(groups, alpha=0.9, eps=EPS, foreach=True),
        lambda lr: twins.RMSProp(lr, 0.9, EPS),
    ),
    "adam": (
        lambda groups: Adam(groups, betas=(0.5, 0.9), eps=EPS, fused=True),
        lambda lr: twins.Adam(lr, 0.5, 0.9, EPS),
    ),
    "amsgrad": (
        lambda groups: Adam(groups, betas=(0.8, 0.95), eps=EPS, amsgrad=True),
        lambda lr: twins.Adam(lr, 0.8, 0.95, EPS, amsgrad=True),
    ),
}


def groups_of(parameters: tuple[torch.Tensor, ...], rates: list[float]) -> list[dict[str, object]]:
    """Return two groups: the first parameter, and the others."""
    return [{"params": list(parameters[:1]), "lr": rates[0]}, {"params": list(parameters[1:]), "lr": rates[1]}]


def spread(parameters: tuple[torch.Tensor, ...], rates: list[float]) -> twins.Vector:
    """Return the same learning rates, one per number."""
    return np.repeat(rates, [parameters[0].numel(), sum(each.numel() for each in parameters[1:])])


def path_of(
    rule: GameRule,
    smooth: twins.SmoothGame,
    game: Game,
    pair: tuple[Optimizer, Optimizer],
    schedule: twins.Schedule | None = None,
) -> twins.Vector:
    positions, closures = [game.position()], smooth.closures(game)
    for t in range(STEPS):
        if schedule is not None:
            schedule(t)
        rule(*closures, *pair)
        positions.append(game.position())
    return torch.stack(positions).numpy()


def settings(seed: int) -> tuple[twins.SmoothGame, Game, list[list[float]], list[list[float]]]:
    """Return a game and its torch form, both players' learning rates, and factors to change them by."""
    rng = np.random.default_rng(1000 + seed)
    smooth = twins.SmoothGame(seed, CRITIC_SHAPES, GENERATOR_SHAPES)
    rates, factors = rng.uniform(0.005, 0.03, (2, 2)), rng.uniform(0.6, 1.5, (STEPS // 10, 2))
    return smooth, smooth.in_torch(), rates.tolist(), factors.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_the_gradients_by_hand_are_those_of_autograd(seed: int):
    smooth, game, _, _ = settings(seed)
    by_hand = torch.cat([torch.tensor(smooth.gradient(player, smooth.start)) for player in (0, 1)])
    for closure in game.closures(simultaneous()):
        closure()
    found = torch.cat([each.grad.flatten() for each in game.weights if each.grad is not None])
    torch.testing.assert_close(found, by_hand, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", RULES)
def test_rule_is_its_twin(name: str, optimizer: str):
    rule, make_twin_rule = RULES[name]
    make_torch, make_twin = OPTIMIZERS[optimizer]
    seed = 17 * list(RULES).index(name) + list(OPTIMIZERS).index(optimizer)
    smooth, game, rates, factors = settings(seed)
    players = game.critic, game.generator
    pair = tuple(make_torch(groups_of(each, r)) for each, r in zip(players, rates, strict=True))
    steppers = tuple(make_twin(spread(each, r)) for each, r in zip(players, rates, strict=True))

    def change_torch(t: int) -> None:
        if t % 10 == 9:
            for each, factor in zip(pair, factors[t // 10], strict=True):
                for group in each.param_groups:
                    group["lr"] *= factor

    def change_twin(t: int) -> None:
        if t % 10 == 9:
            for each, factor in zip(steppers, factors[t // 10], strict=True):
                each.lr = each.lr * factor

    ours = path_of(rule, smooth, game, (pair[0], pair[1]), change_torch)
    twin = twins.played(make_twin_rule(), smooth, steppers[0], steppers[1], STEPS, change_twin)
    assert np.abs(ours[-1] - ours[0]).max() > 0.1  # it went somewhere
    np.testing.assert_allclose(ours, twin, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("algorithm", ["ExtraAdam", "PastExtraAdam", "OptimisticAdam"])
def test_published_algorithms(algorithm: str, seed: int):
    smooth, game, rates, _ = settings(seed)
    beta1, beta2 = 0.5, 0.9
    pair = tuple(
        Adam(groups_of(each, r), betas=(beta1, beta2), eps=EPS, fused=True)
        for each, r in zip((game.critic, game.generator), rates, strict=True)
    )
    lr = np.concatenate([spread(each, r) for each, r in zip((game.critic, game.generator), rates, strict=True)])
    if algorithm == "OptimisticAdam":
        rule, published = optimistic(), twins.optimistic_adam(smooth, lr, beta1, beta2, EPS, STEPS)
    else:
        past = algorithm == "PastExtraAdam"
        rule = extrapolation_from_the_past() if past else extragradient()
        published = twins.extra_adam(smooth, lr, beta1, beta2, EPS, STEPS, from_the_past=past)
    np.testing.assert_allclose(path_of(rule, smooth, game, (pair[0], pair[1])), published, rtol=1e-12, atol=1e-12)


# --- equivalences -------------------------------------------------------------------------------


def plain(game: Game, rates: list[list[float]]) -> tuple[Optimizer, Optimizer]:
    return SGD(groups_of(game.critic, rates[0])), SGD(groups_of(game.generator, rates[1]))


@pytest.mark.parametrize("seed", range(3))
def test_looks_into_the_past_are_optimistic_iterates(seed: int):
    """Under plain descent; both start at the same point, and both take their first gradient there."""
    smooth, game, rates, _ = settings(seed)
    optimists = path_of(optimistic(), smooth, game, plain(game, rates))
    game = smooth.in_torch()
    looks: list[torch.Tensor] = []
    critic, generator = smooth.closures(game)

    def looking() -> None:
        looks.append(game.position())
        critic()

    pair = plain(game, rates)
    for _ in range(STEPS):
        extrapolation_from_the_past()(looking, generator, *pair)
    np.testing.assert_allclose(torch.stack(looks).numpy(), optimists[:STEPS], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "inner", [simultaneous(), alternating(2), extragradient(), optimistic()], ids=lambda r: r.name
)
def test_lookahead_of_the_whole_way_is_its_inner_rule(inner: GameRule):
    smooth, game, rates, _ = settings(5)
    alone = path_of(inner, smooth, game, plain(game, rates))
    game = smooth.in_torch()
    assert (path_of(lookahead(k=3, alpha=1.0, inner=inner), smooth, game, plain(game, rates)) == alone).all()


@pytest.mark.parametrize("alpha", [0.25, 0.8])
@pytest.mark.parametrize("inner", [simultaneous(), alternating()], ids=lambda r: r.name)
def test_lookahead_after_every_step_is_a_share_of_the_step(inner: GameRule, alpha: float):
    """Around simultaneous descent that is the learning rate times α. In turns the generator sees the whole step."""
    smooth, game, rates, _ = settings(6)
    ours = path_of(lookahead(k=1, alpha=alpha, inner=inner), smooth, game, plain(game, rates))
    game = smooth.in_torch()
    if inner.name == "simultaneous":
        pair = plain(game, [[alpha * rate for rate in each] for each in rates])
        expected = path_of(inner, smooth, game, pair)
    else:
        expected = [game.position().numpy()]
        for _ in range(STEPS):
            game.move_to(torch.tensor(expected[-1]))
            game.play(inner, *plain(game, rates))
            expected.append(expected[-1] + alpha * (game.position().numpy() - expected[-1]))
    np.testing.assert_allclose(ours, np.stack(expected), rtol=1e-12, atol=1e-12)


def test_a_lookahead_around_one_that_goes_the_whole_way_is_a_plain_lookahead():
    """The inner one's slow weights are then no memory at all."""
    smooth, game, rates, _ = settings(7)
    nested = path_of(lookahead(k=6, inner=lookahead(k=2, alpha=1.0)), smooth, game, plain(game, rates))
    game = smooth.in_torch()
    np.testing.assert_allclose(nested, path_of(lookahead(k=6), smooth, game, plain(game, rates)), rtol=1e-12)
