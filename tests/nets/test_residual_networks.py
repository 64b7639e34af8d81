"""The two residual families, ``resnet`` and ``r3``: what both have to be."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from adversarium.constraints import CONSTRAINTS
from adversarium.errors import InputError
from adversarium.nets import NETWORKS, ConditionalGenerator, parts_of, split_head
from adversarium.penalties.slope import slope
from adversarium.types import Condition

FAMILIES = ["resnet", "r3"]
SIZES = [28, 32, 64, 128]
LABELS = Condition("label", 5)
VECTORS = Condition("vector", 3)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_critic(name: str, shape: tuple[int, ...] = (1, 28, 28), width: int = 4, seed: int = 0) -> nn.Sequential:
    critic = NETWORKS[name].critic(shape, width=width, batch_norm=False, rng=rng(seed))
    assert isinstance(critic, nn.Sequential)
    return critic


def make_generator(name: str, shape: tuple[int, ...] = (1, 28, 28), seed: int = 0, **options: object) -> nn.Module:
    options = {"width": 4, "batch_norm": NETWORKS[name].batch_norm, **options}
    return NETWORKS[name].generator(shape, 6, rng=rng(seed), **options)


def stirred(critic: nn.Sequential) -> nn.Sequential:
    """Return the critic with every weight well away from its special initial value."""
    with torch.no_grad():
        for weight in critic.parameters():
            noise = torch.randn(weight.shape, generator=rng(9), dtype=weight.dtype)
            weight.add_(noise * (0.5 / weight[0].numel() ** 0.5))
    return critic


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", FAMILIES)
def test_shapes(name: str, size: int, channels: int) -> None:
    shape = (channels, size, size)
    generator, critic = make_generator(name, shape, width=2), make_critic(name, shape, width=2)
    samples = generator(torch.randn(3, 6))
    assert samples.shape == (3, *shape)
    assert samples.abs().max() <= 1
    assert generator(100 * torch.randn(3, 6)).abs().max() <= 1
    assert critic(samples).shape == (3,)
    body, features = split_head(critic)
    assert body(samples).shape == (3, features)
    assert parts_of(critic) == frozenset()
    assert parts_of(generator) == ({"batch_norm"} if name == "resnet" else frozenset())


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_come_from_the_generator_given(name: str) -> None:
    before = torch.get_rng_state()
    for make in (make_generator, make_critic):
        one, two, other = (make(name, seed=seed).state_dict() for seed in (1, 1, 2))
        assert all(torch.equal(one[key], two[key]) for key in one)
        drawn = [key for key, value in one.items() if value.unique().numel() > 1]
        assert drawn
        assert not any(torch.equal(one[key], other[key]) for key in drawn)
    conditional = [make_generator(name, seed=3, condition=LABELS).state_dict() for _ in range(2)]
    assert all(torch.equal(conditional[0][key], conditional[1][key]) for key in conditional[0])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_reach_every_weight(name: str) -> None:
    """From the second step on: at the first, weights below a layer of zeros have a gradient of zero."""
    for condition in (None, LABELS):
        generator, critic = make_generator(name, condition=condition), make_critic(name)
        arguments = (torch.randn(8, 6), *([torch.arange(8) % 5] if condition else []))
        weights = [*generator.named_parameters(), *critic.named_parameters()]
        for _ in range(2):
            for _, weight in weights:
                weight.grad = None
            functional.softplus(-critic(generator(*arguments))).mean().backward()
            for _, weight in weights:
                assert weight.grad is not None
                assert weight.grad.isfinite().all()
                weight.data -= 0.1 * weight.grad
        for key, weight in weights:
            # a constant in front of batch norm has no effect, and the last bias of a critic moves all scores
            before_norm = name == "resnet" and key.endswith("bias")
            assert before_norm or weight.grad.any(), key


@pytest.mark.parametrize("name", FAMILIES)
def test_a_score_does_not_depend_on_the_other_samples(name: str) -> None:
    critic = stirred(make_critic(name, (2, 32, 32)).double())
    samples = torch.randn(4, 2, 32, 32, dtype=torch.float64)
    alone = torch.cat([critic(sample[None]) for sample in samples])
    torch.testing.assert_close(critic(samples), alone)
    assert alone.std() > 1e-3


def slope_gradients(critic: nn.Sequential, samples: Tensor, method: str) -> tuple[Tensor, list[Tensor]]:
    slopes = slope(critic, samples, method)  # type: ignore[arg-type]
    weights = list(critic.parameters())
    gradients = torch.autograd.grad((slopes - 1).square().sum(), weights, allow_unused=True)
    return slopes, [torch.zeros_like(w) if g is None else g for g, w in zip(gradients, weights, strict=True)]


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_ways_to_take_a_slope_agree(name: str, smooth: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast second derivative of grouped and strided convolutions is the true one; ``finite`` wants no kinks."""
    if smooth:
        for owner, attribute in ((torch, "relu"), (functional, "relu"), (functional, "leaky_relu")):
            monkeypatch.setattr(owner, attribute, lambda x, *rest, **options: functional.silu(x))
    width = 16 if name == "r3" else 3  # two groups of 16 at the coarser resolutions
    critic = stirred(make_critic(name, (2, 28, 28), width=width).double())
    samples = torch.randn(2, 2, 28, 28, dtype=torch.float64)
    slopes, gradients = slope_gradients(critic, samples, "functional")
    assert slopes.min() > 1e-3
    largest = max(float(gradient.abs().max()) for gradient in gradients)
    for method in ("exact", "finite") if smooth else ("exact",):
        tolerance = {"rtol": 1e-6, "atol": 1e-8} if method == "exact" else {"rtol": 1e-4, "atol": 1e-4}
        found, found_gradients = slope_gradients(critic, samples, method)
        torch.testing.assert_close(found, slopes)
        for one, other in zip(found_gradients, gradients, strict=True):
            scale = other.abs().max().clamp_min(1e-3 * largest)  # some gradients are zero, and rounded
            torch.testing.assert_close(one / scale, other / scale, **tolerance)


