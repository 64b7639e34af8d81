"""The mathematics of the penalties on scores and on weights, and of a penalty on part of a batch."""

import functools
import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from adversarium.errors import InputError
from adversarium.penalties import PENALTIES, LeCam, Penalty, around, lecam, on_fraction, shift_and_flip

every_seed = pytest.mark.parametrize("seed", range(3))

make = functools.cache(lambda name, **arguments: PENALTIES[name](**arguments))  # a call compiles type checks


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=stream(seed), dtype=torch.float64)


def within(values: Tensor, expected: Tensor | float, errors: float = 4) -> bool:
    """Whether a mean is the expected one, to so many standard errors."""
    return abs(values.mean() - expected) < errors * values.std() / len(values) ** 0.5


def scored(samples: Tensor) -> Tensor:
    """A critic whose scores are the samples themselves."""
    return samples


# --- noise -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["noise_r1", "noise_r2"])
@every_seed
def test_noise_on_a_linear_critic_is_r1_at_any_std(name: str, seed: int):
    weight = normal(6, seed=seed)
    samples = normal(40_000, 6, seed=seed + 1)
    values = make(name, gamma=1.7, std=0.8)(lambda x: x @ weight + 0.3, samples, samples, stream(seed))
    assert within(values, 1.7 / 2 * weight.square().sum())


@pytest.mark.parametrize("name", ["noise_r1", "noise_r2"])
@every_seed
def test_noise_on_a_quadratic_critic_has_a_closed_form(name: str, seed: int):
    """D = ½xᵀAx + bᵀx: E((D(x + σε) - D(x))/σ)² = ‖Ax + b‖² + σ²/4·(tr(A)² + 2·tr(A²))."""
    half, vector, point = normal(4, 4, seed=seed), normal(4, seed=seed + 1), normal(4, seed=seed + 2)
    matrix = half + half.T
    here, elsewhere = point.expand(100_000, 4), torch.zeros(100_000, 4, dtype=torch.float64)
    real, fake = (here, elsewhere) if name == "noise_r1" else (elsewhere, here)
    values = make(name, gamma=1.0, std=0.5)(
        lambda x: ((x @ matrix) * x).sum(1) / 2 + x @ vector, real, fake, stream(seed)
    )
    bend = matrix.trace() ** 2 + 2 * (matrix @ matrix).trace()
    assert within(values, ((matrix @ point + vector).square().sum() + 0.25 / 4 * bend) / 2)


def test_noise_needs_no_derivative_by_the_input():
    weight = normal(3, seed=0).requires_grad_()

    def critic(samples: Tensor) -> Tensor:
        assert not samples.requires_grad
        return samples @ weight

    real = normal(5, 3, seed=1).requires_grad_()
    make("noise_r1")(critic, real, real, stream(0)).mean().backward()
    assert weight.grad is not None
    assert real.grad is None


# --- LeCam -----------------------------------------------------------------------------------------


def slow_lecam(
    batches: list[tuple[Tensor, Tensor]], weight: float, decay: float, one_sided: bool
) -> list[tuple[list[float], float, float]]:
    """Each batch's values and the anchors after it, by the formula, with numbers."""
    anchors: tuple[float, float] | None = None
    history = []
    for real, fake in batches:
        mean_real, mean_fake = sum(real.tolist()) / len(real), sum(fake.tolist()) / len(fake)
        at_real, at_fake = anchors or (mean_real, mean_fake)
        values = []
        for r, s in zip(real.tolist(), fake.tolist(), strict=True):
            if one_sided:
                values.append(weight * (max(0.0, r - at_fake) ** 2 + max(0.0, at_real - s) ** 2))
            else:
                values.append(weight * ((r - at_fake) ** 2 + (s - at_real) ** 2))
        anchors = decay * at_real + (1 - decay) * mean_real, decay * at_fake + (1 - decay) * mean_fake
        history.append((values, *anchors))
    return history


