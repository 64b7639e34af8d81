"""R3: resampling against a slow twin, the basis and its mirror image, Fixup's initial weights."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from adversarium.errors import InputError
from adversarium.nets import NETWORKS, r3
from adversarium.penalties import r1

FILTER = (1 / 8, 3 / 8, 3 / 8, 1 / 8)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def halved_rows(x: Tensor) -> Tensor:
    """Return each pair of rows' filtered mean, one output at a time; rows outside are zero."""
    rows = x.shape[2]
    found = []
    for i in range(rows // 2):
        places = range(2 * i - 1, 2 * i + 3)
        found.append(sum(w * x[:, :, j] for w, j in zip(FILTER, places, strict=True) if 0 <= j < rows))
    return torch.stack(found, 2)


def doubled_rows(x: Tensor) -> Tensor:
    """Return rows at a quarter and three quarters of the way between their neighbours."""
    zero = torch.zeros_like(x[:, :, 0])
    padded = [zero, *x.unbind(2), zero]
    found = []
    for i in range(1, len(padded) - 1):
        found += [0.75 * padded[i] + 0.25 * padded[i - 1], 0.75 * padded[i] + 0.25 * padded[i + 1]]
    return torch.stack(found, 2)


def test_resampling_against_slow_twins() -> None:
    x = torch.randn(2, 3, 8, 6, dtype=torch.float64)
    torch.testing.assert_close(r3.Downsample()(x), halved_rows(halved_rows(x).mT).mT)
    torch.testing.assert_close(r3.Upsample()(x), doubled_rows(doubled_rows(x).mT).mT)


def test_resampling_keeps_constants_inside_and_is_bilinear() -> None:
    ones = torch.ones(1, 2, 8, 8, dtype=torch.float64)
    for layer, border in ((r3.Downsample(), 7 / 8), (r3.Upsample(), 3 / 4)):
        result = layer(ones)
        torch.testing.assert_close(result[..., 1:-1, 1:-1], torch.ones_like(result[..., 1:-1, 1:-1]))
        torch.testing.assert_close(result[..., 0, 1:-1], torch.full_like(result[..., 0, 1:-1], border))
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    bilinear = functional.interpolate(x, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(r3.Upsample()(x)[..., 1:-1, 1:-1], bilinear[..., 1:-1, 1:-1])


def test_up_is_four_times_the_transpose_of_down() -> None:
    x, y = torch.randn(2, 3, 8, 8, dtype=torch.float64), torch.randn(2, 3, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(4 * (r3.Downsample()(x) * y).sum(), (x * r3.Upsample()(y)).sum())


@pytest.mark.parametrize("layer", [r3.Upsample(), r3.Downsample()])
def test_resampling_keeps_the_dtype_and_differentiates_twice(layer: nn.Module) -> None:
    x = torch.randn(1, 2, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x.bfloat16()).dtype == torch.bfloat16
        assert torch.equal(layer(x), layer(x.double()).float()) or (layer(x) - layer(x.double())).abs().max() < 1e-6
    wide = x.double().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda z: layer(z).square(), (wide,))


def test_the_basis_scales_a_learned_picture() -> None:
    basis = r3.Basis(5, 3, 7)
    nn.init.normal_(basis.picture)
    codes = torch.randn(4, 5)
    found = basis(codes)
    for b in range(4):
        for c in range(3):
            torch.testing.assert_close(found[b, c], basis.picture[c] * (basis.scale.weight[c] @ codes[b]))


@pytest.mark.parametrize(("size", "base"), [(28, 7), (32, 4), (64, 4), (128, 4)])
def test_the_critic_mirrors_the_generator(size: int, base: int) -> None:
    """The same blocks in reverse; both ends of the codes' side are pictures of the base's size."""
    generator = r3.generator((3, size, size), 8, width=16, rng=rng())
    critic = r3.critic((3, size, size), width=16, rng=rng())
    assert generator[0].picture.shape == (16, base, base)
    collected = [layer for layer in critic if isinstance(layer, nn.Conv2d)][-1]
    assert collected.weight.shape == (16, 1, base, base)
    widths = [
        [layer.widen.in_channels for layer in network if isinstance(layer, r3.R3Block)]
        for network in (generator, critic)
    ]
    assert widths[0] == widths[1][::-1]
    assert sum(isinstance(layer, r3.Upsample) for layer in generator) == len(widths[0]) - 1
    assert base * 2 ** (len(widths[0]) - 1) == size


@pytest.mark.parametrize(("features", "groups"), [(768, 96), (48, 6), (16, 2), (8, 1), (12, 3), (10, 5), (1, 1)])
def test_groups_have_16_channels_where_they_can(features: int, groups: int) -> None:
    """768 channels in 96 groups are those of CIFAR-10 in the authors' code."""
    with torch.device("meta"):
        block = r3.R3Block(features)
    assert block.mix.groups == groups
    assert block.mix.in_channels == 2 * features


def test_a_block_as_the_authors_order_it() -> None:
    """1×1 to twice the channels, bias, leaky ReLU, grouped 3×3, bias, leaky ReLU, 1×1 back, without a bias."""
    block = r3.R3Block(16).double()
    x = torch.randn(2, 16, 5, 5, dtype=torch.float64)

    def leaky(y: Tensor) -> Tensor:
        return torch.where(y > 0, y, 0.2 * y)

    y = leaky(torch.einsum("oi,bihw->bohw", block.widen.weight[..., 0, 0], x) + block.widen.bias[:, None, None])
    halves = zip(y.split(16, 1), block.mix.weight.split(16), strict=True)
    y = torch.cat([functional.conv2d(half, weight, padding=1) for half, weight in halves], 1)
    y = leaky(y + block.mix.bias[:, None, None])
    y = torch.einsum("oi,bihw->bohw", block.narrow.weight[..., 0, 0], y)
    torch.testing.assert_close(block(x), x + y)
    assert block.narrow.bias is None


def test_networks_are_linear_before_training() -> None:
    """Every block starts as the identity: exactly in the generator, before its tanh, to a thousandth in the critic."""
    generator = r3.generator((3, 32, 32), 8, width=16, rng=rng()).double()
    critic = r3.critic((3, 32, 32), width=16, rng=rng()).double()
    for network, points, tolerance in (
        (generator[:-1], torch.randn(3, 8), 1e-6),
        (critic, torch.randn(3, 3, 32, 32), 1e-2),
    ):
        one, two = points[:1].double(), points[1:2].double()
        first, second = 2 * network(one), 3 * network(two)
        scale = first.abs().max() + second.abs().max()  # their difference may happen to be small
        assert (network(2 * one - 3 * two) - (first - second)).abs().max() < tolerance * scale
        assert scale > 0.01


def test_the_first_penalty_and_step_are_finite() -> None:
    generator = r3.generator((1, 28, 28), 8, width=8, rng=rng())
    critic = r3.critic((1, 28, 28), width=8, rng=rng())
    assert not any(block.narrow.weight.any() for block in generator if isinstance(block, r3.R3Block))
    fake = generator(torch.randn(4, 8))
    real = torch.randn(4, 1, 28, 28)
    (critic(fake) - critic(real)).mean().backward()
    r1(1.0)(critic, real, fake, None).mean().backward()
    for network in (generator, critic):
        assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in network.parameters())


@pytest.mark.parametrize("blocks", [1, 2])
def test_weights_are_drawn_as_the_authors_do(blocks: int) -> None:
    generator = r3.generator((3, 32, 32), 64, width=64, rng=rng(), blocks=blocks)
    critic = r3.critic((3, 32, 32), width=64, rng=rng(), blocks=blocks)
    inner = (2 / 1.04) ** 0.5 * (4 * blocks) ** -0.25  # L = 4·blocks, m = 3 layers: L^(-1/(2m - 2))
    for network, last in ((generator, 0.0), (critic, 1e-3)):
        gains = {"widen": inner, "mix": inner, "narrow": last}
        for name, weight in network.named_parameters():
            if name.endswith("bias"):
                assert not weight.any()
                continue
            gain = gains.get(name.split(".")[1], 1.0)
            std = 1.0 if name.endswith("picture") else gain / weight[0].numel() ** 0.5
            assert abs(weight.mean()) <= 5 * std / weight.numel() ** 0.5
            assert abs(weight.square().mean().sqrt() - std) <= 5 * std / (2 * weight.numel()) ** 0.5


def test_batch_norm_is_refused() -> None:
    assert not NETWORKS["r3"].batch_norm
    for make in (
        lambda **options: r3.generator((1, 28, 28), 8, width=8, rng=rng(), **options),
        lambda **options: r3.critic((1, 28, 28), width=8, rng=rng(), **options),
    ):
        with pytest.raises(InputError, match="batch_norm is on, and the r3 network has no normalisation"):
            make(batch_norm=True)
        with pytest.raises(InputError, match="blocks is 0"):
            make(blocks=0)
