"""InfoGAN's term: the bound on the information that it is, its columns, and who learns from it."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from adversarium.errors import InputError
from adversarium.penalties import GENERATOR_PENALTIES, information

every_seed = pytest.mark.parametrize("seed", range(3))


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Reads:
    """A critic whose recogniser is a function."""

    def __init__(self, recognise: Callable[[Tensor], Tensor]) -> None:
        self.recognise = recognise

    def __call__(self, samples: Tensor) -> Tensor:
        return samples.sum(1)


def codes_of(categories: Tensor, count: int, *, noise: int = 3, continuous: int = 0, seed: int = 0) -> Tensor:
    one_hot = torch.eye(count, dtype=torch.float64)[categories]
    numbers = 2 * torch.rand(len(categories), continuous, generator=torch.Generator().manual_seed(seed)).double() - 1
    return torch.cat([normal(len(categories), noise, seed=seed), numbers, one_hot], 1)


@pytest.mark.parametrize("count", [2, 10])
def test_a_perfect_recogniser_costs_0_and_a_blind_one_log_k(count: int):
    codes = codes_of(torch.arange(count), count)
    term = information(categories=count)
    perfect = term(abs, Reads(lambda x: 1e3 * x[:, -count:]), codes, codes, None)
    torch.testing.assert_close(perfect, torch.zeros(count, dtype=torch.float64))
    blind = term(abs, Reads(lambda x: 0 * x[:, -count:] + 7), codes, codes, None)
    torch.testing.assert_close(blind, torch.full((count,), math.log(count), dtype=torch.float64))


@every_seed
def test_its_mean_bounds_the_information_and_the_posterior_attains_it(seed: int):
    """A generator of 6 samples from 4 categories, P(x | c): the mean over both is at least H(c) - I(c; x)."""
    likelihood = normal(4, 6, seed=seed).softmax(1)
    joint = likelihood / 4
    posterior = joint / joint.sum(0)
    information_shared = float((joint * (likelihood / joint.sum(0)).log()).sum())
    c, x = (each.flatten() for each in torch.meshgrid(torch.arange(4), torch.arange(6), indexing="ij"))
    codes, samples = codes_of(c, 4), torch.eye(6, dtype=torch.float64)[x]
    term = information(categories=4)

    def mean(table: Tensor) -> float:  # of logits, one column for each sample
        return float((term(abs, Reads(lambda x: x @ table.T), codes, samples, None) * joint.flatten()).sum())

    bound = math.log(4) - information_shared
    assert mean(posterior.log()) == pytest.approx(bound)
    assert all(mean(normal(4, 6, seed=seed + 10 + k)) > bound for k in range(5))


@every_seed
def test_both_parts_by_loops_and_the_order_of_the_columns(seed: int):
    codes = codes_of(torch.tensor([2, 0, 1, 2, 1]), 3, noise=2, continuous=2, seed=seed)
    said = normal(5, 5, seed=seed + 1)  # three logits, two means
    values = information(3, 2, weight=0.7, continuous_weight=0.3)(abs, Reads(lambda x: said), codes, codes, None)
    for i, category in enumerate([2, 0, 1, 2, 1]):
        logits = said[i, :3].tolist()
        unsure = math.log(sum(math.exp(each) for each in logits)) - logits[category]
        off = sum((float(codes[i, 2 + k]) - float(said[i, 3 + k])) ** 2 / 2 for k in range(2))
        assert values[i].item() == pytest.approx(0.7 * unsure + 0.3 * off)


@every_seed
def test_the_continuous_part_is_a_gaussians_likelihood_but_for_its_constant(seed: int):
    codes, said = codes_of(torch.zeros(4, dtype=torch.int64), 1, continuous=3, seed=seed)[:, :-1], normal(4, 3, seed=9)
    values = information(0, 3, continuous_weight=1.0)(abs, Reads(lambda x: said), codes, codes, None)
    likelihood = torch.distributions.Normal(said, 1.0).log_prob(codes[:, 3:]).sum(1)
    torch.testing.assert_close(values, -likelihood - 3 * 0.5 * math.log(2 * math.pi))


@pytest.mark.parametrize(("categories", "continuous"), [(3, 2), (3, 0), (0, 2)])
def test_weights_scale_each_part(categories: int, continuous: int):
    codes = codes_of(torch.arange(6) % 3, 3, continuous=2)
    if not categories:
        codes = codes[:, :-3]
    said = normal(6, categories + continuous, seed=3)

    def values(weight: float, continuous_weight: float) -> Tensor:
        term = information(categories, continuous, weight, continuous_weight)
        return term(abs, Reads(lambda x: said), codes, codes, None)

    torch.testing.assert_close(values(1.0, 0.0) * 3 + values(0.0, 1.0) * 5, values(3.0, 5.0))
    assert bool(values(1.0, 0.0).any()) == (categories > 0)
    assert bool(values(0.0, 1.0).any()) == (continuous > 0)


class Recogniser(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head, self.read = nn.Linear(4, 6), nn.Linear(6, 1), nn.Linear(6, 5)

    def recognise(self, samples: Tensor) -> Tensor:
        return self.read(self.body(samples).tanh())

    def forward(self, samples: Tensor) -> Tensor:
        return self.head(self.body(samples).tanh())


@pytest.mark.parametrize("side", ["critic", "generator"])
def test_gradients_reach_exactly_the_right_player(side: str):
    """Fakes without a graph train the recogniser; with one, the generator (a trainer freezes the critic then)."""
    torch.manual_seed(0)
    generator, critic = nn.Linear(8, 4).double(), Recogniser().double()
    codes = codes_of(torch.arange(6) % 3, 3, continuous=2).requires_grad_()
    fake = generator(codes.detach())
    if side == "critic":
        fake = fake.detach()
    else:
        critic.requires_grad_(False)
    information(3, 2)(generator, critic, codes, fake, None).mean().backward()
    assert codes.grad is None
    trained = [critic.body, critic.read] if side == "critic" else [generator]
    assert all(each.grad is not None and each.grad.any() for part in trained for each in part.parameters())
    others = [critic.head, generator] if side == "critic" else [critic]
    assert all(each.grad is None for part in others for each in part.parameters())


def test_a_generator_and_its_recogniser_come_to_share_what_the_category_says():
    """Both descend by the term alone: the category goes through samples of two numbers."""
    torch.manual_seed(0)
    count, generator = 4, nn.Sequential(nn.Linear(7, 16), nn.Tanh(), nn.Linear(16, 2)).double()
    critic = Recogniser().double()
    critic.body, critic.read = nn.Linear(2, 16).double(), nn.Linear(16, count).double()
    optimizer = torch.optim.Adam([*generator.parameters(), *critic.parameters()], lr=0.02)
    for step in range(150):
        codes = codes_of(torch.arange(32) % count, count, seed=step)
        values = information(count)(generator, critic, codes, generator(codes), None)
        optimizer.zero_grad()
        values.mean().backward()
        optimizer.step()
    assert float(values.mean().detach()) < 0.1 * math.log(count)


def test_under_autocast_values_are_float32():
    torch.manual_seed(0)
    critic = Recogniser()
    codes = codes_of(torch.arange(6) % 3, 3, continuous=2)
    fake = normal(6, 4, seed=1).float()
    exact = information(3, 2)(abs, critic, codes, fake, None)
    assert exact.dtype == torch.float32  # the recogniser's, not the codes'
    with torch.autocast("cpu", torch.bfloat16):
        values = information(3, 2)(abs, critic, codes, fake.bfloat16(), None)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, exact, rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (torch.zeros(4, 9), r"codes have shape \[4, 9\]: wanted \[4, latent\], its last 10 the 0 continuous and 10"),
        (torch.zeros(4, 2, 12), r"codes have shape \[4, 2, 12\]"),
        (torch.zeros(3, 12), r"codes have shape \[3, 12\]: wanted \[4, latent\]"),
    ],
)
def test_codes_that_do_not_fit_are_refused(codes: Tensor, message: str):
    with pytest.raises(InputError, match=message):
        information()(abs, Reads(lambda x: torch.zeros(4, 10)), codes, torch.zeros(4, 2), None)


def test_what_is_missing_is_named():
    codes = torch.zeros(4, 12)
    with pytest.raises(InputError, match=r"Linear without recognise\(samples\), which information wants"):
        information()(abs, nn.Linear(2, 1), codes, torch.zeros(4, 2), None)
    with pytest.raises(InputError, match=r"recognise returned \[4, 12\]: wanted \[4, 10\], for 0 continuous and 10"):
        information()(abs, Reads(lambda x: x), codes, codes, None)
    with pytest.raises(InputError, match="nothing to recognise"):
        information(0, 0)
    for argument in ("categories", "continuous"):
        with pytest.raises(InputError, match=f"{argument} is -1"):
            GENERATOR_PENALTIES["information"](**{argument: -1})
