"""Packs against samples joined one by one, and what a critic of packs learns from them."""

import pytest
import torch
from torch import Tensor, nn

from adversarium.errors import InputError
from adversarium.stabilisers import pack, packed_shape


def samples(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(3,), (1, 5, 4), (3, 6, 6), (2, 7)])
@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_a_pack_is_its_samples_joined_in_their_order(shape: tuple[int, ...], degree: int):
    single = samples(12, *shape)
    packs = pack(single, degree)
    assert packs.shape == (12 // degree, *packed_shape(shape, degree))
    for number, found in enumerate(packs):
        joined = torch.cat([single[number * degree + i] for i in range(degree)], dim=0)
        assert torch.equal(found, joined)


def test_nothing_is_lost_and_a_pack_of_packs_is_a_larger_one():
    single = samples(24, 3, 4, 4)
    assert torch.equal(pack(single, 4).reshape(24, 3, 4, 4), single)
    assert torch.equal(pack(pack(single, 2), 3), pack(single, 6))
    assert packed_shape(packed_shape((3, 4, 4), 2), 3) == packed_shape((3, 4, 4), 6)
    channels_last = single.to(memory_format=torch.channels_last)
    assert torch.equal(pack(channels_last, 3), pack(single, 3))


def test_the_gradient_of_each_sample_is_its_part_of_the_packs():
    single = samples(6, 2).requires_grad_()
    weights = torch.arange(6.0, dtype=torch.float64)  # a linear critic of packs of three points
    (gradient,) = torch.autograd.grad((pack(single, 3) @ weights).sum(), single)
    assert torch.equal(gradient, weights.view(3, 2).repeat(2, 1))
    assert torch.autograd.gradgradcheck(lambda x: pack(x, 2).pow(3).sum(), (single,))


def test_one_pack_tells_a_collapsed_generator_from_the_data_where_one_sample_tells_less():
    # data: +1 or -1 by a coin; the generator: +1 always. At best one sample tells them apart in half of the cases (the
    # total variation is ½), a pair in three of four: the reason for packing
    data = torch.tensor([-1.0, 1.0]).repeat(2)[:, None]
    pairs = torch.stack([data[:2].repeat_interleave(2, 0)[:, 0], data[:2].repeat(2, 1)[:, 0]], 1).reshape(-1, 1)
    fake = torch.ones(8, 1)
    for degree, distance in ((1, 0.5), (2, 0.75)):
        real_packs, fake_packs = pack(pairs, degree), pack(fake, degree)
        unlike = (real_packs != fake_packs[0]).any(1).double().mean()
        assert float(unlike) == distance


def test_a_convolution_takes_packs_by_its_channels_alone():
    critic = nn.Sequential(nn.Conv2d(packed_shape((3, 8, 8), 2)[0], 4, 3), nn.Flatten(), nn.LazyLinear(1))
    assert critic(pack(samples(10, 3, 8, 8).float(), 2)).shape == (5, 1)


@pytest.mark.parametrize(
    ("shape", "degree", "words"),
    [
        ((10, 2), 4, "10 samples cannot be packed by 4: wanted a multiple of 4, 8 say"),
        ((3, 2), 5, "5 say"),
        ((10, 2), 0, "degree is 0"),
        ((10, 2), -2, "degree is -2"),
        ((10,), 2, r"shape \[10\]: wanted \[B, C"),
    ],
)
def test_what_cannot_be_packed_is_named(shape: tuple[int, ...], degree: int, words: str):
    with pytest.raises(InputError, match=words):
        pack(samples(*shape), degree)


def test_shapes_that_have_no_packs_are_named():
    with pytest.raises(InputError, match="degree is 0"):
        packed_shape((3, 4), 0)
    with pytest.raises(InputError, match="first axis"):
        packed_shape((), 2)
