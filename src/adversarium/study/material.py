"""A study's data: opened once by each process, and cut so that no run and no search sees what it is tested on."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from adversarium.data import ArraySource, Codec, Density, Source, open_data, splits
from adversarium.errors import InputError
from adversarium.metrics.measuring import Measuring
from adversarium.metrics.protocols import Protocol
from adversarium.metrics.references import References
from adversarium.study.plan import Plan

_VALIDATION = 0x5EED


@dataclass(frozen=True, eq=False)
class Redrawn:
    """A density, drawn with other seeds: what a search is judged on, so that it never sees what runs are tested on."""

    density: Density

    @property
    def name(self) -> str:
        """The density's."""
        return self.density.name

    @property
    def codec(self) -> Codec:
        """The density's."""
        return self.density.codec

    @property
    def modes(self) -> Tensor | None:
        """The density's."""
        return self.density.modes

    @property
    def std(self) -> float:
        """The density's."""
        return self.density.std

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw ``n`` samples from a generator that is seeded by this one's next number."""
        seed = int(torch.randint(2**62, (1,), generator=rng, device=rng.device)) ^ _VALIDATION
        return self.density.sample(n, torch.Generator(rng.device).manual_seed(seed))

    def log_density(self, x: Tensor) -> Tensor:
        """Return log p(x)."""
        return self.density.log_density(x)


@dataclass(frozen=True, eq=False)
class Material:
    """Data for runs of one kind, with what measures them.

    Attributes:
        source: what a run opens, and holds the share ``hold_out`` out of.
        hold_out: that share.
        measuring: the study's protocol, ready.
        others: the further protocols of runs, ready; ``None`` where there are none.
    """

    source: Source
    hold_out: float
    measuring: Measuring
    others: Measuring | None

    @property
    def protocol(self) -> str:
        """What is measured, by its name: for trials of fewer samples, where there are fewer."""
        return self.measuring.protocols[0].name

    @classmethod
    def of_runs(cls, plan: Plan, source: Source, device: str = "cpu") -> "Material":
        """Return that of a study's runs: tested on data that neither they nor a search saw.

        Raises:
            InputError: the protocols cannot be measured on these data.
        """
        return cls._of(plan, source, plan.hold_out, device)

    @classmethod
    def of_trials(cls, plan: Plan, source: Source, device: str = "cpu") -> "Material":
        """Return that of its searches' trials: judged on a share of what runs are trained on.

        Raises:
            InputError: as :meth:`of_runs`.
        """
        plan = dataclasses.replace(plan, others=())  # of a trial only the protocol counts
        if not isinstance(source, ArraySource):
            return cls._of(plan, Redrawn(source), 0.0, device)
        train, _ = splits(source, plan.hold_out)
        assert isinstance(train, ArraySource)
        try:
            return cls._of(plan, dataclasses.replace(train, test=None), plan.validation_share, device)
        except InputError as error:
            share = f"{plan.validation_share:g} of the training data"
            raise InputError(f"to judge trials by ({share}): {error}") from error

    @classmethod
    def _of(cls, plan: Plan, source: Source, hold_out: float, device: str) -> "Material":
        references = References(*splits(source, hold_out))
        protocol, size = Protocol.parse(plan.protocol), references.size("test")
        if size is not None:  # a validation split may be smaller than the test split that the protocol is made for
            protocol = dataclasses.replace(protocol, samples=max(protocol.metric.least, min(protocol.samples, size)))
        return cls(
            source,
            hold_out,
            Measuring([protocol], references, repeats=1, device=device),
            Measuring(plan.others, references, repeats=1, device=device) if plan.others else None,
        )


def open_source(plan: Plan, on_decode: Callable[[int, int], None] = lambda done, total: None) -> Source:
    """Open a study's data.

    Raises:
        InputError: there are none, or they cannot be used.
    """
    return open_data(plan.data, size=plan.options.get("size"), progress=on_decode)
