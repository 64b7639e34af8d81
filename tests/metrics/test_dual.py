"""The critic's dual estimate: exact for linear critics, below W1 where its slope is known, still, refusals."""

import math

import pytest
import torch
from torch import Tensor, nn

from adversarium.errors import InputError
from adversarium.metrics.dual import dual_estimate
from adversarium.metrics.transport import wasserstein

every_seed = pytest.mark.parametrize("seed", range(4))


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=rng(seed), dtype=torch.float64)


def critic(d: int, seed: int) -> nn.Sequential:
    network = nn.Sequential(nn.Linear(d, 16), nn.Tanh(), nn.Linear(16, 1), nn.Flatten(0)).double()
    for i, weight in enumerate(network.parameters()):
        weight.data = normal(*weight.shape, seed=seed + i)
    return network


@every_seed
def test_a_linear_critic_knows_the_shift(seed: int):
    x, weight, size = normal(60, 4, seed=seed), normal(4, seed=seed + 9), 1.0 + seed
    along = torch.nn.functional.normalize(weight, dim=0)
    fake = x - size * along
    found = dual_estimate(lambda s: s @ weight + 3, x, fake, pairs=50)
    assert found.lipschitz.item() == pytest.approx(weight.norm().item(), rel=1e-9)
    assert found.value.item() == pytest.approx(size * weight.norm().item(), rel=1e-9)
    assert found.normalised.item() == pytest.approx(size, rel=1e-9)
    assert found.normalised.item() == pytest.approx(wasserstein(x, fake).item(), rel=1e-9)
    back = dual_estimate(lambda s: s @ weight, fake, x, pairs=50)
    assert back.normalised.item() == pytest.approx(-size, rel=1e-9)


@every_seed
def test_divided_by_the_true_constant_it_is_at_most_w1(seed: int):
    x, y = normal(50, 3, seed=seed), normal(40, 3, seed=seed + 9) + 1
    network = critic(3, seed)
    found = dual_estimate(network, x, y)
    true = torch.linalg.matrix_norm(network[0].weight, 2) * network[2].weight.norm()  # at least the constant
    assert 0 < found.lipschitz <= true
    assert abs(found.value / true) <= wasserstein(x, y)
    assert abs(found.normalised - found.value / found.lipschitz) < 1e-12
    assert dual_estimate(lambda s: 7 * network(s) + 2, x, y).normalised.item() == pytest.approx(
        found.normalised.item()
    )


@every_seed
def test_the_optimal_critic_gives_w1(seed: int):
    # two points: minus the distance to the fake one
    real, fake = normal(2, 5, seed=seed)[:, None].repeat(1, 3, 1)
    found = dual_estimate(lambda s: (s - fake[0] + 1e-9).norm(dim=1), real, fake)
    assert found.normalised.item() == pytest.approx(wasserstein(real, fake).item(), rel=1e-6)
    assert found.standard_error < 1e-12


@every_seed
def test_the_slope_is_the_largest_of_all_points(seed: int):
    x, y = normal(30, 2, seed=seed), normal(20, 2, seed=seed + 9) + 1
    network = critic(2, seed)

    def slopes(points: Tensor) -> Tensor:
        points = points.clone().requires_grad_()
        return torch.autograd.grad(network(points).sum(), points)[0].norm(dim=1)

    ends = torch.cat([slopes(x), slopes(y)]).max()
    found = [dual_estimate(network, x, y, pairs=pairs, rng=rng(seed)).lipschitz for pairs in (1, 3000)]
    assert found[0] >= ends
    share = torch.linspace(0, 1, 40, dtype=torch.float64)[:, None, None, None]
    everywhere = slopes((share * x[:, None] + (1 - share) * y).reshape(-1, 2)).max()
    assert found[0] <= found[1]
    assert found[1].item() == pytest.approx(everywhere.item(), rel=0.05)


def test_plateaus_are_seen_through():
    x, y = normal(50, 1, seed=0) + 10, normal(50, 1, seed=1) - 10

    def step(samples: Tensor) -> Tensor:  # of slope 0 wherever it is taken
        return (samples[:, 0] > 0).double() + 0 * samples[:, 0]

    found = dual_estimate(step, x, y)
    assert found.value == 1
    assert found.lipschitz.item() >= 1 / 20  # the height over the distance of a pair


