"""The contract of every member of CLASS_LOSSES, and the multi-class hinge loss's mathematics."""

import functools
from typing import Any

import pytest
import torch
from torch import Tensor

from adversarium.errors import InputError
from adversarium.losses import CLASS_LOSSES, hinge
from adversarium.types import ClassLoss

every_loss = pytest.mark.parametrize("name", CLASS_LOSSES)
every_seed = pytest.mark.parametrize("seed", range(5))


@functools.cache
def make(name: str) -> ClassLoss:
    return CLASS_LOSSES[name]()


def batch(seed: int, size: int = 8, classes: int = 4, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    draw = torch.Generator().manual_seed(seed)
    real, fake = (2 * torch.randn(2, size, classes + 1, generator=draw, dtype=torch.float64)).to(dtype).unbind()
    real_labels, fake_labels = torch.randint(classes, (2, size), generator=draw).unbind()
    return real, fake, real_labels, fake_labels


@every_loss
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("size", "classes"), [(1, 1), (1, 3), (8, 1), (8, 10)])
def test_shapes_dtypes_and_names(name: str, dtype: torch.dtype, size: int, classes: int):
    loss, (real, fake, real_labels, fake_labels) = make(name), batch(0, size, classes, dtype)
    assert loss.name == name
    for scale in (1, 1e4):
        for values in (
            loss.critic(scale * real, scale * fake, real_labels, fake_labels),
            loss.generator(real if loss.generator_needs_real else None, scale * fake, None, fake_labels),
        ):
            assert values.shape == (size,)
            assert values.dtype == dtype
            assert values.isfinite().all()


@every_loss
@every_seed
def test_each_sample_counts_on_its_own(name: str, seed: int):
    loss, (real, fake, real_labels, fake_labels) = make(name), batch(seed)
    values = loss.critic(real, fake, real_labels, fake_labels)
    for i in range(8):
        one = loss.critic(real[[i]], fake[[i]], real_labels[[i]], fake_labels[[i]])
        torch.testing.assert_close(values[[i]], one)


@every_seed
def test_the_published_formula(seed: int):
    loss, (real, fake, real_labels, fake_labels) = make("multiclass_hinge"), batch(seed)

    def margin(row: list[float], label: int) -> float:
        return max(0.0, 1 - row[label] + max(score for column, score in enumerate(row) if column != label))

    rows = zip(real.tolist(), fake.tolist(), real_labels.tolist(), fake_labels.tolist(), strict=True)
    critic, generator = zip(*((margin(r, y) + margin(s, 4), margin(s, z)) for r, s, y, z in rows), strict=True)
    expected = torch.tensor([critic, generator], dtype=torch.float64)
    torch.testing.assert_close(loss.critic(real, fake, real_labels, fake_labels), expected[0])
    torch.testing.assert_close(loss.generator(None, fake, None, fake_labels), expected[1])


@every_seed
def test_one_class_is_the_binary_hinge_loss(seed: int):
    loss, (real, fake, real_labels, fake_labels) = make("multiclass_hinge"), batch(seed, classes=1)
    r, s = real[:, 0] - real[:, 1], fake[:, 0] - fake[:, 1]
    torch.testing.assert_close(loss.critic(real, fake, real_labels, fake_labels), hinge().critic(r, s))
    # the generator's side has a margin where the binary one goes on
    torch.testing.assert_close(
        loss.generator(None, fake, None, fake_labels), (1 + hinge().generator(None, s)).clamp(min=0)
    )


@every_seed
def test_up_is_more_like_the_class(seed: int):
    loss, (real, fake, real_labels, fake_labels) = make("multiclass_hinge"), batch(seed)
    rows = torch.arange(8)
    real, fake = real.requires_grad_(), fake.requires_grad_()
    by_real, by_fake = torch.autograd.grad(loss.critic(real, fake, real_labels, fake_labels).sum(), (real, fake))
    assert (by_real[rows, real_labels] <= 0).all()
    assert by_real[rows, real_labels].any()
    assert (by_fake[:, -1] <= 0).all()
    assert by_fake[:, -1].any()
    (by_fake,) = torch.autograd.grad(loss.generator(None, fake, None, fake_labels).sum(), fake)
    assert (by_fake[rows, fake_labels] <= 0).all()
    assert by_fake[rows, fake_labels].any()
    # a shift of all of a sample's scores changes nothing
    torch.testing.assert_close(by_real.sum(1), torch.zeros(8, dtype=torch.float64))


ZEROS = torch.zeros(3, dtype=torch.int64)


@every_loss
@pytest.mark.parametrize(
    ("changed", "named", "got"),
    [
        ({"fake_labels": torch.tensor([0, 1, 4])}, "fake_labels", "from 0 to 4"),
        ({"fake_labels": torch.tensor([0, -1, 2])}, "fake_labels", "from -1 to 2"),
        ({"real_labels": torch.tensor([0, 9, 2])}, "real_labels", "from 0 to 9"),
        ({"real_labels": None}, "real_labels", "None"),
        ({"fake_labels": ZEROS[:2]}, "fake_labels", "[2]"),
        ({"fake_labels": ZEROS[:, None]}, "fake_labels", "[3, 1]"),
        ({"fake_labels": ZEROS.float()}, "fake_labels", "float32"),
        ({"real_scores": None}, "real_scores", "None"),
        ({"real_scores": torch.zeros(3, 4)}, "real_scores", "[3, 4]"),
        ({"fake_scores": ZEROS[:, None].expand(3, 5)}, "fake_scores", "int64"),
        ({"fake_scores": torch.zeros(3), "real_scores": torch.zeros(3)}, "scores", "[3]"),
        ({"fake_scores": torch.zeros(3, 1), "real_scores": torch.zeros(3, 1)}, "scores", "[3, 1]"),
        ({"fake_scores": torch.zeros(0, 5), "real_scores": torch.zeros(0, 5)}, "scores", "[0, 5]"),
    ],
)
def test_bad_input_is_named(name: str, changed: dict[str, Any], named: str, got: str):
    arguments = {
        "real_scores": torch.zeros(3, 5),
        "fake_scores": torch.zeros(3, 5),
        "real_labels": ZEROS,
        "fake_labels": ZEROS,
    } | changed
    with pytest.raises(InputError) as error:
        make(name).critic(**arguments)
    assert named in str(error.value)
    assert got in str(error.value)
