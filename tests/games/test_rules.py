"""What every game rule promises, whatever it computes: how it calls, what it leaves alone, what it remembers.

A rule is called as its attributes say: with gradients or with losses (``second_order``), and with plain descent where
it wants that (``plain_descent``).
"""

import io
from collections.abc import Callable

import pytest
import torch
from torch.optim import SGD, Adam, Optimizer, RMSprop
from twins import SmoothGame

from adversarium.errors import InputError
from adversarium.games import GAMES, Game, lookahead
from adversarium.types import Closure, GameRule

CRITIC_SHAPES: list[tuple[int, ...]] = [(2,), (1, 2), (2, 1)]
GENERATOR_SHAPES: list[tuple[int, ...]] = [(), (3,)]

Make = Callable[[], GameRule]
VARIANTS: dict[str, Make] = {
    "alternating 2:3": lambda: GAMES["alternating"](n_critic=2, n_generator=3),
    "nested lookahead": lambda: lookahead(k=6, inner=lookahead(k=3)),
    "threefold lookahead": lambda: lookahead(k=8, inner=lookahead(k=4, inner=lookahead(k=2, alpha=0.3))),
    **{
        f"lookahead of {name}": lambda name=name: lookahead(k=3, inner=GAMES[name]())
        for name in ("extragradient", "extrapolation_from_the_past", "optimistic", "consensus", "competitive")
    },
}
RULES: dict[str, Make] = {**GAMES, **VARIANTS}
FIRST_ORDER = [name for name, make in RULES.items() if not make().second_order]
SECOND_ORDER = [name for name, make in RULES.items() if make().second_order]
PLAIN_DESCENT = [name for name, make in RULES.items() if make().plain_descent]

MakeOptimizer = Callable[[list[torch.Tensor]], Optimizer]
OPTIMIZERS: dict[str, MakeOptimizer] = {
    "sgd": lambda parameters: SGD(parameters, lr=0.02),
    "adam": lambda parameters: Adam(parameters, lr=0.02, betas=(0.5, 0.9), fused=True),
    "rmsprop": lambda parameters: RMSprop(parameters, lr=0.02, alpha=0.9, foreach=True),
}
FITTING = [(name, each) for name in RULES for each in OPTIMIZERS if each == "sgd" or name not in PLAIN_DESCENT]


def game_of(seed: int, dtype: torch.dtype = torch.float64) -> Game:
    return SmoothGame(seed, CRITIC_SHAPES, GENERATOR_SHAPES).in_torch(dtype)


def pair_of(game: Game, optimizer: str = "sgd") -> tuple[Optimizer, Optimizer]:
    return OPTIMIZERS[optimizer](list(game.critic)), OPTIMIZERS[optimizer](list(game.generator))


def play(rule: GameRule, game: Game, pair: tuple[Optimizer, Optimizer], steps: int) -> torch.Tensor:
    """Return where the game went, ``[steps, n]``."""
    path = []
    for _ in range(steps):
        game.play(rule, *pair)
        path.append(game.position())
    return torch.stack(path)


# --- calls ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_calls_each_closure_as_often_as_it_says_the_critics_first(name: str):
    rule, game = RULES[name](), game_of(0)
    calls: list[str] = []

    def counted(player: str, closure: Closure) -> Closure:
        def call() -> torch.Tensor | None:
            calls.append(player)
            return closure()

        return call

    critic, generator = game.closures(rule)
    pair = pair_of(game)
    for _ in range(2 * rule.period):
        calls.clear()
        rule(counted("critic", critic), counted("generator", generator), *pair)
        counts = calls.count("critic"), calls.count("generator")
        declared = rule.critic_evaluations, rule.generator_evaluations
        if rule.fixed_batch:  # it stops when it is done
            assert 1 <= counts[0] <= declared[0]
            assert 1 <= counts[1] <= declared[1]
        else:
            assert counts == declared
        assert calls[0] == "critic"
        assert rule.critic_evaluations % rule.evaluations_per_move == 0


@pytest.mark.parametrize(("n_critic", "n_generator"), [(1, 1), (5, 1), (2, 3)])
def test_alternating_moves_after_each_call(n_critic: int, n_generator: int):
    calls: list[str] = []
    game = game_of(0)
    pair = pair_of(game)
    for player, optimizer in zip(("critic", "generator"), pair, strict=True):
        optimizer.register_step_post_hook(lambda *_, player=player: calls.append(f"{player} step"))
    rule = GAMES["alternating"](n_critic, n_generator)
    rule(lambda: calls.append("critic"), lambda: calls.append("generator"), *pair)
    assert calls == ["critic", "critic step"] * n_critic + ["generator", "generator step"] * n_generator


