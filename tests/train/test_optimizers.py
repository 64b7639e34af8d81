"""Optimizers, schedules and clipping beside twins that a textbook would write."""

import math

import pytest
import torch
from torch import Tensor, nn

from adversarium.errors import InputError
from adversarium.games import GAMES
from adversarium.train import build_optimizer, clip_gradient_norm
from adversarium.train.optimizers import optimizer_tensors, restore_optimizer, set_progress
from adversarium.types import Anneal, OptimizerSettings, at

STEPS = 100
RATE, EPS = 0.03, 1e-8
SETTINGS = [
    *(OptimizerSettings(kind="sgd", learning_rate=RATE, beta1=beta1) for beta1 in (-0.9, -0.3, 0.0, 0.6)),
    *(
        OptimizerSettings(kind=kind, learning_rate=RATE, beta1=beta1, beta2=0.9)
        for kind in ("adam", "amsgrad")
        for beta1 in (-0.9, -0.3, 0.0, 0.6)
    ),
    OptimizerSettings(kind="rmsprop", learning_rate=RATE, beta2=0.8),
]
NAMES = [f"{each.kind} {each.beta1}" for each in SETTINGS]


def some_weights(seed: int) -> list[Tensor]:
    rng = torch.Generator().manual_seed(seed)
    shapes = [(4, 3), (5,), (2, 3, 4, 4)]
    weights = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    weights[2] = weights[2].contiguous(memory_format=torch.channels_last)
    return weights


def some_gradients(seed: int) -> list[list[Tensor]]:
    rng = torch.Generator().manual_seed(seed)
    return [
        [torch.randn(each.shape, generator=rng, dtype=torch.float64) * (1 + math.sin(t)) for each in some_weights(0)]
        for t in range(STEPS)
    ]


def twin(settings: OptimizerSettings, weight: Tensor, gradients: list[Tensor], images: int = 0) -> Tensor:
    """Move a weight as the papers write it; each step is shown ``images`` images."""
    first, second, largest = (torch.zeros_like(weight) for _ in range(3))
    decay1 = decay2 = 1.0
    for t, gradient in enumerate(gradients):
        rate, beta1, beta2 = at(settings.learning_rate, t * images), settings.beta1, at(settings.beta2, t * images)
        if settings.kind == "sgd":  # heavy ball
            first = beta1 * first + gradient
            weight = weight - rate * first
            continue
        second = beta2 * second + (1 - beta2) * gradient**2
        if settings.kind == "rmsprop":
            weight = weight - rate * gradient / (second.sqrt() + EPS)
            continue
        first = beta1 * first + (1 - beta1) * gradient
        largest = torch.maximum(largest, second)
        decay1, decay2 = beta1 ** (t + 1), beta2 ** (t + 1)
        used = largest if settings.kind == "amsgrad" else second
        weight = weight - rate * (first / (1 - decay1)) / ((used / (1 - decay2)).sqrt() + EPS)
    return weight


def played(settings: OptimizerSettings, gradients: list[list[Tensor]], images: int = 0) -> list[Tensor]:
    moved = [nn.Parameter(each) for each in some_weights(1)]
    optimizer = build_optimizer(settings, moved)
    for t, step in enumerate(gradients):
        set_progress(optimizer, settings, t * images)
        for weight, gradient in zip(moved, step, strict=True):
            weight.grad = torch.empty_like(weight).copy_(gradient)
        optimizer.step()
    return [each.detach() for each in moved]


def assert_as_twin(settings: OptimizerSettings, images: int = 0) -> None:
    gradients = some_gradients(2)
    for number, ours in enumerate(played(settings, gradients, images)):
        expected = twin(settings, some_weights(1)[number], [step[number] for step in gradients], images)
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("settings", SETTINGS, ids=NAMES)
def test_a_hundred_steps_beside_the_twin(settings: OptimizerSettings):
    assert_as_twin(settings)


@pytest.mark.parametrize("kind", ["sgd", "adam", "rmsprop"])
def test_annealed_constants(kind: str):
    rate = Anneal(0.05, 0.01, over_images=300, shape="linear", after_images=100)
    beta2 = 0.999 if kind == "sgd" else Anneal(0.5, 0.99, over_images=700)
    assert_as_twin(OptimizerSettings(kind=kind, learning_rate=rate, beta2=beta2), images=7)


