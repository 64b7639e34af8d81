"""The VAE-GAN of vae_gan.py with Lightning: manual optimisation of two optimizers.

python examples/vae_gan_lightning.py --steps 800 --seed 0 --precision bf16-mixed --out vae_gan_lightning.png
"""

import pytorch_lightning as lightning
import torch
from digits import VAE, batches, digits, run
from vae_gan import Trained, optimizers, show

from adversarium import component, losses, penalties


class VAEGAN(lightning.LightningModule):
    """The two networks, their optimizers, and a step of both."""

    def __init__(self, start: int, rng: torch.Generator) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.vae, self.history = VAE(), []
        self.critic = component.PatchCritic(1, width=16, layers=2, normalisation="none", rng=rng)
        self.weigh = component.AdversarialWeight(self.vae, "decoder.conv_out", start_step=start, warmup_steps=start)

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Return the optimizers of the VAE and of the critic."""
        return optimizers(self.vae, self.critic)

    def training_step(self, real: torch.Tensor, _: int) -> None:
        """Move the VAE, then the critic."""
        hinge, r1 = losses.hinge(), penalties.r1(gamma=0.1)
        vae_optimizer, critic_optimizer = self.optimizers()
        with vae_optimizer.toggle_model():  # the critic's weights are frozen meanwhile
            made, sampled, divergence = self.vae(real)
            fake = torch.cat([made[:32], sampled[:32]])
            reconstruction = (made - real).square().sum((1, 2, 3)).mean() / 2
            adversarial = hinge.generator(None, self.critic(fake)).mean()
            weight = self.weigh(reconstruction, adversarial, self.global_step // 2)  # it counts both optimizers' steps
            vae_optimizer.zero_grad()
            self.manual_backward(reconstruction + divergence.mean() + weight * adversarial)
            vae_optimizer.step()
        with critic_optimizer.toggle_model():
            scores = hinge.critic(self.critic(real), self.critic(fake.detach())).mean()
            critic_optimizer.zero_grad()
            self.manual_backward(scores + r1(self.critic, real, fake.detach(), None).mean())
            critic_optimizer.step()
        self.log_dict({"reconstruction": reconstruction, "weight": weight}, prog_bar=True)
        self.history.append(torch.stack([reconstruction, adversarial, weight]).detach())


def main(steps: int = 800, seed: int = 0, precision: str = "32-true", out: str = "vae_gan_lightning.png") -> Trained:
    """Return the model, how sharp it is, and each step's reconstruction loss, adversarial loss and its weight."""
    lightning.seed_everything(seed)
    (train, held_out), model = digits(), VAEGAN(steps // 8, torch.Generator().manual_seed(seed))
    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    lightning.Trainer(max_epochs=1, precision=precision, devices=1, **quiet).fit(model, batches(train, 64 * steps))
    return model.vae, show(model.vae.cpu(), held_out, out), torch.stack(model.history)


if __name__ == "__main__":
    run(main, __doc__)
