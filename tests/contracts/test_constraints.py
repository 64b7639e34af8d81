"""The contract of every member of CONSTRAINTS: doing it twice changes nothing, and the critic goes on training.

A new member runs through the first part by being in the dict; the rest is what each formula says.
"""

import copy
import functools
import inspect
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from adversarium.constraints import CONSTRAINTS, Constraint
from adversarium.errors import InputError
from adversarium.penalties import PENALTIES, slope

WHEN = {
    "clip": "step",
    "spectral_norm": "build",
    "weight_norm": "build",
    "orthogonal": "build",
    "gradient_normalisation": "build",
}
REFUSES_ZERO = {"spectral_norm", "weight_norm"}  # they divide by a norm
CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}

every_constraint = pytest.mark.parametrize("name", CONSTRAINTS)
every_dimension = pytest.mark.parametrize("dimension", [0, *CONVOLUTIONS])  # 0: linear layers
every_seed = pytest.mark.parametrize("seed", range(3))


@functools.cache  # under the import hook a factory compiles its type checks at each call
def make(name: str, **arguments: object) -> Constraint:
    return CONSTRAINTS[name](**arguments)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def samples(dimension: int, n: int = 4, seed: int = 0) -> Tensor:
    return normal(n, 6, seed=seed) if dimension == 0 else normal(n, 2, *[4] * dimension, seed=seed)


def critic(dimension: int, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    first = (
        [nn.Linear(6, 8)] if dimension == 0 else [CONVOLUTIONS[dimension](2, 8, 3, padding=1, stride=2), nn.Flatten()]
    )
    features = 8 * 2**dimension
    return nn.Sequential(*first, nn.LeakyReLU(0.2), nn.Linear(features, 5), nn.Tanh(), nn.Linear(5, 1)).double()


def weights(net: nn.Module) -> list[Tensor]:
    return [net.get_submodule(str(k)).weight for k in range(len(net)) if hasattr(net[k], "weight")]


def train(net: nn.Module, constraint: Constraint, dimension: int, steps: int = 3, learning_rate: float = 0.01) -> None:
    optimizer = torch.optim.Adam(net.parameters(), lr=learning_rate)
    dtype = next(net.parameters()).dtype
    for step in range(steps):
        optimizer.zero_grad()
        (net(samples(dimension, 8, seed=step).to(dtype)) - 1).square().mean().backward()
        assert all(parameter.grad.isfinite().all() for parameter in net.parameters())
        optimizer.step()
        if constraint.when == "step":
            constraint.apply(net)


# --- the contract ----------------------------------------------------------------------------------


@every_constraint
def test_it_says_what_it_is(name: str):
    constraint, parameters = make(name), inspect.signature(CONSTRAINTS[name]).parameters
    assert (constraint.name, constraint.when) == (name, WHEN[name])
    assert constraint.arguments == {each.name: each.default for each in parameters.values()}


@every_constraint
@every_dimension
def test_twice_is_once(name: str, dimension: int):
    net, x = critic(dimension), samples(dimension)
    make(name).apply(net)
    once, scores = copy.deepcopy(net.eval().state_dict()), net(x)
    make(name).apply(net)
    twice = net.state_dict()
    assert list(once) == list(twice)
    assert all(torch.equal(once[key], twice[key]) for key in once)
    assert torch.equal(net(x), scores)


@every_constraint
@every_dimension
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_critic_trains(name: str, dimension: int, dtype: torch.dtype):
    net = critic(dimension).to(dtype)
    make(name).apply(net)
    before, x = net.eval()(samples(dimension).to(dtype)), samples(dimension).to(dtype)
    train(net.train(), make(name), dimension)
    after = net.eval()(x)
    assert after.dtype == dtype
    assert (after - 1).square().mean() < (before - 1).square().mean()


@every_constraint
@every_dimension
def test_bfloat16_autocast(name: str, dimension: int):
    net, x = critic(dimension).float(), samples(dimension).float()
    make(name).apply(net)
    exact = net.eval()(x)
    with torch.autocast("cpu", torch.bfloat16):
        scores = net(x)
    assert scores.dtype == torch.bfloat16
    torch.testing.assert_close(scores.float(), exact, rtol=0.05, atol=0.05)
    scores.float().square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


@every_constraint
@every_dimension
def test_a_copy_is_whole_and_apart(name: str, dimension: int):
    net, x = critic(dimension), samples(dimension)
    make(name).apply(net)
    scores, twin = net.eval()(x), copy.deepcopy(net)
    assert torch.equal(twin(x), scores)
    train(twin.train(), make(name), dimension)
    assert torch.equal(net(x), scores)
    assert not torch.equal(twin.eval()(x), scores)


@every_constraint
@every_dimension
def test_a_state_dict_comes_back(name: str, dimension: int):
    net, other, x = critic(dimension), critic(dimension, seed=1), samples(dimension)
    make(name).apply(net)
    make(name).apply(other)
    train(net, make(name), dimension)
    assert not torch.equal(other.eval()(x), net.eval()(x))
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(x), net(x))