@pytest.mark.parametrize("one_sided", [False, True])
@every_seed
def test_lecam_equals_a_slow_twin_and_goes_on_from_its_state(one_sided: bool, seed: int):
    penalty = lecam(weight=0.7, decay=0.8, one_sided=one_sided).double()
    batches = [(normal(4, seed=100 * seed + k) + 1, normal(4, seed=100 * seed + k + 50) - 1) for k in range(12)]
    for step, (batch, expected) in enumerate(zip(batches, slow_lecam(batches, 0.7, 0.8, one_sided), strict=True)):
        if step == 6:
            resumed = LeCam(0.7, 0.8, one_sided).double()
            resumed.load_state_dict(penalty.state_dict())
            penalty = resumed
        values = penalty(scored, *batch, None)
        torch.testing.assert_close(values, torch.tensor(expected[0], dtype=torch.float64), rtol=1e-12, atol=1e-12)
        assert penalty.real_anchor.item() == pytest.approx(expected[1], abs=1e-12)
        assert penalty.fake_anchor.item() == pytest.approx(expected[2], abs=1e-12)
        assert penalty.updates.item() == step + 1


def test_lecam_with_anchors_that_stand_couples_no_samples():
    penalty = lecam(decay=1.0).double()
    penalty(scored, normal(4, seed=0), normal(4, seed=1), None)
    real, fake = normal(8, seed=2), normal(8, seed=3)
    alone = torch.cat([penalty(scored, r[None], s[None], None) for r, s in zip(real, fake, strict=True)])
    torch.testing.assert_close(penalty(scored, real, fake, None), alone)


def test_lecam_moves_only_in_training_and_has_no_gradient_through_its_anchors():
    penalty = lecam().double()
    real, fake = normal(4, seed=0).requires_grad_(), normal(4, seed=1)
    with torch.no_grad():
        penalty(scored, real, fake, None)
    penalty.eval()(scored, real, fake, None)
    assert penalty.updates == 0
    penalty.train()
    values = penalty.from_scores(scored, real, fake, None, real, fake)  # the first batch: its own means
    (gradient,) = torch.autograd.grad(values.sum(), real)
    torch.testing.assert_close(gradient, 0.6 * (real - fake.mean()).detach())
    assert not penalty.real_anchor.requires_grad
    assert set(penalty.state_dict()) == {"real_anchor", "fake_anchor", "updates"}


def test_sides_of_different_size_are_refused():
    for name in ("lecam", "bcr"):
        with pytest.raises(InputError, match="4 real and 3 fake"):
            PENALTIES[name]()(lambda x: x.mean((1, 2, 3)), torch.zeros(4, 1, 2, 2), torch.zeros(3, 1, 2, 2), None)


# --- consistency -----------------------------------------------------------------------------------


def doubled(samples: Tensor, rng: torch.Generator | None) -> Tensor:
    return 2 * samples


@every_seed
def test_consistency_of_a_linear_critic(seed: int):
    """T(x) = 2x: D(x) - D(T(x)) = -w·x."""
    weight, real, fake = normal(3, seed=seed), normal(5, 3, seed=seed + 1), normal(5, 3, seed=seed + 2)

    def critic(samples: Tensor) -> Tensor:
        return samples @ weight + 0.3

    values = make("cr", weight=1.3, augment=doubled)(critic, real, fake, None)
    torch.testing.assert_close(values, 1.3 * (real @ weight).square())
    values = make("bcr", real_weight=1.3, fake_weight=0.2, augment=doubled)(critic, real, fake, None)
    torch.testing.assert_close(values, 1.3 * (real @ weight).square() + 0.2 * (fake @ weight).square())


def test_the_gradient_flows_through_both_scores():
    weight = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    real = normal(4, 2, seed=0)
    make("cr", weight=1.0, augment=doubled)(lambda x: x @ weight, real, real, None).sum().backward()
    torch.testing.assert_close(weight.grad, (2 * (real @ weight)[:, None] * real).sum(0).detach())


