"""The other side: the functions of torchgan and torch-mimicry, called on the stored inputs."""

import importlib
import importlib.util
import math
import sys
import types
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from cases import INPUTS
from ours import STEPS, Critic, Numbers, numbers, samples, score_leaves, tensor
from torch import Tensor


def without_init(*packages: str) -> None:
    """Let modules of some packages be imported without the packages' ``__init__``, which wants torchvision."""
    for name in packages:
        spec = importlib.util.find_spec(name)
        assert spec is not None, f"{name} is not installed"
        package = types.ModuleType(name)
        package.__path__ = list(spec.submodule_search_locations or ())
        sys.modules[name] = package


BARE = (
    *("torchgan", "torchgan.layers", "torch_mimicry", "torch_mimicry.modules", "torch_mimicry.nets"),
    *("torch_mimicry.nets.basemodel", "torch_mimicry.nets.gan", "torch_mimicry.nets.wgan_gp"),
)
without_init(*BARE)
torchgan = importlib.import_module("torchgan.losses")
torchgan_norm = importlib.import_module("torchgan.layers.spectralnorm")
mimicry = importlib.import_module("torch_mimicry.modules.losses")
mimicry_norm = importlib.import_module("torch_mimicry.modules.spectral_norm")
mimicry_wgan = importlib.import_module("torch_mimicry.nets.wgan_gp.wgan_gp_base")

Theirs = Callable[[dict[str, Any]], Numbers]


def their_loss(side: str, function: Callable[..., Tensor], *order: str) -> Theirs:
    """``order``: which scores the function takes, in its order."""

    def theirs(case: dict[str, Any]) -> Numbers:
        real, fake, leaves = score_leaves(case, side)
        return numbers(function(*({"real": real, "fake": fake}[name] for name in order)), leaves)

    return theirs


def torchgan_equilibrium(case: dict[str, Any]) -> Numbers:
    """Its BEGAN, k moved after each call as its ``train_ops`` does."""
    real, fake, leaves = score_leaves(case, "critic")
    loss = torchgan.BoundaryEquilibriumDiscriminatorLoss(gamma=0.5)
    for _ in range(case["calls"]):
        total, on_real, on_fake = loss(-real, -fake)
        loss.update_k(on_real.item(), on_fake.item())
    return numbers(total, leaves)


class Still(torch.nn.Module):
    """A generator of given samples, with what torchgan's training steps ask of either network."""

    label_type = "none"
    encoding_dims = 1

    def __init__(self, made: Tensor) -> None:
        super().__init__()
        self.made = torch.nn.Parameter(made)  # torchgan's WGAN-GP wants fakes with a graph

    def forward(self, codes: Tensor) -> Tensor:
        return self.made


def torchgan_penalty(penalty: Any) -> Theirs:
    """Its ``train_ops``: it draws the points, weights the penalty and leaves the gradient in the critic."""

    def theirs(case: dict[str, Any]) -> Numbers:
        critic = Critic(case, INPUTS[case["shape"]])
        critic.label_type = "none"
        real, fake = samples(case, INPUTS[case["shape"]])
        seen: list[Tensor] = []
        formula = penalty.forward
        with mock.patch.object(penalty, "forward", lambda *a: seen.append(formula(*a)) or seen[0]):
            torch.manual_seed(case["seed"])
            optimizer = torch.optim.SGD(critic.weights(), lr=0.0)
            penalty.train_ops(Still(fake), critic, optimizer, real, "cpu")
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in critic.weights()]
        return {
            "value": [penalty.lambd * seen[0].item()],
            "gradient": [number for each in gradients for number in each.flatten().tolist()],
        }

    return theirs


def mimicry_penalty(case: dict[str, Any]) -> Numbers:
    critic = Critic(case, INPUTS[case["shape"]])
    network = types.SimpleNamespace(forward=critic)
    torch.manual_seed(case["seed"])
    function = mimicry_wgan.WGANGPBaseDiscriminator.compute_gradient_penalty_loss
    return numbers(function(network, *samples(case, INPUTS[case["shape"]])), critic.weights())


def torchgan_features(case: dict[str, Any]) -> Numbers:
    rows = tensor(case["features"]).requires_grad_()
    return numbers(torchgan.EnergyBasedPullingAwayTerm(0.1)(None, rows), [rows])


def convolution(make: Callable[..., torch.nn.Module], case: dict[str, Any]) -> Numbers:
    start = tensor(case["weight"])
    layer = make(start.shape[1], start.shape[0], math.isqrt(start[0, 0].numel()), bias=False)
    torch.manual_seed(0)
    if isinstance(layer, mimicry_norm.SNConv2d):
        layer.weight.data.copy_(start)
        for _ in range(STEPS):
            result = layer.sn_weights()
    else:
        layer.weight.data.copy_(start)
        layer = torchgan_norm.SpectralNorm2d(layer)
        with torch.no_grad():
            for _ in range(STEPS):
                layer(torch.zeros(1, start.shape[1], 4, 4))
        result = layer.module.weight
    return numbers(result, [])
