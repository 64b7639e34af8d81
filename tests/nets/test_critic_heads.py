"""Critics' heads against their formulas, twice differentiable, and what they refuse."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adversarium.errors import InputError
from adversarium.nets import (
    NETWORKS,
    ClassifyingCritic,
    ConcatenationCritic,
    Conditioned,
    ContrastiveCritic,
    ProjectionCritic,
    RecognisingCritic,
    features_of,
    split_head,
)
from adversarium.penalties import METHODS, r1, wgan_gp
from adversarium.types import Condition

LABELS, VECTORS = Condition("label", 4), Condition("vector", 4)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)


def asked(condition: Condition, count: int) -> Tensor:
    if condition.kind == "label":
        return torch.arange(count) % (condition.size + 1)  # with no condition among them
    return normal(count, condition.size, seed=2)


def linear_body(inputs: int, features: int) -> nn.Linear:
    body = nn.Linear(inputs, features).double()
    with torch.no_grad():
        body.weight.copy_(normal(features, inputs, seed=7))
        body.bias.copy_(normal(features, seed=8))
    return body


def plain(shape: tuple[int, ...]) -> nn.Sequential:
    name = "vector-mlp" if len(shape) == 1 else "dcgan"
    made = NETWORKS[name].critic(shape, width=4, batch_norm=False, rng=rng(3))
    assert isinstance(made, nn.Sequential)
    return made


def smooth(shape: tuple[int, ...]) -> nn.Sequential:
    """A critic with second derivatives everywhere."""
    front: list[nn.Module] = (
        [nn.Linear(shape[0], 5)] if len(shape) == 1 else [nn.Conv2d(shape[0], 2, 2), nn.Flatten(1)]
    )
    features = 5 if len(shape) == 1 else 2 * (shape[1] - 1) * (shape[2] - 1)
    critic = nn.Sequential(*front, nn.Tanh(), nn.Linear(features, 1), nn.Flatten(0)).double()
    with torch.no_grad():
        for seed, parameter in enumerate(critic.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=seed))
    return critic


HEADS: dict[str, Callable[..., Any]] = {
    "projection": ProjectionCritic.make,
    "concatenation": ConcatenationCritic.make,
    "classifying": ClassifyingCritic.make,
    "contrastive": ContrastiveCritic.make,
}


@pytest.mark.parametrize("condition", [LABELS, VECTORS])
def test_projection_on_a_linear_body_is_bilinear(condition: Condition):
    body = linear_body(3, 5)
    critic = ProjectionCritic(body, 5, condition, rng=rng()).double()
    x, y = normal(7, 3), asked(condition, 7)
    score, rows = critic.score, critic.embedding.rows.weight
    for i, found in enumerate(critic(x, y)):
        features = body.weight @ x[i] + body.bias
        e = rows[y[i]] if condition.kind == "label" else rows @ y[i]
        torch.testing.assert_close(found, score.weight[0] @ features + score.bias[0] + e @ features)
    slopes = (body.weight.T @ (score.weight[0] + critic.embedding(y)).T).square().sum(0)
    torch.testing.assert_close(r1(gamma=2.0)(Conditioned(critic, y), x, x, None), slopes)
    torch.testing.assert_close(critic.features(x), body(x))


def test_projection_of_no_condition_is_the_last_row_or_nothing():
    x = normal(2, 3)
    for condition in (LABELS, VECTORS):
        critic = ProjectionCritic(linear_body(3, 5), 5, condition, rng=rng()).double()
        nothing = condition.nothing(2).to(torch.int64 if condition is LABELS else torch.float64)
        row = critic.embedding.rows.weight[-1] if condition is LABELS else torch.zeros(5, dtype=torch.float64)
        expected = critic.score(critic.features(x)).flatten() + critic.features(x) @ row
        torch.testing.assert_close(critic(x, nothing), expected)


def test_projection_starts_with_rows_as_large_as_the_score_s():
    critic = ProjectionCritic(nn.Identity(), 4000, Condition("label", 50), rng=rng())
    assert critic.embedding.rows.weight.std().item() == pytest.approx(critic.score.weight.std().item(), rel=0.05)


@pytest.mark.parametrize("condition", [LABELS, VECTORS])
@pytest.mark.parametrize("shape", [(3,), (2, 3, 4)])
def test_concatenation_is_the_critic_of_samples_with_more_channels(condition: Condition, shape: tuple[int, ...]):
    critic = ConcatenationCritic.make(smooth, shape, condition, rng=rng(), channels=2).double()
    x, y = normal(5, *shape), asked(condition, 5)
    for i, found in enumerate(critic(x, y)):
        channels = [torch.full(shape[1:], value.item(), dtype=x.dtype) for value in critic.embedding(y[i : i + 1])[0]]
        whole = torch.cat([x[i], torch.stack(channels)])[None]
        torch.testing.assert_close(found, critic.critic(whole)[0])
        torch.testing.assert_close(critic.features_given(x, y)[i], critic.critic[:-2](whole)[0])
    bound = Conditioned(critic, y)
    assert torch.equal(bound.features(x), critic.features_given(x, y))
    nothing = critic.embedding.nothing(5)
    maps = nothing.reshape(5, 2, *[1] * (len(shape) - 1)).expand(5, 2, *shape[1:])
    torch.testing.assert_close(critic.features(x), critic.critic[:-2](torch.cat([x, maps], 1)))


def test_classifying_contrastive_and_recognising_are_linear_in_the_features():
    x, y = normal(6, 3), asked(LABELS, 6)
    body = linear_body(3, 5)
    classifying = ClassifyingCritic(body, 5, LABELS, rng=rng()).double()
    contrastive = ContrastiveCritic(body, 5, LABELS, width=7, rng=rng()).double()
    recognising = RecognisingCritic(body, 5, categories=3, continuous=2, hidden=11, rng=rng()).double()
    for head in (classifying, contrastive, recognising):
        expected = head.score.weight[0] @ body(x).T + head.score.bias
        torch.testing.assert_close(head(x), expected)
        assert torch.equal(Conditioned(head, y)(x), head(x))  # whatever is asked for
        assert torch.equal(Conditioned(head, y).features(x), body(x))
    torch.testing.assert_close(
        classifying.classify(x), body(x) @ classifying.classes.weight.T + classifying.classes.bias
    )
    assert classifying.classify(x).shape == (6, 4)
    embeddings, proxies = Conditioned(contrastive, y).contrast(x)
    torch.testing.assert_close(embeddings, body(x) @ contrastive.embedding.weight.T + contrastive.embedding.bias)
    assert torch.equal(proxies, contrastive.proxies.rows.weight[y])
    assert embeddings.shape == proxies.shape == (6, 7)
    hidden, _, last = recognising.recogniser
    units = body(x) @ hidden.weight.T + hidden.bias
    units = torch.where(units > 0, units, 0.2 * units)
    torch.testing.assert_close(recognising.recognise(x), units @ last.weight.T + last.bias)
    assert recognising.recognise(x).shape == (6, 5)


@pytest.mark.parametrize("shape", [(3,), (1, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize("name", [*HEADS, "recognising"])
def test_heads_on_built_in_critics(name: str, shape: tuple[int, ...]):
    make = RecognisingCritic.make if name == "recognising" else HEADS[name]
    condition = None if name == "recognising" else LABELS
    state = torch.get_rng_state()
    one, again, other = (make(plain, shape, condition, rng=rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    vectors = [nn.utils.parameters_to_vector(critic.parameters()) for critic in (one, again, other)]
    assert torch.equal(vectors[0], vectors[1])
    assert not torch.equal(vectors[0], vectors[2])
    x, y = torch.randn(6, *shape, generator=rng(4)), asked(LABELS, 6)
    bound = Conditioned(one, y)
    assert bound(x).shape == (6,)
    assert bound.features(x).ndim == 2
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low, shown = bound(x), bound.features(x)
    torch.testing.assert_close(low.float(), bound(x), rtol=0.1, atol=0.05)
    torch.testing.assert_close(shown.float(), bound.features(x), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("condition", [LABELS, VECTORS])
@pytest.mark.parametrize("shape", [(3,), (1, 3, 3)])
@pytest.mark.parametrize("name", HEADS)
def test_heads_can_be_differentiated_twice(name: str, shape: tuple[int, ...], condition: Condition):
    if name == "classifying" and condition is VECTORS:
        return
    critic = HEADS[name](smooth, shape, condition, rng=rng()).double()
    x, y = normal(3, *shape).requires_grad_(), asked(condition, 3)
    assert torch.autograd.gradgradcheck(Conditioned(critic, y), x)
    for method in METHODS:
        penalty = wgan_gp(method=method)(Conditioned(critic, y), x, normal(3, *shape, seed=5), rng())
        gradients = torch.autograd.grad(penalty.sum(), list(critic.parameters()), allow_unused=True)
        if method == "exact":
            exact = gradients
        for found, wanted in zip(gradients, exact, strict=True):
            if found is not None and wanted is not None:
                torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


def test_what_heads_show_can_be_differentiated_twice():
    x, y = normal(3, 3).requires_grad_(), asked(LABELS, 3)
    classifying = ClassifyingCritic.make(smooth, (3,), LABELS, rng=rng()).double()
    contrastive = ContrastiveCritic.make(smooth, (3,), LABELS, rng=rng(), width=2).double()
    recognising = RecognisingCritic.make(smooth, (3,), None, rng=rng(), categories=2, continuous=1).double()
    shown = [
        classifying.classify,
        lambda x: contrastive.contrast(x, y)[0],
        recognising.recognise,
        recognising.features,
    ]
    for function in shown:
        assert torch.autograd.gradgradcheck(function, x)


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize(("name", "shape"), [("dcgan", (1, 28, 28)), ("mlp", (1, 4, 4)), ("vector-mlp", (3,))])
def test_a_critic_is_its_body_and_a_linear_layer(name: str, shape: tuple[int, ...], batch_norm: bool):
    critic = NETWORKS[name].critic(shape, width=4, batch_norm=batch_norm, rng=rng()).eval()
    x = torch.randn(5, *shape, generator=rng(1))
    body, features = split_head(critic)
    shown = features_of(critic, x)
    assert shown.shape == (5, features)
    assert torch.equal(body(x), shown)
    assert torch.equal(critic[-2](shown).flatten(), critic(x))
    assert all(any(part is whole for whole in critic.parameters()) for part in body.parameters())
    head = ProjectionCritic(body, features, LABELS, rng=rng())
    assert torch.equal(features_of(head, x), shown)
    assert torch.equal(features_of(Conditioned(head, asked(LABELS, 5)), x), shown)


@pytest.mark.parametrize(
    ("critic", "words"),
    [
        (nn.Linear(3, 1), "critic is a Linear: wanted an nn.Sequential that ends in"),
        (nn.Sequential(), "critic ends in nothing"),
        (nn.Sequential(nn.Linear(3, 1)), "critic ends in Linear"),
        (nn.Sequential(nn.Linear(3, 2), nn.Flatten(0)), "out_features=2"),
        (nn.Sequential(nn.Linear(3, 1), nn.Sigmoid()), "Sigmoid"),
    ],
)
def test_critics_without_such_an_ending(critic: nn.Module, words: str):
    for function in (split_head, lambda critic: features_of(critic, torch.zeros(2, 3))):
        with pytest.raises(InputError, match=words):
            function(critic)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ClassifyingCritic.make(plain, (3,), VECTORS, rng=rng()), "take a projection, a concatenation"),
        (lambda: ConcatenationCritic.make(plain, (3,), LABELS, rng=rng(), channels=0), "channels is 0"),
        (lambda: ContrastiveCritic.make(plain, (3,), LABELS, rng=rng(), width=0), "width is 0"),
        (lambda: RecognisingCritic.make(plain, (3,), LABELS, rng=rng()), "without labels: wanted no condition"),
        (lambda: RecognisingCritic.make(plain, (3,), None, rng=rng(), categories=1), "categories is 1"),
        (lambda: RecognisingCritic.make(plain, (3,), None, rng=rng(), continuous=-1), "continuous is -1"),
        (lambda: RecognisingCritic.make(plain, (3,), None, rng=rng(), categories=0, continuous=0), "nothing to"),
        (lambda: RecognisingCritic.make(plain, (3,), None, rng=rng(), hidden=0), "hidden is 0"),
        (lambda: ProjectionCritic(nn.Identity(), 0, LABELS, rng=rng()), "features is 0"),
        (
            lambda: ProjectionCritic.make(plain, (3,), LABELS, rng=rng())(torch.zeros(2, 3), torch.tensor([0, 5])),
            "labels reach from 0 to 5",
        ),
        (
            lambda: ConcatenationCritic.make(plain, (3,), VECTORS, rng=rng())(torch.zeros(2, 3), torch.zeros(2, 5)),
            r"wanted float \[B, 4\]",
        ),
    ],
)
def test_what_heads_refuse(call: Callable[[], object], words: str):
    with pytest.raises(InputError, match=words):
        call()
