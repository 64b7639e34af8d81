"""The contract of every member of PENALTIES: one value per sample, its mathematics, and what it must leave alone.

A new member runs through the suite by being in the dict; a variant is one line in VARIANTS. VALUES says what each
makes of a slope, POINTS where it is taken.
"""

import dataclasses
import functools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from adversarium.errors import InputError
from adversarium.losses import LOSSES
from adversarium.penalties import PENALTIES, GradientPenalty, at_fake, at_real, between, slope, slope_of

VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "wgan_gp(weight)": ("wgan_gp", {"weight": 0.37}),
    "wgan_gp(one_sided)": ("wgan_gp", {"weight": 2.5, "one_sided": True}),
    "r1(gamma)": ("r1", {"gamma": 3.1}),
    "r2(gamma)": ("r2", {"gamma": 0.2}),
    "r1(0)": ("r1", {"gamma": 0.0}),
}
CASES = {name: (name, {}) for name in PENALTIES} | VARIANTS
VALUES: dict[str, Callable[[Tensor], Tensor]] = {
    "wgan_gp": lambda n: 10 * (n - 1) ** 2,
    "wgan_gp(weight)": lambda n: 0.37 * (n - 1) ** 2,
    "wgan_gp(one_sided)": lambda n: 2.5 * (n - 1).clamp(min=0) ** 2,
    "r1": lambda n: n**2 / 2,
    "r2": lambda n: n**2 / 2,
    "r1(gamma)": lambda n: 3.1 / 2 * n**2,
    "r2(gamma)": lambda n: 0.1 * n**2,
    "r1(0)": lambda n: 0 * n,
}
SHAPES = [(1, 5), (4, 3), (2, 1, 28, 28), (3, 3, 4, 6), (5, 7, 2, 3), (2, 2, 3, 4, 5)]  # N, then any sample

every_penalty = pytest.mark.parametrize("name", CASES)
every_value = pytest.mark.parametrize("name", VALUES)
every_shape = pytest.mark.parametrize("shape", SHAPES)
every_seed = pytest.mark.parametrize("seed", range(3))


@functools.cache  # under the import hook a factory compiles its type checks at each call
def make(name: str) -> GradientPenalty:
    member, arguments = CASES[name]
    return PENALTIES[member](**arguments)


def points_of(name: str, real: Tensor, fake: Tensor, seed: int) -> Tensor:
    """Return where a penalty takes the slope, computed apart from it."""
    if CASES[name][0] == "wgan_gp":
        u = torch.rand((len(real),) + (1,) * (real.ndim - 1), generator=stream(seed), dtype=real.dtype)
        return u * real + (1 - u) * fake
    return {"r1": real, "r2": fake}[CASES[name][0]]


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=stream(seed), dtype=torch.float64)


def pair(*shape: int, seed: int) -> tuple[Tensor, Tensor]:
    return normal(*shape, seed=seed), normal(*shape, seed=seed + 100) + 1


def linear(weight: Tensor, bias: float = 0.3) -> Callable[[Tensor], Tensor]:
    return lambda samples: (samples * weight).flatten(1).sum(1) + bias


def network(seed: int, patches: bool = False) -> nn.Module:
    """Return a small smooth critic of [B, 2, 5, 5]: one score per sample, or a map of scores."""
    torch.manual_seed(seed)
    head = [nn.Conv2d(3, 1, 2)] if patches else [nn.Flatten(), nn.Linear(48, 1)]
    return nn.Sequential(nn.Conv2d(2, 3, 2), nn.Tanh(), *head).double()


# --- closed forms ----------------------------------------------------------------------------------