def test_a_critic_that_does_not_see_place_or_side_costs_nothing():
    images = torch.zeros(16, 2, 16, 16, dtype=torch.float64)
    images[:, :, 6:10, 6:10] = normal(16, 2, 4, 4, seed=0)  # far enough from the edge for any shift
    for name in ("cr", "bcr"):
        values = make(name)(lambda x: x.square().sum((1, 2, 3)), images, images, stream(0))
        torch.testing.assert_close(values, torch.zeros(16, dtype=torch.float64), rtol=0, atol=1e-20)


def test_shift_and_flip_moves_each_image_by_its_own_whole_pixels():
    """Each result is one of the 9·9·2 images that a slow search makes, and all kinds occur."""
    image = normal(1, 1, 9, 7, seed=0)
    moved = shift_and_flip(image.expand(600, 1, 9, 7), stream(0))
    found = []
    candidates = {}
    for down, right, mirrored in itertools.product(range(-4, 5), range(-4, 5), (False, True)):
        candidate = torch.empty(9, 7, dtype=torch.float64)
        for row, column in itertools.product(range(9), range(7)):
            from_column = min(max(column - right, 0), 6)
            from_row = min(max(row - down, 0), 8)
            candidate[row, column] = image[0, 0, from_row, 6 - from_column if mirrored else from_column]
        candidates[down, right, mirrored] = candidate
    stacked = torch.stack(list(candidates.values()))
    for each in moved:
        (matches,) = (stacked == each).flatten(1).all(1).nonzero(as_tuple=True)
        assert len(matches) == 1
        found.append(list(candidates)[int(matches)])
    assert {down for down, _, _ in found} == {right for _, right, _ in found} == set(range(-4, 5))
    assert len({(down, right) for down, right, _ in found}) > 75  # of 81: the two are drawn apart
    assert 240 < sum(mirrored for _, _, mirrored in found) < 360  # 5 standard deviations
    assert torch.equal(moved, shift_and_flip(image.expand(600, 1, 9, 7), stream(0)))


def test_shift_and_flip_is_differentiable_and_keeps_small_images_and_dtypes():
    images = normal(3, 2, 2, 1, seed=0).requires_grad_()
    (gradient,) = torch.autograd.grad(shift_and_flip(images, stream(0)).sum(), images)
    assert gradient.sum() == images.numel()
    assert shift_and_flip(images.bfloat16(), stream(0)).dtype == torch.bfloat16
    mirrored = shift_and_flip(images.expand(3, 2, 2, 1), stream(0), pixels=0)
    assert torch.equal(mirrored, images)  # one column: its own mirror


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4), (2, 3, 4, 4, 4)])
def test_shift_and_flip_wants_images(shape: tuple[int, ...]):
    with pytest.raises(InputError, match="wants images"):
        shift_and_flip(torch.zeros(shape))


# --- weights ---------------------------------------------------------------------------------------


def layered(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(), nn.Linear(12, 5), nn.Linear(5, 1)
    ).double()


def matrices(critic: nn.Module) -> list[Tensor]:
    return [each.detach().flatten(1) for name, each in critic.named_parameters() if each.ndim > 1]


SAMPLES = torch.zeros(4, 2, 3, 3, dtype=torch.float64)


@every_seed
def test_spectral_regularisation_is_the_largest_singular_value(seed: int):
    critic = layered(seed)
    values = make("spectral_regularisation", weight=0.3)(critic, SAMPLES, SAMPLES, None)
    expected = sum(0.15 * torch.linalg.svdvals(matrix)[0] ** 2 for matrix in matrices(critic))
    torch.testing.assert_close(values, expected.expand(4))
    values.mean().backward()
    for parameter in critic.parameters():
        if parameter.ndim > 1:  # λ·σ·u·vᵀ
            left, sizes, right = torch.linalg.svd(parameter.detach().flatten(1), full_matrices=False)
            wanted = 0.3 * sizes[0] * torch.outer(left[:, 0], right[0])
            torch.testing.assert_close(parameter.grad.flatten(1), wanted)
        else:
            assert parameter.grad is None