@every_constraint
@every_dimension
def test_no_grad_callers_get_the_scores(name: str, dimension: int):
    net, x = critic(dimension).eval(), samples(dimension)
    make(name).apply(net)
    with torch.no_grad():
        scores = net(x)
        assert not torch.is_grad_enabled()
    assert not scores.requires_grad
    assert not x.requires_grad
    assert torch.equal(scores, net(x))


@every_constraint
@every_dimension
def test_the_generators_step(name: str, dimension: int):
    """The critic's weights frozen, as the trainer has them: the samples' gradient is that of central differences."""
    net, x = critic(dimension).eval(), samples(dimension)
    make(name).apply(net)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(net(x * scale).square().sum(), scale)
    difference = sum(sign * net(x * (1 + sign * 1e-6)).square().sum() for sign in (-1, 1)) / 2e-6
    torch.testing.assert_close(gradient, difference, rtol=1e-6, atol=1e-9)


@every_constraint
@every_dimension
def test_a_gradient_penalty_goes_through(name: str, dimension: int):
    """The penalty's gradient by the weights, along themselves, is that of central differences."""
    net, x = critic(dimension), samples(dimension)
    make(name).apply(net)
    parameters = list(net.eval().parameters())
    start = [parameter.detach().clone() for parameter in parameters]
    penalty = lambda: PENALTIES["r1"]()(net, x, x, None).sum()  # noqa: E731
    gradients = torch.autograd.grad(penalty(), parameters, allow_unused=True, materialize_grads=True)
    assert all(gradient.isfinite().all() for gradient in gradients)
    along = [normal(*parameter.shape, seed=k) for k, parameter in enumerate(parameters)]
    values = []
    for sign in (-1, 1):
        for parameter, value, direction in zip(parameters, start, along, strict=True):
            parameter.data = value + sign * 1e-6 * direction
        values.append(penalty().detach())
    expected = (values[1] - values[0]) / 2e-6
    ours = sum((gradient * direction).sum() for gradient, direction in zip(gradients, along, strict=True))
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-8)


@every_constraint
@every_dimension
def test_a_zero_critic_is_refused_or_stays_finite(name: str, dimension: int):
    net = critic(dimension)
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    if name in REFUSES_ZERO:
        with pytest.raises(InputError, match="zero"):
            make(name).apply(net)
        return
    make(name).apply(net)
    scores = net(samples(dimension))
    (scores - 1).square().sum().backward()
    assert scores.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


@pytest.mark.parametrize("name", ["spectral_norm", "weight_norm", "orthogonal"])
@every_dimension
def test_biases_and_normalisation_are_left_alone(name: str, dimension: int):
    net = nn.Sequential(nn.LayerNorm(samples(dimension).shape[1:]), *critic(dimension)).double()
    before = dict(copy.deepcopy(net).named_parameters())
    make(name).apply(net)
    after = dict(net.named_parameters())
    assert all(torch.equal(after[key], before[key]) for key in after if "parametrizations" not in key)
    assert sum("parametrizations" in key for key in after) in (3, 6)  # weight norm has two for each weight


@pytest.mark.parametrize("name", ["spectral_norm", "weight_norm", "orthogonal"])
def test_a_weight_has_one_parametrisation(name: str):
    others = {"spectral_norm", "weight_norm", "orthogonal"} - {name}
    for other in others:
        net = critic(2)
        make(other).apply(net)
        with pytest.raises(InputError, match="layer '0' is parametrised already"):
            make(name).apply(net)


@pytest.mark.parametrize(
    ("name", "argument", "number"),
    [
        ("clip", "bound", 0.0),
        ("clip", "bound", -1.0),
        ("clip", "bound", float("nan")),
        ("spectral_norm", "n_power_iterations", 0),
        ("orthogonal", "iterations", 0),
    ],
)
def test_wrong_arguments_are_named(name: str, argument: str, number: float):
    with pytest.raises(InputError, match=f"{argument} is {number}"):
        CONSTRAINTS[name](**{argument: number})


# --- clip ------------------------------------------------------------------------------------------