def test_chunks_streams_and_patches():
    x, y = normal(30, 3, 8, 8, seed=0).float(), normal(20, 3, 8, 8, seed=1).float()
    torch.manual_seed(0)
    network = nn.Conv2d(3, 2, 3)
    before = torch.get_rng_state()
    found = dual_estimate(network, x, y, pairs=40)
    assert torch.equal(before, torch.get_rng_state())
    assert all(each.dtype == torch.float64 and each.shape == () for each in found)
    for each, other in zip(found, dual_estimate(network, x, y, pairs=40, batch_size=7), strict=True):
        assert each.item() == pytest.approx(other.item(), rel=1e-5)
    scores = network(x).flatten(1).mean(1).mean() - network(y).flatten(1).mean(1).mean()
    assert found.value.item() == pytest.approx(scores.item(), rel=1e-4)


def test_the_standard_error_is_that_of_the_draws():
    weight = torch.tensor([2.0, 0], dtype=torch.float64)
    found = [dual_estimate(lambda s: s @ weight, normal(30, 2, seed=i), normal(60, 2, seed=900 + i), pairs=2)
             for i in range(150)]  # fmt: skip
    values, errors = torch.stack([each.value for each in found]), torch.stack([each.standard_error for each in found])
    assert values.std().item() == pytest.approx(errors.mean().item(), rel=0.2)
    assert errors.mean().item() == pytest.approx(2 * math.sqrt(1 / 30 + 1 / 60), rel=0.05)


def test_the_critic_is_left_as_it_was():
    torch.manual_seed(0)
    dropout = nn.Dropout(0.5).eval()
    network = nn.Sequential(
        nn.utils.parametrizations.spectral_norm(nn.Linear(4, 8)), nn.Dropout(0.5), nn.ReLU(), dropout, nn.Linear(8, 1)
    )
    state = {name: each.clone() for name, each in network.state_dict().items()}
    x, y = normal(20, 4, seed=0).float(), normal(20, 4, seed=1).float()
    x.requires_grad_()
    first = dual_estimate(network, x, y)
    assert dual_estimate(network, x, y) == first  # no dropout
    assert not first.value.requires_grad
    assert [module.training for module in network] == [True, True, True, False, True]
    assert all(torch.equal(each, state[name]) for name, each in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())
    assert x.grad is None


def test_a_constant_critic_knows_nothing():
    found = dual_estimate(lambda s: 0 * s.sum(1) + 3, normal(5, 2, seed=0), normal(5, 2, seed=1))
    assert found.value == found.lipschitz == found.normalised == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"pairs": 0}, "pairs is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"real": torch.zeros(1, 2)}, "real has 1 samples: wanted at least 2"),
        ({"fake": torch.zeros(5, 3)}, r"real has shape \[5, 2\] and fake \[5, 3\]"),
        ({"fake": torch.full((5, 2), math.inf)}, "fake has NaN or infinity"),
        ({"real": torch.zeros(5, 2, dtype=torch.uint8)}, "real has dtype torch.uint8"),
        ({"critic": lambda s: torch.ones(len(s))}, "do not depend on its input"),
        ({"critic": lambda s: math.nan * s.sum(1)}, "not finite"),
        ({"critic": nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))}, "batch norm"),
        # one odd sample of many, where the slope is 0 and no pair leads to
        ({"critic": lambda s: s.sum(1) * 0 + s.detach().sum(1), "real": torch.zeros(50, 2),
          "fake": torch.eye(50, 2)[:, :1].repeat(1, 2), "pairs": 1}, "slope is 0 at all 50 . 50 samples and 1 pairs"),
    ],
)  # fmt: skip
def test_bad_input_is_named(arguments: dict[str, object], words: str):
    given = {"critic": lambda s: s.sum(1), "real": torch.zeros(5, 2), "fake": torch.ones(5, 2), **arguments}
    with pytest.raises(InputError, match=words):
        dual_estimate(**given)
