"""AC-GAN's and 2C's terms against loops over samples, and who learns from them."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from adversarium.errors import InputError
from adversarium.nets.conditional import Conditioned
from adversarium.nets.heads import ClassifyingCritic, ContrastiveCritic
from adversarium.penalties import (
    PENALTIES,
    SAMPLE_PENALTIES,
    acgan_critic,
    acgan_generator,
    contrastive_critic,
    contrastive_generator,
)
from adversarium.types import Condition, Penalty

K, WIDTH = 4, 5
TERMS = {
    "acgan_critic": ("critic", acgan_critic),
    "acgan_generator": ("generator", acgan_generator),
    "contrastive_critic": ("critic", contrastive_critic),
    "contrastive_generator": ("generator", contrastive_generator),
}
every_term = pytest.mark.parametrize("name", TERMS)
every_seed = pytest.mark.parametrize("seed", range(3))


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=stream(seed), dtype=torch.float64)


def doubles(numbers: list[float]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


class Critic(nn.Module):
    """A critic of samples [B, 3] with both heads; it knows its condition, or leaves that to others."""

    def __init__(self, seed: int = 0, condition: Condition | None = Condition("label", K)) -> None:  # noqa: B008
        super().__init__()
        torch.manual_seed(seed)
        self.condition = condition
        self.body = nn.Sequential(nn.Linear(3, 6), nn.Tanh())
        self.classes, self.rows = nn.Linear(6, K), nn.Linear(6, WIDTH)
        vectors = condition is not None and condition.kind == "vector"
        self.proxies = nn.Linear(K, WIDTH, bias=False) if vectors else nn.Embedding(K + 1, WIDTH)
        self.double()

    def forward(self, samples: Tensor, condition: Tensor) -> Tensor:
        return self.classes(self.body(samples)).sum(1)

    def classify(self, samples: Tensor) -> Tensor:
        return self.classes(self.body(samples))

    def contrast(self, samples: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        return self.rows(self.body(samples)), self.proxies(condition)


def labels_of(count: int, seed: int, *, some_none: bool) -> Tensor:
    labels = torch.randint(0, K + 1 if some_none else K, (count,), generator=stream(seed))
    if some_none:
        labels[0], labels[1] = K, 0  # at least one of each
    return labels


def made(name: str, seed: int = 0, labels: Tensor | None = None, **arguments: float) -> tuple[Penalty, Conditioned]:
    condition = labels_of(8, seed, some_none=True) if labels is None else labels
    return TERMS[name][1](**arguments), Conditioned(Critic(seed), condition)


# --- AC-GAN ----------------------------------------------------------------------------------------


def slow_costs(critic: Critic, samples: Tensor, labels: Tensor) -> list[float]:
    costs = []
    for sample, label in zip(samples, labels.tolist(), strict=True):
        logits = critic.classify(sample[None])[0].tolist()
        total = sum(math.exp(each) for each in logits)
        costs.append(0.0 if label == K else -math.log(math.exp(logits[label]) / total))
    return costs


@every_seed
def test_acgan_is_the_cross_entropy_of_each_sample(seed: int):
    critic, real, fake = Critic(seed), normal(8, 3, seed=seed + 10), normal(8, 3, seed=seed + 20)
    labels = labels_of(8, seed, some_none=True)
    bound = Conditioned(critic, labels)
    at_real, at_fake = (doubles(slow_costs(critic, each, labels)) for each in (real, fake))
    torch.testing.assert_close(acgan_critic(0.7)(bound, real, fake, None), 0.7 * (at_real + at_fake))
    torch.testing.assert_close(acgan_critic(0.7, fake=False)(bound, real, fake, None), 0.7 * at_real)
    torch.testing.assert_close(acgan_generator(0.7)(bound, real, fake, None), 0.7 * at_fake)
    asked = labels != K
    assert at_real[asked].min() > 0
    torch.testing.assert_close(
        acgan_generator()(bound, real, fake, None)[asked],
        functional.cross_entropy(critic.classify(fake)[asked], labels[asked], reduction="none"),
    )


def test_acgan_of_a_sure_critic_is_0_and_of_a_blind_one_log_k():
    labels = torch.arange(K)
    sure, blind = 1e3 * torch.eye(K), torch.zeros(K, K)
    for logits, value in ((sure, 0.0), (blind, math.log(K))):
        critic = Conditioned(lambda x, c: x, labels)
        critic.classify = lambda x, logits=logits: logits
        values = acgan_generator()(critic, torch.zeros(K, 1), torch.zeros(K, 1), None)
        torch.testing.assert_close(values, torch.full((K,), value))


def test_the_condition_is_repeated_for_more_rows():
    labels, samples = labels_of(4, 0, some_none=True), normal(8, 3, seed=1)
    for name in TERMS:
        term, bound = made(name, labels=labels)
        _, whole = made(name, labels=labels.repeat(2))
        torch.testing.assert_close(term(bound, samples, samples, None), term(whole, samples, samples, None))


# --- 2C --------------------------------------------------------------------------------------------


def slow_contrast(rows: Tensor, proxies: Tensor, labels: list[int] | None, asked: list[bool], t: float) -> list[float]:
    """The formula, one pair at a time; without labels a sample's only positive is its own proxy."""

    def near(a: Tensor, b: Tensor) -> float:
        return math.exp(float((a @ b / (a.norm() * b.norm())).detach()) / t)

    costs = []
    for i in range(len(rows)):
        above = below = near(rows[i], proxies[i])
        for k in range(len(rows)):
            if k != i and asked[k]:
                below += near(rows[i], rows[k])
                if labels is not None and labels[i] == labels[k]:
                    above += near(rows[i], rows[k])
        costs.append(-math.log(above / below) if asked[i] else 0.0)
    return costs