@pytest.mark.parametrize("name", RULES)
def test_says_what_it_was_made_with(name: str):
    rule = RULES[name]()
    again = GAMES[rule.name](**rule.arguments)
    assert again.arguments == rule.arguments
    assert (again.period, again.critic_evaluations) == (rule.period, rule.critic_evaluations)


# --- what stays -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "optimizer"), FITTING)
def test_frozen_weights_stay(name: str, optimizer: str):
    rule, game = RULES[name](), game_of(1)
    frozen = game.critic[1], game.generator[0]
    for each in frozen:
        each.requires_grad_(False)
    before = [each.clone() for each in frozen]
    play(rule, game, pair_of(game, optimizer), rule.period + 1)
    assert all(torch.equal(each, value) for each, value in zip(frozen, before, strict=True))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", FIRST_ORDER)
def test_a_weight_without_gradient_stays_until_it_gets_one(name: str, optimizer: str):
    """Many optimizers make their state where they find none: a rule must not be there first."""
    rule, game = RULES[name](), game_of(2)
    late = game.critic[0], game.generator[1]
    pair = pair_of(game, optimizer)
    used = False

    def closure(fill: Closure) -> Closure:
        def call() -> None:
            fill()
            if not used:
                for each in late:
                    each.grad = None

        return call

    critic, generator = (closure(fill) for fill in game.closures(rule))
    before = [each.detach().clone() for each in late]
    for _ in range(rule.period + 1):
        rule(critic, generator, *pair)
    assert all(torch.equal(each, value) for each, value in zip(late, before, strict=True))
    used = True
    for _ in range(rule.period + 1):
        rule(critic, generator, *pair)
    assert not any(torch.equal(each, value) for each, value in zip(late, before, strict=True))
    assert game.position().isfinite().all()


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", [name for name in FIRST_ORDER if "lookahead" not in name])
def test_a_weight_whose_gradient_goes_missing_stays(name: str, optimizer: str):
    """A lookahead may go back the way such a weight went before."""
    rule, game = RULES[name](), game_of(2)
    pair = pair_of(game, optimizer)
    play(rule, game, pair, 3)
    critic, generator = game.closures(rule)
    before = game.critic[0].detach().clone()

    def without() -> None:
        critic()
        game.critic[0].grad = None

    for _ in range(3):
        rule(without, generator, *pair)
    assert torch.equal(game.critic[0], before)


def test_what_was_not_the_last_step_is_forgotten():
    """A weight with the gradient 1 in the first, second and fourth step, at a learning rate of 1/4."""
    for name, looks, end in (
        ("optimistic", [0.0, -0.5, -0.75, -0.75], -1.25),
        ("extrapolation_from_the_past", [0.0, -0.5, -0.75, -0.5], -0.75),
    ):
        weight, other = (torch.nn.Parameter(torch.zeros(())) for _ in range(2))
        pair = SGD([weight], lr=0.25), SGD([other], lr=0.25)
        seen = []

        def critic(weight: torch.nn.Parameter = weight, seen: list[float] = seen) -> None:
            seen.append(weight.item())
            weight.grad = None if len(seen) == 3 else torch.ones(())

        for _ in range(4):
            GAMES[name]()(critic, lambda: None, *pair)
        assert (seen, weight.item()) == (looks, end)


# --- memory -----------------------------------------------------------------------------------------


def assert_same(ours: torch.Tensor, wanted: torch.Tensor, rule: GameRule) -> None:
    """Bit for bit; up to rounding where a rule solves linear systems, which LAPACK does not always round alike."""
    tolerance = 1e-13 if rule.plain_descent else 0.0
    torch.testing.assert_close(ours, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "optimizer"), FITTING)
