"""Energy distance and MMD: closed forms within standard errors, the losses and scipy, blocks, gradients, refusals."""

import math
import weakref
from collections.abc import Callable

import pytest
import scipy.stats
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from adversarium.errors import InputError
from adversarium.losses import DISTANCES
from adversarium.metrics import discrepancy
from adversarium.metrics.discrepancy import energy_distance, median_distance, mmd
from adversarium.metrics.metric import Estimate

KERNELS = ("gaussian", "laplace", "rational_quadratic", "imq", "polynomial")
CASES: dict[str, tuple[Callable[..., Estimate], str, dict[str, object]]] = {
    "energy": (energy_distance, "energy", {}),
    "energy(0.5)": (energy_distance, "energy", {"exponent": 0.5}),
    **{f"mmd({kernel})": (mmd, "mmd", {"kernel": kernel}) for kernel in KERNELS},
    "mmd(laplace,1.5)": (mmd, "mmd", {"kernel": "laplace", "bandwidth": 1.5}),
    "mmd(gaussian,several)": (mmd, "mmd", {"bandwidth": (0.5, 2, 4.0)}),
}
every_case = pytest.mark.parametrize("name", CASES)
either_way = pytest.mark.parametrize("unbiased", [True, False])


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=rng(seed), dtype=torch.float64)


def gaussian_mmd(shift: float, std: float, width: float, d: int) -> float:
    both = width**2 + 2 * std**2
    return 2 * (width**2 / both) ** (d / 2) * (1 - math.exp(-(shift**2) / (2 * both)))


def gaussian_energy(shift: float) -> float:
    between = 2 * (2 * math.exp(-(shift**2) / 4) / math.sqrt(math.pi) + shift * math.erf(shift / 2))
    return between - 4 / math.sqrt(math.pi)


@pytest.mark.parametrize("seed", range(3))
def test_closed_forms_within_the_stated_standard_error(seed: int):
    shift, std, width = normal(3, seed=seed).abs().add(0.5).tolist()
    d, n, m = 1 + 2 * seed, 1500, 1200
    move = torch.nn.functional.normalize(normal(d, seed=seed), dim=0) * shift
    x, y = std * normal(n, d, seed=seed + 10), std * normal(m, d, seed=seed + 20) + move
    found = mmd(x, y, bandwidth=width)
    assert abs(found.value - gaussian_mmd(shift, std, width, d)) < 4 * found.standard_error
    assert found.standard_error < 0.2 * found.value
    found = energy_distance(x[:, :1] / std, y[:, :1] / std)
    assert abs(found.value - gaussian_energy(abs(move[0].item()) / std)) < 4 * found.standard_error


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.5])
def test_the_mean_is_unbiased_and_the_standard_error_is_that_of_the_draws(shift: float):
    draws = 80
    for function, expected in (
        (lambda x, y: mmd(x, y, bandwidth=1.2), gaussian_mmd(shift, 1, 1.2, 1)),
        (energy_distance, gaussian_energy(shift)),
    ):
        found = [function(normal(40, 1, seed=i), normal(30, 1, seed=999 + i) + shift) for i in range(draws)]
        values, errors = (torch.stack(each) for each in zip(*found, strict=True))
        assert abs(values.mean() - expected) < 4 * values.std() / math.sqrt(draws)
        # at equality the jackknife's is too large by up to √2; a standard deviation of 80 is known to 8 %
        low, high = (1.0, 1.7) if shift == 0 else (0.75, 1.3)
        assert low < errors.square().mean().sqrt() / values.std() < high
        if shift == 0:
            assert values.min() < 0


@either_way
@every_case
def test_equals_the_loss_in_any_chunks(name: str, unbiased: bool):
    function, member, given = CASES[name]
    for d in (2, 20):
        x, y = normal(23, d, seed=0), normal(17, d, seed=1) + 0.4
        expected = DISTANCES[member](unbiased=unbiased, **given)(x, y).item()
        found = [function(x, y, unbiased=unbiased, chunk=chunk, **given) for chunk in (8, 512)]
        for value, error in found:
            assert value.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
            assert error.item() == pytest.approx(found[0].standard_error.item(), rel=1e-9)


