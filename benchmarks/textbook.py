"""WGAN-GP as tutorials write it: what `bench_step.py` measures ours against. Correct, and plain.

The networks are ours in torch's own modules: they take our initial weights, and give the same outputs.

What it does that costs time, and that our step does not do:

* the fake batch is made with the generator's graph, so that each critic step's backward pass runs through the
  generator too, for gradients that are thrown away;
* three forward passes through the critic (real, fake, interpolated);
* the generator's step also computes the gradients of the critic's weights, which are thrown away;
* activations whose second derivative is a tensor of zeros, through which the penalty's backward pass runs;
* `torch.optim.Adam` as it comes, and float32.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def dcgan_generator(latent_dim: int = 64, width: int = 64) -> nn.Module:
    return nn.Sequential(
        nn.Linear(latent_dim, 4 * width * 16, bias=False), nn.Unflatten(1, (4 * width, 4, 4)),
        nn.BatchNorm2d(4 * width), nn.ReLU(),
        nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.ConvTranspose2d(width, 3, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip


def dcgan_critic(width: int = 64) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 4 * width, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Flatten(1), nn.Linear(4 * width * 16, 1), nn.Flatten(0),
    )  # fmt: skip


def mlp_generator(latent_dim: int = 64) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(1), nn.Linear(latent_dim, 256), nn.LeakyReLU(0.2), nn.Linear(256, 512), nn.LeakyReLU(0.2),
        nn.Linear(512, 1024), nn.LeakyReLU(0.2), nn.Linear(1024, 784), nn.Tanh(), nn.Unflatten(1, (1, 28, 28)),
    )  # fmt: skip


def mlp_critic() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(1), nn.Linear(784, 1024), nn.LeakyReLU(0.2), nn.Linear(1024, 512), nn.LeakyReLU(0.2),
        nn.Linear(512, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1), nn.Flatten(0),
    )  # fmt: skip


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    alpha = torch.rand(real.size(0), *[1] * (real.dim() - 1))
    interpolated = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
    scores = critic(interpolated)
    gradients = torch.autograd.grad(
        outputs=scores,
        inputs=interpolated,
        grad_outputs=torch.ones_like(scores),
        create_graph=True,
        retain_graph=True,
    )[0]
    gradients = gradients.view(gradients.size(0), -1)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean()


class Textbook:
    """Call it for one step of the game: ``n_critic`` steps of the critic, one of the generator."""

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        *,
        real: Callable[[int], Tensor],
        batch_size: int,
        latent_dim: int,
        n_critic: int = 5,
        weight: float = 10.0,
    ) -> None:
        self.generator, self.critic = generator, critic
        self.real, self.batch_size, self.latent_dim = real, batch_size, latent_dim
        self.n_critic, self.weight = n_critic, weight
        self.optimizer_g = torch.optim.Adam(generator.parameters(), lr=1e-4, betas=(0.0, 0.9))
        self.optimizer_c = torch.optim.Adam(critic.parameters(), lr=1e-4, betas=(0.0, 0.9))

    def __call__(self) -> None:
        for _ in range(self.n_critic):
            real = self.real(self.batch_size)
            self.optimizer_c.zero_grad()
            fake = self.generator(torch.randn(self.batch_size, self.latent_dim))
            # the penalty sees the fakes' values, as in the tutorials that come off best
            penalty = gradient_penalty(self.critic, real.data, fake.data)
            loss = self.critic(fake).mean() - self.critic(real).mean() + self.weight * penalty
            loss.backward()
            self.optimizer_c.step()
        self.optimizer_g.zero_grad()
        fake = self.generator(torch.randn(self.batch_size, self.latent_dim))
        loss = -self.critic(fake).mean()
        loss.backward()
        self.optimizer_g.step()
