"""The three ways to take a slope agree, on every kind of critic that has one."""

import inspect

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils import parametrizations

from adversarium.errors import InputError
from adversarium.penalties import PENALTIES, GradientPenalty, scores_and_slope, slope

METHODS = ("exact", "functional", "finite")


class Attention(nn.Module):
    """One layer of self-attention over the pixels, then a score."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
        self.score = nn.Linear(8, 1)

    def forward(self, samples: Tensor) -> Tensor:
        tokens = self.embed(samples.flatten(2).transpose(1, 2))
        tokens = tokens + self.attend(tokens, tokens, tokens, need_weights=False)[0]
        return self.score(torch.tanh(tokens).mean(1)).squeeze(1)


def convolutional(activation: type[nn.Module] = nn.Tanh, *middle: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 6, 4, 2, 1), activation(), *middle, nn.Conv2d(6, 8, 4, 2, 1), activation(), nn.Flatten(),
        nn.Linear(32, 1), nn.Flatten(0),
    )  # fmt: skip


def spectrally_normalised() -> nn.Module:
    critic = convolutional(nn.SiLU)
    for module in critic:
        if hasattr(module, "weight"):
            parametrizations.spectral_norm(module)
    return critic


CRITICS = {
    "tanh": convolutional,
    "softplus": lambda: convolutional(nn.Softplus),
    "gelu, group norm": lambda: convolutional(nn.GELU, nn.GroupNorm(2, 6)),
    "mlp, layer norm": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(192, 32), nn.LayerNorm(32), nn.SiLU(), nn.Linear(32, 1), nn.Flatten(0)
    ),
    "patches": lambda: nn.Sequential(nn.Conv2d(3, 6, 4, 2, 1), nn.Tanh(), nn.Conv2d(6, 1, 3)),
    "dropout": lambda: convolutional(nn.Tanh, nn.Dropout(0.4)),
    "spectral norm": lambda: spectrally_normalised().eval(),
    "spectral norm, training": spectrally_normalised,
    "attention": Attention,
    "batch norm, evaluating": lambda: convolutional(nn.Tanh, nn.BatchNorm2d(6)).eval(),
}
every_critic = pytest.mark.parametrize("name", CRITICS)


def gradients(critic: nn.Module, samples: Tensor, method: str) -> tuple[Tensor, Tensor]:
    """Return the slopes, and all weights' gradient of a penalty that also reads the scores."""
    torch.manual_seed(7)  # dropout draws from torch's own stream
    critic.zero_grad()
    scores, slopes = scores_and_slope(critic, samples, method)
    ((slopes - 1).square().mean() + torch.tanh(scores).mean()).backward()
    return slopes.detach(), torch.cat([p.grad.flatten() for p in critic.parameters() if p.grad is not None])


def build(name: str, seed: int, dtype: torch.dtype) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(seed)
    return CRITICS[name]().to(dtype), torch.randn(6, 3, 8, 8, dtype=torch.float64).to(dtype)


@every_critic
@pytest.mark.parametrize("seed", range(3))
def test_functional_is_exact(name: str, seed: int) -> None:
    critic, samples = build(name, seed, torch.float64)
    state = {key: value.clone() for key, value in critic.state_dict().items()}
    slopes, weights = gradients(critic, samples, "exact")
    critic.load_state_dict(state)  # spectral norm in training moves its vectors at each pass
    functional = gradients(critic, samples, "functional")
    torch.testing.assert_close(functional[0], slopes, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(functional[1], weights, rtol=1e-6, atol=1e-12)
    assert weights.abs().max() > 1e-3


@every_critic
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-3), (torch.float64, 1e-6)])
def test_finite_is_exact_up_to_rounding(name: str, seed: int, dtype: torch.dtype, tolerance: float) -> None:
    critic, samples = build(name, seed, dtype)
    if name == "spectral norm, training":
        for _ in range(200):  # at the power iteration's fixed point another pass changes nothing
            critic(samples)
    slopes, weights = gradients(critic, samples, "exact")
    finite = gradients(critic, samples, "finite")
    assert (finite[0] - slopes).norm() < tolerance * slopes.norm()
    assert (finite[1] - weights).norm() < tolerance * weights.norm()


