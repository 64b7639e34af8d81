"""The latent prior: what a generator makes its samples of."""

from dataclasses import dataclass

import torch
from torch import Tensor

from adversarium.errors import require


@dataclass(frozen=True)
class Prior:
    """A distribution of codes ``[n, dim]``: noise, then uniform numbers, then a category.

    Attributes:
        noise: standard normal numbers.
        continuous: numbers that are uniform in [-1, 1], as InfoGAN's continuous codes.
        categories: columns of a category as a 1 among zeros, each as likely.
    """

    noise: int
    continuous: int = 0
    categories: int = 0

    def __post_init__(self) -> None:
        """Refuse codes of nothing."""
        require(self.noise >= 0 and self.dim >= 1, f"a code has {self.dim} numbers: wanted at least 1")

    @property
    def dim(self) -> int:
        """Numbers in a code."""
        return self.noise + self.continuous + self.categories

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw ``n`` codes, on the generator's device."""
        parts = [torch.randn(n, self.noise, generator=rng, device=rng.device)]
        if self.continuous:
            parts.append(torch.rand(n, self.continuous, generator=rng, device=rng.device) * 2 - 1)
        if self.categories:
            which = torch.randint(self.categories, (n,), generator=rng, device=rng.device)
            parts.append(torch.nn.functional.one_hot(which, self.categories).float())
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def with_category(self, codes: Tensor, which: Tensor) -> Tensor:
        """Return the codes with other categories, int64 ``[n]``.

        Raises:
            InputError: codes of no category, or none of theirs.
        """
        require(self.categories > 0, "the codes have no category: only infogan's do")
        fits = bool(((which >= 0) & (which < self.categories)).all())
        require(fits, f"a category is {which.tolist()}: wanted 0 to {self.categories - 1}")
        return torch.cat(
            [codes[:, : -self.categories], torch.nn.functional.one_hot(which, self.categories).float()], 1
        )


class Latent:
    """A stream of codes ``[n, dim]``, drawn on the CPU so that every device sees the same ones.

    Args:
        prior: what codes are; a number: standard normal ones of that many numbers.
        seed: the stream's.
        device: where the codes go.
    """

    def __init__(self, prior: Prior | int, seed: int, device: torch.device) -> None:
        self.prior = Prior(prior) if isinstance(prior, int) else prior
        self.rng = torch.Generator().manual_seed(seed)
        self._device = device

    def next(self, n: int) -> Tensor:
        """Draw ``n`` codes."""
        return self.prior.draw(n, self.rng).to(self._device, non_blocking=True)