@either_way
@every_case
def test_the_standard_error_is_the_jackknifes(name: str, unbiased: bool):
    function, member, given = CASES[name]
    x, y = normal(9, 2, seed=0), normal(7, 2, seed=1) + 0.4
    if member == "mmd" and "bandwidth" not in given and given["kernel"] != "polynomial":
        given = {**given, "bandwidth": 1.3}  # a median would follow the samples
    loss = DISTANCES[member](unbiased=unbiased, **given)
    variance = 0.0
    for rows, left in ((x, lambda i: loss(torch.cat([x[:i], x[i + 1 :]]), y)),
                       (y, lambda i: loss(x, torch.cat([y[:i], y[i + 1 :]])))):  # fmt: skip
        values = torch.stack([left(i) for i in range(len(rows))])
        variance += (len(rows) - 1) * values.var(correction=0).item()
    found = function(x, y, unbiased=unbiased, chunk=4, **given)
    assert found.standard_error.item() == pytest.approx(math.sqrt(variance), rel=1e-9)


def test_the_biased_energy_is_scipys_squared():
    x, y = normal(30, 1, seed=0), normal(20, 1, seed=1) + 0.5
    expected = scipy.stats.energy_distance(x[:, 0], y[:, 0]) ** 2
    assert energy_distance(x, y, unbiased=False).value.item() == pytest.approx(expected, rel=1e-12)


@every_case
def test_is_symmetric_zero_for_equal_sets_and_grows_as_modes_are_dropped(name: str):
    function, _, given = CASES[name]
    x, y = normal(20, 2, seed=0), normal(15, 2, seed=1) + 0.4
    forth, back = function(x, y, **given), function(y, x, **given)
    assert forth.value.item() == pytest.approx(back.value.item(), rel=1e-9)
    assert forth.standard_error.item() == pytest.approx(back.standard_error.item(), rel=1e-9)
    shuffled = x[torch.randperm(20, generator=rng(0))]
    assert function(x, shuffled, unbiased=False, **given).value.item() == pytest.approx(0, abs=1e-12)
    if name != "mmd(polynomial)":
        assert function(x + 9, y + 9, **given).value.item() == pytest.approx(forth.value.item(), rel=1e-7)
    modes = torch.arange(4).repeat_interleave(30)
    real, fake = (torch.stack([3.0 * modes, 0 * modes], 1) + 0.1 * normal(120, 2, seed=i) for i in (2, 3))
    fixed = {"bandwidth": 3.0, **given} if "energy" not in name and "polynomial" not in name else given
    found = [function(real, fake[modes < kept], **fixed).value.item() for kept in (4, 3, 2, 1)]
    assert found == sorted(found)


@either_way
@every_case
def test_gradients(name: str, unbiased: bool):
    function, member, given = CASES[name]
    x, y = normal(5, 2, seed=0).requires_grad_(), normal(4, 2, seed=1).requires_grad_()
    found = torch.autograd.grad(function(x, y, unbiased=unbiased, chunk=2, **given).value, (x, y))
    expected = torch.autograd.grad(DISTANCES[member](unbiased=unbiased, **given)(x, y), (x, y))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)
    if name == "mmd(laplace,1.5)":
        assert torch.autograd.gradcheck(lambda a, b: function(a, b, chunk=2, **given).value, (x, y))