@every_seed
def test_orthogonal_regularisation_by_a_double_loop(seed: int):
    critic = layered(seed)
    forms: dict[str, Callable[[float], float]] = {"frobenius": lambda x: x * x, "absolute": abs}
    for (norm, cost), off_diagonal in itertools.product(forms.items(), [False, True]):
        expected = 0.0
        for matrix in matrices(critic):
            for i, j in itertools.product(range(len(matrix)), repeat=2):
                if i != j or not off_diagonal:
                    expected += 0.2 * cost(float(matrix[i] @ matrix[j]) - (i == j))
        penalty = make("orthogonal_regularisation", weight=0.2, off_diagonal=off_diagonal, norm=norm)
        torch.testing.assert_close(
            penalty(critic, SAMPLES, SAMPLES, None), torch.full((4,), expected, dtype=torch.float64)
        )


def test_orthogonal_weights_cost_nothing_and_scaled_ones_only_on_the_diagonal():
    critic = nn.Sequential(nn.Conv2d(2, 3, 2), nn.Flatten(), nn.Linear(12, 5)).double()
    for layer in (critic[0], critic[2]):
        nn.init.orthogonal_(layer.weight)
    full = make("orthogonal_regularisation", weight=1.0)
    off_diagonal = make("orthogonal_regularisation", weight=1.0, off_diagonal=True)
    assert full(critic, SAMPLES, SAMPLES, None).max() < 1e-20
    with torch.no_grad():
        critic[2].weight.mul_(2)
    assert off_diagonal(critic, SAMPLES, SAMPLES, None).max() < 1e-20
    torch.testing.assert_close(full(critic, SAMPLES, SAMPLES, None), torch.full((4,), 5 * 3.0**2, dtype=torch.float64))


@pytest.mark.parametrize("name", ["spectral_regularisation", "orthogonal_regularisation"])
def test_penalties_on_weights_see_the_weight_in_effect(name: str):
    critic = nn.Sequential(nn.Flatten(), nn.Linear(18, 3)).double()
    with torch.no_grad():
        critic[1].weight.mul_(100)
    parametrizations.spectral_norm(critic[1], n_power_iterations=50)
    plain = nn.Linear(18, 3).double()
    with torch.no_grad():
        plain.weight.copy_(critic.eval()[1].weight)
    penalty = make(name, weight=1.0)
    torch.testing.assert_close(
        penalty(critic, SAMPLES, SAMPLES, None), penalty(plain, SAMPLES, SAMPLES, None), rtol=1e-9, atol=1e-9
    )
    if name == "spectral_regularisation":
        assert penalty(critic, SAMPLES, SAMPLES, None)[0].item() == pytest.approx(0.5, abs=1e-6)
    penalty(critic, SAMPLES, SAMPLES, None).mean().backward()
    assert critic[1].parametrizations.weight.original.grad is not None


@pytest.mark.parametrize("name", ["spectral_regularisation", "orthogonal_regularisation"])
def test_penalties_on_weights_need_weights(name: str):
    with pytest.raises(InputError, match="critic is a function"):
        make(name)(scored, SAMPLES, SAMPLES, None)
    with pytest.raises(InputError, match="no linear or convolutional layer"):
        make(name)(nn.Tanh(), SAMPLES, SAMPLES, None)


@pytest.mark.parametrize("name", ["spectral_regularisation", "orthogonal_regularisation"])
def test_bfloat16_weights_are_judged_in_float32(name: str):
    critic = layered(0).bfloat16()
    exact = layered(0)
    exact.load_state_dict({key: value.double() for key, value in critic.state_dict().items()})
    samples = SAMPLES.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        values = make(name)(critic, samples, samples, None)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values.double(), make(name)(exact, SAMPLES, SAMPLES, None), rtol=1e-5, atol=1e-9)


