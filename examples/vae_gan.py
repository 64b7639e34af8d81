"""A VAE-GAN on the digits, in a plain loop: a VAE's two terms, and a patch critic that asks for sharp strokes.

python examples/vae_gan.py --steps 800 --seed 0 --out vae_gan.png (with --scale 0: the VAE alone)
"""

import torch
from digits import VAE, digits, draw, run, sharpness
from torch import Tensor, nn

from adversarium import component, losses, penalties

Trained = tuple[VAE, float, Tensor]  # the model, how sharp it is, and a row of numbers for each step


def show(vae: VAE, held_out: Tensor, out: str) -> float:
    """Draw digits, their reconstructions and samples in rows; return how sharp the reconstructions are (digits: 1)."""
    rows = [held_out, *(made.detach() for made in vae(held_out)[:2])]
    sharp = [sharpness(row).mean().item() for row in rows]
    print("sharpness: digits {:.3f}, reconstructions {:.3f}, samples {:.3f}; see {}".format(*sharp, out))
    draw(torch.cat([row[:16] for row in rows]), out)
    return sharp[1] / sharp[0]


def optimizers(vae: nn.Module, critic: nn.Module) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Return the optimizers of the VAE and of the critic, which does without momentum."""
    vae_optimizer = torch.optim.Adam(vae.parameters(), lr=1e-3)
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr=4e-4, betas=(0.0, 0.99))
    return vae_optimizer, critic_optimizer


def main(steps: int = 800, seed: int = 0, scale: float = 1.0, out: str = "vae_gan.png") -> Trained:
    """Return the model, how sharp it is, and each step's reconstruction loss, adversarial loss and its weight."""
    rng = torch.manual_seed(seed)
    (train, held_out), history = digits(), []
    vae, critic = VAE(), component.PatchCritic(1, width=16, layers=2, normalisation="none", rng=rng)
    hinge, r1, start = losses.hinge(), penalties.r1(gamma=0.1), steps // 8
    weigh = component.AdversarialWeight(vae, "decoder.conv_out", scale=scale, start_step=start, warmup_steps=start)
    vae_optimizer, critic_optimizer = optimizers(vae, critic)
    for step in range(steps):
        real = train[torch.randint(9_000, (64,))]
        made, sampled, divergence = vae(real)
        fake = torch.cat([made[:32], sampled[:32]])
        reconstruction = (made - real).square().sum((1, 2, 3)).mean() / 2
        adversarial = hinge.generator(None, critic(fake)).mean()
        weight = weigh(reconstruction, adversarial, step)
        vae_optimizer.zero_grad()
        (reconstruction + divergence.mean() + weight * adversarial).backward()
        vae_optimizer.step()
        critic_optimizer.zero_grad()  # the decoder's loss left gradients there, too
        (hinge.critic(critic(real), critic(fake.detach())).mean() + r1(critic, real, fake, rng).mean()).backward()
        critic_optimizer.step()
        history.append(torch.stack([reconstruction, adversarial, weight]).detach())
        if step % 100 == 0:
            print("step {}: reconstruction {:.1f} nats, adversarial {:.2f}, weight {:.2f}".format(step, *history[-1]))
    return vae, show(vae, held_out, out), torch.stack(history)


if __name__ == "__main__":
    run(main, __doc__)