@pytest.mark.parametrize("positives", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 0.2])
@every_seed
def test_2c_by_a_double_loop(seed: int, temperature: float, positives: bool):
    critic, real, fake = Critic(seed), normal(8, 3, seed=seed + 10), normal(8, 3, seed=seed + 20)
    labels = labels_of(8, seed, some_none=True)
    asked = [label != K for label in labels.tolist()]
    for term, samples in ((contrastive_critic, real), (contrastive_generator, fake)):
        rows, proxies = critic.contrast(samples, labels)
        expected = doubles(slow_contrast(rows, proxies, labels.tolist() if positives else None, asked, temperature))
        values = term(0.7, temperature, positives)(Conditioned(critic, labels), real, fake, None)
        torch.testing.assert_close(values, 0.7 * expected)
        assert (values[torch.tensor(asked)] > 0).any()


@pytest.mark.parametrize(("batch", "temperature"), [(20, 1.0), (60, 1.0), (60, 0.2)])
def test_classes_in_the_wrong_order_cost_little_unless_the_proxy_is_the_only_positive(batch: int, temperature: float):
    """All samples of a class in one place, at right angles to the others': at their own proxy, or at another's."""
    classes, (nearest, apart) = 10, (math.exp(1 / temperature), 1.0)
    labels, places = torch.arange(batch) % classes, torch.eye(classes, dtype=torch.float64)
    own = batch // classes - 1
    for positives in (True, False):
        found = []
        for order, at_proxy in ((torch.arange(classes), nearest), (torch.arange(classes).roll(3), apart)):
            rows, proxies = places[order][labels], places[labels]
            critic = Conditioned(lambda x, c: x, labels)
            critic.contrast = lambda x, both=(rows, proxies): both
            above = at_proxy + positives * own * nearest
            below = at_proxy + own * nearest + (batch - 1 - own) * apart
            for term in (contrastive_critic, contrastive_generator):
                values = term(1.0, temperature, positives)(critic, rows, rows, None)
                torch.testing.assert_close(values, torch.full_like(values, -math.log(above / below)))
            found.append(float(values[0]))
        # log((e + n·e) / (1 + n·e)) < 1/n for n others of the class, e = exp(1/t), where without them it is log(e)
        cost = found[1] - found[0]
        assert cost < 1 / own if positives else cost > 0.9 / temperature