class Alive(TorchDispatchMode):
    """Adds up the memory of all tensors that were made and are still there."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        found = function(*arguments, **(named or {}))
        for each in tree_leaves(found):
            if isinstance(each, Tensor):
                self._count(each.untyped_storage())
        return found

    def _count(self, storage: torch.UntypedStorage) -> None:
        # the storage, not the tensor, whose memory views share
        key = storage._cdata
        if key in self.known:
            return
        self.known.add(key)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, storage.nbytes())

    def _forget(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch):
    largest, rows = 0, normal(700, 20, seed=0)
    distances = discrepancy.squared_distances

    def seen(a: Tensor, b: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, len(a) * len(b))
        return distances(a, b)

    monkeypatch.setattr(discrepancy, "squared_distances", seen)
    energy_distance(rows, rows + 1, chunk=64)
    assert largest == 64**2
    many = normal(6000, 20, seed=1).float()
    with Alive() as memory:
        mmd(many, many + 1, bandwidth=1.0)
    assert 512**2 * 8 < memory.peak < 50e6  # bytes; one matrix of all pairs would be 288 MB


def test_bandwidths_may_be_tensors():
    x, y = normal(9, 2, seed=0), normal(7, 2, seed=1)
    width = median_distance(x)
    assert mmd(x, y, bandwidth=width) == mmd(x, y, bandwidth=float(width))
    assert mmd(x, y, bandwidth=torch.tensor([0.5, 2])) == mmd(x, y, bandwidth=(0.5, 2))


def test_median_distance():
    rows = normal(31, 3, seed=0)
    expected = torch.nn.functional.pdist(rows).median().item()
    assert median_distance(rows).item() == pytest.approx(expected, rel=1e-12)
    assert median_distance(5 * rows + 3).item() == pytest.approx(5 * expected, rel=1e-9)
    many = normal(5000, 3, seed=1)
    assert median_distance(many).item() == pytest.approx(
        torch.nn.functional.pdist(many[:1500]).median().item(), rel=0.1
    )
    assert median_distance(torch.zeros(4, 2)) == 1
    assert median_distance(torch.tensor([[0.0], [0], [0], [0], [2]])) == pytest.approx(math.sqrt(4 * 4 / 10))


def test_half_precision_is_compared_in_double():
    x, y = normal(20, 20, seed=0).bfloat16(), normal(15, 20, seed=1).float()
    found = energy_distance(x, y)
    assert found.value.dtype == found.standard_error.dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(energy_distance(x, y).value, energy_distance(x.double(), y.double()).value)


def test_numbers_that_overflow_are_refused():
    x, y = normal(5, 3, seed=0), normal(4, 3, seed=1)
    for function in (energy_distance, mmd):
        with pytest.raises(InputError, match="x is as large as"):
            function(1e200 * x, y)
    with pytest.raises(InputError, match="too large for float64 sums of this kernel"):
        mmd(1e60 * x, y, kernel="polynomial")
    assert energy_distance(1e100 * x, 1e100 * y).value.isfinite()


@every_case
def test_bad_rows_are_named(name: str):
    function, _, given = CASES[name]
    rows = torch.zeros(3, 2)
    for x, y, words in (
        (rows, torch.zeros(3, 4), "x has 2 columns and y 4"),
        (rows[:2], rows, "x has 2 samples: wanted at least 3"),
        (rows, torch.full((3, 2), math.nan), "y has NaN or infinity in 3 of 3 rows"),
        (rows, rows.int(), "y is torch.int32"),
    ):
        with pytest.raises(InputError, match=words):
            function(x, y, **given)


@pytest.mark.parametrize(
    ("function", "arguments", "words"),
    [
        (energy_distance, {"exponent": 2.0}, "exponent is 2.0"),
        (energy_distance, {"exponent": 0.0}, "exponent is 0.0"),
        (energy_distance, {"chunk": 0}, "chunk is 0"),
        (mmd, {"bandwidth": 0.0}, "bandwidth is 0.0"),
        (mmd, {"bandwidth": ()}, r"bandwidth is \(\)"),
        (mmd, {"kernel": "polynomial", "bandwidth": 1.0}, "the polynomial kernel has none"),
    ],
)
def test_bad_arguments_are_named(function: Callable[..., Estimate], arguments: dict[str, object], words: str):
    with pytest.raises(InputError, match=words):
        function(torch.zeros(3, 2), torch.ones(3, 2), **arguments)
