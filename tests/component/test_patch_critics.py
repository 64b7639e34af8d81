"""Critics of images and waveforms: what they see, in which order, and who may differentiate them."""

from collections.abc import Callable

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor, nn

from adversarium import penalties
from adversarium.component import (
    MultiPeriodCritic,
    MultiScaleCritic,
    MultiScaleWaveCritic,
    PatchCritic,
    PeriodCritic,
    WaveCritic,
)
from adversarium.errors import InputError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


SEVERAL: dict[str, tuple[Callable[..., nn.Module], tuple[int, ...]]] = {
    "scales": (
        lambda rng: MultiScaleCritic(2, scales=2, width=3, layers=2, normalisation="none", rng=rng),
        (2, 30, 26),
    ),
    "instance": (lambda rng: MultiScaleCritic(1, scales=2, width=3, layers=1, rng=rng), (1, 14, 16)),
    "periods": (lambda rng: MultiPeriodCritic(periods=(2, 3, 5), width=2, rng=rng), (1, 61)),
    "plain periods": (
        lambda rng: MultiPeriodCritic(periods=(1, 4), width=2, weight_normalised=False, rng=rng),
        (1, 50),
    ),
    "waves": (lambda rng: MultiScaleWaveCritic(width=4, layers=2, rng=rng), (1, 75)),
}


def made(name: str, seed: int = 0) -> nn.Module:
    return SEVERAL[name][0](seeded(seed))