@every_seed
@pytest.mark.parametrize("bound", [0.01, 0.1])
def test_clip_is_the_projection_on_the_box(seed: int, bound: float):
    net = nn.Sequential(*critic(2, seed), nn.BatchNorm1d(1)).double()
    before = copy.deepcopy(list(net.parameters()))
    addresses = [parameter.data_ptr() for parameter in net.parameters()]
    for repeat in range(2):  # the second time changes nothing
        make("clip", bound=bound).apply(net)
        for ours, old in zip(net.parameters(), before, strict=True):
            assert torch.equal(ours, old.clamp(-bound, bound)), repeat
    assert any(old.abs().max() > bound for old in before)
    assert [parameter.data_ptr() for parameter in net.parameters()] == addresses
    assert all(parameter.requires_grad and parameter.grad_fn is None for parameter in net.parameters())


# --- spectral norm ---------------------------------------------------------------------------------


def singular_values(weight: Tensor) -> Tensor:
    return torch.linalg.svdvals(weight.detach().flatten(1))


@every_seed
@every_dimension
def test_spectral_norm_makes_the_largest_singular_value_one(seed: int, dimension: int):
    net = critic(dimension, seed)
    original = weights(copy.deepcopy(net))
    make("spectral_norm", n_power_iterations=100).apply(net)
    for _ in range(5):  # as many power iterations for each forward pass in training mode
        net(samples(dimension))
    for ours, old in zip(weights(net.eval()), original, strict=True):
        assert float(singular_values(ours)[0]) == pytest.approx(1, abs=1e-6)
        torch.testing.assert_close(ours, old / singular_values(old)[0], rtol=1e-6, atol=1e-9)


def test_spectral_norm_takes_the_iterations_it_is_told():
    errors = {}
    for iterations in (1, 50):
        net = critic(2)
        make("spectral_norm", n_power_iterations=iterations).apply(net)
        net(samples(2))
        errors[iterations] = float((singular_values(weights(net.eval())[0])[0] - 1).abs())
    assert errors[50] < 1e-4
    assert errors[50] < errors[1]


# --- weight norm -----------------------------------------------------------------------------------


@every_seed
@every_dimension
def test_weight_norm_trains_length_and_direction_apart(seed: int, dimension: int):
    net = critic(dimension, seed)
    original = weights(copy.deepcopy(net))
    make("weight_norm").apply(net)
    for ours, old in zip(weights(net), original, strict=True):
        torch.testing.assert_close(ours, old, rtol=1e-12, atol=1e-12)
    train(net, make("weight_norm"), dimension, learning_rate=0.1)
    for module in (each for each in net if hasattr(each, "weight")):
        g, v = module.parametrizations.weight.original0, module.parametrizations.weight.original1
        assert g.shape == (len(v), *[1] * (v.ndim - 1))
        torch.testing.assert_close(module.weight.flatten(1).norm(dim=1), g.flatten().abs())
        for row, length, direction in zip(module.weight, g.flatten(), v, strict=True):
            torch.testing.assert_close(row, length * direction / direction.square().sum().sqrt())
        (by_v,) = torch.autograd.grad(module.weight.pow(3).sum(), v)
        torch.testing.assert_close((by_v * v).flatten(1).sum(1), torch.zeros(len(v)).double(), rtol=0, atol=1e-12)


def test_weight_norm_refuses_a_row_of_zeros_and_touches_nothing():
    net = critic(2)
    with torch.no_grad():
        net[3].weight[2] = 0
    keys = list(net.state_dict())
    with pytest.raises(InputError, match="layer '3' has a row of zeros"):
        make("weight_norm").apply(net)
    assert list(net.state_dict()) == keys


# --- orthogonal ------------------------------------------------------------------------------------


@every_seed
@every_dimension
@pytest.mark.parametrize("iterations", [1, 15])
def test_orthogonal_starts_at_the_polar_factor(seed: int, dimension: int, iterations: int):
    net = critic(dimension, seed)
    original = weights(copy.deepcopy(net))
    make("orthogonal", iterations=iterations).apply(net)
    for ours, old in zip(weights(net), original, strict=True):
        left, _, right = torch.linalg.svd(old.flatten(1), full_matrices=False)
        torch.testing.assert_close(ours.flatten(1), left @ right, rtol=1e-10, atol=1e-10)


