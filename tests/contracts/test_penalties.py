"""The contract of every member of PENALTIES: one value per sample, its mathematics, and what it must leave alone.

A new member runs through the suite by being in the dict; a variant is one line in VARIANTS. VALUES says what each
gradient penalty makes of a slope, ``points_of`` where it is taken. The other members' mathematics is tested in
test_score_penalties.py.
"""

import copy
import dataclasses
import functools
import inspect
from collections.abc import Callable

import pytest
import torch
from labelled_critics import LABELLED, OnLabels
from torch import Tensor, nn
from torch.func import functional_call

from adversarium.errors import InputError
from adversarium.losses import LOSSES
from adversarium.penalties import (
    BATCH_STATISTICS,
    PENALTIES,
    FromScores,
    GradientPenalty,
    Penalty,
    at_fake,
    at_real,
    between,
    slope,
    slope_of,
)


def mirror(samples: Tensor, rng: torch.Generator | None) -> Tensor:
    """An augmentation for samples of any shape."""
    return samples.flip(-1) + 0.1


VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "wgan_gp(weight)": ("wgan_gp", {"weight": 0.37}),
    "wgan_gp(one_sided)": ("wgan_gp", {"weight": 2.5, "one_sided": True}),
    "r1(gamma)": ("r1", {"gamma": 3.1}),
    "r2(gamma)": ("r2", {"gamma": 0.2}),
    "r1(0)": ("r1", {"gamma": 0.0}),
    "zero_centred(weight)": ("zero_centred", {"weight": 0.7}),
    "dragan(std)": ("dragan", {"weight": 3.0, "noise": "centred", "spread": 0.4, "std": 0.3}),
    "dragan(gaussian)": ("dragan", {"noise": "gaussian", "std": 1.2}),
    "dragan(interpolate)": ("dragan", {"interpolate": True}),
    "max_gradient(weight)": ("max_gradient", {"weight": 2.2}),
    "wgan_div(k, p)": ("wgan_div", {"k": 0.3, "p": 1.0}),
    "noise_r1(gamma)": ("noise_r1", {"gamma": 3.0, "std": 0.3}),
    "lecam(one_sided)": ("lecam", {"weight": 0.9, "decay": 0.5, "one_sided": True}),
    "cr(augment)": ("cr", {"weight": 0.3, "augment": mirror}),
    "bcr(augment)": ("bcr", {"real_weight": 0.3, "fake_weight": 2.0, "augment": mirror}),
    "orthogonal_regularisation(off_diagonal)": ("orthogonal_regularisation", {"off_diagonal": True}),
    "orthogonal_regularisation(absolute)": ("orthogonal_regularisation", {"norm": "absolute"}),
    "acgan_critic(real)": ("acgan_critic", {"weight": 0.3, "fake": False}),
    "contrastive_critic(temperature)": ("contrastive_critic", {"weight": 0.3, "temperature": 0.5}),
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
    "zero_centred": lambda n: 10 * n**2,
    "zero_centred(weight)": lambda n: 0.7 * n**2,
    "dragan": lambda n: 10 * (n - 1) ** 2,
    "dragan(std)": lambda n: 3 * (n - 1) ** 2,
    "dragan(gaussian)": lambda n: 10 * (n - 1) ** 2,
    "dragan(interpolate)": lambda n: 10 * (n - 1) ** 2,
    "max_gradient": lambda n: n.max().expand(n.shape) ** 2,
    "max_gradient(weight)": lambda n: 2.2 * n.max().expand(n.shape) ** 2,
    "wgan_div": lambda n: 2 * n**6,
    "wgan_div(k, p)": lambda n: 0.3 * n,
}
SHAPES = [(1, 5), (4, 3), (2, 1, 28, 28), (3, 3, 4, 6), (5, 7, 2, 3), (2, 2, 3, 4, 5)]  # N, then any sample
IMAGES_ONLY = {"cr", "bcr"}
COUPLED = {"dragan", "dragan(interpolate)", "max_gradient", "max_gradient(weight)", "lecam", "lecam(one_sided)"}
COUPLED |= {"contrastive_critic", "contrastive_critic(temperature)"}

