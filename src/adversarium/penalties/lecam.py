"""LeCam regularisation: the scores of one side are held near where those of the other have been."""

import torch
from torch import Tensor, nn

from adversarium.penalties._check import between_0_and_1, given, not_negative, same_count
from adversarium.penalties._values import per_sample
from adversarium.penalties.scores import Side, call_with_scores
from adversarium.types import Critic, PerSample


class LeCam(nn.Module):
    """The penalty that ``lecam`` makes, with its state in buffers; a :class:`~adversarium.types.Penalty`.

    Attributes:
        real_anchor: the moving average of the real scores, α_R.
        fake_anchor: the moving average of the fake scores, α_F.
        updates: how many batches the two have seen.
    """

    reads: tuple[Side, ...] = ("real", "fake")
    real_anchor: Tensor
    fake_anchor: Tensor
    updates: Tensor

    def __init__(self, weight: float, decay: float, one_sided: bool = False) -> None:
        super().__init__()
        self.weight, self.decay, self.one_sided = weight, decay, one_sided
        self.register_buffer("real_anchor", torch.zeros(()))
        self.register_buffer("fake_anchor", torch.zeros(()))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def forward(self, critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator | None = None) -> PerSample:
        """Return the penalty of each pair of samples, ``[B]``, and move the anchors."""
        return call_with_scores(self, critic, real, fake, rng)

    def from_scores(
        self,
        critic: Critic,
        real: Tensor,
        fake: Tensor,
        rng: torch.Generator | None,
        real_scores: Tensor | None,
        fake_scores: Tensor | None,
    ) -> PerSample:
        """Return the penalty of each pair of samples from the loss's scores, and move the anchors.

        Raises:
            InputError: the scores of a side are missing, or there are not as many real as fake ones.
        """
        real_values = per_sample(given(real_scores, "real"))
        fake_values = per_sample(given(fake_scores, "fake"))
        same_count(real_values, fake_values)
        real_anchor = self._anchor(self.real_anchor, real_values)
        fake_anchor = self._anchor(self.fake_anchor, fake_values)
        above, below = real_values - fake_anchor, real_anchor - fake_values
        if self.one_sided:
            above, below = torch.relu(above), torch.relu(below)
        if self.training and torch.is_grad_enabled():
            self._move(self.real_anchor, real_anchor, real_values)
            self._move(self.fake_anchor, fake_anchor, fake_values)
            self.updates.add_(1)
        return self.weight * (above.square() + below.square())

    def _anchor(self, anchor: Tensor, values: Tensor) -> Tensor:
        """Return the anchor of the past: before the first update, the mean of this batch."""
        past = anchor.to(values.device, values.dtype)
        return torch.where(self.updates.to(values.device) == 0, values.detach().mean(), past)

    @torch.no_grad()
    def _move(self, anchor: Tensor, past: Tensor, values: Tensor) -> None:
        anchor.copy_(torch.lerp(past, values.mean(), 1 - self.decay))


def lecam(weight: float = 0.3, decay: float = 0.99, one_sided: bool = False) -> LeCam:
    """Hold real scores near the past fake ones and fake scores near the past real ones.

    Formula:
        λ·[(D(x) - α_F)² + (D(G(z)) - α_R)²] for the i-th real and the i-th fake sample
        α_R <- decay·α_R + (1 - decay)·mean D(x);  α_F likewise from the fake scores
    Convention:
        λ = ``weight`` = 0.3, of the authors' CIFAR runs (their StyleGAN2 runs have 3e-7 to 1e-6); decay = 0.99. The
        anchors are those of the batches before, without a gradient; the first batch takes its own means, through
        which alone its samples are coupled. They move after each call in training mode with gradients enabled, by the
        mean over the local batch in distributed training, and are buffers: put the module where checkpoints see it.
    Elsewhere:
        The authors' google/lecam-gan ``lecam_reg``, its ``stylegan2/lecam_loss.py`` and PyTorch-StudioGAN
        ``lecam_reg`` clamp, as ``one_sided=True``: max(0, D(x) - α_F)² + max(0, α_R - D(G(z)))², which the paper's
        formula does not. Their anchors move before they are used, with decay 0.9 by default (StyleGAN2: 0.99,
        debiased, from 0). Until ``start_itr`` (the authors' CIFAR runs: 1,000) they are the batch's own means, and
        there is no penalty.
    Use when:
        Data are few and the critic's real and fake scores drift apart.
    Paper:
        Tseng et al. 2021, "Regularizing Generative Adversarial Networks under Limited Data", arXiv:2104.03310.

    Raises:
        InputError: a negative weight, or a decay outside [0, 1].
    """
    not_negative(weight=weight)
    between_0_and_1(decay=decay)
    return LeCam(weight, decay, one_sided)