@every_seed
@every_dimension
def test_orthogonal_stays_the_polar_factor_in_training(seed: int, dimension: int):
    net = critic(dimension, seed).float()
    make("orthogonal").apply(net)
    train(net, make("orthogonal"), dimension, steps=10, learning_rate=0.05)
    for module in (each for each in net if hasattr(each, "weight")):
        raw = module.parametrizations.weight.original
        assert (singular_values(raw) - 1).abs().max() > 0.01
        assert (singular_values(module.weight) - 1).abs().max() < 1e-5
        left, _, right = torch.linalg.svd(raw.detach().double().flatten(1), full_matrices=False)
        torch.testing.assert_close(module.weight.flatten(1).double(), left @ right, rtol=0, atol=1e-5)
        with torch.autocast("cpu", torch.bfloat16):
            assert (singular_values(module.weight) - 1).abs().max() < 1e-5


@every_seed
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (3, 2, 3), (7, 1, 2, 2)])
@pytest.mark.parametrize("iterations", [1, 4, 9])
def test_each_singular_value_follows_bjorcks_recursion(seed: int, shape: tuple[int, ...], iterations: int):
    layer = nn.Linear(2, 2).double()
    make("orthogonal", iterations=iterations).apply(layer)
    (factor,) = layer.parametrizations.weight
    weight = normal(*shape, seed=seed)
    left, values, right = torch.linalg.svd(weight.flatten(1), full_matrices=False)
    gram = weight.flatten(1) @ weight.flatten(1).T
    gram = gram if len(gram) <= weight[0].numel() else weight.flatten(1).T @ weight.flatten(1)
    values = values / gram.abs().sum(1).max().sqrt()
    assert values.max() <= 1
    for _ in range(iterations):
        values = 1.5 * values - 0.5 * values**3
    ours = factor(weight)
    assert ours.shape == shape
    torch.testing.assert_close(ours.flatten(1), left @ values.diag() @ right, rtol=1e-9, atol=1e-9)


@every_seed
@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (3, 2, 2)])
def test_orthogonal_is_differentiable_twice(seed: int, shape: tuple[int, ...]):
    layer = nn.Linear(2, 2).double()
    make("orthogonal", iterations=25).apply(layer)
    (factor,) = layer.parametrizations.weight
    weight = normal(*shape, seed=seed).requires_grad_()
    assert torch.autograd.gradcheck(factor, weight)
    assert torch.autograd.gradgradcheck(factor, weight)
    # the polar factor does not change along the weight itself
    (gradient,) = torch.autograd.grad((factor(weight) * normal(*shape, seed=seed + 9)).sum(), weight)
    assert (gradient * weight).sum().abs() < 1e-10


def test_an_orthogonal_critic_is_1_lipschitz():
    net, x = critic(0), samples(0, 200)
    assert slope(net, 0.1 * x).max() < 0.9
    with torch.no_grad():
        for weight in weights(net):
            weight.mul_(20)
    assert slope(net, x).max() > 1
    make("orthogonal").apply(net)
    assert slope(net, x).max() <= 1 + 1e-12


# --- gradient normalisation ------------------------------------------------------------------------


def normalised(net: nn.Module) -> nn.Module:
    make("gradient_normalisation").apply(net)
    return net


