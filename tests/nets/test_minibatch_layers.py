"""Layers that compare the samples of a batch, against loops, and in built-in critics."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from adversarium.constraints import spectral_norm
from adversarium.errors import InputError
from adversarium.nets import (
    MINIBATCH_LAYERS,
    NETWORKS,
    ConditionalBatchNorm1d,
    Conditioned,
    MinibatchDiscrimination,
    MinibatchStandardDeviation,
    ProjectionCritic,
    couples_samples,
    parts_of,
    split_head,
)
from adversarium.penalties import r1
from adversarium.spec import make
from adversarium.types import Condition


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)


@pytest.mark.parametrize("group", [2, 3, 6, None])
@pytest.mark.parametrize("shape", [(6, 5), (6, 2, 3, 4)])
def test_the_standard_deviation_in_loops(shape: tuple[int, ...], group: int | None):
    x, size = normal(*shape), group or 6
    found = MinibatchStandardDeviation(group)(x)
    assert found.shape == (6, shape[1] + 1, *shape[2:])
    assert torch.equal(found[:, :-1], x)
    for start in range(0, 6, size):
        members = [x[i].flatten() for i in range(start, start + size)]
        deviations = []
        for j in range(len(members[0])):
            numbers = [float(member[j]) for member in members]
            mean = sum(numbers) / size
            deviations.append((sum((number - mean) ** 2 for number in numbers) / size + 1e-8) ** 0.5)
        expected = sum(deviations) / len(deviations)
        torch.testing.assert_close(found[start : start + size, -1], torch.full_like(found[:size, -1], expected))


def test_groups_of_joined_batches_stay_apart():
    layer, real, fake = MinibatchStandardDeviation(2), normal(4, 3), 5 * normal(6, 3, seed=2)
    assert torch.equal(layer(torch.cat([real, fake])), torch.cat([layer(real), layer(fake)]))


def test_a_collapsed_group_has_almost_no_deviation_and_finite_derivatives():
    layer, x = MinibatchStandardDeviation(), torch.ones(4, 3, requires_grad=True)
    column = layer(x)[:, -1]
    torch.testing.assert_close(column, torch.full((4,), 1e-4))
    (slope,) = torch.autograd.grad(column.sum(), x, create_graph=True)
    assert not slope.any()
    (second,) = torch.autograd.grad((slope * torch.arange(12.0).view(4, 3)).sum(), x)
    assert second.isfinite().all()


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_discrimination_in_loops(batch: int):
    layer, x = MinibatchDiscrimination(4, 3, 2, rng=rng()).double(), normal(batch, 4)
    found = layer(x).detach()
    assert found.shape == (batch, 7)
    assert torch.equal(found[:, :4], x)
    maps = [layer.weight[:, 2 * k : 2 * k + 2] for k in range(3)]
    for i in range(batch):
        for k in range(3):
            near = 0.0
            for j in range(batch):
                if j != i:
                    near += float(torch.exp(-(x[i] @ maps[k] - x[j] @ maps[k]).abs().sum()).detach())
            assert float(found[i, 4 + k]) == pytest.approx(near)


def test_discrimination_starts_where_distances_matter():
    """Distances are about a feature's size, at any number of features and dimensions: no kernel is blind."""
    for features, dimensions in ((8, 2), (512, 5)):
        layer = MinibatchDiscrimination(features, 50, dimensions, rng=rng())
        x = torch.randn(64, features, generator=rng(1))
        near = layer(x)[:, features:].mean() / 63
        assert 0.2 < near < 0.5  # exp(-1.13) = 0.32
    identical = layer(x[:1].expand(64, -1))[:, features:]
    torch.testing.assert_close(identical, torch.full_like(identical, 63))


@pytest.mark.parametrize("name", MINIBATCH_LAYERS)
def test_twice_differentiable(name: str):
    layer = MinibatchStandardDeviation(2) if name == "minibatch_std" else MinibatchDiscrimination(3, 2, 2, rng=rng())
    assert torch.autograd.gradgradcheck(layer.double(), normal(4, 3).requires_grad_())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", MINIBATCH_LAYERS)
def test_half_precision_is_compared_in_single(name: str, dtype: torch.dtype):
    layer = MinibatchStandardDeviation() if name == "minibatch_std" else MinibatchDiscrimination(9, 2, 2, rng=rng())
    x = (100 + torch.randn(8, 9, generator=rng(1))).to(dtype)
    with torch.autocast("cpu", dtype=dtype):
        low = layer(x)
    assert torch.equal(low, layer(x.float()).to(dtype))


