"""The best samples against sorting, for counts and scores of every kind."""

import math

import pytest
import torch

from adversarium.errors import InputError
from adversarium.stabilisers import top_k


@pytest.mark.parametrize("count", [1, 2, 7, 10, 30, 64])
@pytest.mark.parametrize("share", [1e-6, 0.1, 0.3, 0.5, 0.7, 0.99, 1.0])
@pytest.mark.parametrize("shape", [(), (1,), (4, 4)])
def test_the_values_are_those_of_the_highest_scores(count: int, share: float, shape: tuple[int, ...]):
    rng = torch.Generator().manual_seed(count)
    values = torch.randn(count, generator=rng, dtype=torch.float64)
    scores = torch.randn(count, *shape, generator=rng, dtype=torch.float64)
    means = scores.reshape(count, -1).mean(1).tolist()
    wanted = sorted(range(count), key=means.__getitem__, reverse=True)[: -(-round(share * 1e6) * count // 1_000_000)]
    assert sorted(top_k(values, scores, share).tolist()) == sorted(values[wanted].tolist())


@pytest.mark.parametrize(
    ("share", "count", "k"), [(0.1, 30, 3), (0.07, 100, 7), (1 / 3, 9, 3), (0.5, 7, 4), (0.01, 5, 1)]
)
def test_as_many_as_the_share_says_rounded_up(share: float, count: int, k: int):
    assert len(top_k(torch.arange(float(count)), torch.zeros(count), share)) == k


def test_the_papers_schedule_reaches_half_after_69_epochs():
    assert math.ceil(math.log(0.5) / math.log(0.99)) == 69


def test_only_the_best_learn_and_the_choice_has_no_gradient():
    samples = torch.tensor([3.0, -1.0, 2.0, 5.0], requires_grad=True)
    scores = 2 * samples
    values = torch.nn.functional.softplus(-scores)
    (gradient,) = torch.autograd.grad(top_k(values, scores, 0.5).mean(), samples)
    # the mean over the k chosen: twice that over the batch
    wanted = torch.tensor([1.0, 0.0, 0.0, 1.0]) * -torch.sigmoid(-scores.detach()) * 2 / 2
    torch.testing.assert_close(gradient, wanted)


def test_a_share_of_one_has_the_mean_of_all():
    values, scores = torch.randn(9, generator=torch.Generator().manual_seed(0)), torch.arange(9.0)
    torch.testing.assert_close(top_k(values, scores, 1.0).mean(), values.mean())


def test_what_does_not_fit_is_named():
    for share in (0.0, -0.5, 1.01):
        with pytest.raises(InputError, match="share is"):
            top_k(torch.zeros(4), torch.zeros(4), share)
    with pytest.raises(InputError, match="4 values and 3 samples"):
        top_k(torch.zeros(4), torch.zeros(3, 2), 0.5)
    with pytest.raises(InputError, match="values is torch.float32 of shape .0.: wanted one tensor"):
        top_k(torch.zeros(0), torch.zeros(0), 0.5)


@pytest.mark.parametrize("shape", [(4,), (4, 3)])
def test_scores_without_an_order_are_refused(shape: tuple[int, ...]):
    scores = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    scores.view(4, -1)[2, 0] = torch.nan
    with pytest.raises(InputError, match="scores became nan in 1 of 4 samples"):
        top_k(torch.arange(4.0), scores)
    scores.view(4, -1)[2] = torch.inf
    assert 2 in top_k(torch.arange(4.0), scores)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu_the_loss_of_a_nan_is_among_the_chosen():
    scores = torch.tensor([1.0, torch.nan, 2.0, 3.0], device="cuda")
    assert top_k(-scores, scores).mean().isnan()