class Formula(nn.Module):
    """A critic given as a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def relu_critic(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 16), nn.LeakyReLU(0.1), nn.Linear(16, 1)).double()


@every_seed
@pytest.mark.parametrize("shape", [(4, 3), (1, 2, 5), (3, 1, 4, 2)])
def test_the_normalised_linear_critic(seed: int, shape: tuple[int, ...]):
    weight, bias, x = normal(*shape[1:], seed=seed), normal(1, seed=seed + 1), normal(*shape, seed=seed + 2)
    function = lambda x: (x * weight).flatten(1).sum(1) + bias  # noqa: E731
    f = function(x)
    expected = f / (weight.square().sum().sqrt() + f.abs())
    torch.testing.assert_close(normalised(Formula(function))(x), expected, rtol=1e-12, atol=1e-12)


@every_seed
@every_dimension
def test_normalised_scores_equal_a_slow_twin(seed: int, dimension: int):
    net, x = critic(dimension, seed), samples(dimension, seed=seed)
    twin = []
    for sample in x:
        score, gradient = net(sample[None]).squeeze(), torch.func.grad(lambda one: net(one[None]).squeeze())(sample)
        twin.append(score / (gradient.square().sum().sqrt() + score.abs()))
    torch.testing.assert_close(normalised(net)(x).squeeze(1), torch.stack(twin), rtol=1e-12, atol=1e-12)


@every_seed
def test_the_slope_of_a_piecewise_linear_critic_is_at_most_one(seed: int):
    net, x = relu_critic(seed), 3 * normal(500, 3, seed=seed)
    with torch.no_grad():
        net[0].weight.mul_(30)
    f, steepness = net(x).squeeze(1), slope(net, x)
    ours = slope(normalised(net), x)
    assert steepness.max() > 2
    assert ours.max() <= 1
    torch.testing.assert_close(ours, (steepness / (steepness + f.abs())) ** 2, rtol=1e-9, atol=1e-12)


def test_a_normalised_score_jumps_where_the_slope_does():
    net = normalised(Formula(lambda x: (x + 2 * torch.relu(x - 1)).squeeze(1)))  # 1 at the kink, slope 1 and then 3
    x = torch.tensor([[1 - 1e-9], [1 + 1e-9]], dtype=torch.float64)
    torch.testing.assert_close(net(x), torch.tensor([1 / 2, 1 / 4], dtype=torch.float64))


@every_seed
@pytest.mark.parametrize("factor", [1e-4, 0.37, 1e4])
def test_normalised_scores_are_bounded_and_do_not_change_with_the_critics_scale(seed: int, factor: float):
    net, x = normalised(critic(2, seed)), 100 * samples(2, 50, seed=seed)
    scores = net(x)
    assert scores.abs().max() <= 1
    with torch.no_grad():
        net[-1].weight.mul_(factor)
        net[-1].bias.mul_(factor)
    torch.testing.assert_close(net(x), scores, rtol=1e-9, atol=1e-12)
    with torch.no_grad():
        net[-1].weight.neg_()
        net[-1].bias.neg_()
    torch.testing.assert_close(net(x), -scores, rtol=1e-9, atol=1e-12)


@every_seed
def test_patches_are_divided_by_the_slope_of_their_mean(seed: int):
    torch.manual_seed(seed)
    net, x = nn.Sequential(nn.Conv2d(2, 3, 2), nn.Tanh(), nn.Conv2d(3, 1, 2)).double(), samples(2, seed=seed)
    f, steepness = net(x), slope(net, x)
    assert f.shape == (4, 1, 2, 2)
    torch.testing.assert_close(normalised(net)(x), f / (steepness.view(4, 1, 1, 1) + f.abs()), rtol=1e-12, atol=1e-12)


def test_a_score_and_a_slope_of_zero_give_zero():
    net = normalised(Formula(lambda x: (x**3).sum(1)))
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0]], requires_grad=True)
    scores = net(x)
    torch.testing.assert_close(scores, torch.tensor([0.0, 0.25]))
    (gradient,) = torch.autograd.grad(scores.sum(), x)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("factor", [-1e4, 1e4])
def test_steep_and_large_critics_stay_finite(factor: float):
    net = normalised(Formula(lambda x: factor * x.sum(1) + factor))
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    scores = net(x)
    (gradient,) = torch.autograd.grad(scores.sum(), x)
    assert scores.isfinite().all()
    assert gradient.isfinite().all()


def test_an_exception_in_the_critic_gives_the_grad_mode_back():
    net = normalised(relu_critic(0))
    with torch.no_grad():
        with pytest.raises(RuntimeError):
            net(torch.zeros(2, 4, dtype=torch.float64))
        assert not torch.is_grad_enabled()
        net(torch.zeros(2, 3, dtype=torch.float64))
        assert not torch.is_grad_enabled()
    net(torch.zeros(2, 3, dtype=torch.float64))
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: torch.ones(len(x)), "do not depend on its input"),
        (lambda x: nn.Parameter(torch.ones(len(x))), "do not depend on its input"),
        (lambda x: x.sum(), "wanted"),
        (lambda x: x.flatten(), "wanted"),
    ],
)
def test_scores_without_a_slope_are_refused(function: Callable[[Tensor], Tensor], words: str):
    with pytest.raises(InputError, match=words):
        normalised(Formula(function))(torch.ones(4, 3))


def test_batch_norm_and_inference_mode_are_refused():
    with pytest.raises(InputError, match="batch norm"):
        normalised(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)))
    net = normalised(relu_critic(0))
    with torch.inference_mode(), pytest.raises(InputError, match="torch.inference_mode"):
        net(torch.zeros(2, 3, dtype=torch.float64))
    assert net(torch.zeros(2, 3, dtype=torch.float64)).requires_grad


def test_other_arguments_reach_the_critic():
    class Conditional(nn.Module):
        def forward(self, x: Tensor, labels: Tensor, *, factor: float = 1.0) -> Tensor:
            return factor * (x.sum(1) + labels)

    x, labels = normal(4, 3, seed=0), normal(4, seed=1)
    f = 2 * (x.sum(1) + labels)
    expected = f / (2 * 3**0.5 + f.abs())
    torch.testing.assert_close(normalised(Conditional())(x, labels, factor=2.0), expected)
