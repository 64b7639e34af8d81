"""The outputs of layers in one pass: equal to the parts run by hand, and no hook left behind."""

import pytest
import torch
from torch import Tensor, nn

from adversarium.errors import InputError
from adversarium.nets import NETWORKS, Conditioned, ProjectionCritic, Tap
from adversarium.types import Condition


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(4, 5), nn.Tanh())
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), inner, nn.Linear(5, 1)).double()


def samples(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=rng(1), dtype=torch.float64)


def hooks(module: nn.Module) -> int:
    return sum(len(each._forward_hooks) for each in module.modules())


class Odd(nn.Module):
    """A network whose layers are called not at all, twice, or put out several tensors, and which can fail."""

    def __init__(self) -> None:
        super().__init__()
        self.idle, self.twice, self.gates = nn.Linear(3, 3), nn.Linear(3, 3), nn.LSTM(3, 3)
        self.first, self.inplace, self.failing = nn.Linear(3, 3), nn.ReLU(inplace=True), False

    def forward(self, x: Tensor) -> Tensor:
        if self.failing:
            raise ArithmeticError("on purpose")
        y, _ = self.gates(self.twice(self.twice(x)))
        found: Tensor = self.inplace(self.first(y))
        return found


def test_layers_in_the_order_asked_for():
    net, x = network(), samples(2, 3)
    output, (deep, early, inner) = Tap(net, ["2", "0", "2.0"])(x)
    assert torch.equal(output, net(x))
    assert torch.equal(early, net[0](x))
    assert torch.equal(deep, net[2](torch.relu(early)))
    assert torch.equal(inner, net[2][0](torch.relu(early)))
    assert hooks(net) == 0
    assert Tap(net, [])(x)[1] == []


def test_one_pass_and_gradients_of_any_order():
    net, x = network(), samples(2, 3).requires_grad_()
    passes = []
    net.register_forward_hook(lambda *_: passes.append(1))
    output, (inner,) = Tap(net, ["2.0"])(x)
    assert len(passes) == 1
    by_hand = net[2][0](net[1](net[0](x)))
    (found,) = torch.autograd.grad(inner.square().sum(), net[0].weight, retain_graph=True)
    (wanted,) = torch.autograd.grad(by_hand.square().sum(), net[0].weight)
    torch.testing.assert_close(found, wanted)
    torch.autograd.grad(output.sum(), inner)  # the layer's output is in the output's graph
    net._forward_hooks.clear()
    assert torch.autograd.gradgradcheck(lambda x: Tap(net, ["2"])(x)[1][0], x)


def test_modes_and_precisions():
    net, x = network().float(), samples(2, 3).float()
    tap = Tap(net, ["0"])
    with torch.no_grad():
        assert not tap(x)[1][0].requires_grad
    with torch.inference_mode():
        assert torch.equal(tap(x)[1][0], net[0](x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert tap(x)[1][0].dtype == torch.bfloat16


def test_a_conditional_critic():
    def build(shape: tuple[int, ...]) -> nn.Sequential:
        return NETWORKS["vector-mlp"].critic(shape, width=4, rng=rng())

    critic = ProjectionCritic.make(build, (3,), Condition("label", 2), rng=rng())
    x, y = samples(2, 3).float(), torch.tensor([0, 2])
    for score, (features,) in (Tap(critic, ["body"])(x, y), Tap(Conditioned(critic, y), ["network.body"])(x)):
        assert torch.equal(score, critic(x, y))
        assert torch.equal(features, critic.features(x))


def test_no_hook_outlives_an_error():
    net = Odd()
    tap = Tap(net, ["first"])
    net.failing = True
    with pytest.raises(ArithmeticError, match="on purpose"):
        tap(torch.zeros(2, 3))
    assert hooks(net) == 0
    net.failing = False
    for name in ("twice", "idle"):
        with pytest.raises(InputError):
            Tap(net, [name])(torch.zeros(2, 3))
        assert hooks(net) == 0


def test_a_closed_tap_refuses():
    net = network()
    with Tap(net, ["0"]) as tap:
        tap(samples(2, 3))
    with pytest.raises(InputError, match="closed"):
        tap(samples(2, 3))
    assert hooks(net) == 0


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("idle", "'idle' was not called"),
        ("twice", "'twice' was called 2 times"),
        ("gates", "'gates' put out a tuple"),
        ("first", "'first' was changed in place by a later layer"),
    ],
)
def test_layers_without_one_output(layer: str, words: str):
    with pytest.raises(InputError, match=words):
        Tap(Odd(), [layer])(torch.zeros(2, 3))
    assert Tap(Odd(), ["inplace"])(torch.zeros(2, 3))[1][0].shape == (2, 3)


def test_names_that_are_none():
    with pytest.raises(InputError, match=r"unknown layer 'frist' \(did you mean 'first'\?\)"):
        Tap(Odd(), ["idle", "frist"])
    with pytest.raises(InputError, match="wanted a list of names"):
        Tap(Odd(), "first")
    with pytest.raises(InputError, match="unknown layer ''"):
        Tap(Odd(), [""])