@pytest.mark.parametrize("settings", SETTINGS, ids=NAMES)
def test_a_restored_optimizer_goes_on_as_if_nothing_had_been(settings: OptimizerSettings):
    gradients = some_gradients(3)
    whole = played(settings, gradients)
    moved = [nn.Parameter(each) for each in some_weights(1)]
    optimizer = build_optimizer(settings, moved)
    for t, step in enumerate(gradients):
        if t == 37:
            saved = {name: value.contiguous().clone() for name, value in optimizer_tensors(optimizer).items()}
            optimizer = build_optimizer(settings, moved)
            restore_optimizer(optimizer, saved)
        for weight, gradient in zip(moved, step, strict=True):
            weight.grad = torch.empty_like(weight).copy_(gradient)
        optimizer.step()
    assert all(torch.equal(ours, other) for ours, other in zip(moved, whole, strict=True))


@pytest.mark.parametrize("settings", SETTINGS, ids=NAMES)
def test_two_optimizers_may_be_restored_from_one_state(settings: OptimizerSettings):
    """Moved in turns they go the same way, and the state stays as it was saved."""
    gradients = some_gradients(3)

    def move(optimizer: torch.optim.Optimizer, step: list[Tensor]) -> None:
        for weight, gradient in zip(optimizer.param_groups[0]["params"], step, strict=True):
            weight.grad = torch.empty_like(weight).copy_(gradient)
        optimizer.step()

    moved = [[nn.Parameter(each) for each in some_weights(1)] for _ in range(3)]
    first, *others = (build_optimizer(settings, each) for each in moved)
    for step in gradients[:5]:
        move(first, step)
    saved = {name: value.detach().clone() for name, value in optimizer_tensors(first).items()}
    kept = {name: value.clone() for name, value in saved.items()}
    for each, other in zip(moved[1:], others, strict=True):
        for weight, value in zip(each, moved[0], strict=True):
            weight.data.copy_(value.data)
        restore_optimizer(other, saved)
    for step in gradients[5:15]:
        for optimizer in (first, *others):
            move(optimizer, step)
    for each in moved[1:]:
        assert all(torch.equal(ours, other) for ours, other in zip(each, moved[0], strict=True))
    assert all(torch.equal(value, kept[name]) for name, value in saved.items())


def test_negative_momentum_converges_where_none_circles():
    """The bilinear game, alternating, step 0.1: the radius with momentum -0.5 is 0.9985178, with none 1."""
    distances, rule = {}, GAMES["alternating"]()
    for beta1 in (-0.5, 0.0, 0.5):
        players = [nn.Parameter(torch.ones((), dtype=torch.float64)) for _ in range(2)]
        settings = OptimizerSettings(kind="sgd", learning_rate=0.1, beta1=beta1)
        optimizers = [build_optimizer(settings, [each]) for each in players]

        def fill(own: int, sign: int, players: list[nn.Parameter] = players) -> None:
            players[own].grad = sign * players[1 - own].detach().clone()

        for _ in range(2000):
            rule(lambda: fill(0, -1), lambda: fill(1, 1), *optimizers)
        distances[beta1] = math.hypot(*(float(each.detach()) for each in players))
    assert math.log(distances[-0.5] / math.sqrt(2)) / 2000 == pytest.approx(math.log(0.9985178), rel=0.05)
    assert 0.5 < distances[0.0] < 3
    assert not distances[0.5] < 1e3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"beta1": -1.0}, "beta1 is -1.0"),
        ({"beta1": 1.0}, "beta1 is 1.0"),
        ({"beta2": Anneal(0.9, 1.0, 10)}, "beta2 is Anneal"),
        ({"beta2": -0.1}, "beta2 is -0.1"),
        ({"kind": "rmsprop", "beta1": 0.5}, "beta1 is 0.5: rmsprop has none"),
    ],
)
def test_settings_that_are_refused(changes: dict[str, object], words: str):
    with pytest.raises(InputError, match=words):
        OptimizerSettings(**{"kind": "adam", "learning_rate": 0.1, **changes})