@every_seed
def test_2c_of_vectors_has_one_positive(seed: int):
    critic = Critic(seed, Condition("vector", K))
    vectors, fake = normal(6, K, seed=seed), normal(6, 3, seed=seed + 20)
    vectors[2] = 0
    vectors[4] = vectors[3]  # equal conditions are two samples' own all the same
    asked = [i != 2 for i in range(6)]
    expected = doubles(slow_contrast(*critic.contrast(fake, vectors), None, asked, 1.0))
    values = contrastive_generator()(Conditioned(critic, vectors), fake, fake, None)
    torch.testing.assert_close(values, expected)
    alone = contrastive_generator(positives=False)(Conditioned(critic, vectors), fake, fake, None)
    assert torch.equal(alone, values)


def test_a_critic_that_does_not_say_which_label_is_none_has_classes_only():
    labels, samples = torch.tensor([0, K, K, 1]), normal(4, 3, seed=1)
    known, unknown = Critic(0), Critic(0, None)
    values = contrastive_generator()(Conditioned(unknown, labels), samples, samples, None)
    expected = slow_contrast(*unknown.contrast(samples, labels), labels.tolist(), [True] * 4, 1.0)
    torch.testing.assert_close(values, doubles(expected))
    masked = contrastive_generator()(Conditioned(known, labels), samples, samples, None)
    assert (masked[1:3] == 0).all()
    assert (masked[[0, 3]] < values[[0, 3]]).all()  # fewer negatives


def test_2c_is_0_alone_and_in_a_batch_of_one_class():
    for labels in (torch.tensor([2]), torch.full((5,), 2)):
        term, bound = made("contrastive_generator", labels=labels)
        samples = normal(len(labels), 3, seed=1)
        torch.testing.assert_close(term(bound, samples, samples, None), 0 * samples[:, 0], rtol=0, atol=1e-12)


@every_seed
def test_2c_does_not_see_lengths_or_order(seed: int):
    rows, proxies, labels = normal(6, WIDTH, seed=seed), normal(6, WIDTH, seed=seed + 1), torch.arange(6) % 3

    def value(rows: Tensor, proxies: Tensor, labels: Tensor) -> Tensor:
        critic = Conditioned(lambda x, c: x, labels)
        critic.contrast = lambda x: (rows, proxies)
        return contrastive_generator()(critic, rows, rows, None)

    expected = value(rows, proxies, labels)
    torch.testing.assert_close(value(rows * torch.arange(1, 7)[:, None], 0.1 * proxies, labels), expected)
    order = torch.randperm(6, generator=stream(seed))
    torch.testing.assert_close(value(rows[order], proxies[order], labels[order]), expected[order])


def test_2c_at_a_low_temperature_is_finite():
    term, bound = made("contrastive_critic", temperature=1e-3)
    real = normal(8, 3, seed=1)
    values = term(bound, real, real, None)
    values.mean().backward()
    assert values.isfinite().all()
    assert all(each.grad.isfinite().all() for each in bound.parameters() if each.grad is not None)


@pytest.mark.parametrize("name", ["contrastive_generator", "acgan_generator"])
def test_they_are_differentiable_twice(name: str):
    term, bound = made(name, labels=labels_of(4, 0, some_none=True))
    samples = normal(4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: term(bound, x, x, None), samples)
    assert torch.autograd.gradgradcheck(lambda x: term(bound, x, x, None), samples)


# --- both ------------------------------------------------------------------------------------------


@every_term
def test_weights_scale_them_and_the_dicts_hold_them(name: str):
    samples = normal(8, 3, seed=1), normal(8, 3, seed=2)
    one, bound = made(name)
    two, _ = made(name, weight=2.0)
    torch.testing.assert_close(2 * one(bound, *samples, None), two(bound, *samples, None))
    owner, factory = TERMS[name]
    assert (PENALTIES if owner == "critic" else SAMPLE_PENALTIES)[name] is factory


@every_term
def test_gradients_reach_exactly_the_right_player(name: str):
    term, bound = made(name)
    generator = nn.Linear(2, 3).double()
    real = normal(8, 3, seed=1).requires_grad_()
    fake = generator(normal(8, 2, seed=2))
    critic = [each for part in (bound.network.body, bound.network.classes) for each in part.parameters()]
    if name.startswith("contrastive"):
        critic = [*bound.network.body.parameters(), *bound.network.rows.parameters()]
    term(bound, real, fake, None).mean().backward()
    assert real.grad is None
    # in the generator's step it is the trainer that keeps a term from the critic's weights
    assert all(each.grad is not None and each.grad.any() for each in critic)
    for each in generator.parameters():
        assert (each.grad is not None) == (TERMS[name][0] == "generator")
        assert each.grad is None or each.grad.any()