def samples_for(name: str, batch: int = 3, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(batch, *SEVERAL[name][1], generator=seeded(7)).to(dtype)


def span(gradient: Tensor) -> int:
    """From the first to the last entry that is not zero."""
    touched = gradient.abs().flatten().nonzero().flatten()
    return int(touched[-1] - touched[0]) + 1


def middle(scores: Tensor) -> Tensor:
    return scores[(0, *(size // 2 for size in scores.shape[1:]))]


@pytest.mark.parametrize(("layers", "patch"), [(1, 16), (2, 34), (3, 70)])
def test_a_patch_is_as_wide_as_published(layers: int, patch: int):
    critic = PatchCritic(1, width=2, layers=layers, normalisation="none", rng=seeded()).double()
    image = torch.randn(1, 1, 160, 150, generator=seeded(1), dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(middle(critic(image)), image)
    assert (span(gradient.sum((0, 1, 3))), span(gradient.sum((0, 1, 2)))) == (patch, patch)


def test_each_scale_sees_twice_as_far():
    critic = MultiScaleCritic(1, width=2, normalisation="none", rng=seeded()).double()
    image = torch.randn(1, 1, 640, 100, generator=seeded(1), dtype=torch.float64, requires_grad=True)
    spans = []
    for scores in critic(image):
        (gradient,) = torch.autograd.grad(middle(scores), image, retain_graph=True)
        spans.append(span(gradient.sum((0, 1, 3))))
    assert spans == [70, 141, 283]  # a pooled pixel adds: (70 - 1)·2 + 3, and so on


def halved(image: Tensor) -> Tensor:
    """The mean over each 3×3 window at every second pixel, of the pixels that exist."""
    height, width = image.shape[2:]
    rows = []
    for y in range(0, height, 2):
        windows = [
            image[:, :, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].flatten(2).mean(2) for x in range(0, width, 2)
        ]
        rows.append(torch.stack(windows, 2))
    return torch.stack(rows, 2)


def test_scales_are_patch_critics_of_halved_images():
    critic = MultiScaleCritic(2, scales=3, width=3, layers=1, rng=seeded()).double()
    image = torch.randn(2, 2, 23, 30, generator=seeded(1), dtype=torch.float64)
    seen = image
    for scores, each in zip(critic(image), critic.critics, strict=True):
        plain = PatchCritic(2, width=3, layers=1, rng=seeded(5)).double()
        plain.load_state_dict(each.state_dict())
        torch.testing.assert_close(scores, plain(seen))
        seen = halved(seen)


def test_wave_scales_are_critics_of_halved_rates():
    critic = MultiScaleWaveCritic(scales=2, width=4, layers=2, rng=seeded()).double()
    wave = torch.randn(2, 1, 90, generator=seeded(1), dtype=torch.float64)
    padded = torch.cat([wave.new_full((2, 1, 1), float("nan")), wave, wave.new_full((2, 1, 1), float("nan"))], 2)
    half = torch.stack([padded[:, :, 2 * t : 2 * t + 4].nanmean(2) for t in range(45)], 2)
    plain = WaveCritic(width=4, layers=2, rng=seeded(5)).double()
    plain.load_state_dict(critic.critics[1].state_dict())
    torch.testing.assert_close(critic(wave)[1], plain(half))


@pytest.mark.parametrize("period", [1, 2, 3, 5, 7, 11])
@pytest.mark.parametrize("length", [11, 22, 35, 38])
def test_a_fold_is_an_index_loop(period: int, length: int):
    wave = torch.randn(2, 1, length, generator=seeded(length))
    folded = PeriodCritic(period, width=1, rng=seeded()).view(wave)
    frames = -(-length // period)
    assert folded.shape == (2, 1, frames, period)
    for t in range(frames * period):
        source = t if t < length else 2 * (length - 1) - t  # the last sample is the mirror
        torch.testing.assert_close(folded[:, 0, t // period, t % period], wave[:, 0, source], rtol=0, atol=0)


@pytest.mark.parametrize("period", [2, 5])
def test_a_period_critic_sees_every_so_many_samples(period: int):
    critic = PeriodCritic(period, width=1, rng=seeded()).double()
    wave = torch.randn(1, 1, 1000 * period, generator=seeded(1), dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(middle(critic(wave)), wave)
    touched = gradient[0, 0].nonzero().flatten()
    assert set((touched % period).tolist()) == {period // 2}
    rows = 3 + 5 - 1  # the head and the layer of stride 1; then four of stride 3
    for _ in range(4):
        rows = 3 * (rows - 1) + 5
    assert span(gradient.view(-1, period).sum(1)) == rows


@pytest.mark.parametrize("name", SEVERAL)
def test_scores_and_features_are_one_pass(name: str):
    critic, samples = made(name), samples_for(name)
    passes = []
    for each in critic.critics:
        each.head.register_forward_hook(lambda *_: passes.append(1))
    scores, features = critic.scores_and_features(samples)
    assert len(passes) == len(critic.critics) == len(scores) == len(features)
    for alone, again, score, layers in zip(critic.critics, critic(samples), scores, features, strict=True):
        torch.testing.assert_close(alone(samples), score)
        torch.testing.assert_close(again, score)
        assert score.shape[0] == len(samples)
        assert score.ndim == samples.ndim - 1 or name.endswith("periods")
        assert len(layers) == len(alone.layers)
        torch.testing.assert_close(alone.head(layers[-1]).squeeze(1), score)


@pytest.mark.parametrize("name", SEVERAL)
def test_samples_are_judged_one_by_one(name: str):
    critic, samples = made(name).double(), samples_for(name, dtype=torch.float64)
    for together, alone in zip(critic(samples), critic(samples[1:2]), strict=True):
        torch.testing.assert_close(together[1:2], alone)


@pytest.mark.parametrize("name", SEVERAL)
def test_weights_come_from_the_stream_alone(name: str):
    before = torch.random.get_rng_state()
    first, second, other = made(name), made(name), made(name, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    pairs = list(zip(first.parameters(), second.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(one, two) for one, two, _ in pairs)
    assert all(not torch.equal(one, three) for one, _, three in pairs if one.ndim > 1)
    filters = [next(each for each in critic.parameters() if each.ndim > 1) for critic in first.critics]
    assert not torch.equal(filters[0], filters[1])  # critics do not share their weights


@pytest.mark.parametrize("name", SEVERAL)
def test_penalties_take_each_critic(name: str):
    critic, real = made(name).double(), samples_for(name, dtype=torch.float64)
    for each in critic.critics:
        penalty = penalties.r1(gamma=2.0)(each, real, real, seeded())
        points = real.clone().requires_grad_(True)
        value = each(points).flatten(1).mean(1).sum()
        (gradient,) = torch.autograd.grad(value, points, create_graph=True)
        wanted = gradient.square().flatten(1).sum(1)
        torch.testing.assert_close(penalty, wanted)
        weights = [weight for weight in each.layers.parameters() if weight.ndim > 1]
        found = torch.autograd.grad(penalty.sum(), weights)
        for one, two in zip(found, torch.autograd.grad(wanted.sum(), weights), strict=True):
            assert one.abs().max() > 0
            torch.testing.assert_close(one, two)


def test_gradient_penalties_refuse_batch_norm():
    critic = PatchCritic(1, width=2, layers=1, normalisation="batch", rng=seeded())
    image = torch.randn(2, 1, 16, 16, generator=seeded())
    with pytest.raises(InputError, match="(?i)batch"):
        penalties.r1()(critic, image, image, seeded())


LEAST: list[tuple[Callable[[], nn.Module], Callable[[int], tuple[int, ...]], int]] = [
    (lambda: PatchCritic(1, width=2, rng=seeded()), lambda n: (1, n, 200), 24),
    (lambda: PatchCritic(1, width=2, layers=1, rng=seeded()), lambda n: (1, 200, n), 6),
    (lambda: MultiScaleCritic(1, width=2, rng=seeded()), lambda n: (1, n, n), 93),
    (lambda: MultiPeriodCritic(width=1, rng=seeded()), lambda n: (1, n), 11),
    (lambda: MultiScaleWaveCritic(width=4, rng=seeded()), lambda n: (1, n), 32),
]


@pytest.mark.parametrize(("build", "shape", "least"), LEAST)
def test_the_least_size_works_and_one_less_is_named(build, shape, least: int):
    critic = build()
    scores = critic(torch.randn(2, *shape(least), generator=seeded()))
    assert all(each.isfinite().all() for each in scores)
    with pytest.raises(InputError, match=rf"wanted at least {least}"):
        critic(torch.randn(2, *shape(least - 1), generator=seeded()))


def test_sizes_between_scales():
    """Every size from the least on leaves something at each scale."""
    critic = MultiScaleCritic(1, scales=2, width=2, layers=1, rng=seeded())
    for size in range(11, 27):
        assert all(min(scores.shape[1:]) >= 1 for scores in critic(torch.randn(1, 1, size, size, generator=seeded())))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PatchCritic(3, width=2, rng=seeded())(torch.zeros(1, 1, 64, 64)), r"wanted images \[B, 3, H, W\]"),
        (lambda: PeriodCritic(2, rng=seeded())(torch.zeros(1, 64)), r"\[1, 64\]: wanted waveforms \[B, 1, T\]"),
        (lambda: PatchCritic(0, rng=seeded()), "channels is 0"),
        (lambda: PatchCritic(1, layers=0, rng=seeded()), "layers is 0"),
        (lambda: PatchCritic(1, shrink=-1, rng=seeded()), "shrink is -1"),
        (lambda: MultiScaleCritic(1, scales=0, rng=seeded()), "scales is 0"),
        (lambda: MultiPeriodCritic(periods=(), rng=seeded()), "no periods"),
        (lambda: MultiPeriodCritic(periods=(2, 0), width=1, rng=seeded()), "period is 0"),
        (lambda: MultiScaleWaveCritic(width=6, rng=seeded()), "multiple of 4"),
        (lambda: MultiScaleWaveCritic(scales=0, rng=seeded()), "scales is 0"),
    ],
)
def test_what_cannot_be_meant(call, message: str):
    with pytest.raises(InputError, match=message):
        call()


def test_an_unknown_normalisation():
    with pytest.raises((InputError, TypeCheckError), match="'instance'"):
        PatchCritic(3, normalisation="instanse", rng=seeded())
