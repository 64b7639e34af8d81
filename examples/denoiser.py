"""A denoiser of digits with an adversarial term: the squared error alone makes grey averages, a critic wants strokes.

python examples/denoiser.py --steps 600 --seed 0 --noise 1.5 --out denoiser.png (with --scale 0: without the critic)
"""

import torch
from digits import digits, draw, run, sharpness
from torch import Tensor, nn

from adversarium import component, constraints, losses


def denoiser(width: int = 24) -> nn.Sequential:
    """Return a network from noisy images to clean ones, with half the resolution inside."""
    layers = [nn.Conv2d(1, width, 4, 2, 1), nn.SiLU()]
    for dilation in (1, 2, 4):
        layers += [nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation), nn.SiLU()]
    network = nn.Sequential(*layers, nn.ConvTranspose2d(width, width, 4, 2, 1), nn.SiLU())
    network.add_module("conv_out", nn.Conv2d(width, 1, 3, 1, 1))
    return network  # a tanh here would saturate at the digits' black before it has seen a stroke


def main(
    steps: int = 600, seed: int = 0, noise: float = 1.5, scale: float = 1.0, out: str = "denoiser.png"
) -> tuple[nn.Module, float, Tensor]:
    """Return the network, its sharpness (digits: 1), and each step's squared error, adversarial loss and weight."""
    rng = torch.manual_seed(seed)
    (train, held_out), network, history = digits(), denoiser(), []
    critic = component.PatchCritic(1, width=16, layers=2, normalisation="none", rng=rng)
    constraints.spectral_norm().apply(critic)
    hinge, start = losses.hinge(), steps // 8
    weigh = component.AdversarialWeight(network, "conv_out", scale=scale, start_step=start, warmup_steps=start)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.0, 0.99))
    for step in range(steps):
        clean = train[torch.randint(9_000, (64,))]
        made = network(clean + noise * torch.randn_like(clean))
        error = (made - clean).square().mean()
        adversarial = hinge.generator(None, critic(made)).mean()
        weight = weigh(error, adversarial, step)
        optimizer.zero_grad()
        (error + weight * adversarial).backward()
        optimizer.step()
        critic_optimizer.zero_grad()  # the denoiser's loss left gradients there, too
        hinge.critic(critic(clean), critic(made.detach())).mean().backward()
        critic_optimizer.step()
        history.append(torch.stack([error, adversarial, weight]).detach())
        if step % 100 == 0:
            print("step {}: squared error {:.4f}, adversarial {:.2f}, weight {:.4f}".format(step, *history[-1]))
    noisy = held_out + noise * torch.randn_like(held_out)
    made = network(noisy).detach().clamp(-1, 1)
    ratio = (sharpness(made).mean() / sharpness(held_out).mean()).item()
    print(f"squared error {(made - held_out).square().mean():.4f}, sharpness {ratio:.3f} of the digits'; see {out}")
    draw(torch.cat([held_out[:16], noisy[:16], made[:16]]), out)
    return network, ratio, torch.stack(history)


if __name__ == "__main__":
    run(main, __doc__)