every_penalty = pytest.mark.parametrize("name", CASES)
every_value = pytest.mark.parametrize("name", VALUES)
every_shape = pytest.mark.parametrize("shape", SHAPES)
every_seed = pytest.mark.parametrize("seed", range(3))


@functools.cache  # under the import hook a factory compiles its type checks at each call
def _made(name: str) -> Penalty:
    member, arguments = CASES[name]
    penalty = PENALTIES[member](**arguments)
    return OnLabels(penalty) if member in LABELLED else penalty


def make(name: str) -> Penalty:
    """Return a penalty with its state as new."""
    return copy.deepcopy(_made(name))


def points_of(name: str, real: Tensor, fake: Tensor, seed: int) -> Tensor:
    """Return where a penalty takes the slope, computed apart from it."""
    member, arguments = CASES[name]
    if member in ("r1", "r2"):
        return {"r1": real, "r2": fake}[member]
    draws, shares = stream(seed), (len(real),) + (1,) * (real.ndim - 1)
    if member != "dragan":
        u = torch.rand(shares, generator=draws, dtype=real.dtype)
        return u * real + (1 - u) * fake
    if arguments.get("noise") == "gaussian":
        noise = torch.randn(real.shape, generator=draws, dtype=real.dtype)
    else:
        noise = torch.rand(real.shape, generator=draws, dtype=real.dtype)
    if arguments.get("noise") == "centred":
        noise = 2 * (noise - 0.5)
    if arguments.get("interpolate"):
        noise = noise * torch.rand(shares, generator=draws, dtype=real.dtype)
    spread = (real - real.mean()).square().mean().sqrt()
    return real + arguments.get("spread", 0.5) * arguments.get("std", spread) * noise


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=stream(seed), dtype=torch.float64)


def pair(*shape: int, seed: int) -> tuple[Tensor, Tensor]:
    return normal(*shape, seed=seed), normal(*shape, seed=seed + 100) + 1


def linear(weight: Tensor, bias: float = 0.3) -> Callable[[Tensor], Tensor]:
    return lambda samples: (samples * weight).flatten(1).sum(1) + bias


def network(seed: int, patches: bool = False) -> nn.Sequential:
    """Return a small smooth critic of [B, 2, 5, 5]: one score per sample, or a map of scores."""
    torch.manual_seed(seed)
    head = [nn.Conv2d(3, 1, 2)] if patches else [nn.Flatten(), nn.Linear(48, 1)]
    return nn.Sequential(nn.Conv2d(2, 3, 2), nn.Tanh(), *head).double()


def flat_network(shape: tuple[int, ...], seed: int) -> nn.Module:
    """Return a small smooth critic of samples of any shape."""
    torch.manual_seed(seed)
    width = torch.Size(shape[1:]).numel()
    return nn.Sequential(nn.Flatten(), nn.Linear(width, 3), nn.Tanh(), nn.Linear(3, 1), nn.Flatten(0)).double()


class MeanOfPatches(nn.Module):
    """A critic of one score: the mean of another's patches."""

    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic = critic

    def forward(self, samples: Tensor) -> Tensor:
        return self.critic(samples).flatten(1).mean(1)


def test_the_tables_name_the_members():
    assert {name for name in VALUES if name in PENALTIES} == {
        name for name in PENALTIES if isinstance(make(name), GradientPenalty)
    }
    assert COUPLED & set(PENALTIES) == BATCH_STATISTICS & set(PENALTIES)


# --- one value per sample --------------------------------------------------------------------------


@every_penalty
@every_shape
def test_one_finite_value_per_sample_of_any_shape(name: str, shape: tuple[int, ...]):
    critic, (real, fake) = flat_network(shape, 0), pair(*shape, seed=0)
    if name in IMAGES_ONLY and len(shape) != 4:
        with pytest.raises(InputError, match="augment="):
            make(name)(critic, real, fake, stream(0))
        return
    values = make(name)(critic, real, fake, stream(0))
    assert values.shape == shape[:1]
    assert values.dtype == real.dtype
    assert values.isfinite().all()
    assert (values >= 0).all()
    repeated = make(name)(critic, real, fake, stream(0))
    torch.testing.assert_close(values, repeated, rtol=0, atol=0)


