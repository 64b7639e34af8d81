"""The VAE-GAN of vae_gan.py with Hugging Face Accelerate: prepare, gradient accumulation, bf16 autocast; one process.

python examples/vae_gan_accelerate.py --steps 800 --seed 0 --accumulate 2 --precision bf16 --out vae_gan_accelerate.png
"""

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from digits import VAE, batches, digits, run
from vae_gan import Trained, optimizers, show

from adversarium import component, losses, penalties


def main(
    steps: int = 800, seed: int = 0, accumulate: int = 2, precision: str = "bf16", out: str = "vae_gan_accelerate.png"
) -> Trained:
    """Return the model, how sharp it is, and each batch's reconstruction loss, adversarial loss and its weight."""
    set_seed(seed)
    accelerator = Accelerator(mixed_precision=precision, gradient_accumulation_steps=accumulate)
    rng = torch.Generator().manual_seed(seed)
    (train, held_out), history, step = digits(), [], 0
    vae, critic = VAE(), component.PatchCritic(1, width=16, layers=2, normalisation="none", rng=rng)
    hinge, r1 = losses.hinge(), penalties.r1(gamma=0.1)
    weigh = component.AdversarialWeight(vae, "decoder.conv_out", start_step=steps // 8, warmup_steps=steps // 8)
    vae_optimizer, critic_optimizer = optimizers(vae, critic)
    loader = batches(train, 64 * steps, 64 // accumulate)
    vae, critic, vae_optimizer, critic_optimizer, loader = accelerator.prepare(
        vae, critic, vae_optimizer, critic_optimizer, loader
    )
    for real in loader:
        with accelerator.accumulate(vae, critic):
            critic.requires_grad_(False)  # or the decoder's loss would add to what the critic accumulates
            with accelerator.autocast():
                made, sampled, divergence = vae(real)
                fake = torch.cat([made, sampled])[::2]
                reconstruction = (made - real).square().sum((1, 2, 3)).mean() / 2
                adversarial = hinge.generator(None, critic(fake)).mean()
            weight = weigh(reconstruction, adversarial, step)
            accelerator.backward(reconstruction + divergence.mean() + weight * adversarial)
            vae_optimizer.step()  # does nothing, as zero_grad does, until enough batches are accumulated
            vae_optimizer.zero_grad()
            critic.requires_grad_(True)
            fake = fake.detach()
            with accelerator.autocast():
                critic_loss = hinge.critic(critic(real), critic(fake)).mean() + r1(critic, real, fake, rng).mean()
            accelerator.backward(critic_loss)
            critic_optimizer.step()
            critic_optimizer.zero_grad()
        history.append(torch.stack([reconstruction, adversarial, weight]).detach())
        step += accelerator.sync_gradients
        if accelerator.sync_gradients and step % 100 == 0:
            print("step {}: reconstruction {:.1f} nats, adversarial {:.2f}, weight {:.2f}".format(step, *history[-1]))
    vae = accelerator.unwrap_model(vae)
    return vae, show(vae, held_out.to(accelerator.device), out), torch.stack(history)


if __name__ == "__main__":
    run(main, __doc__)