@every_value
@every_shape
@every_seed
def test_linear_critic(name: str, shape: tuple[int, ...], seed: int):
    weight = 0.2 * normal(*shape[1:], seed=seed + 7)
    penalties = make(name)(linear(weight), *pair(*shape, seed=seed), stream(seed))
    assert penalties.shape == shape[:1]
    expected = VALUES[name](weight.square().sum().sqrt()).expand(shape[0])
    torch.testing.assert_close(penalties, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("one_sided", [False, True])
@every_shape
def test_a_slope_of_one_costs_nothing(one_sided: bool, shape: tuple[int, ...]):
    weight = normal(*shape[1:], seed=3)
    penalties = PENALTIES["wgan_gp"](one_sided=one_sided)(
        linear(weight / weight.norm()), *pair(*shape, seed=0), stream(0)
    )
    torch.testing.assert_close(penalties, torch.zeros_like(penalties), rtol=0, atol=1e-25)


def test_one_sided_forgives_a_gentle_slope_and_two_sided_does_not():
    weight, samples = torch.full((4,), 0.1, dtype=torch.float64), pair(3, 4, seed=0)
    assert (PENALTIES["wgan_gp"](one_sided=True)(linear(weight), *samples, None) == 0).all()
    assert (PENALTIES["wgan_gp"](one_sided=False)(linear(weight), *samples, None) > 6).all()


@pytest.mark.parametrize(
    ("penalty", "steepness", "objective"),
    [
        ("wgan_gp(weight)", lambda gap: 1 + gap / 0.74, lambda gap: gap + gap**2 / 1.48),
        ("r1(gamma)", lambda gap: gap / 3.1, lambda gap: gap**2 / 6.2),
    ],
)
@every_seed
def test_what_a_penalty_does_to_the_wasserstein_critic_of_two_points(
    penalty: str, steepness: Callable[[float], float], objective: Callable[[float], float], seed: int
):
    """D(x) = w·x, data at Δ, fakes at 0: slope 1 + Δ/(2λ) and objective Δ + Δ²/(4λ); with R1 slope Δ/γ."""
    gap = float(torch.rand((), generator=stream(seed))) + 0.1
    real, fake = torch.full((1, 1), gap, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    weight = torch.tensor(steepness(gap), dtype=torch.float64, requires_grad=True)
    critic = linear(weight)
    loss = (LOSSES["wasserstein"]().critic(critic(real), critic(fake)) + make(penalty)(critic, real, fake, None)).sum()
    (gradient,) = torch.autograd.grad(loss, weight)
    assert float(gradient) == pytest.approx(0, abs=1e-12)
    assert -loss.item() == pytest.approx(objective(gap), abs=1e-12)


def quadratic(matrix: Tensor, vector: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: ((x @ matrix) * x).sum(1) / 2 + x @ vector


@every_value
@every_seed
def test_quadratic_critic_sample_by_sample(name: str, seed: int):
    half, vector = normal(6, 6, seed=seed), normal(6, seed=seed + 1)
    matrix = half + half.T
    real, fake = pair(8, 6, seed=seed + 2)
    points = points_of(name, real, fake, seed)
    expected = VALUES[name]((points @ matrix + vector).norm(dim=1))
    penalties = make(name)(quadratic(matrix, vector), real, fake, stream(seed))
    torch.testing.assert_close(penalties, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["r1", "r2"])
@every_seed
def test_quadratic_critic_under_a_gaussian(name: str, seed: int):
    half, vector, mean, root = (normal(*s, seed=seed + k) for k, s in enumerate([(4, 4), (4,), (4,), (4, 4)]))
    matrix = half + half.T
    samples = mean + normal(40_000, 4, seed=seed + 9) @ root.T  # covariance root·rootᵀ
    penalties = 2 * make(name)(quadratic(matrix, vector), samples, samples, None)
    expected = (matrix @ mean + vector).square().sum() + torch.trace(matrix @ root @ root.T @ matrix)
    assert abs(penalties.mean() - expected) < 4 * penalties.std() / len(penalties) ** 0.5


# --- each sample on its own ------------------------------------------------------------------------


@every_penalty
@every_seed
def test_value_does_not_depend_on_the_batch(name: str, seed: int):
    critic, penalty = network(seed), make(name)
    points = penalty.points(*pair(16, 2, 5, 5, seed=seed), stream(seed))
    fixed = dataclasses.replace(penalty, points=at_real)
    together = fixed(critic, points, points, None)
    alone = torch.cat([fixed(critic, point[None], point[None], None) for point in points])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


@every_seed
def test_patch_scores_count_as_their_mean(seed: int):
    critic, samples = network(seed, patches=True), normal(4, 2, 5, 5, seed=seed)
    assert critic(samples).shape == (4, 1, 3, 3)
    torch.testing.assert_close(slope(critic, samples), slope(lambda x: critic(x).mean((1, 2, 3)), samples))


def test_the_mean_over_patches_is_not_rounded_to_bfloat16():
    samples = torch.ones(2, 3)
    slopes = slope(lambda x: x.bfloat16(), samples)  # three patches, each the copy of a pixel: ‖(1, 1, 1)/3‖
    torch.testing.assert_close(slopes, torch.full((2,), 3**-0.5), rtol=1e-6, atol=0)


@every_value
@every_seed
@pytest.mark.parametrize("patches", [False, True])
def test_parameter_gradients_equal_a_slow_twin(name: str, seed: int, patches: bool):
    critic = network(seed, patches)
    real, fake = pair(4, 2, 5, 5, seed=seed)
    points = points_of(name, real, fake, seed)

    def slow(parameters: dict[str, Tensor]) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for point in points:
            score = lambda x: functional_call(critic, parameters, (x[None],)).mean()  # noqa: E731
            total = total + VALUES[name](torch.func.grad(score)(point).square().sum().sqrt()) / len(points)
        return total

    twin = torch.func.grad(slow)({key: parameter.detach() for key, parameter in critic.named_parameters()})
    make(name)(critic, real, fake, stream(seed)).mean().backward()
    for key, parameter in critic.named_parameters():
        ours = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(ours, twin[key], rtol=1e-9, atol=1e-12)


# --- where there is no slope -----------------------------------------------------------------------


@every_value
@pytest.mark.parametrize("zeroed", ["all", "last"])
def test_a_flat_critic_gives_the_right_value_and_finite_gradients(name: str, zeroed: str):
    critic = network(0)
    for parameter in critic.parameters() if zeroed == "all" else critic[-1].parameters():
        nn.init.zeros_(parameter)
    penalties = make(name)(critic, *pair(4, 2, 5, 5, seed=0), stream(0))
    torch.testing.assert_close(penalties, VALUES[name](torch.zeros_like(penalties)))
    penalties.mean().backward()
    for parameter in critic.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()


@every_penalty
@pytest.mark.parametrize(
    "critic",
    [
        lambda x: torch.ones(len(x)),
        lambda x: nn.Parameter(torch.ones(len(x))),
        lambda x: x.detach().flatten(1).sum(1),
    ],
)
def test_a_critic_that_ignores_its_input_is_refused(name: str, critic: Callable[[Tensor], Tensor]):
    with pytest.raises(InputError, match="do not depend on its input"):
        make(name)(critic, *pair(4, 3, seed=0), None)


@every_penalty
@pytest.mark.parametrize(
    "critic", [lambda x: x.sum(), lambda x: x.flatten(), lambda x: x.sum(1).mean(0, keepdim=True)]
)
def test_scores_that_are_not_one_row_per_sample_are_refused(name: str, critic: Callable[[Tensor], Tensor]):
    with pytest.raises(InputError, match="wanted"):
        make(name)(critic, *pair(4, 3, seed=0), None)


@pytest.mark.parametrize(("member", "argument"), [("wgan_gp", "weight"), ("r1", "gamma"), ("r2", "gamma")])
@pytest.mark.parametrize("number", [-0.1, float("nan")])
def test_negative_weights_are_refused(member: str, argument: str, number: float):
    with pytest.raises(InputError, match=f"{argument} is {number}"):
        PENALTIES[member](**{argument: number})


# --- what a penalty leaves alone -------------------------------------------------------------------


@every_penalty
@pytest.mark.parametrize("requires_grad", [False, True])
def test_neither_generator_nor_samples_receive_gradients(name: str, requires_grad: bool):
    critic, generator = network(0), nn.Linear(3, 50).double()
    real = normal(4, 2, 5, 5, seed=0).requires_grad_(requires_grad)
    fake = generator(normal(4, 3, seed=1)).view(4, 2, 5, 5)
    fake.retain_grad()
    make(name)(critic, real, fake, None).mean().backward()
    assert any(parameter.grad is not None for parameter in critic.parameters())
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert real.grad is None
    assert fake.grad is None
    assert real.requires_grad == requires_grad
    assert fake.requires_grad


@every_value
def test_no_grad_callers_get_the_value(name: str):
    critic, (real, fake) = network(0), pair(4, 2, 5, 5, seed=0)
    expected = make(name)(critic, real, fake, stream(0))
    with torch.no_grad():
        penalties = make(name)(critic, real, fake, stream(0))
    assert not penalties.requires_grad
    torch.testing.assert_close(penalties, expected.detach())


@every_penalty
@pytest.mark.parametrize("fake_dtype", [torch.float32, torch.bfloat16])
def test_autocast_critic_gives_a_float32_penalty(name: str, fake_dtype: torch.dtype):
    critic = network(0).float()
    real, fake = (samples.float() for samples in pair(4, 2, 5, 5, seed=0))
    with torch.autocast("cpu", torch.bfloat16):
        assert critic(real).dtype == torch.bfloat16
        penalties = make(name)(critic, real, fake.to(fake_dtype), stream(0))
    assert penalties.dtype == torch.float32
    exact = make(name)(critic, real, fake, stream(0))
    torch.testing.assert_close(penalties, exact, rtol=0.05, atol=0.05)


# --- the points ------------------------------------------------------------------------------------


@every_shape
def test_points_lie_on_the_segment_one_share_per_sample(shape: tuple[int, ...]):
    real, fake = pair(*shape, seed=0)
    shares = ((between(real, fake, stream(5)) - fake) / (real - fake)).flatten(1)
    torch.testing.assert_close(shares, shares[:, :1].expand_as(shares), rtol=0, atol=1e-9)
    u = torch.rand(shape[0], generator=stream(5), dtype=torch.float64)
    torch.testing.assert_close(shares[:, 0], u, rtol=0, atol=1e-9)


def test_shares_are_uniform_and_reproducible():
    real, fake = torch.ones(20_000, 1), torch.zeros(20_000, 1)
    shares = between(real, fake, stream(1))
    assert torch.equal(shares, between(real, fake, stream(1)))
    assert not torch.equal(shares, between(real, fake, stream(2)))
    assert (shares >= 0).all()
    assert (shares <= 1).all()
    # Kolmogorov-Smirnov: sqrt(N)·sup|F - u| exceeds 1.95 with probability 0.001
    ranks = torch.arange(1, 20_001) / 20_000
    assert (shares.flatten().sort().values - ranks).abs().max() < 1.95 / 20_000**0.5


def test_points_need_equal_shapes():
    with pytest.raises(InputError, match=r"real has shape \[4, 2\] and fake \[4, 3\]"):
        between(torch.zeros(4, 2), torch.zeros(4, 3), None)


def test_points_of_r1_and_r2():
    real, fake = pair(4, 3, seed=0)
    assert at_real(real, fake, None) is real
    assert at_fake(real, fake, None) is fake


def test_slope_of_reuses_a_forward_pass():
    critic, samples = network(0), normal(4, 2, 5, 5, seed=0).requires_grad_()
    torch.testing.assert_close(slope_of(critic(samples), samples), slope(critic, samples), rtol=0, atol=0)
