"""Critics that are autoencoders: scores are minus reconstruction errors, codes are at hand, a signal gets through."""

import pytest
import torch
from torch import nn

from adversarium.errors import InputError
from adversarium.nets import NETWORKS, autoencoder, parts_of
from adversarium.nets.autoencoder import AutoencoderCritic

CASES = [
    *(("autoencoder", shape) for shape in ((1, 28, 28), (3, 32, 32), (2, 64, 64))),
    *(("vector-autoencoder", (width,)) for width in (1, 2, 9)),
]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize(("name", "shape"), CASES)
def test_shapes_and_parts(name: str, shape: tuple[int, ...], batch_norm: bool):
    family = NETWORKS[name]
    generator = family.generator(shape, 6, width=4, batch_norm=batch_norm, rng=rng())
    critic = family.critic(shape, width=4, batch_norm=batch_norm, rng=rng())
    samples = generator(torch.randn(3, 6, generator=rng()))
    assert samples.shape == critic.reconstruct(samples).shape == (3, *shape)
    assert critic(samples).shape == (3,)
    assert critic.encode(samples).shape == (3, 64 if len(shape) == 3 else max(1, shape[0] // 2))
    assert parts_of(generator) == parts_of(critic) == ({"batch_norm"} if batch_norm else frozenset())


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0])
@pytest.mark.parametrize(("name", "shape"), [CASES[0], CASES[-1]])
def test_the_score_is_minus_the_mean_error(name: str, shape: tuple[int, ...], power: float):
    critic = NETWORKS[name].critic(shape, width=4, batch_norm=False, rng=rng(), power=power).double()
    samples = torch.randn(3, *shape, generator=rng(), dtype=torch.float64)
    copies = critic.decoder(critic.encode(samples)).detach()
    for score, sample, copied in zip(critic(samples).detach(), samples, copies, strict=True):
        gaps = [abs(float(a) - float(b)) ** power for a, b in zip(sample.flatten(), copied.flatten(), strict=True)]
        assert float(score) == pytest.approx(-sum(gaps) / len(gaps))


def test_a_perfect_copy_has_the_highest_score_and_no_slope():
    critic = AutoencoderCritic(nn.Identity(), nn.Identity(), power=1.5)
    samples = torch.randn(3, 4, generator=rng(), requires_grad=True)
    scores = critic(samples)
    assert not scores.any()
    (slope,) = torch.autograd.grad(scores.sum(), samples, create_graph=True)
    assert not slope.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_errors_are_averaged_in_single_precision(dtype: torch.dtype):
    """In bfloat16 the sum of 784 errors would keep two digits."""
    critic = autoencoder.image_critic((1, 28, 28), width=4, batch_norm=False, rng=rng()).to(dtype)
    samples = torch.randn(3, 1, 28, 28, generator=rng()).to(dtype)
    assert critic(samples).dtype == torch.float32
    gaps = (samples.double() - critic.reconstruct(samples).double()).abs()
    torch.testing.assert_close(critic(samples).double(), -gaps.flatten(1).mean(1), rtol=1e-5, atol=0)


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_weights_come_from_the_generator_given(name: str, shape: tuple[int, ...]):
    before = torch.get_rng_state()
    critics = [NETWORKS[name].critic(shape, width=4, batch_norm=True, rng=rng(seed)) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), before)
    one, two, other = (nn.utils.parameters_to_vector(critic.parameters()) for critic in critics)
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("name", "shape"),
    [*(("autoencoder", (3, pixels, pixels)) for pixels in (28, 32, 64)), ("vector-autoencoder", (9,))],
)
def test_a_signal_reaches_the_other_end_without_batch_norm(name: str, shape: tuple[int, ...]):
    """The initial weights of DCGAN and of linear layers shrink it to nothing."""
    critic = NETWORKS[name].critic(shape, width=16, batch_norm=False, rng=rng())
    samples = torch.randn(8, *shape, generator=rng()).clamp(-1, 1)
    codes, copies = critic.encode(samples), critic.reconstruct(samples)
    assert 0.2 < codes.std() < 5
    assert copies.std(0).mean() > 0.1  # the copies differ


@pytest.mark.parametrize("pixels", [28, 32])
def test_an_image_is_learnt(pixels: int):
    critic = autoencoder.image_critic((1, pixels, pixels), width=8, batch_norm=False, rng=rng(), code=8)
    ramp = torch.linspace(-1, 1, pixels)
    images = torch.stack([ramp.expand(pixels, pixels), -ramp.expand(pixels, pixels).T])[:, None]
    start = critic(images).mean()
    optimizer = torch.optim.Adam(critic.parameters(), lr=2e-3)
    for _ in range(30):
        optimizer.zero_grad()
        (-critic(images).mean()).backward()
        optimizer.step()
    assert critic(images).mean() > 0.7 * start > start  # scores are negative


@pytest.mark.parametrize(
    ("name", "shape", "arguments", "words"),
    [
        ("autoencoder", (3, 48, 48), {}, "28, 32, 64, 128"),
        ("autoencoder", (7,), {}, r"\[7\]"),
        ("vector-autoencoder", (3, 32, 32), {}, "makes vectors"),
        ("autoencoder", (1, 28, 28), {"code": 0}, "code is 0"),
        ("vector-autoencoder", (3,), {"code": 0}, "code is 0"),
        ("vector-autoencoder", (3,), {"power": 0.5}, "power is 0.5"),
        ("vector-autoencoder", (3,), {"width": 0}, "at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, shape: tuple[int, ...], arguments: dict[str, float], words: str):
    with pytest.raises(InputError, match=words):
        NETWORKS[name].critic(shape, **{"width": 4, "batch_norm": False, "rng": rng(), **arguments})