# --- the noise of DRAGAN ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("noise", "interpolate", "mean", "square"),
    [
        ("one_sided", False, 1 / 2, 1 / 3),
        ("centred", False, 0, 1 / 3),
        ("gaussian", False, 0, 1),
        ("one_sided", True, 1 / 4, 1 / 9),  # E u = 1/2 and E u² = 1/3 of the share
        ("gaussian", True, 0, 1 / 3),
    ],
)
def test_moments_of_the_noise(noise: str, interpolate: bool, mean: float, square: float):
    real = normal(50_000, 2, seed=0) * 3 + 1
    shift = (around(noise, 0.5, None, interpolate)(real, real, stream(1)) - real) / (0.5 * real.std(correction=0))
    assert within(shift[:, 0], mean)
    assert within(shift.square()[:, 1], square)
    fixed = (around(noise, 0.5, 2.0, interpolate)(real, real, stream(1)) - real) / (0.5 * 2.0)
    torch.testing.assert_close(fixed, shift)


# --- part of a batch -------------------------------------------------------------------------------


def ranks(critic: object, real: Tensor, fake: Tensor, rng: torch.Generator | None) -> Tensor:
    """A penalty that shows which rows it was given."""
    assert torch.equal(real + 10, fake)
    return real.flatten()


@pytest.mark.parametrize(
    ("fraction", "count"), [(1e-3, 1), (0.1, 1), (0.11, 2), (0.3, 3), (0.5, 5), (0.7, 7), (0.99, 10), (1.0, 10)]
)
def test_a_fraction_is_rounded_up_and_takes_different_rows(fraction: float, count: int):
    real = torch.arange(10.0)[:, None]
    values = on_fraction(ranks, fraction)(scored, real, real + 10, stream(0))
    assert len(values) == len(set(values.tolist())) == count


@pytest.mark.parametrize("fraction", [0.07, 0.14, 0.28, 0.55, 0.57])
def test_rounding_errors_add_no_row(fraction: float):
    real = torch.arange(100.0)[:, None]
    assert len(on_fraction(ranks, fraction)(scored, real, real + 10, stream(0))) == round(100 * fraction)


def test_the_mean_over_a_fraction_is_unbiased():
    """Each of the 10 pairs of 5 rows comes equally often, and their mean is the whole batch's."""
    real = torch.tensor([0.3, -1.0, 2.0, 0.5, 4.0], dtype=torch.float64)[:, None]
    draws, partial = stream(0), on_fraction(ranks, 0.4)
    drawn = [partial(scored, real, real + 10, draws) for _ in range(3_000)]
    counts: dict[tuple[float, ...], int] = {}
    for values in drawn:
        key = tuple(sorted(values.tolist()))
        counts[key] = counts.get(key, 0) + 1
    assert len(counts) == math.comb(5, 2)
    assert sum((count - 300) ** 2 / 300 for count in counts.values()) < 27.9  # χ² with 9 degrees: p = 0.001
    assert within(torch.stack(drawn).mean(1), real.mean())


def test_a_fraction_of_a_penalty_is_that_penalty_at_those_rows():
    critic = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    real, fake = normal(8, 3, seed=0), normal(8, 3, seed=1)
    penalty: Penalty = PENALTIES["r1"]()
    part, whole = on_fraction(penalty, 0.5)(critic, real, fake, stream(0)), penalty(critic, real, fake, None)
    rows = torch.randperm(8, generator=stream(0))[:4]
    torch.testing.assert_close(part, whole[rows])
    torch.testing.assert_close(on_fraction(penalty, 1.0)(critic, real, fake, None), whole)


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.01, float("nan")])
def test_fractions_that_are_none_are_refused(fraction: float):
    with pytest.raises(InputError, match=f"fraction is {fraction}"):
        on_fraction(ranks, fraction)


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (torch.zeros(0, 3, 8, 8), torch.zeros(0, 3, 8, 8), r"real has shape \[0, 3, 8, 8\]: wanted .* at least 1"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(2, 3, 8, 8), "real has dtype torch.uint8"),
        (torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 8, dtype=torch.int64), "fake has dtype torch.int64"),
    ],
)
def test_samples_that_no_critic_can_score_are_named(name: str, real: torch.Tensor, fake: torch.Tensor, message: str):
    critic = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 1))
    with pytest.raises(InputError, match=message):
        PENALTIES[name]()(critic, real, fake, None)