def test_the_optimizers_state_is_all_it_remembers(name: str, optimizer: str):
    """Interrupted, saved and resumed with a new rule and new optimizers, a game goes on as if nothing had been."""
    steps = 7  # in the midst of every period
    game = game_of(3)
    whole = play(RULES[name](), game, pair_of(game, optimizer), steps + 4)

    game = game_of(3)
    pair = pair_of(game, optimizer)
    play(RULES[name](), game, pair, steps)
    tensors = [value for each in pair for state in each.state.values() for value in state.values()]
    assert all(isinstance(value, torch.Tensor) for value in tensors)  # what a checkpoint can hold
    file = io.BytesIO()
    torch.save([each.state_dict() for each in pair], file)
    file.seek(0)
    position = game.position()

    game = game_of(3)
    game.move_to(position)
    pair = pair_of(game, optimizer)
    for each, state in zip(pair, torch.load(file, weights_only=True), strict=True):
        each.load_state_dict(state)
    rule = RULES[name]()
    assert_same(play(rule, game, pair, 4), whole[steps:], rule)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_long_lookahead_is_resumed_where_numbers_are_coarse(dtype: torch.dtype):
    """A loaded state is cast to the weights' type, and bfloat16 cannot count beyond 256."""

    def new() -> tuple[list[torch.nn.Parameter], tuple[Optimizer, Optimizer]]:
        players = [torch.nn.Parameter(torch.ones(3, dtype=dtype)) for _ in range(2)]
        return players, (SGD(players[:1], lr=2**-7), SGD(players[1:], lr=2**-7))

    def move(players: list[torch.nn.Parameter], pair: tuple[Optimizer, Optimizer], steps: int) -> None:
        rule, (critic, generator) = lookahead(k=300), players

        def fill(player: torch.nn.Parameter, towards: torch.Tensor) -> None:
            player.grad = towards.detach().clone()

        for _ in range(steps):
            rule(lambda: fill(critic, -generator), lambda: fill(generator, critic), *pair)

    players, pair = new()
    move(players, pair, 310)
    resumed, first_pair = new()
    move(resumed, first_pair, 257)
    weights, states = [each.detach().clone() for each in resumed], [each.state_dict() for each in first_pair]
    resumed, second_pair = new()
    for each, value in zip(resumed, weights, strict=True):
        each.data.copy_(value)
    for optimizer, state in zip(second_pair, states, strict=True):
        optimizer.load_state_dict(state)
    move(resumed, second_pair, 310 - 257)
    assert all(torch.equal(a, b) for a, b in zip(players, resumed, strict=True))


@pytest.mark.parametrize("name", RULES)
def test_one_rule_plays_two_games_without_mixing_them(name: str):
    rule = RULES[name]()
    alone = []
    for seed in (4, 5):
        game = game_of(seed)
        alone.append(play(RULES[name](), game, pair_of(game), 5))
    games = game_of(4), game_of(5)
    pairs = [pair_of(game) for game in games]
    for step in range(5):
        for game, pair, path in zip(games, pairs, alone, strict=True):
            game.play(rule, *pair)
            assert_same(game.position(), path[step], rule)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", FIRST_ORDER)
def test_closures_may_reuse_the_gradients_memory(name: str, optimizer: str):
    """New memory at each call, the old memory where there is some, or always the same: all the same."""

    def closures(game: Game, memory: str) -> tuple[Closure, Closure]:
        def closure(loss: Callable[[], torch.Tensor], weights: tuple[torch.Tensor, ...]) -> Closure:
            buffers = [torch.zeros_like(each) for each in weights]

            def fill() -> None:
                found = torch.autograd.grad(loss(), weights)
                for each, gradient, buffer in zip(weights, found, buffers, strict=True):
                    if memory == "new" or (memory == "old" and each.grad is None):
                        each.grad = gradient
                    elif memory == "old":
                        assert each.grad is not None
                        each.grad.zero_().add_(gradient)
                    else:  # as one replays a graph: nobody assigns .grad after the first time
                        buffer.copy_(gradient)

            if memory == "same":
                for each, buffer in zip(weights, buffers, strict=True):
                    each.grad = buffer
            return fill

        return closure(game.critic_loss, game.critic), closure(game.generator_loss, game.generator)

    ends = []
    for memory in ("new", "old", "same"):
        rule, game = RULES[name](), game_of(6)
        pair, both = pair_of(game, optimizer), closures(game, memory)
        for _ in range(rule.period + 3):
            rule(*both, *pair)
            if memory == "old":
                for optimizer_of_player in pair:
                    optimizer_of_player.zero_grad(set_to_none=False)
        ends.append(game.position())
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(ends[0], ends[2])


# --- types and schedules ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", RULES)
def test_coarser_weights_go_about_the_same_way(name: str, dtype: torch.dtype):
    rule, game, exact = RULES[name](), game_of(7, dtype), game_of(7)
    steps = rule.period + 3
    pair = pair_of(game)
    path, wanted = play(rule, game, pair, steps), play(rule, exact, pair_of(exact), steps)
    assert path.dtype == dtype
    remembered = [
        value for each in pair for p, s in each.state.items() for value in s.values() if value.ndim == p.ndim > 0
    ]
    assert all(value.dtype == dtype for value in remembered)
    torch.testing.assert_close(path.double(), wanted, rtol=0.0, atol=4 * steps * torch.finfo(dtype).eps)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", FIRST_ORDER + [name for name in SECOND_ORDER if name not in PLAIN_DESCENT])
