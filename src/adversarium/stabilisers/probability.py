"""How often an augmentation acts, from how sure the critic is of its training data."""

import torch
from torch import Tensor, nn

from adversarium.errors import require
from adversarium.tensors import described, is_number, is_whole


class AdaptiveProbability(nn.Module):
    """A probability that rises while the critic recognises too many of the real samples, and falls while too few.

    After each ``every`` batches it moves by ``images / (1000·kimg)``: up where the mean sign of their margins was
    above the target, down where it was below. It stays within 0 and 1. Without a target it stays where it is.

    All of its state lies in buffers, and nothing is read back from an accelerator: margins that are NaN are refused on
    a CPU, and make the probability NaN on an accelerator. In distributed training each process counts its own samples.

    Attributes:
        value: the probability.
        signs: the sum of the signs of the margins since the last move.
        margins: how many they were.
        images: the real samples shown since the last move.
        batches: the batches since the last move.

    Raises:
        InputError: numbers outside their range.
    """

    value: Tensor
    signs: Tensor
    margins: Tensor
    images: Tensor
    batches: Tensor

    def __init__(self, start: float, target: float | None, kimg: float, every: int) -> None:
        super().__init__()
        require(is_number(start) and 0 <= start <= 1, f"p is {described(start)}: wanted a number from 0 to 1")
        require(
            target is None or (is_number(target) and -1 < target < 1),
            f"target is {described(target)}: wanted a mean sign between -1 and 1 (0.6 is usual), or None for a fixed "
            "p",
        )
        require(is_number(kimg) and kimg > 0, f"kimg is {described(kimg)}: wanted a positive number")
        require(
            is_whole(every) and every >= 1,
            f"every is {described(every)}: wanted a whole number of batches, at least 1",
        )
        self.target, self.kimg, self.every = target, kimg, every
        self.register_buffer("value", torch.tensor(float(start)))
        for name in ("signs", "margins", "images", "batches"):
            self.register_buffer(name, torch.zeros(()))

    @torch.no_grad()
    def observe(self, margins: Tensor, images: int) -> None:
        """Count a batch, and move when it is the last of its interval.

        Raises:
            InputError: margins that are none, or NaN; a number of images below 1.
        """
        fits = isinstance(margins, Tensor) and margins.is_floating_point() and margins.numel() > 0
        require(fits, f"margins is {described(margins)}: wanted floating point numbers [B] with B at least 1")
        require(
            is_whole(images) and images >= 1,
            f"images is {described(images)}: wanted how many real samples the step showed, a whole number, at least 1",
        )
        missing = margins.isnan()
        if margins.device.type == "cpu":  # an accelerator would have to be waited for
            bad = int(missing.sum())
            require(bad == 0, f"margins became nan in {bad} of {margins.numel()} samples: wanted numbers")
        if self.target is None:
            return
        self.signs.add_(torch.where(missing, margins, margins.sign()).sum().to(self.signs))
        self.margins.add_(margins.numel())
        self.images.add_(images)
        self.batches.add_(1)
        due = self.batches >= self.every
        move = torch.sign(self.signs / self.margins - self.target) * self.images / (1000 * self.kimg)
        self.value.add_(torch.where(due, move, 0)).clamp_(0, 1)
        for count in (self.signs, self.margins, self.images, self.batches):
            count.masked_fill_(due, 0)
