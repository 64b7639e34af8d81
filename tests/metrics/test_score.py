"""The inception score against its bounds, its definition, its spread over draws, and torchmetrics."""

import math
import warnings

import pytest
import torch
from torch import nn

from adversarium.errors import InputError
from adversarium.metrics.score import inception_score


def rows_of(seed, count, classes, sharpness=2.0):
    rng = torch.Generator().manual_seed(seed)
    return (sharpness * torch.randn(count, classes, generator=rng, dtype=torch.float64)).softmax(dim=1)


def twin(rows):
    marginal = rows.mean(0)
    divergences = [
        sum(float(p) * math.log(p / q) for p, q in zip(row, marginal, strict=True) if p > 0) for row in rows
    ]
    return math.exp(sum(divergences) / len(divergences))


@pytest.mark.parametrize("classes", [1, 2, 10])
def test_from_one_to_the_number_of_classes(classes):
    sure = torch.eye(classes).repeat(6, 1)
    torch.testing.assert_close(inception_score(sure).value, torch.tensor(float(classes), dtype=torch.float64))
    same = torch.full((12, classes), 1 / classes)
    value, error = inception_score(same)
    torch.testing.assert_close(value, torch.tensor(1.0, dtype=torch.float64), rtol=1e-6, atol=0)
    assert error < 1e-6


def test_classes_of_unequal_share():
    # sure of each sample: the exponential of the shares' entropy
    labels = torch.tensor([0] * 6 + [1] * 3 + [2] * 1)
    value, error = inception_score(torch.eye(4)[labels])
    shares = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    torch.testing.assert_close(value, (-(shares * shares.log()).sum()).exp())
    # d log p of a drawn class: its spread over 10 draws, by hand
    logs = -shares.log()
    variance = (shares * logs**2).sum() - (shares * logs).sum() ** 2
    torch.testing.assert_close(error, value * (variance / 9).sqrt())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("splits", [1, 4])
def test_it_equals_its_definition(seed, splits):
    rows = rows_of(seed, 43, 5)
    expected = [twin(part) for part in rows.tensor_split(splits)]
    assert float(inception_score(rows, splits=splits).value) == pytest.approx(sum(expected) / splits)


@pytest.mark.parametrize("splits", [1, 5])
def test_the_stated_error_is_the_spread_over_draws(splits):
    found = [inception_score(rows_of(seed, 200, 6), splits=splits) for seed in range(400)]
    values, errors = torch.stack([f.value for f in found]), torch.stack([f.standard_error for f in found])
    # the spread of 400 is known to 3.5 %
    assert 0.88 < errors.square().mean().sqrt() / values.std() < 1.12


def test_the_error_of_many_parts_is_about_that_of_their_spread():
    rows = rows_of(0, 20000, 6)
    parts = torch.stack([inception_score(part).value for part in rows.tensor_split(40)])
    error = inception_score(rows, splits=40).standard_error
    assert 0.6 < error / (parts.std() / 40**0.5) < 1.5


def test_it_falls_as_classes_are_dropped():
    labels = torch.arange(1000) % 10
    values = [inception_score(torch.eye(10)[labels[labels < kept]]).value for kept in (10, 7, 3, 1)]
    assert values == sorted(values, reverse=True)
    assert values[-1] == 1


def test_gradients():
    rows = torch.randn(8, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda logits: inception_score(logits.softmax(1), splits=2).value, (rows,))
    # a class that never occurs, and samples that are sure
    logits = torch.tensor([[2000.0, 0.0, -2000.0], [0.0, 2000.0, -2000.0]]).requires_grad_()
    inception_score(logits.softmax(1)).value.backward()
    assert logits.grad.isfinite().all()


class Flat(nn.Module):
    def forward(self, images):
        return images.flatten(1)


def test_it_equals_torchmetrics():
    inception = pytest.importorskip("torchmetrics.image.inception")
    rows = rows_of(0, 60, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        metric = inception.InceptionScore(feature=Flat(), splits=1).set_dtype(torch.float64)
        metric.update(rows.log()[:, :, None, None])
        expected, _ = metric.compute()
    torch.testing.assert_close(inception_score(rows).value, expected)


def test_bad_probabilities():
    logits = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match="20 of 20 rows .*wanted class probabilities; of logits, their softmax"):
        inception_score(logits)
    rows = logits.softmax(1)
    rows[3] *= 1.01
    with pytest.raises(InputError, match="1 of 20 rows .*row 3 sums to 1.01"):
        inception_score(rows)
    with pytest.raises(InputError, match="probabilities has 20 samples: wanted at least 22"):
        inception_score(logits.softmax(1), splits=11)
    with pytest.raises(InputError, match="splits is 0"):
        inception_score(rows, splits=0)
    inception_score(logits.softmax(1).half())
