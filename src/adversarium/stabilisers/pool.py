"""Fakes of past generators, some of which the critic sees again."""

from typing import Any

import torch
from torch import Tensor, nn

from adversarium.errors import require
from adversarium.stabilisers import _draw
from adversarium.tensors import described, is_number, is_whole
from adversarium.types import Samples


class ReplayPool(nn.Module):
    """Past fakes, which take the place of some of the new ones in the critic's step.

    Formula:
        while fewer than ``capacity`` are kept, a fake is kept and shown; then with probability ``share`` it changes
        places with one that is kept, drawn uniformly, and else it is shown and not kept
    Convention:
        The samples of a batch take their turns, as if one by one. New ones that are shown keep their graph; what is
        kept, and shown again, has none, and stays on the samples' device. ``exact`` lets round(share·B) of the batch,
        drawn at random, change places instead of each with a probability. With ``independent`` the place that a new
        one takes is not that of the one shown, but drawn apart: a kept one may be shown again and again, or never. In
        eval mode fakes pass as they are. The generator's own step sees its new fakes only. Under a condition the pool
        knows of none: keep one per class, or do without. ``capacity`` times a sample's size is the memory it takes,
        and the checkpoint's.
    Elsewhere:
        CycleGAN's ``ImagePool(50)`` (junyanz/pytorch-CycleGAN-and-pix2pix): the same as the defaults, but that it
        detaches all; capacity 0 switches it off. Shrivastava et al. put b/2 kept ones in a batch of b, then b/2 new
        ones in the place of some drawn at random: ``exact=True, independent=True``.
    Use when:
        The players go round in circles, or a translator between images brings back errors that its critic has
        forgotten. On data where the fakes of a while ago are useless it holds the critic back.
    Paper:
        Shrivastava et al. 2017, "Learning from Simulated and Unsupervised Images through Adversarial Training",
        arXiv:1612.07828; as in Zhu et al. 2017, "Unpaired Image-to-Image Translation using Cycle-Consistent
        Adversarial Networks", arXiv:1703.10593.

    Attributes:
        images: what is kept, ``[capacity, ...]``, the first ``count`` of them; empty until a sample has been seen.
        count: how many are kept, ``[]``.

    Raises:
        InputError: a capacity that is no whole number, at least 1, or a share outside 0 to 1; when called, no samples,
            or some of another shape than those kept; when restored, what a pool of another capacity kept.
    """

    images: Tensor
    count: Tensor

    def __init__(
        self, capacity: int = 50, share: float = 0.5, *, exact: bool = False, independent: bool = False
    ) -> None:
        super().__init__()
        require(
            is_whole(capacity) and capacity >= 1,
            f"capacity is {described(capacity)}: wanted a whole number, at least 1 (without a pool, make none)",
        )
        require(is_number(share) and 0 <= share <= 1, f"share is {described(share)}: wanted a number from 0 to 1")
        self.capacity, self.share, self.exact, self.independent = capacity, share, exact, independent
        self.register_buffer("images", torch.zeros(0))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, fake: Samples, rng: torch.Generator | None = None) -> Samples:
        """Return what the critic is shown in the place of the fakes, ``[B, ...]``, and keep some of them."""
        fits = isinstance(fake, Tensor) and fake.ndim > 0 and fake.numel() > 0
        require(fits, f"fake is {described(fake)}: wanted fakes, a tensor [B, ...] with B at least 1")
        if not self.training:
            return fake
        if self.images.numel() == 0:  # said by the shape, which a GPU need not be waited for
            self.images = torch.zeros((self.capacity, *fake.shape[1:]), dtype=fake.dtype, device=fake.device)
        require(
            fake.shape[1:] == self.images.shape[1:],
            f"fakes have shape {list(fake.shape[1:])}, and the pool keeps {list(self.images.shape[1:])}: wanted the "
            "same",
        )
        self.images, self.count = self.images.to(fake.device), self.count.to(fake.device)
        drawn = _draw.uniform(3, fake, rng)
        rows = torch.arange(len(fake), device=fake.device)
        filling = self.count + rows < self.capacity
        replayed = self._chosen(drawn[:, 0]) & ~filling
        leaves, enters = self._place(drawn[:, 1]), self._place(drawn[:, 2 if self.independent else 1])
        enters = torch.where(filling, self.count + rows, enters)
        kept = (filling | replayed)[None, :] & (enters[None, :] == torch.stack([leaves, enters])[:, :, None])
        turn = torch.stack([kept[0] & (rows[None, :] < rows[:, None]), kept[1]])
        # the latest row that takes a row's place: before it, for what it is shown; in all, for what is kept there
        latest = torch.where(turn, rows + 1, 0).amax(2) - 1  # -1: none does
        new = fake.detach()
        past, content = (
            _either(new, self.images.index_select(0, place).to(new.dtype), row)
            for row, place in zip(latest, (leaves, enters), strict=True)
        )
        # rows that take the same place all write what it keeps in the end
        self.images.index_copy_(0, enters, content.to(self.images.dtype))
        self.count.add_(len(fake)).clamp_(max=self.capacity)
        return _either(fake, past, torch.where(replayed, -1, rows))

    def _chosen(self, drawn: Tensor) -> Tensor:
        """Return which rows change places with a kept sample."""
        if self.exact:
            return drawn.argsort().argsort() < int(self.share * len(drawn) + 0.5)
        return drawn < self.share

    def _place(self, drawn: Tensor) -> Tensor:
        """Return a place in the pool for each number from U(0, 1)."""
        return (drawn * self.capacity).long().clamp(max=self.capacity - 1)  # rounding could reach ``capacity``

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any, **more: Any) -> None:
        # a pool that is still empty takes samples of any shape
        saved = state_dict.get(f"{prefix}images")
        if saved is not None and saved.numel():
            require(
                len(saved) == self.capacity,
                f"capacity is {self.capacity}, and the saved pool's was {len(saved)}: wanted the same",
            )
        if saved is not None and 0 in (saved.numel(), self.images.numel()):
            self.images = torch.zeros_like(saved, device=self.images.device)
        super()._load_from_state_dict(state_dict, prefix, *others, **more)


def _either(samples: Tensor, others: Tensor, rows: Tensor) -> Tensor:
    """Return the samples of these rows, and where there is -1 the other of the same row.

    On a CPU it takes a third of what ``torch.where`` and an index take.
    """
    same = torch.arange(len(rows), device=rows.device) + len(samples)
    return torch.cat([samples, others]).index_select(0, torch.where(rows >= 0, rows, same))
