"""What the networks see, and back."""

import pytest
import torch

from adversarium.data import Codec


def test_every_level_survives():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    codec = Codec((1, 16, 16))
    seen = codec.encode(levels)
    assert seen.dtype == torch.float32
    assert seen.min() == -1
    assert seen.max() == 1
    torch.testing.assert_close(seen.double(), levels.double() / 127.5 - 1, rtol=0, atol=1e-7)
    assert torch.equal(codec.decode(seen), levels)
    # and to the nearest level from anywhere in its cell
    assert torch.equal(codec.decode(seen + 0.49 / 127.5), levels)
    assert torch.equal(codec.decode(seen - 0.49 / 127.5), levels)


def test_decode_clamps():
    decoded = Codec((1, 1, 2)).decode(torch.tensor([-3.0, 1.7]).view(1, 1, 1, 2))
    assert decoded.flatten().tolist() == [0, 255]


@pytest.mark.parametrize("codec", [Codec((1, 2, 2)), Codec((3,), (1.0, 2.0, 3.0), (1.0, 2.0, 4.0))])
def test_encode_and_decode_leave_their_argument_alone(codec: Codec):
    x = torch.ones(2, *codec.sample_shape)
    codec.encode(x)
    codec.decode(x)
    assert torch.equal(x, torch.ones_like(x))


def test_vectors():
    codec = Codec((2,), center=(1.0, -2.0), scale=(0.5, 4.0))
    assert not codec.is_image
    x = torch.randn(100, 2)
    torch.testing.assert_close(codec.encode(x), (x - torch.tensor([1.0, -2.0])) / torch.tensor([0.5, 4.0]))
    torch.testing.assert_close(codec.decode(codec.encode(x)), x)
