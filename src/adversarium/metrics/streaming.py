"""The metrics as classes of ``torchmetrics.Metric``: rows come batch by batch, and from several processes.

``update(rows, real=True)`` takes rows ``[B, D]`` of either set, in any order and of any batch size; ``compute``
returns what the pure function returns of all of them together. States are summed or joined over processes by
torchmetrics and are part of the ``state_dict``. Call ``update``, not the metric itself: one batch of one set has no
value. Importing this module needs the extra 'torchmetrics'.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from adversarium.errors import InputError, require
from adversarium.metrics._check import check_rows
from adversarium.metrics.frechet import Moments, moments_distance, products
from adversarium.metrics.kernel import kernel_distance
from adversarium.metrics.metric import Estimate, MetricWarning
from adversarium.metrics.neighbours import NeighbourScores as Scores
from adversarium.metrics.neighbours import neighbour_scores
from adversarium.metrics.score import Sums, check_probabilities, information, sums

try:
    from torchmetrics import Metric
except ModuleNotFoundError as error:
    if error.name != "torchmetrics":
        raise
    raise InputError("streaming metrics need an extra: pip install 'adversarium[torchmetrics]'") from error

SIDES = ("real", "fake")


class _Streaming(Metric):
    """What all share: their states are saved, and those of real rows may outlive a reset."""

    is_differentiable = False
    full_state_update = False
    higher_is_better: bool | None = False

    def __init__(self, *, keep_real: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.keep_real = keep_real

    def reset(self) -> None:
        """Forget all rows, or with ``keep_real`` only the fake ones."""
        kept = {name: getattr(self, name) for name in self._defaults if self.keep_real and name.startswith("real_")}
        # reset empties lists in place
        kept = {name: list(state) if isinstance(state, list) else state for name, state in kept.items()}
        super().reset()
        for name, state in kept.items():
            setattr(self, name, state)

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        for name in self._defaults:
            if isinstance(state := getattr(self, name), list):
                setattr(self, name, list(state))  # updates append to it, and what was loaded is the caller's
        # what was loaded has been updated, and a value from before it is not this one's
        self._update_count, self._computed = max(self._update_count, 1), None


class FrechetDistance(_Streaming):
    """``frechet_distance`` from running sums: its memory is 4·D² numbers, however many rows come.

    The sums are of float64, about the origin: where a column's mean is r times its standard deviation, its variance
    loses the factor r² of float64's 16 digits.

    Args:
        columns: D, the width of the rows.
        keep_real: whether the real rows' sums outlive ``reset``.
        options: of ``torchmetrics.Metric``.
    """

    real_number: Tensor
    fake_number: Tensor

    def __init__(self, columns: int, *, keep_real: bool = False, **options: Any) -> None:
        super().__init__(keep_real=keep_real, **options)
        require(columns >= 1, f"columns is {columns}: wanted at least 1")
        self.columns = columns
        for side in SIDES:
            self.add_state(f"{side}_number", torch.zeros((), dtype=torch.int64), "sum", persistent=True)
            self.add_state(f"{side}_sum", torch.zeros(columns, dtype=torch.float64), "sum", persistent=True)
            square = torch.zeros(columns, columns, dtype=torch.float64)
            self.add_state(f"{side}_products", square, "sum", persistent=True)

    def update(self, rows: Tensor, real: bool) -> None:
        """Add rows ``[B, D]``.

        Raises:
            InputError: no rows of this width, NaN or infinity.
        """
        side = SIDES[not real]
        rows = _checked(side, rows, self.columns).to(self.real_number.device)
        # never in place: a saved state_dict holds the same tensors
        for name, more in (
            ("number", torch.tensor(len(rows), device=rows.device)),
            ("sum", rows.sum(dim=0, dtype=torch.float64)),
            ("products", products(rows)),
        ):
            setattr(self, f"{side}_{name}", getattr(self, f"{side}_{name}") + more)

    def compute(self) -> Tensor:
        """Return ``frechet_distance`` of all rows, float64.

        Raises:
            InputError: fewer than two rows a side.
        """
        real, fake = (self._moments(side) for side in SIDES)
        return moments_distance(real, fake)

    def _moments(self, side: str) -> Moments:
        count = int(getattr(self, f"{side}_number"))
        require(count >= 2, f"{side} has {count} samples: wanted at least 2")
        mean = getattr(self, f"{side}_sum") / count
        return Moments(count, mean, (getattr(self, f"{side}_products") - count * mean.outer(mean)) / (count - 1))


class InceptionScore(_Streaming):
    """``inception_score`` of one split from running sums: memory for K² numbers.

    Args:
        classes: K, how many classes there are.
        options: of ``torchmetrics.Metric``.
    """

    higher_is_better = True
    number: Tensor

    def __init__(self, classes: int, **options: Any) -> None:
        super().__init__(**options)
        require(classes >= 1, f"classes is {classes}: wanted at least 1")
        self.classes = classes
        nothing = sums(torch.zeros(0, classes, dtype=torch.float64))
        for name, zero in nothing._asdict().items():
            self.add_state(name, zero, "sum", persistent=True)

    def update(self, probabilities: Tensor) -> None:
        """Add class probabilities ``[B, K]`` of generated samples.

        Raises:
            InputError: no probabilities of so many classes.
        """
        rows = check_probabilities(_checked("probabilities", probabilities, self.classes))
        for name, more in sums(rows.to(self.number.device))._asdict().items():
            setattr(self, name, getattr(self, name) + more)

    def compute(self) -> Estimate:
        """Return ``inception_score`` of all rows.

        Raises:
            InputError: fewer than two rows.
        """
        gathered = Sums(*(getattr(self, name) for name in Sums._fields))
        require(int(gathered.number) >= 2, f"probabilities has {int(gathered.number)} samples: wanted at least 2")
        mean, variance = information(*gathered)
        return Estimate(mean.exp(), variance.sqrt() * mean.exp())


class _Gathered(_Streaming):
    """A metric of all pairs: it keeps the rows themselves, at most ``most`` of each set in each process."""

    real_rows: list[Tensor] | Tensor
    fake_rows: list[Tensor] | Tensor

    def __init__(self, *, most: int | None = None, keep_real: bool = False, **options: Any) -> None:
        super().__init__(keep_real=keep_real, **options)
        require(most is None or most >= 1, f"most is {most}: wanted at least 1, or None for all rows")
        self.most = most
        for side in SIDES:
            self.add_state(f"{side}_rows", [], "cat", persistent=True)

    def update(self, rows: Tensor, real: bool) -> None:
        """Add rows ``[B, D]``.

        Raises:
            InputError: no rows, NaN, infinity, or another width than before.
        """
        side = SIDES[not real]
        kept = getattr(self, f"{side}_rows")
        rows = _checked(side, rows, kept[0].shape[1] if kept else None)
        room = len(rows) if self.most is None else self.most - sum(len(each) for each in kept)
        if room < len(rows):
            message = f"{side} has more than most = {self.most} rows: those that came later are left out"
            warnings.warn(MetricWarning(message), stacklevel=3)
        if room > 0:
            device: Any = self.device
            # a copy: what the caller does to the batch afterwards is not in the metric
            kept.append(rows[:room].to(device, copy=True))

    def _sides(self) -> tuple[Tensor, Tensor]:
        found = []
        for side in SIDES:
            rows = getattr(self, f"{side}_rows")
            require(len(rows) > 0, f"{side} has 0 samples: update has not seen any")
            found.append(rows if isinstance(rows, Tensor) else torch.cat(rows))
        return found[0], found[1]


class RowsMetric(_Gathered):
    """Any function of two sets of rows: ``energy_distance``, ``sliced_wasserstein``, ... It keeps the rows.

    Args:
        function: of real rows ``[N, D]`` and fake rows ``[M, D]``, with its options bound (``functools.partial``).
        options: ``most`` and ``keep_real``, as of ``NeighbourScores``, and those of ``torchmetrics.Metric``.
    """

    higher_is_better = None

    def __init__(self, function: Callable[[Tensor, Tensor], Any], **options: Any) -> None:
        super().__init__(**options)
        self.function = function

    def compute(self) -> Any:
        """Return the function of all rows.

        Raises:
            InputError: a set without rows, or what the function raises.
        """
        return self.function(*self._sides())


class KernelDistance(_Gathered):
    """``kernel_distance``. It keeps the rows: 8 KB each of 2,048 float32 columns.

    Args:
        degree: of the kernel.
        subsets: as in ``kernel_distance``; drawn with ``seed``.
        subset_size: how many samples in each.
        seed: of the subsets.
        most: how many rows of each set are kept, in each process; later ones are left out with a MetricWarning.
        keep_real: whether the real rows outlive ``reset``.
        options: of ``torchmetrics.Metric``.
    """

    def __init__(
        self,
        *,
        degree: int = 3,
        subsets: int | None = None,
        subset_size: int = 1000,
        seed: int = 0,
        most: int | None = None,
        keep_real: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(most=most, keep_real=keep_real, **options)
        self.degree, self.subsets, self.subset_size, self.seed = degree, subsets, subset_size, seed

    def compute(self) -> Estimate:
        """Return ``kernel_distance`` of all rows.

        Raises:
            InputError: as ``kernel_distance``.
        """
        return kernel_distance(
            *self._sides(),
            degree=self.degree,
            subsets=self.subsets,
            subset_size=self.subset_size,
            rng=torch.Generator().manual_seed(self.seed),
        )


class NeighbourScores(_Gathered):
    """``neighbour_scores``: precision, recall, density and coverage. It keeps the rows.

    Args:
        k: which neighbour.
        most: how many rows of each set are kept, in each process; later ones are left out with a MetricWarning.
        keep_real: whether the real rows outlive ``reset``.
        options: of ``torchmetrics.Metric``.
    """

    higher_is_better = True

    def __init__(self, *, k: int = 5, most: int | None = None, keep_real: bool = False, **options: Any) -> None:
        super().__init__(most=most, keep_real=keep_real, **options)
        self.k = k

    def compute(self) -> Scores:
        """Return ``neighbour_scores`` of all rows.

        Raises:
            InputError: as ``neighbour_scores``.
        """
        return neighbour_scores(*self._sides(), k=self.k)


def _checked(name: str, rows: Tensor, width: int | None) -> Tensor:
    rows = check_rows(name, rows).detach()
    require(width in (None, rows.shape[1]), f"{name} has {rows.shape[1]} columns: wanted {width}")
    return rows