@every_term
def test_samples_of_nothing_teach_nothing(name: str):
    labels = labels_of(8, 0, some_none=True)
    nothing = labels == K
    term, bound = made(name, labels=labels)
    samples = normal(8, 3, seed=1).requires_grad_()
    values = TERMS[name.replace("critic", "generator")][1]()(bound, samples, samples, None)
    assert (values[nothing] == 0).all()
    (gradient,) = torch.autograd.grad(values.sum(), samples)
    assert not gradient[nothing].any()
    assert gradient[~nothing].any(1).all()
    assert (term(bound, samples, samples, None)[nothing] == 0).all()
    everything = torch.full((8,), K)
    term, bound = made(name, labels=everything)
    values = term(bound, samples, samples, None)
    values.mean().backward()
    assert (values == 0).all()


@every_term
def test_under_autocast_values_are_float32(name: str):
    term, bound = made(name)
    bound.float()
    samples = normal(8, 3, seed=1).float(), normal(8, 3, seed=2).float()
    exact = term(bound, *samples, None)
    with torch.autocast("cpu", torch.bfloat16):
        values = term(bound, *samples, None)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, exact, rtol=0.05, atol=0.05)


@every_term
def test_what_is_missing_is_named(name: str):
    method = "classify" if name.startswith("acgan") else "contrast"
    samples, term = normal(8, 3, seed=1), TERMS[name][1]()
    with pytest.raises(InputError, match=rf"Critic without a condition: {name} wants nets\.Conditioned\(critic, lab"):
        term(Critic(), samples, samples, None)
    plain = Conditioned(lambda x, c: x, labels_of(8, 0, some_none=False))
    with pytest.raises(InputError, match=rf"Conditioned without {method}\(samples\), which {name} wants"):
        term(plain, samples, samples, None)
    _, bound = made(name, labels=labels_of(3, 0, some_none=False))
    with pytest.raises(InputError, match="8 samples, and the condition has 3 rows"):
        term(bound, samples, samples, None)
    setattr(plain, method, lambda x: (x[:2], x[:2]) if method == "contrast" else x[:2])
    with pytest.raises(InputError, match=f"critic.{method} returned"):
        term(plain, samples, samples, None)
    for number in (-0.1, float("nan")):
        with pytest.raises(InputError, match=f"weight is {number}"):
            TERMS[name][1](weight=number)
        if method == "contrast":
            with pytest.raises(InputError, match=f"temperature is {number}"):
                TERMS[name][1](temperature=number)


def test_acgan_wants_labels_of_its_classes():
    samples = normal(8, 3, seed=1)
    with pytest.raises(InputError, match=r"labels reach from 0 to 5: wanted 0 to 3, or 4 for none"):
        acgan_generator()(Conditioned(Critic(), torch.tensor([0, 5] * 4)), samples, samples, None)
    with pytest.raises(InputError, match=r"labels are torch.float64 of shape \[8, 4\]: wanted int64"):
        acgan_generator()(Conditioned(Critic(), normal(8, K, seed=0)), samples, samples, None)


@every_term
def test_they_go_with_the_heads_of_the_package(name: str):
    """And see which label asks for nothing, which the contrastive head's proxies know."""
    head = ClassifyingCritic if name.startswith("acgan") else ContrastiveCritic
    network = head(nn.Sequential(nn.Linear(3, 6), nn.Tanh()), 6, Condition("label", K), rng=stream(0))
    labels = labels_of(8, 0, some_none=True)
    samples = normal(8, 3, seed=1).float().requires_grad_()
    generator_term = TERMS[name.replace("critic", "generator")][1]()
    for term in (TERMS[name][1](), generator_term):
        values = term(Conditioned(network, labels), samples, samples, None)
        assert torch.equal(values == 0, labels == K)
    (gradient,) = torch.autograd.grad(values.sum(), samples)
    assert torch.equal(gradient.any(1), labels != K)
