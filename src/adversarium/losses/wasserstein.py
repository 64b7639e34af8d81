"""The Wasserstein loss. Its Lipschitz bound is a constraint or a penalty, and lives in those rooms."""

from adversarium.losses._additive import additive
from adversarium.types import Loss


def wasserstein() -> Loss:
    """The difference of mean scores: over 1-Lipschitz critics its supremum is the Wasserstein-1 distance.

    Formula:
        critic:    s - r
        generator: -s
    Convention:
        Meaningless without a Lipschitz bound on the critic: add weight clipping (``wgan``), a gradient penalty
        (``wgan-gp``) or spectral normalisation. The estimate of the distance is minus the critic's loss.
    Elsewhere:
        Equal: torchgan, torch-mimicry, tensorflow/gan, google/compare_gan, PyTorch-StudioGAN,
        igul222/improved_wgan_training. With the score's sign turned (up = fake): the authors'
        martinarjovsky/WassersteinGAN ``main.py``, and LMescheder/GAN_stability ``compute_loss``. NVlabs/stylegan2
        ``D_wgan`` adds a drift term, 0.001·r².
    Use when:
        You want a loss that falls as quality rises, and can pay for several critic steps.
    Paper:
        Arjovsky, Chintala and Bottou 2017, "Wasserstein GAN", arXiv:1701.07875.
    """
    return additive("wasserstein", real=lambda r: -r, fake=lambda s: s, generator=lambda s: -s)
