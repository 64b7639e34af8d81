"""What samples are of: labels and vectors, from the file to the batch, and what a generator is fed."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from adversarium.data import Conditions, Latent, Prior, arrays, conditions_of, open_data, open_stream, splits
from adversarium.errors import InputError
from adversarium.train.feed import Feed
from adversarium.types import Condition

CPU = torch.device("cpu")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def described(path: Path, **arrays: np.ndarray) -> str:
    np.savez(path, vectors=np.arange(40, dtype=np.float32).reshape(20, 2), **arrays)
    return str(path)


def test_vectors_travel_with_their_samples(tmp_path: Path) -> None:
    conditions = np.random.default_rng(0).normal(size=(20, 3))
    source = open_data(described(tmp_path / "a.npz", conditions=conditions, labels=np.arange(20) % 4))
    batch = open_stream(source, batch_size=8, seed=1, device=CPU).next(8)
    rows = (source.codec.decode(batch.samples)[:, 0] / 2).round().long().numpy()
    np.testing.assert_allclose(batch.condition.numpy(), conditions[rows], rtol=1e-6)
    assert batch.labels.tolist() == (rows % 4).tolist()
    found = conditions_of(source)
    assert found.condition == Condition("vector", 3)
    drawn = found.draw(500, rng()).numpy()
    assert {tuple(row) for row in drawn} == {tuple(row) for row in conditions.astype(np.float32)}


def test_labels_are_drawn_as_often_as_the_data_have_them(tmp_path: Path) -> None:
    labels = np.array([0] * 15 + [2] * 5)
    found = conditions_of(open_data(described(tmp_path / "a.npz", labels=labels)))
    assert (found.condition, found.counts) == (Condition("label", 3), (15, 0, 5))
    counts = torch.bincount(found.draw(10_000, rng()), minlength=3)
    assert counts[1] == 0
    assert abs(float(counts[0]) - 7500) < 4 * (10_000 * 0.75 * 0.25) ** 0.5
    assert found.spread(9).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    again = Conditions.from_dict(found.as_dict())
    assert (again.condition, again.counts, again.classes) == (found.condition, found.counts, found.classes)


@pytest.mark.parametrize("held", [0.0, 0.25])
def test_vectors_on_disk_are_read_where_they_are_drawn_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: float
) -> None:
    monkeypatch.setattr(arrays, "IN_MEMORY_BYTES", 1 << 16)
    vectors = np.random.default_rng(0).normal(size=(4000, 256)).astype(np.float32)
    np.savez(tmp_path / "a.npz", vectors=vectors[:, :2], conditions=vectors)
    source, rest = splits(open_data(str(tmp_path / "a.npz"), cache_dir=tmp_path / "cache"), held)
    assert isinstance(source.conditions, np.memmap)
    tracemalloc.start()
    found = conditions_of(source)
    drawn, spread = found.draw(64, rng()), found.spread(10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.vectors is source.conditions
    assert peak < vectors.nbytes / 10
    # of what is held out none is drawn
    own = source.conditions_of(np.arange(len(source)))
    assert np.array_equal(spread, own[np.linspace(0, len(own) - 1, 10).astype(int)])
    assert np.array_equal(drawn, own[torch.randint(len(own), (64,), generator=rng()).numpy()])
    assert len(own) == 4000 - (0 if rest is None else len(rest))


def test_data_of_nothing_have_no_conditions() -> None:
    assert conditions_of(open_data("ring")) is None


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        (np.arange(20), "wanted float vectors"),
        (np.zeros((20, 3, 1)), "wanted float vectors"),
        (np.zeros((19, 3)), "has 19 conditions, but 20 samples"),
        (np.full((20, 3), np.nan), "NaN or infinite"),
    ],
)
def test_odd_vectors_are_refused(tmp_path: Path, conditions: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_data(described(tmp_path / "a.npz", conditions=conditions))


def test_a_label_may_be_typed_as_a_number_or_a_name() -> None:
    conditions = Conditions(Condition("label", 3), ("cat", "dog", "owl"))
    assert [conditions.label(text) for text in ("2", "dog")] == [2, 1]
    for text, message in (("3", "wanted 0 to 2, or a class of cat, dog, owl"), ("dug", "did you mean 'dog'")):
        with pytest.raises(InputError, match=message):
            conditions.label(text)
    with pytest.raises(InputError, match="conditional on vectors"):
        Conditions(Condition("vector", 3)).label("1")
    with pytest.raises(InputError, match="--conditions"):
        Conditions(Condition("vector", 3)).draw(2, rng())


@pytest.mark.parametrize("names", [("1", "2", "3"), ("7", "cat", "0")])
def test_of_classes_that_are_named_by_numbers_a_number_is_a_name(names: tuple[str, ...]) -> None:
    conditions = Conditions(Condition("label", 3), names)
    assert conditions.labels(",".join(names)).tolist() == [0, 1, 2]
    other = next(text for text in ("0", "1") if text not in names)
    with pytest.raises(InputError, match=f"label is '{other}'.*: wanted a class of {', '.join(names)}"):
        conditions.label(other)
    plain = Conditions(Condition("label", 3), ("0", "1", "2"))
    assert plain.label("2") == 2
    with pytest.raises(InputError, match="wanted 0 to 2$"):
        plain.label("3")


def test_values_of_another_condition_are_refused() -> None:
    labels, vectors = Condition("label", 3), Condition("vector", 2)
    labels.check(labels.nothing(4))
    vectors.check(vectors.nothing(4))
    for condition, values in (
        (labels, torch.tensor([4])),
        (labels, torch.tensor([-1])),
        (labels, torch.tensor([1.0])),
        (vectors, torch.zeros(4, 3)),
        (vectors, torch.zeros(4, dtype=torch.int64)),
    ):
        with pytest.raises(InputError, match="wanted"):
            condition.check(values)
    with pytest.raises(InputError, match="at least 1"):
        Condition("label", 0)


def test_codes_are_noise_then_uniform_numbers_then_a_category() -> None:
    prior = Prior(3, continuous=2, categories=4)
    codes = prior.draw(20_000, rng())
    noise, uniform, category = codes.split([3, 2, 4], 1)
    assert (prior.dim, tuple(codes.shape)) == (9, (20_000, 9))
    assert abs(float(noise.mean())) < 0.02
    assert abs(float(noise.std()) - 1) < 0.02
    assert float(uniform.abs().max()) <= 1
    assert abs(float(uniform.std()) - 3**-0.5) < 0.01
    assert torch.equal(category.sum(1), torch.ones(20_000))
    assert (category.mean(0) - 0.25).abs().max() < 4 * (0.25 * 0.75 / 20_000) ** 0.5
    other = prior.with_category(codes, torch.full((20_000,), 2))
    assert torch.equal(other[:, :5], codes[:, :5])
    assert other[:, 5:].argmax(1).unique().tolist() == [2]
    # plain codes are what they were
    assert torch.equal(Latent(3, 7, CPU).next(5), torch.randn(5, 3, generator=rng(7)))
    with pytest.raises(InputError, match="at least 1"):
        Prior(0)
    with pytest.raises(InputError, match="no category"):
        Prior(3).with_category(torch.zeros(1, 3), torch.zeros(1, dtype=torch.int64))


def test_a_sheet_has_a_class_for_each_row_and_a_noise_for_each_column() -> None:
    conditions = Conditions(Condition("label", 10), counts=(1,) * 10)
    codes, labels = Feed(Prior(4), conditions).sheet(3, is_image=True)
    assert labels.reshape(10, 10).tolist() == [[row] * 10 for row in range(10)]
    grid = codes.reshape(10, 10, 4)
    assert torch.equal(grid[0], grid[7])
    assert len(grid[0].unique(dim=0)) == 10
    _, few = Feed(Prior(4), Conditions(Condition("label", 3))).sheet(3, is_image=True)
    assert few.reshape(10, 10)[:, 0].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    _, many = Feed(Prior(4), Conditions(Condition("label", 100))).sheet(3, is_image=True)
    assert many.reshape(10, 10)[:, 0].tolist() == list(range(0, 100, 10))
    found, nothing = Feed(Prior(4, categories=10)).sheet(3, is_image=True)
    assert nothing is None
    assert found[:, 4:].argmax(1).reshape(10, 10)[:, 5].tolist() == list(range(10))
    plain, nothing = Feed(Prior(4)).sheet(3, is_image=True)
    assert nothing is None
    assert torch.equal(plain, torch.randn(100, 4, generator=rng(3)))
