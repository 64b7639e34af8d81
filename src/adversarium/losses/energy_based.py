"""Losses of critics whose score is minus an energy: a sample's reconstruction error, low on the data."""

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from adversarium.errors import require
from adversarium.losses._additive import additive
from adversarium.losses._check import check_scores
from adversarium.types import Loss


def ebgan(margin: float = 1.0) -> Loss:
    """Energies instead of probabilities: low on the data, at least a margin on the fakes.

    Formula:
        with energies E = -score:
        critic:    E(x) + max(0, m - E(G)) = -r + max(0, m + s)
        generator: E(G) = -s
    Convention:
        The energy must not be negative, so the critic's scores must not be positive: take an autoencoder's minus its
        error (``autoencoder``). With any other critic the real half has no lower bound. Over energies ≥ 0 the
        critic's minimum is m·(1 - TV(p, q)), with energy m where q > p and 0 elsewhere; in the equilibrium of the
        paper p = q, its value is m, and the energy is any constant between 0 and m. The margin is in the energy's
        units: the paper chooses one for each data set, and 1 is for errors averaged over pixels in [-1, 1]. Errors
        summed over pixels want one in proportion.
    Elsewhere:
        Equal with score = -energy: torchgan ``energy_based_*`` (margin 80 by default), wiseodd/generative-models
        ``ebgan_pytorch.py`` (margin 5). PyTorch-GAN ``ebgan.py`` takes the hinge of the batch's mean energy: equal
        only where all of a batch's energies lie on one side of the margin (its own: max(1, batch/64)).
    Use when:
        The critic is an autoencoder. With the pulling-away penalty on its codes where fakes look alike.
    Paper:
        Zhao, Mathieu and LeCun 2017, "Energy-based Generative Adversarial Network", arXiv:1609.03126.

    Raises:
        InputError: a margin that is not positive.
    """
    require(0 < margin < float("inf"), f"margin is {margin}: wanted a positive number")
    return additive(
        "ebgan",
        real=lambda r: -r,
        fake=lambda s: relu(margin + s),
        generator=lambda s: -s,
        arguments={"margin": margin},
        critic_kind="autoencoder",
    )


class Equilibrium(nn.Module):
    """BEGAN's critic: ``L(x) - k·L(G)``, whose k moves after each call so that ``E L(G) = gamma·E L(x)``.

    It moves only in training mode and where gradients are recorded. A :class:`~adversarium.types.ScoreFunction`.

    Attributes:
        k: the weight of the fakes, from 0 to 1; a buffer, so that a checkpoint restores it.
        convergence: the paper's measure M = L(x) + |gamma·L(x) - L(G)| at the latest move, low when training is
            done; a buffer.
    """

    k: Tensor
    convergence: Tensor

    def __init__(self, gamma: float = 0.5, rate: float = 1e-3) -> None:
        super().__init__()
        require(0 <= gamma <= 1, f"gamma is {gamma}: wanted a number from 0 to 1")
        require(0 < rate < float("inf"), f"rate is {rate}: wanted a positive number")
        self.gamma = gamma
        self.rate = rate
        self.register_buffer("k", torch.zeros(()))
        self.register_buffer("convergence", torch.zeros(()))

    def forward(self, real_scores: Tensor | None, fake_scores: Tensor) -> Tensor:
        """Return one value per score, and move k."""
        real_scores = check_scores(real_scores, fake_scores)
        values = self.k.clone() * fake_scores - real_scores  # backward needs k as it was
        if self.training and torch.is_grad_enabled():
            self._move(real_scores.detach(), fake_scores.detach())
        return values

    @torch.no_grad()
    def _move(self, real_scores: Tensor, fake_scores: Tensor) -> None:
        dtype = torch.promote_types(real_scores.dtype, self.k.dtype)
        real_error, fake_error = -real_scores.mean(dtype=dtype), -fake_scores.mean(dtype=dtype)
        imbalance = self.gamma * real_error - fake_error
        self.k.copy_((self.k + self.rate * imbalance).clamp(0, 1))
        self.convergence.copy_(real_error + imbalance.abs())


def began(gamma: float = 0.5, rate: float = 1e-3) -> Loss:
    """Autoencoder errors in equilibrium: the fakes' weight is steered so that they err gamma times as much as data.

    Formula:
        with errors L = -score:
        critic:    L(x) - k·L(G) = -r + k·s; after each call k ← clip(k + rate·(gamma·E L(x) - E L(G)), 0, 1)
        generator: L(G) = -s
    Convention:
        k starts at 0. The means run over the local batch, and each value uses the k that earlier batches left: the
        values of a batch are not coupled, but k couples batches over time. The critic's side is an
        :class:`Equilibrium`, an ``nn.Module`` whose k and convergence measure are buffers: save its ``state_dict``
        with the networks', and call the factory once for each run. It moves in training mode only, and not under
        ``torch.no_grad``. The paper takes E L(G) in k's update from the generator's batch, this one from the
        critic's. ``rate`` suits errors averaged over pixels.
    Elsewhere:
        Equal with score = -error: torchgan ``boundary_equilibrium_*`` (γ 0.75 by default), PyTorch-GAN ``began.py``
        (γ 0.75), carpedm20/BEGAN-tensorflow ``trainer.py`` (γ 0.5); in all, k starts at 0, moves by 0.001 and is
        clipped to [0, 1]. wiseodd/generative-models ``began_pytorch.py`` does not clip k.
    Use when:
        The critic is an autoencoder without batch norm, and a smooth progress measure is wanted. Lower ``gamma``
        gives cleaner and less varied samples.
    Paper:
        Berthelot, Schumm and Metz 2017, "BEGAN: Boundary Equilibrium Generative Adversarial Networks",
        arXiv:1703.10717.

    Raises:
        InputError: gamma outside [0, 1], or a rate that is not positive.
    """

    def generator(real_scores: Tensor | None, fake_scores: Tensor) -> Tensor:
        check_scores(real_scores, fake_scores, need_real=False)
        return -fake_scores

    return Loss(
        name="began",
        critic=Equilibrium(gamma, rate),
        generator=generator,
        generator_needs_real=False,
        coupling="none",
        arguments={"gamma": gamma, "rate": rate},
        critic_kind="autoencoder",
    )
