"""The faster second derivatives are torch's own, on any critic."""

import pytest
import torch
from torch import Tensor, nn

from adversarium.penalties import SecondOrder, slope, wgan_gp

CRITICS = {
    "dcgan": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(4, 6, 4, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(1),
        nn.Linear(24, 1), nn.Flatten(0),
    ),
    "relu, groups, dilation, no bias, smooth parts": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=2, dilation=2, groups=3, bias=False), nn.ReLU(), nn.Conv2d(6, 4, (3, 1)), nn.Tanh(),
        nn.Conv2d(4, 2, 3, stride=(2, 1)), nn.ReLU(inplace=True), nn.GroupNorm(1, 2), nn.Flatten(1), nn.LazyLinear(1),
    ),
    "same padding, negative slope": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3, padding="same"), nn.LeakyReLU(-0.1), nn.Conv2d(4, 1, 8), nn.Flatten(0)
    ),
    "spectral norm": lambda: nn.Sequential(
        nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 4, 2, 1)), nn.LeakyReLU(0.2), nn.Flatten(1),
        nn.Linear(64, 1),
    ).eval(),
}  # fmt: skip


def plain_slope(critic: nn.Module, samples: Tensor) -> Tensor:
    """The slope as a tutorial computes it."""
    samples = samples.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(samples).sum(), samples, create_graph=True)
    return gradient.flatten(1).norm(dim=1)


@pytest.mark.parametrize("name", CRITICS)
def test_penalty_gradients_equal_torchs(name: str) -> None:
    torch.manual_seed(0)
    critic, samples = CRITICS[name]().double(), torch.randn(5, 3, 8, 8, dtype=torch.float64)
    critic(samples)  # lazy layers take their shape
    gradients = []
    for compute in (slope, plain_slope):
        critic.zero_grad()
        # a loss on the scores too, so that both kinds of gradient meet in one backward pass
        ((compute(critic, samples) - 1).square().mean() + critic(samples).square().mean()).backward()
        gradients.append([parameter.grad.clone() for parameter in critic.parameters()])
    for ours, torchs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, torchs, rtol=1e-9, atol=1e-12)
    assert any(gradient.abs().max() > 1e-6 for gradient in gradients[0])


def test_scores_shared_by_loss_and_penalty() -> None:
    torch.manual_seed(1)
    critic, samples = CRITICS["dcgan"]().double(), torch.randn(5, 3, 8, 8, dtype=torch.float64)
    gradients = []
    for second_order in (SecondOrder(), None):
        critic.zero_grad()
        x = samples.clone().requires_grad_()
        if second_order is None:
            scores = critic(x)
        else:
            with second_order:
                scores = critic(x)
            second_order.taking_slope = True
        (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
        if second_order is not None:
            second_order.taking_slope = False
        (scores.square().mean() + gradient.square().sum()).backward()
        gradients.append([parameter.grad.clone() for parameter in critic.parameters()])
    for ours, torchs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, torchs, rtol=1e-9, atol=1e-12)


def test_third_derivatives_are_right_too() -> None:
    torch.manual_seed(2)
    critic = nn.Sequential(
        nn.Conv2d(2, 2, 3), nn.Tanh(), nn.Conv2d(2, 1, 2), nn.LeakyReLU(0.2), nn.Flatten(1)
    ).double()
    samples = torch.randn(2, 2, 4, 4, dtype=torch.float64)

    def through(x: Tensor) -> Tensor:
        with SecondOrder():
            scores = critic(x)
        (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
        return gradient

    assert torch.autograd.gradgradcheck(through, samples.requires_grad_())


@pytest.mark.parametrize("where", ["cpu"])
def test_under_autocast(where: str) -> None:
    torch.manual_seed(3)
    critic, samples = CRITICS["dcgan"](), torch.randn(16, 3, 8, 8)

    def cast(x: Tensor) -> Tensor:
        with torch.autocast(where, torch.bfloat16):
            scores: Tensor = critic(x)
        assert scores.dtype == torch.bfloat16
        return scores

    gradients = []
    for compute in (lambda: slope(cast, samples), lambda: plain_slope(critic, samples)):
        critic.zero_grad()
        (compute() - 1).square().mean().backward()
        gradients.append(
            torch.cat([p.grad.flatten() for p in critic.parameters() if p.grad is not None and p.ndim > 1])
        )
    # bf16 has 8 significant bits
    assert (gradients[0] - gradients[1]).norm() < 0.03 * gradients[1].norm()


def test_no_zeros_travel_back_through_a_piecewise_linear_critic() -> None:
    """The biases of such a critic do not move its slope: they get no gradient at all, and no pass is spent on them."""
    critic = CRITICS["dcgan"]()
    wgan_gp()(critic, torch.randn(4, 3, 8, 8), torch.randn(4, 3, 8, 8), torch.Generator()).mean().backward()
    assert critic[0].weight.grad is not None
    assert critic[0].bias.grad is None