TEXTS = ["minibatch_std", "minibatch_std(group=None)", "minibatch_discrimination(kernels=6, dimensions=2)"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(("name", "shape"), [("dcgan", (1, 28, 28)), ("mlp", (1, 4, 4)), ("vector-mlp", (3,))])
def test_in_a_built_in_critic(name: str, shape: tuple[int, ...], text: str):
    critic = NETWORKS[name].critic(shape, width=4, batch_norm=False, rng=rng())
    assert not couples_samples(critic)
    state = torch.get_rng_state()
    insert = make(text, "minibatch layer", MINIBATCH_LAYERS)
    one, again, other = (insert(critic, rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    last, old = one[-2], critic[-2]
    assert torch.equal(last.weight, again[-2].weight)
    assert not torch.equal(last.weight, other[-2].weight)
    assert last.bias is not old.bias
    x = torch.randn(8, *shape, generator=rng(3))
    body, features = split_head(critic)
    columns = one[-3](body(x))
    assert torch.equal(columns[:, :features], body(x))
    torch.testing.assert_close(one(x), critic(x) + columns[:, features:] @ last.weight[0, features:])
    scale = old.weight.square().mean().sqrt()
    if columns.shape[1] > features + 1:
        assert 0.2 * scale < last.weight[0, features:].square().mean().sqrt() < 3 * scale
    assert couples_samples(one)
    assert parts_of(one) == frozenset()
    assert split_head(one)[1] == last.in_features
    r1()(one, x, x, None).mean().backward()
    changed = one(torch.cat([x[:1], 10 * x[1:]]))
    assert not torch.allclose(changed[0], one(x)[0], rtol=1e-6, atol=1e-9)


def test_under_a_head_and_a_constraint():
    condition = Condition("label", 3)
    insert = MINIBATCH_LAYERS["minibatch_std"](group=2)

    def build(shape: tuple[int, ...]) -> nn.Sequential:
        return insert(NETWORKS["vector-mlp"].critic(shape, width=4, rng=rng()), rng(1))

    head = ProjectionCritic.make(build, (3,), condition, rng=rng(2))
    bound = Conditioned(head, torch.tensor([0, 1, 2, 3]))
    assert bound(torch.randn(4, 3, generator=rng(1))).shape == (4,)
    assert couples_samples(bound)
    critic = build((3,))
    spectral_norm().apply(critic)
    with pytest.raises(InputError, match="constrained already"):
        insert(critic, rng())


def test_the_critic_given_stays_as_it_is():
    critic = NETWORKS["vector-mlp"].critic((3,), width=4, rng=rng()).double()
    x = normal(4, 3)
    before = critic(x)
    for factory in MINIBATCH_LAYERS.values():
        made = factory()(critic, rng())
        assert made(x).dtype == torch.float64
        with torch.no_grad():
            made[-2].weight.zero_()
    assert torch.equal(critic(x), before)


def test_what_couples_samples():
    assert couples_samples(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    assert couples_samples(ConditionalBatchNorm1d(2, 2))
    assert couples_samples(MinibatchStandardDeviation())
    assert not couples_samples(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.InstanceNorm1d(2)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: MinibatchStandardDeviation(4)(torch.zeros(6, 2)),
            "groups of 4.*batch of 6: wanted a group of 2, 3, 6",
        ),
        (lambda: MinibatchStandardDeviation(4)(torch.zeros(1, 2)), "batch of 1: wanted group=None"),
        (lambda: MinibatchStandardDeviation(None)(torch.zeros(0, 2)), "empty batch"),
        (lambda: MINIBATCH_LAYERS["minibatch_std"](group=1), "group is 1"),
        (lambda: MINIBATCH_LAYERS["minibatch_discrimination"](kernels=0), "kernels is 0"),
        (lambda: MINIBATCH_LAYERS["minibatch_discrimination"](dimensions=0), "dimensions is 0"),
        (lambda: MinibatchDiscrimination(0, 1, 1, rng=rng()), "features is 0"),
        (lambda: MinibatchDiscrimination(3, 1, 1, rng=rng())(torch.zeros(2, 3, 1)), r"\[2, 3, 1\]: wanted \[B, 3\]"),
        (lambda: MINIBATCH_LAYERS["minibatch_std"]()(nn.Linear(2, 1), rng()), "critic is a Linear"),
        (lambda: MINIBATCH_LAYERS["minibatch_discrimination"]()(nn.Linear(2, 1), rng()), "critic is a Linear"),
    ],
)
def test_what_minibatch_layers_refuse(call: Callable[[], object], words: str):
    with pytest.raises(InputError, match=words):
        call()