def test_follows_a_learning_rate_scheduler(name: str, optimizer: str):
    game = game_of(8)
    pair = pair_of(game, optimizer)
    schedulers = [torch.optim.lr_scheduler.StepLR(each, step_size=2, gamma=0.5) for each in pair]
    rule, path = RULES[name](), []
    for _ in range(6):
        game.play(rule, *pair)
        path.append(game.position())
        for each in schedulers:
            each.step()
    game = game_of(8)
    pair = pair_of(game, optimizer)
    for step in range(6):
        for each in pair:
            each.param_groups[0]["lr"] = 0.02 * 0.5 ** (step // 2)
        game.play(rule, *pair)
        assert torch.equal(game.position(), path[step])


# --- refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("alternating", {"n_critic": 0}, "n_critic is 0"),
        ("alternating", {"n_critic": -1}, "n_critic is -1"),
        ("alternating", {"n_generator": 0}, "n_generator is 0"),
        ("lookahead", {"k": 0}, "k is 0"),
        ("lookahead", {"alpha": 0.0}, "alpha is 0.0"),
        ("lookahead", {"alpha": 1.01}, "alpha is 1.01"),
        ("lookahead", {"alpha": float("nan")}, "alpha is nan"),
    ],
)
def test_refuses_arguments_that_make_no_rule(name: str, arguments: dict[str, float], message: str):
    with pytest.raises(InputError, match=message):
        GAMES[name](**arguments)


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_second_order_rules_refuse_closures_that_return_no_loss(name: str):
    game = game_of(9)
    rule, pair = RULES[name](), pair_of(game)
    for wrong in (lambda: None, lambda: torch.tensor(1.0), lambda: game.critic[0] * 2):
        with pytest.raises(InputError, match="critic"):
            rule(wrong, game.generator_loss, *pair)


@pytest.mark.parametrize("name", PLAIN_DESCENT)
@pytest.mark.parametrize("wrong", ["adam", "momentum", "weight_decay", "maximize"])
def test_rules_that_solve_for_the_step_refuse_all_but_plain_descent(name: str, wrong: str):
    game = game_of(9)
    parameters = list(game.generator)
    option = {"momentum": {"momentum": 0.9}, "weight_decay": {"weight_decay": 0.1}, "maximize": {"maximize": True}}
    bad = Adam(parameters) if wrong == "adam" else SGD(parameters, lr=0.1, **option[wrong])
    with pytest.raises(InputError, match="wants torch.optim.SGD"):
        game.play(RULES[name](), SGD(list(game.critic), lr=0.1), bad)


@pytest.mark.parametrize("name", [name for name, make in GAMES.items() if not make().second_order])
def test_a_loss_where_a_gradient_is_wanted_is_refused(name: str):
    psi, theta = (torch.ones(1).requires_grad_() for _ in range(2))
    optimizers = torch.optim.SGD([psi], lr=0.1), torch.optim.SGD([theta], lr=0.1)
    with pytest.raises(InputError, match=f"the critic's closure returned a loss and filled no gradient: {name} wants"):
        GAMES[name]()(lambda: (psi * theta).sum(), lambda: -(psi * theta).sum(), *optimizers)


def test_a_closure_may_return_the_loss_that_it_differentiated():
    psi, theta = (torch.ones(1).requires_grad_() for _ in range(2))

    def fill(sign: float, player: torch.Tensor) -> torch.Tensor:
        loss = sign * (psi * theta).sum()
        (player.grad,) = torch.autograd.grad(loss, player)
        return loss

    optimizers = torch.optim.SGD([psi], lr=0.1), torch.optim.SGD([theta], lr=0.1)
    GAMES["simultaneous"]()(lambda: fill(1, psi), lambda: fill(-1, theta), *optimizers)
    assert float(psi.detach()) == pytest.approx(0.9)


def test_lookahead_counts_on_where_the_weight_that_holds_the_count_is_frozen():
    """k = 4: two steps, a freeze, and two more: then the others go half of the way back."""
    a, b, theta = (torch.zeros(1, dtype=torch.float64).requires_grad_() for _ in range(3))
    game = Game(
        critic=(a, b), generator=(theta,), critic_loss=lambda: (a + b).sum(), generator_loss=lambda: theta.sum()
    )
    optimizers = SGD([a, b], lr=1.0), SGD([theta], lr=1.0)
    rule = lookahead(k=4, alpha=0.5)
    for step in range(4):
        if step == 2:
            a.requires_grad_(False)
        game.play(rule, *optimizers)
    assert (float(a), float(b.detach()), float(theta.detach())) == (-2.0, -2.0, -2.0)
