"""Weight clipping, after each of the critic's optimizer steps."""

import torch
from torch import nn

from adversarium.errors import require
from adversarium.types import Constraint


def clip(bound: float = 0.01) -> Constraint:
    """Keep every weight in a box, so that the critic is Lipschitz with some constant.

    Formula:
        w <- min(max(w, -c), c), after every optimizer step
    Convention:
        Every parameter of the critic, biases and normalisation included. The bound fixes some Lipschitz constant, not
        1: the critic's loss is the distance up to an unknown factor.
    Elsewhere:
        The same box on every parameter: martinarjovsky/WassersteinGAN ``main.py`` (the authors') and torchgan
        ``WassersteinDiscriminatorLoss(clip=...)`` *before* each critic step, so that the generator meets weights one
        step outside; igul222/improved_wgan_training and PyTorch-StudioGAN after it, as here.
    Use when:
        To reproduce ``wgan``. ``wgan-gp`` and ``spectral_norm`` waste less of the critic's capacity.
    Paper:
        Arjovsky, Chintala and Bottou 2017, "Wasserstein GAN", arXiv:1701.07875.

    Raises:
        InputError: a bound that is not positive.
    """
    require(bound > 0, f"bound is {bound}: wanted a positive number")

    @torch.no_grad()
    def apply(critic: nn.Module) -> None:
        parameters: list[torch.Tensor] = list(critic.parameters())
        torch._foreach_clamp_min_(parameters, -bound)
        torch._foreach_clamp_max_(parameters, bound)

    return Constraint(name="clip", when="step", apply=apply, arguments={"bound": bound})