@pytest.mark.parametrize("constraint", ["spectral_norm", "weight_norm", "orthogonal"])
@pytest.mark.parametrize("name", FAMILIES)
def test_constraints_take_the_critic_as_it_is_built(name: str, constraint: str) -> None:
    critic = make_critic(name, (2, 28, 28), width=8)
    count = sum(isinstance(module, nn.Linear | nn.Conv2d) for module in critic.modules())
    CONSTRAINTS[constraint]().apply(critic)
    layers = [module for module in critic.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    assert len(layers) == count
    with torch.no_grad():
        for _ in range(20 if constraint == "spectral_norm" else 0):  # power iterations
            critic(torch.randn(1, 2, 28, 28))
    if constraint != "weight_norm":
        for layer in layers:
            largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
            assert abs(largest - 1) < 0.1
    critic(torch.randn(2, 2, 28, 28)).sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in critic.parameters())


@pytest.mark.parametrize("condition", [LABELS, VECTORS])
@pytest.mark.parametrize(("name", "batch_norm"), [("resnet", True), ("resnet", False), ("r3", False)])
def test_conditional_generators_react(name: str, batch_norm: bool, condition: Condition) -> None:
    generator = make_generator(name, condition=condition, batch_norm=batch_norm)
    assert isinstance(generator, ConditionalGenerator)
    assert generator.joined != batch_norm
    if batch_norm:  # conditional batch norm starts without an effect of the condition
        with torch.no_grad():
            for key, weight in generator.named_parameters():
                if "layers" in key and weight.ndim == 2 and not weight.any():
                    weight.normal_()
    codes = torch.randn(1, 6).expand(3, 6)
    values = (
        torch.tensor([0, 1, 5]) if condition.kind == "label" else torch.tensor([[1.0, 0, 0], [0, 2, 0], [0, 0, 0]])
    )
    generator.eval()
    samples = generator(codes, values)
    assert samples.shape == (3, 1, 28, 28)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (samples[one] - samples[other]).abs().max() > 1e-3
    with pytest.raises(InputError):
        generator(codes, torch.tensor([0, 1, 6]) if condition.kind == "label" else torch.randn(3, 4))


@pytest.mark.parametrize("name", FAMILIES)
def test_bfloat16_stays_close_to_float32(name: str) -> None:
    generator, critic = make_generator(name, width=8).eval(), stirred(make_critic(name, width=8))
    codes = torch.randn(4, 6)
    samples = generator(codes)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = generator(codes)
        scores = critic(samples)
    assert (rounded.float() - samples).abs().max() < 0.1 * samples.abs().max()
    assert (scores.float() - critic(samples)).abs().max() < 0.1 * critic(samples).abs().max()


# In a process of its own: the import hook that checks annotations in tests is nothing a compiler could read.
COMPILED = """
import sys

import torch

from adversarium.nets import NETWORKS
from adversarium.presets import PRESETS
from adversarium.train import compiled_critic_side, critic_side

torch.manual_seed(0)
critic = NETWORKS[sys.argv[1]].critic((2, 28, 28), width=4, batch_norm=False, rng=torch.Generator().manual_seed(0))
critic = critic.double()
real, fake = torch.randn(2, 4, 2, 28, 28, dtype=torch.float64).unbind()
found = []
for side in (critic_side, compiled_critic_side(backend=sys.argv[2])):
    critic.zero_grad()
    parts = side(PRESETS["r3gan"].objective, critic, real, fake, None).parts
    torch.stack(list(parts.values())).sum().backward()
    gradient = torch.cat([weight.grad.flatten() for weight in critic.parameters()])
    found.append((torch.stack([value.detach() for value in parts.values()]), gradient))
for eager, whole in zip(*found, strict=True):
    torch.testing.assert_close(whole, eager, rtol=1e-6, atol=1e-9)
assert found[0][1].abs().max() > 1e-4
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_the_critics_side_compiles(name: str) -> None:
    """In one graph, with both gradient penalties."""
    command = [sys.executable, "-c", COMPILED, name, "aot_eager"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("shape", "words"),
    [((3, 48, 48), "28, 32, 64, 128"), ((3, 32, 64), r"\[3, 32, 64\]"), ((7,), "vector-mlp")],
)
@pytest.mark.parametrize("name", FAMILIES)
def test_samples_that_do_not_fit(name: str, shape: tuple[int, ...], words: str) -> None:
    for make in (make_generator, make_critic):
        with pytest.raises(InputError, match=f"the {name} network.*{words}"):
            make(name, shape)
    with pytest.raises(InputError, match="width is 0"):
        make_critic(name, width=0)
