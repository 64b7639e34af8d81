"""Networks bound to a condition, embeddings, conditional batch norm against per-class affine maps, the generators."""

import copy
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from adversarium.errors import InputError
from adversarium.nets import (
    NETWORKS,
    ConditionalBatchNorm1d,
    ConditionalBatchNorm2d,
    ConditionalGenerator,
    Conditioned,
    ConditionEmbedding,
    dcgan,
    parts_of,
)
from adversarium.penalties import Encodes, pulling_away, r1, spectral_regularisation
from adversarium.types import Condition

LABELS, VECTORS = Condition("label", 3), Condition("vector", 3)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)


def values(condition: Condition, count: int, seed: int = 2) -> Tensor:
    if condition.kind == "label":
        return torch.randint(0, condition.size + 1, (count,), generator=rng(seed))
    return torch.randn(count, condition.size, generator=rng(seed))


class Bilinear(nn.Module):
    """D(x, y) = x·(W y), and everything that a network may show."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(3, 4, bias=False).double()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return (x * self.map(y.double())).sum(1)

    def features(self, x: Tensor) -> Tensor:
        return 2 * x

    def contrast(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x, self.map(y.double())

    def encode(self, x: Tensor) -> Tensor:
        return 3 * x


class TellsFeatures(nn.Module):
    def features(self, x: Tensor) -> Tensor:
        raise AssertionError("the features given the condition were wanted")

    def features_given(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y[:, None]

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.features_given(x, y).sum(1)


def test_a_conditioned_network_repeats_its_condition_block_after_block():
    network, y, x = Bilinear(), values(VECTORS, 5), normal(15, 4)
    bound = Conditioned(network, y)
    expected = torch.stack([x[i] @ network.map.weight @ y[i % 5].double() for i in range(15)])
    torch.testing.assert_close(bound(x), expected)
    assert torch.equal(bound(x[:5]), network(x[:5], y))
    assert bound.condition is y
    torch.testing.assert_close(bound.take(slice(2, 4))(x[2:4]), expected[2:4])
    torch.testing.assert_close(bound.take(torch.tensor([3, 0]))(x[[3, 0]]), expected[[3, 0]])
    embeddings, proxies = bound.contrast(x)
    assert torch.equal(embeddings, x)
    torch.testing.assert_close(proxies, network.map(y.double()).repeat(3, 1))


@pytest.mark.parametrize("rows", [4, 6, 11])
def test_rows_without_a_condition_are_refused(rows: int):
    bound = Conditioned(Bilinear(), values(VECTORS, 5))
    with pytest.raises(InputError, match=f"{rows} rows, and the condition has 5"):
        bound(normal(rows, 4))
    with pytest.raises(InputError, match=f"{rows} rows"):
        bound.contrast(normal(rows, 4))
    with pytest.raises(InputError, match="the condition has 0"):
        Conditioned(Bilinear(), torch.empty(0, 3))(normal(rows, 4))


def test_it_shows_what_the_network_shows_and_no_more():
    y, x = values(VECTORS, 5), normal(5, 4)
    bound = Conditioned(Bilinear(), y)
    assert torch.equal(bound.features(x), 2 * x)
    assert torch.equal(bound.encode(x), 3 * x)
    assert isinstance(bound, Encodes)
    assert pulling_away()(nn.Identity(), bound, x, x, None).shape == (5,)
    for name in ("classify", "recognise"):
        with pytest.raises(AttributeError):
            getattr(bound, name)
    plain = Conditioned(lambda x, y: x.sum(1), y)  # any callable will do
    assert torch.equal(plain(x), x.sum(1))
    assert not isinstance(plain, Encodes)
    with pytest.raises(AttributeError):
        _ = plain.features
    told = Conditioned(TellsFeatures(), torch.arange(5.0))
    torch.testing.assert_close(told.features(x), x + torch.arange(5.0)[:, None])


def test_penalties_on_weights_and_slopes_see_through_it():
    network, y, x = Bilinear(), values(VECTORS, 5), normal(5, 4)
    bound = Conditioned(network, y)
    weight = network.map.weight
    expected = 0.5 * torch.linalg.matrix_norm(weight, 2).square()
    torch.testing.assert_close(spectral_regularisation(weight=1.0)(bound, x, x, None), expected.expand(5))
    slopes = (y.double() @ weight.T).square().sum(1)
    for method in ("exact", "functional", "finite"):
        found = r1(gamma=2.0, method=method)(bound, x, x, None)
        torch.testing.assert_close(found, slopes, rtol=1e-5, atol=1e-8)


def test_it_is_in_the_network_s_mode_and_a_copy_is_independent():
    network = Bilinear().eval()
    bound = Conditioned(network, values(VECTORS, 2))
    assert not bound.training
    other = copy.deepcopy(bound)
    x = normal(2, 4)
    with torch.no_grad():
        network.map.weight.zero_()
    assert not bound(x).any()
    assert other(x).all()
    assert not bound.contrast(x)[1].any()
    assert other.contrast(x)[1].all()


# In a process of its own: the import hook that checks annotations in tests is nothing a compiler could read.
COMPILED = """
import torch
from torch import nn

