"""What a generator makes its samples of: codes and, where it is conditional, what they should be of."""

from dataclasses import dataclass

import torch
from torch import Tensor

from adversarium.data import Conditions, Prior

PICTURED = 10
"""Rows and columns of a picture of images."""


@dataclass(frozen=True, eq=False)
class Feed:
    """The codes of a run's generator, and the conditions it can be asked for.

    Attributes:
        prior: the distribution of its codes.
        conditions: those of the data; ``None`` for an unconditional generator.
    """

    prior: Prior
    conditions: Conditions | None = None

    def draw(self, n: int, rng: torch.Generator, asked: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Draw ``n`` codes and, as often as the data have them, conditions.

        Of those that are ``asked`` for only as many codes are kept; of an unconditional generator they are categories.
        """
        codes = self.prior.draw(n, rng)
        if asked is None:
            return codes, None if self.conditions is None else self.conditions.draw(n, rng)
        codes = codes[: len(asked)]
        return (self.prior.with_category(codes, asked), None) if self.conditions is None else (codes, asked)

    def sheet(self, seed: int, *, is_image: bool) -> tuple[Tensor, Tensor | None]:
        """Return the codes and conditions of a run's own pictures: 100 images, or 2,000 points.

        A row of images is of one class, or of one category of the code, and a column of one noise.
        """
        rng = torch.Generator().manual_seed(seed)
        if not is_image:
            return self.draw(2000, rng)
        if self.conditions is None and not self.prior.categories:
            return self.prior.draw(PICTURED**2, rng), None
        codes = self.prior.draw(PICTURED, rng).repeat(PICTURED, 1)
        return self.by_row(codes, PICTURED)

    def by_row(self, codes: Tensor, rows: int) -> tuple[Tensor, Tensor | None]:
        """Return codes, ``rows`` of as many each, with each row's category, and the condition of each."""
        row = torch.arange(rows).repeat_interleave(len(codes) // rows)
        if self.prior.categories:
            codes = self.prior.with_category(codes, row % self.prior.categories)
        if self.conditions is None:
            return codes, None
        if self.conditions.condition.kind == "label" and self.conditions.condition.size <= rows:
            return codes, row % self.conditions.condition.size
        return codes, self.conditions.spread(rows)[row]

    def extended(self, noise: Tensor, rows: int) -> tuple[Tensor, Tensor | None]:
        """Return whole codes for their noise alone, ``rows`` of as many each, as :meth:`by_row`."""
        others = noise.new_zeros(len(noise), self.prior.continuous + self.prior.categories)
        return self.by_row(torch.cat([noise, others], 1), rows)