@pytest.mark.parametrize("shape", ["cosine", "linear"])
@pytest.mark.parametrize("seed", range(3))
def test_a_schedule_is_constant_before_and_after_and_half_way_in_between(shape: str, seed: int):
    start, stop, over, after = (10 * torch.rand(4, generator=torch.Generator().manual_seed(seed))).tolist()
    anneal = Anneal(start, stop, over, shape, after)
    assert anneal(0) == anneal(after) == pytest.approx(start)
    assert anneal(after + over) == anneal(after + 99 * over) == pytest.approx(stop)
    assert anneal(after + over / 2) == pytest.approx((start + stop) / 2)
    quarter = 0.25 if shape == "linear" else (1 - math.sqrt(0.5)) / 2
    assert anneal(after + over / 4) == pytest.approx(start + quarter * (stop - start))


@pytest.mark.parametrize("changes", [{"over_images": 0.0}, {"after_images": -1.0}])
def test_schedules_that_are_refused(changes: dict[str, float]):
    with pytest.raises(InputError, match=next(iter(changes))):
        Anneal(**{"start": 1.0, "stop": 0.0, "over_images": 5.0, **changes})


@pytest.mark.parametrize("settings", SETTINGS, ids=NAMES)
def test_clipping_beside_the_twin(settings: OptimizerSettings):
    gradients, limit = some_gradients(4), 6.0
    clipped, counts = [], [0, 0]
    for step in gradients:
        norm = math.sqrt(sum(float((each**2).sum()) for each in step))
        counts[norm > limit] += 1
        clipped.append([each * min(1.0, limit / (norm + 1e-6)) for each in step])  # torch's own guard
    assert min(counts) > 10
    moved = [nn.Parameter(each) for each in some_weights(1)]
    optimizer = build_optimizer(settings, moved)
    handle = clip_gradient_norm(optimizer, limit)
    for step in gradients:
        for weight, gradient in zip(moved, step, strict=True):
            weight.grad = torch.empty_like(weight).copy_(gradient)
        optimizer.step()
    for ours, expected in zip(moved, played(settings, clipped), strict=True):
        torch.testing.assert_close(ours.detach(), expected, rtol=1e-9, atol=1e-9)
    handle.remove()
    moved[0].grad = torch.full_like(moved[0], 1e3)
    optimizer.step()
    assert float(moved[0].grad.max()) == 1e3


@pytest.mark.parametrize("name", [name for name, each in GAMES.items() if not each().fixed_batch])
def test_every_step_of_a_rule_is_clipped(name: str):
    """The norm of what plain descent moves by is at most the limit, in every step that the rule makes."""
    rng, rule = torch.Generator().manual_seed(5), GAMES[name]()
    players = [nn.Parameter(100 * torch.randn(3, generator=rng, dtype=torch.float64)) for _ in range(2)]
    settings = OptimizerSettings(kind="sgd", learning_rate=0.01)
    optimizers = [build_optimizer(settings, [each]) for each in players]
    moves: list[float] = []
    for optimizer, player in zip(optimizers, players, strict=True):
        clip_gradient_norm(optimizer, 0.5)
        before: list[Tensor] = []
        optimizer.register_step_pre_hook(
            lambda *_, player=player, before=before: before.append(player.detach().clone())
        )
        optimizer.register_step_post_hook(
            lambda *_, player=player, before=before: moves.append(float((player.detach() - before.pop()).norm()))
        )

    def loss(own: int) -> Tensor | None:
        value = (1 - 2 * own) * -(players[0] @ players[1]) + 0.1 * players[own].square().sum()
        if rule.second_order:
            return value
        (players[own].grad,) = torch.autograd.grad(value, players[own])
        return None

    for _ in range(7):
        rule(lambda: loss(0), lambda: loss(1), *optimizers)
    assert len(moves) >= 14
    assert max(moves) == pytest.approx(0.01 * 0.5, rel=1e-6)


def test_a_norm_has_to_be_positive():
    with pytest.raises(InputError, match="max_norm is 0"):
        clip_gradient_norm(torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0), 0.0)