@every_penalty
@every_seed
def test_a_value_does_not_depend_on_the_other_samples(name: str, seed: int):
    """Except where the table says that it is a statistic of the batch: there it does."""
    critic = network(seed)
    real, fake = pair(8, 2, 5, 5, seed=seed)
    values = make(name)(critic, real, fake, stream(seed))
    moved = []
    for factor in (3.0, 0.1, -3.0):
        factors = torch.tensor([1.0] * 4 + [factor] * 4, dtype=torch.float64)[:, None, None, None]
        others = make(name)(critic, real * factors, fake * factors, stream(seed))
        moved.append((values - others)[:4].abs().max() / values[:4].abs().max())
    assert (max(moved) > 1e-6) == (name in COUPLED)


@every_penalty
def test_patches_count_as_their_mean(name: str):
    critic, (real, fake) = network(0, patches=True), pair(4, 2, 5, 5, seed=0)
    values = make(name)(critic, real, fake, stream(0))
    assert values.shape == (4,)
    torch.testing.assert_close(values, make(name)(MeanOfPatches(critic), real, fake, stream(0)))


@every_penalty
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_huge_scores_give_finite_values_and_gradients(name: str, size: float):
    critic = network(0).float()
    with torch.no_grad():
        critic[-1].weight.mul_(size)
        critic[-1].bias.fill_(size)
    real, fake = (samples.float() for samples in pair(4, 2, 5, 5, seed=0))
    assert critic(real).abs().max() > 1e3
    values = make(name)(critic, real, fake, stream(0))
    assert values.isfinite().all()
    values.mean().backward()
    for parameter in critic.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()


@pytest.mark.parametrize("name", [name for name in CASES if isinstance(_made(name), FromScores)])
def test_scores_at_hand_give_the_same_with_fewer_passes(name: str):
    penalty, critic = make(name), network(0)
    passes: list[int] = []
    critic.register_forward_hook(lambda *call: passes.append(1))
    real, fake = pair(4, 2, 5, 5, seed=0)
    values = penalty(critic, real, fake, stream(0))
    alone = len(passes)
    scores = {side: critic(x) if side in penalty.reads else None for side, x in (("real", real), ("fake", fake))}
    passes.clear()
    given = make(name).from_scores(critic, real, fake, stream(0), scores["real"], scores["fake"])
    torch.testing.assert_close(given, values, rtol=0, atol=0)
    assert len(passes) == alone - len(penalty.reads)
    if penalty.reads:
        with pytest.raises(InputError, match="scores is None"):
            make(name).from_scores(critic, real, fake, stream(0), None, None)


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


# --- the slope of each sample on its own -----------------------------------------------------------


@every_value
@every_seed
def test_value_does_not_depend_on_the_batch(name: str, seed: int):
    critic, penalty = network(seed), make(name)
    points = penalty.points(*pair(16, 2, 5, 5, seed=seed), stream(seed))
    fixed = dataclasses.replace(penalty, points=at_real)
    together = fixed(critic, points, points, None)
    alone = torch.cat([fixed(critic, point[None], point[None], None) for point in points])
    if CASES[name][0] == "max_gradient":
        alone = alone.max().expand(16)
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
        score = lambda x: functional_call(critic, parameters, (x[None],)).mean()  # noqa: E731
        slopes = [torch.func.grad(score)(point).square().sum().sqrt() for point in points]
        return VALUES[name](torch.stack(slopes)).mean()

    twin = torch.func.grad(slow)({key: parameter.detach() for key, parameter in critic.named_parameters()})
    make(name)(critic, real, fake, stream(seed)).mean().backward()
    for key, parameter in critic.named_parameters():
        ours = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(ours, twin[key], rtol=1e-9, atol=1e-12)