from adversarium.nets import Conditioned, ProjectionCritic
from adversarium.penalties import scores_and_slope
from adversarium.types import Condition

rng = torch.Generator().manual_seed(0)
condition = Condition("label", 3)
build = lambda shape: nn.Sequential(nn.Linear(shape[0], 5), nn.Tanh(), nn.Linear(5, 1), nn.Flatten(0))
torch.manual_seed(0)
x, y = torch.randn(6, 4), torch.tensor([0, 1, 3])

def objective(critic, x, y):
    scores, slopes = scores_and_slope(Conditioned(critic, y), x, "functional")
    return scores.mean() + slopes.square().mean()

critic = ProjectionCritic.make(build, (4,), condition, rng=rng)
gradients = []
for function in (objective, torch.compile(objective, fullgraph=True, backend="aot_eager")):
    critic.zero_grad()
    function(critic, x, y).backward()
    gradients.append([parameter.grad for parameter in critic.parameters()])
torch.testing.assert_close(*gradients)
print("one graph, equal gradients")
"""


def test_it_can_be_made_inside_a_compiled_function():
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "one graph, equal gradients", done.stderr


def test_embeddings_of_labels_are_rows_and_of_vectors_are_linear():
    labels = ConditionEmbedding(LABELS, 5, rng=rng())
    assert labels.rows.weight.shape == (4, 5)
    assert torch.equal(labels(torch.tensor([2, 0])), labels.rows.weight[[2, 0]])
    assert torch.equal(labels(LABELS.nothing(2)), labels.rows.weight[[3, 3]])
    assert torch.equal(labels.nothing(2), labels.rows.weight[[3, 3]])
    vectors = ConditionEmbedding(VECTORS, 5, rng=rng()).double()
    a, b = normal(4, 3), normal(4, 3, seed=5)
    torch.testing.assert_close(vectors(2 * a + b), 2 * vectors(a) + vectors(b))
    assert not vectors(torch.zeros(2, 3, dtype=torch.float64)).any()
    assert not vectors.nothing(2).any()
    assert vectors.nothing(2).shape == (2, 5)


@pytest.mark.parametrize("condition", [Condition("label", 400), Condition("vector", 400)])
def test_embeddings_are_drawn_from_the_generator_given(condition: Condition):
    state = torch.get_rng_state()
    one, again, other = (ConditionEmbedding(condition, 50, rng=rng(seed), std=0.5) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one.rows.weight, again.rows.weight)
    assert not torch.equal(one.rows.weight, other.rows.weight)
    rows = one(values(condition, 300))  # of vectors with entries of unit size, too
    assert rows.std().item() == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("maps", [True, False])
def test_conditional_batch_norm_is_an_affine_map_for_each_class(maps: bool, training: bool):
    shape = (6, 4, 3, 2) if maps else (6, 4)
    norm = (ConditionalBatchNorm2d if maps else ConditionalBatchNorm1d)(4, 5).double()
    x, rows, y = normal(*shape), normal(3, 5, seed=3), torch.tensor([0, 2, 1, 1, 0, 2])
    torch.testing.assert_close(norm(x, rows[y]), functional.batch_norm(x, None, None, training=True))  # at first
    with torch.no_grad():
        norm.weight.copy_(normal(8, 5, seed=4))
        norm.bias.copy_(normal(8, seed=5))
        norm.norm.running_mean.copy_(normal(4, seed=6))
        norm.norm.running_var.copy_(normal(4, seed=7).exp())
    norm.train(training)
    mean, variance = norm.norm.running_mean.clone(), norm.norm.running_var.clone()
    found = norm(x, rows[y])
    for label in range(3):
        gain = 1 + norm.weight[:4] @ rows[label] + norm.bias[:4]
        bias = norm.weight[4:] @ rows[label] + norm.bias[4:]
        expected = functional.batch_norm(x, mean.clone(), variance.clone(), gain, bias, training=training)
        torch.testing.assert_close(found[y == label], expected[y == label])
    assert parts_of(norm) == {"batch_norm"}


def test_conditional_batch_norm_can_be_differentiated_twice():
    norm = ConditionalBatchNorm2d(2, 3).double()
    with torch.no_grad():
        norm.weight.copy_(normal(4, 3, seed=4))
    inputs = (normal(3, 2, 2, 1).requires_grad_(), normal(3, 3, seed=3).requires_grad_())
    assert torch.autograd.gradgradcheck(norm, inputs)


def test_under_autocast_small_gains_are_kept():
    norm = ConditionalBatchNorm1d(1, 1)
    with torch.no_grad():
        norm.bias[0] = 2**-9
    x, embedding = torch.tensor([[1.0], [-1.0]]), torch.zeros(2, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = norm(x, embedding)
    torch.testing.assert_close(found, x * (1 + 2**-9), rtol=1e-4, atol=0)


CASES = [
    ("dcgan", (1, 28, 28)),
    ("dcgan", (3, 32, 32)),
    ("mlp", (1, 4, 4)),
    ("vector-mlp", (2,)),
    ("autoencoder", (1, 28, 28)),
]


def generator_of(
    name: str, shape: tuple[int, ...], condition: Condition | None, batch_norm: bool, seed: int = 0
) -> Any:
    family = NETWORKS[name]
    made = family.generator(shape, 6, width=4, batch_norm=batch_norm, rng=rng(seed), condition=condition)
    with torch.no_grad():  # as if trained: at first, conditional batch norm is plain
        for module in made.modules():
            if isinstance(module, ConditionalBatchNorm1d | ConditionalBatchNorm2d):
                nn.init.normal_(module.weight, 0.0, 0.1, generator=rng(seed))
    return made


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("condition", [LABELS, VECTORS])
@pytest.mark.parametrize(("name", "shape"), CASES)
def test_conditional_generators(name: str, shape: tuple[int, ...], condition: Condition, batch_norm: bool):
    state = torch.get_rng_state()
    generator = generator_of(name, shape, condition, batch_norm)
    assert torch.equal(torch.get_rng_state(), state)
    assert isinstance(generator, ConditionalGenerator)
    assert generator.embedding.condition == condition
    assert parts_of(generator) == ({"batch_norm"} if batch_norm else frozenset())
    conditional = sum(isinstance(m, ConditionalBatchNorm1d | ConditionalBatchNorm2d) for m in generator.modules())
    plain = generator_of(name, shape, None, batch_norm)
    affine = [m for m in plain.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert conditional == len(affine)  # everywhere where there was batch norm
    generator.eval()
    codes, asked = torch.randn(4, 6, generator=rng(1)), values(condition, 4)
    samples = generator(codes, asked)
    assert samples.shape == (4, *shape)
    embedding = generator.embed(asked)
    assert torch.equal(generator.forward_embedded(codes, embedding), samples)
    assert not torch.allclose(generator(codes, condition.nothing(4)), samples)
    assert torch.equal(generator.guided(codes, asked, 1.0), samples)
    assert torch.equal(generator.guided(codes, asked, 0.0), generator(codes, condition.nothing(4)))
    nothing = generator.embed(condition.nothing(4))
    further = generator.forward_embedded(codes, nothing + 2.5 * (embedding - nothing))
    torch.testing.assert_close(generator.guided(codes, asked, 2.5), further)
    torch.testing.assert_close(Conditioned(generator, asked)(codes.repeat(2, 1)), samples.repeat(2, *[1] * len(shape)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(generator(codes, asked).float(), samples, rtol=0.1, atol=0.03)
        torch.testing.assert_close(generator.guided(codes, asked, 1.0).float(), samples, rtol=0.1, atol=0.03)


def test_a_joined_embedding_is_more_columns_of_the_code():
    generator = generator_of("vector-mlp", (2,), LABELS, False).double()
    codes, labels = normal(5, 6), values(LABELS, 5)
    first = next(m for m in generator.modules() if isinstance(m, nn.Linear))
    assert first.in_features == 12
    joined = torch.cat([codes, generator.embedding.rows.weight[labels]], 1)
    assert torch.equal(generator(codes, labels), generator.layers(joined))


def test_all_parts_of_a_conditional_generator_learn():
    for batch_norm in (True, False):
        generator = generator_of("dcgan", (1, 28, 28), LABELS, batch_norm)
        generator(torch.randn(4, 6, generator=rng(1)), torch.tensor([0, 1, 2, 3])).square().mean().backward()
        for name, parameter in generator.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.any(), name


@pytest.mark.parametrize("batch_norm", [True, False])
def test_without_a_condition_dcgan_is_the_plain_network_drawn_in_order(batch_norm: bool):
    layers: list[nn.Module] = [nn.Linear(6, 16 * 4 * 4, bias=not batch_norm), nn.Unflatten(1, (16, 4, 4))]
    for features, after in ((16, 8), (8, 4), (4, 3)):
        layers += [*([nn.BatchNorm2d(features)] if batch_norm else []), nn.ReLU()]
        layers.append(nn.ConvTranspose2d(features, after, 4, 2, 1, bias=not batch_norm or after == 3))
    twin, source = nn.Sequential(*layers, nn.Tanh()), rng(4)
    with torch.no_grad():
        for layer in twin:
            if isinstance(layer, nn.Linear | nn.ConvTranspose2d | nn.BatchNorm2d):
                mean = 1.0 if isinstance(layer, nn.BatchNorm2d) else 0.0
                layer.weight.normal_(mean, 0.02, generator=source)
                if layer.bias is not None:
                    layer.bias.zero_()
    found = dcgan.generator((3, 32, 32), 6, width=4, batch_norm=batch_norm, rng=rng(4))
    assert list(found.state_dict()) == list(twin.state_dict())
    for name, tensor in found.state_dict().items():
        assert torch.equal(tensor, twin.state_dict()[name]), name


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (torch.tensor([0, 4]), "labels reach from 0 to 4: wanted 0 to 2, or 3 for none"),
        (torch.tensor([-1, 0]), "labels reach from -1"),
        (torch.tensor([0.0, 1.0]), "wanted int64"),
        (torch.tensor([0, 1, 2]), r"shape \[3, 6\]: wanted \[2, 6\], one for each code"),
    ],
)
def test_labels_that_are_none_are_refused(asked: Tensor, words: str):
    generator = generator_of("vector-mlp", (2,), LABELS, False)
    with pytest.raises(InputError, match=words):
        generator(torch.zeros(2, 6), asked)


@pytest.mark.parametrize("network", [torch.float32, torch.float64])
@pytest.mark.parametrize("given", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_vectors_are_converted_to_the_network_s_precision(network: torch.dtype, given: torch.dtype):
    embedding = ConditionEmbedding(VECTORS, 5, rng=rng()).to(network)
    asked = normal(4, 3).to(given).requires_grad_()
    rows = embedding(asked)
    assert rows.dtype == network
    torch.testing.assert_close(rows, asked.detach().to(network) @ embedding.rows.weight.T)
    (found,) = torch.autograd.grad(rows.sum(), asked)
    assert found.dtype == given
    assert found.abs().sum() > 0


@pytest.mark.parametrize("entry", [torch.nan, torch.inf, -torch.inf, 1e30, -2e6])
def test_vectors_out_of_all_proportion_are_refused(entry: float):
    networks = (generator_of("vector-mlp", (2,), VECTORS, True), generator_of("vector-mlp", (2,), VECTORS, False))
    asked = torch.zeros(2, 3)
    asked[1, 2] = entry
    for network in (*networks, ConditionEmbedding(VECTORS, 4, rng=rng()).double()):
        codes = () if isinstance(network, ConditionEmbedding) else (torch.zeros(2, 6),)
        with pytest.raises(InputError, match="entries up to .*unit size, at most 1e[+]06: standardise"):
            network(*codes, asked)
    asked[1, 2] = 1e6
    assert ConditionEmbedding(VECTORS, 4, rng=rng())(asked).isfinite().all()
    assert ConditionEmbedding(VECTORS, 4, rng=rng())(asked[:0]).shape == (0, 4)


def test_other_mistakes_are_named():
    generator = generator_of("vector-mlp", (2,), VECTORS, True)
    with pytest.raises(InputError, match=r"wanted float \[B, 3\]"):
        generator(torch.zeros(2, 6), torch.zeros(2, 4))
    with pytest.raises(InputError, match=r"shape \[2, 5\]: wanted \[2, 128\]"):
        generator.forward_embedded(torch.zeros(2, 6), torch.zeros(2, 5))
    with pytest.raises(InputError, match="width is 0"):
        ConditionEmbedding(LABELS, 0, rng=rng())
    with pytest.raises(InputError, match="would not depend"):
        ConditionalGenerator(nn.Sequential(nn.Linear(2, 2)), ConditionEmbedding(LABELS, 2, rng=rng()), joined=False)