@pytest.mark.parametrize("seed", range(5))
def test_finite_has_the_right_value_at_kinks_and_the_right_gradient_between_them(seed: int) -> None:
    """A ReLU's kink between the two ends adds a term of size 1/h: in float64 the ends are close, and there is none."""
    torch.manual_seed(seed)
    critic, samples = convolutional(nn.LeakyReLU), torch.randn(6, 3, 8, 8)
    slopes = slope(critic, samples, "finite")
    torch.testing.assert_close(slopes, slope(critic, samples), rtol=1e-5, atol=0)
    critic.double()
    exact, finite = (gradients(critic, samples.double(), method)[1] for method in ("exact", "finite"))
    weights = exact.abs() > 1e-3  # a bias has no gradient but the score's
    assert (finite - exact)[weights].norm() < 1e-5 * exact.norm()


def test_finite_keeps_its_value_where_the_scores_hide_bfloat16() -> None:
    critic, samples = build("tanh", 0, torch.float32)

    def inside(x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return critic(x).float()

    exact, finite = slope(inside, samples), slope(inside, samples, "finite")
    torch.testing.assert_close(finite, exact, rtol=0.02, atol=0)


@pytest.mark.parametrize("shift", [-300.0, 300.0])
def test_finite_steps_do_not_follow_the_scores_zero(shift: float) -> None:
    """Relativistic critics have no zero: adding a constant must not move the step out of the critic's range."""
    critic, samples = build("tanh", 0, torch.float64)
    with torch.no_grad():
        critic[-2].bias += shift
    exact, finite = (gradients(critic, samples, method)[1] for method in ("exact", "finite"))
    assert (finite - exact).norm() < 1e-6 * exact.norm()


@pytest.mark.parametrize("method", METHODS)
def test_dropout_leaves_the_random_stream_where_one_pass_does(method: str) -> None:
    critic, samples = build("dropout", 0, torch.float32)
    torch.manual_seed(3)
    critic(samples)
    after_one_pass = torch.get_rng_state()
    torch.manual_seed(3)
    slope(critic, samples, method)
    assert torch.equal(torch.get_rng_state(), after_one_pass)


def test_both_ends_see_the_same_spectrally_normalised_weights() -> None:
    """Each pass in training mode moves σ's estimate; between the ends that would count as a rise of the score."""
    torch.manual_seed(0)
    hidden = parametrizations.spectral_norm(nn.Linear(12, 8, bias=False), n_power_iterations=1)
    nn.init.normal_(hidden.parametrizations.weight.original)
    last = nn.Linear(8, 1)
    nn.init.constant_(last.bias, 20.0)
    # linear, so that the gradient keeps its direction while σ moves
    critic = nn.Sequential(hidden, nn.Dropout(0.2), last, nn.Flatten(0))
    for module in critic:
        module.double()
    samples = torch.randn(6, 12, dtype=torch.float64)
    with torch.no_grad():  # far from the singular vectors, so that σ moves much
        for buffer in (hidden.parametrizations.weight[0]._u, hidden.parametrizations.weight[0]._v):
            buffer.copy_(nn.functional.normalize(torch.randn_like(buffer), dim=0))
    state = {key: value.clone() for key, value in critic.state_dict().items()}
    torch.manual_seed(7)
    (finite,) = torch.autograd.grad(slope(critic, samples, "finite").sum(), last.weight)
    critic.load_state_dict(state)
    critic(samples)  # the ends see the weights of the second pass
    torch.manual_seed(7)
    (exact,) = torch.autograd.grad(slope(critic, samples).sum(), last.weight)
    torch.testing.assert_close(finite, exact, rtol=1e-5, atol=1e-9)


class Kernel(torch.autograd.Function):
    """tanh as a custom kernel would offer it: with a gradient, and no second one."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(torch.tanh(x))
        return torch.tanh(x)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return grad * (1 - y * y)


def test_finite_needs_no_second_derivative() -> None:
    torch.manual_seed(0)
    linear, last = nn.Linear(12, 16).double(), nn.Linear(16, 1).double()
    samples = torch.randn(5, 12, dtype=torch.float64)
    twin = nn.Sequential(linear, nn.Tanh(), last, nn.Flatten(0))
    expected = gradients(twin, samples, "exact")
    slopes = slope(lambda x: last(Kernel.apply(linear(x))).squeeze(1), samples, "finite")
    torch.testing.assert_close(slopes, expected[0], rtol=1e-6, atol=0)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope(lambda x: last(Kernel.apply(linear(x))).squeeze(1), samples, "exact").sum().backward()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1, 5), (3, 1, 4, 4)])
def test_linear_critic(method: str, shape: tuple[int, ...]) -> None:
    weight, samples = torch.randn(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight = weight[0].requires_grad_()
    slopes = slope(lambda x: (x * weight).flatten(1).sum(1) - 4, samples, method)
    torch.testing.assert_close(slopes, weight.detach().norm().expand(shape[0]), rtol=1e-9, atol=0)
    (gradient,) = torch.autograd.grad(slopes.sum(), weight)
    torch.testing.assert_close(gradient, shape[0] * weight.detach() / weight.detach().norm(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_flat_critics_and_empty_pictures_are_finite(method: str) -> None:
    critic = convolutional()
    for parameter in critic.parameters():
        nn.init.zeros_(parameter)
    for samples in (torch.zeros(2, 3, 8, 8), torch.ones(2, 3, 8, 8)):
        scores, slopes = scores_and_slope(critic, samples, method)
        assert torch.equal(slopes, torch.zeros(2))
        (slopes.square().mean() + (slopes - 1).square().mean() + scores.mean()).backward()
    assert all(p.grad.isfinite().all() for p in critic.parameters() if p.grad is not None)


@pytest.mark.parametrize("method", METHODS)
def test_batch_norm_is_refused_in_training_mode(method: str) -> None:
    critic = convolutional(nn.Tanh, nn.BatchNorm2d(6))
    with pytest.raises(InputError, match=r"batch norm of the batch's own statistics \(2\)"):
        slope(critic, torch.randn(2, 3, 8, 8), method)


@pytest.mark.parametrize("method", METHODS)
def test_batch_norm_without_running_statistics_is_refused_in_any_mode(method: str) -> None:
    critic = convolutional(nn.Tanh, nn.BatchNorm2d(6, track_running_stats=False)).eval()
    with pytest.raises(InputError, match="the batch's own statistics"):
        slope(critic, torch.randn(2, 3, 8, 8), method)


@pytest.mark.parametrize("method", METHODS)
def test_no_grad_callers_get_the_value(method: str) -> None:
    critic, samples = build("tanh", 0, torch.float64)
    with torch.no_grad():
        slopes = slope(critic, samples, method)
    torch.testing.assert_close(slopes, slope(critic, samples).detach(), rtol=1e-6, atol=0)
    assert not slopes.requires_grad


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "critic", [lambda x: torch.ones(len(x)), lambda x: nn.Parameter(torch.ones(len(x))), lambda x: x.detach().sum(1)]
)
def test_a_critic_that_ignores_its_input_is_refused(method: str, critic) -> None:
    if method == "functional" and critic(torch.zeros(4, 3)).requires_grad:
        assert torch.equal(slope(critic, torch.randn(4, 3), method), torch.zeros(4))
        return
    with pytest.raises(InputError, match="do not depend on its input"):
        slope(critic, torch.randn(4, 3), method)


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(InputError, match=r"unknown method 'finit' \(did you mean 'finite'\?\)"):
        inspect.unwrap(scores_and_slope)(lambda x: x.sum(1), torch.zeros(2, 3), "finit")


SLOPED = [name for name, factory in PENALTIES.items() if isinstance(factory(), GradientPenalty)]


@pytest.mark.parametrize("name", SLOPED)
@pytest.mark.parametrize(
    ("method", "dtype", "tolerance"),
    [("functional", torch.float64, 1e-6), ("finite", torch.float32, 1e-3), ("finite", torch.float64, 1e-6)],
)
def test_every_penalty_on_a_slope_takes_it_in_any_way(
    name: str, method: str, dtype: torch.dtype, tolerance: float
) -> None:
    critic, real = build("tanh", 0, dtype)
    fake = real.flip(0) + 0.5
    found = []
    for way in ("exact", method):
        critic.zero_grad()
        penalty = PENALTIES[name](method=way)
        assert penalty.method == way
        values = penalty(critic, real, fake, torch.Generator().manual_seed(2))
        (gradient,) = torch.autograd.grad(values.mean(), critic[0].weight)
        found.append((values.detach(), gradient))
    for other, exact in zip(found[1], found[0], strict=True):
        assert (other - exact).norm() < tolerance * exact.norm()
    assert found[0][1].norm() > 0