# --- where there is no slope -----------------------------------------------------------------------


@every_penalty
@pytest.mark.parametrize("zeroed", ["all", "last"])
def test_a_flat_critic_gives_the_right_value_and_finite_gradients(name: str, zeroed: str):
    critic, penalty = network(0), make(name)
    for parameter in critic.parameters() if zeroed == "all" else critic[-1].parameters():
        nn.init.zeros_(parameter)
    penalties = penalty(critic, *pair(4, 2, 5, 5, seed=0), stream(0))
    # a penalty on weights sees more than the scores, and one on classes what all scores being equal says of them
    if "regularisation" not in name and CASES[name][0] not in LABELLED:
        no_slope = torch.zeros_like(penalties)
        torch.testing.assert_close(penalties, VALUES[name](no_slope) if name in VALUES else no_slope)
    assert penalties.isfinite().all()
    penalties.mean().backward()
    for parameter in critic.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()


@every_value
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


@every_value
@pytest.mark.parametrize(
    "critic", [lambda x: x.sum(), lambda x: x.flatten(), lambda x: x.sum(1).mean(0, keepdim=True)]
)
def test_scores_that_are_not_one_row_per_sample_are_refused(name: str, critic: Callable[[Tensor], Tensor]):
    with pytest.raises(InputError, match="wanted"):
        make(name)(critic, *pair(4, 3, seed=0), None)


WEIGHTS = ("weight", "gamma", "k", "real_weight", "fake_weight", "spread")


@pytest.mark.parametrize(
    ("member", "argument"),
    [
        (name, each)
        for name, make in PENALTIES.items()
        for each in inspect.signature(make).parameters
        if each in WEIGHTS
    ],
)
@pytest.mark.parametrize("number", [-0.1, float("nan")])
def test_negative_weights_are_refused(member: str, argument: str, number: float):
    with pytest.raises(InputError, match=f"{argument} is {number}"):
        PENALTIES[member](**{argument: number})


@pytest.mark.parametrize(
    ("member", "argument", "wrong"),
    [
        ("dragan", "std", -1.0),
        ("wgan_div", "p", 0.5),
        ("noise_r1", "std", 0.0),
        ("noise_r2", "std", float("nan")),
        ("lecam", "decay", 1.1),
    ],
)
def test_other_arguments_that_make_no_sense_are_refused(member: str, argument: str, wrong: object):
    with pytest.raises(InputError, match=f"{argument}.*{wrong}"):
        PENALTIES[member](**{argument: wrong})


# --- what a penalty leaves alone -------------------------------------------------------------------


@every_penalty
@pytest.mark.parametrize("requires_grad", [False, True])
def test_neither_generator_nor_samples_receive_gradients(name: str, requires_grad: bool):
    critic, generator = network(0), nn.Linear(3, 50).double()
    real = normal(4, 2, 5, 5, seed=0).requires_grad_(requires_grad)
    fake = generator(normal(4, 3, seed=1)).view(4, 2, 5, 5)
    fake.retain_grad()
    make(name)(critic, real, fake, stream(0)).mean().backward()
    assert any(parameter.grad is not None for parameter in critic.parameters())
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert real.grad is None
    assert fake.grad is None
    assert real.requires_grad == requires_grad
    assert fake.requires_grad


@every_penalty
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
    assert penalties.isfinite().all()
    if name == "noise_r1" or name == "noise_r2":
        return  # their convention: bfloat16 scores do not resolve so little noise
    exact = make(name)(critic, real, fake, stream(0))
    torch.testing.assert_close(penalties, exact, rtol=0.05, atol=0.05)


@every_penalty
def test_a_bfloat16_critic_gives_a_float32_penalty(name: str):
    critic = network(0).bfloat16()
    real, fake = (samples.bfloat16() for samples in pair(4, 2, 5, 5, seed=0))
    penalties = make(name)(critic, real, fake, stream(0))
    assert penalties.dtype == torch.float32
    assert penalties.isfinite().all()
    penalties.mean().backward()


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
