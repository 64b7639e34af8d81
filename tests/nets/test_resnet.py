"""ResNet: its convolutions and blocks against slow twins, the papers' sizes and initial weights."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from adversarium.nets import NETWORKS, parts_of, resnet


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def maps(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def doubled(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def halved(x: Tensor) -> Tensor:
    return sum(x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4


def test_a_convolution_of_the_doubled_map() -> None:
    layer = resnet.UpsampledConv2d(3, 5).double()
    x = maps(2, 3, 6, 7)
    torch.testing.assert_close(layer(x), functional.conv2d(doubled(x), layer.weight, layer.bias, padding=1))


def test_the_means_of_a_convolution() -> None:
    layer = resnet.PooledConv2d(3, 5).double()
    x = maps(2, 3, 6, 8)
    torch.testing.assert_close(layer(x), halved(functional.conv2d(x, layer.weight, layer.bias, padding=1)))


def conv(x: Tensor, layer: nn.Conv2d) -> Tensor:
    return functional.conv2d(x, layer.weight, layer.bias, padding=layer.padding)


def test_a_block_of_the_generator_as_the_papers_order_it() -> None:
    """Batch norm, ReLU, doubling, convolution, batch norm, ReLU, convolution; a shortcut doubles, then convolves."""
    block = resnet.UpBlock(3, 5, nn.BatchNorm2d).double()
    norm1, _, conv1, norm2, _, conv2 = block.residual
    with torch.no_grad():
        for norm in (norm1, norm2):
            norm.weight.normal_()
            norm.bias.normal_()
    x = maps(4, 3, 6, 6)

    def normal(y: Tensor, norm: nn.Module) -> Tensor:
        mean, variance = y.mean((0, 2, 3), keepdim=True), y.var((0, 2, 3), correction=0, keepdim=True)
        return (y - mean) / (variance + 1e-5).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]

    y = conv(doubled(normal(x, norm1).clamp_min(0)), conv1)
    y = conv(normal(y, norm2).clamp_min(0), conv2)
    torch.testing.assert_close(block(x), y + conv(doubled(x), block.shortcut[0]))


@pytest.mark.parametrize(
    ("inputs", "outputs", "halve", "first"),
    [(3, 6, True, True), (4, 6, True, False), (4, 6, False, False), (4, 4, False, False)],
)
def test_a_block_of_the_critic_as_the_papers_order_it(inputs: int, outputs: int, halve: bool, first: bool) -> None:
    """ReLU, convolution, ReLU, convolution, means; a shortcut of convolution, then means. The first has no ReLU."""
    block = resnet.DownBlock(inputs, outputs, lambda features: nn.Identity(), halve=halve, first=first).double()
    x = maps(2, inputs, 8, 8)
    y = conv(conv(x if first else x.clamp_min(0), block.conv1).clamp_min(0), block.conv2)
    shortcut = conv(x, block.shortcut) if isinstance(block.shortcut, nn.Conv2d) else x
    assert isinstance(block.shortcut, nn.Conv2d) == (halve or inputs != outputs)
    torch.testing.assert_close(block(x), halved(y) + halved(shortcut) if halve else y + shortcut)


def test_the_critic_sums_over_positions() -> None:
    critic = resnet.critic((3, 32, 32), width=4, rng=rng()).double()
    x = maps(2, 3, 32, 32)
    features = critic[:4](x)
    assert features.shape == (2, 4, 8, 8)
    head = critic[-2]
    torch.testing.assert_close(critic(x), features.clamp_min(0).sum((2, 3)) @ head.weight[0] + head.bias)


@pytest.mark.parametrize(
    ("size", "generator", "critic"),
    [
        (28, (7, 128, 128, 128), (128, 128, 128, 128)),
        (32, (4, 128, 128, 128, 128), (128, 128, 128, 128)),
        (64, (4, 1024, 512, 256, 128, 64), (64, 128, 256, 512, 1024)),
        (128, (4, 1024, 1024, 512, 256, 128, 64), (64, 128, 256, 512, 1024, 1024)),
    ],
)
def test_the_papers_sizes(size: int, generator: tuple[int, ...], critic: tuple[int, ...]) -> None:
    """CIFAR-10's networks of Gulrajani et al.; at 64 and 128 pixels those of Miyato's code."""
    width = generator[-1]
    with torch.device("meta"):
        normalise = resnet._normalisation(True)
        plan = resnet.PLANS[size]
        channels = [width * times for times in plan.generator]
        ups = [resnet.UpBlock(a, b, normalise) for a, b in pairwise(channels)]
        assert (plan.base, channels[0], *(block.shortcut[0].out_channels for block in ups)) == generator
        assert plan.base * 2 ** len(ups) == size
    assert tuple(width * times for times in plan.critic) == critic


def test_batch_norm_is_the_generators_and_the_critics_on_request() -> None:
    family = NETWORKS["resnet"]
    assert family.batch_norm
    assert family.critic_batch_norm is False
    critics = {on: resnet.critic((1, 28, 28), width=4, batch_norm=on, rng=rng()) for on in (True, False)}
    assert parts_of(critics[True]) == {"batch_norm"}
    assert parts_of(critics[False]) == frozenset()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in critics[True][0].modules())


def test_weights_are_drawn_as_the_authors_do() -> None:
    for network in (
        resnet.generator((3, 32, 32), 64, width=48, rng=rng()),
        resnet.critic((3, 32, 32), width=48, rng=rng()),
    ):
        for module in network.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                in_block = isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3) and module.out_channels > 3
                fans = [side * module.weight[0, 0].numel() for side in module.weight.shape[:2]]
                bound = ((2 if in_block else 1) * 6 / sum(fans)) ** 0.5
                assert module.weight.abs().max() <= bound
                error = 5 * bound / (12 * module.weight.numel()) ** 0.5
                assert abs(module.weight.abs().mean() - bound / 2) < error
                assert module.bias is None or not module.bias.any()
