"""What is held out is apart from what is trained on, the same at every call, and drawn from everywhere."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from adversarium.data import ArraySource, Codec, default_share, open_data, open_stream, splits
from adversarium.data.toys import ring
from adversarium.errors import InputError


def numbered(count: int, *, test: ArraySource | None = None) -> ArraySource:
    """Return vectors that hold their own number, with their number modulo 7 as the label."""
    numbers = np.arange(count)
    return ArraySource(
        "numbers", numbers[:, None].astype(np.float32), Codec((1,), (0.0,), (1.0,)), labels=numbers % 7, test=test
    )


def members(source: ArraySource) -> np.ndarray:
    return source.take(np.arange(len(source)))[:, 0].astype(int)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.93])
def test_the_parts_are_apart_and_make_up_the_whole(share: float):
    source = numbered(1000)
    train, held = splits(source, share)
    assert isinstance(train, ArraySource)
    assert isinstance(held, ArraySource)
    assert len(held) == round(share * 1000)
    assert sorted([*members(train), *members(held)]) == list(range(1000))
    assert train.samples is source.samples  # nothing was copied


def test_every_call_holds_out_the_same_samples_from_all_over_the_data():
    source = numbered(2000)
    held = splits(source, 0.1)[1]
    assert isinstance(held, ArraySource)
    np.testing.assert_array_equal(members(held), members(splits(numbered(2000), 0.1)[1]))
    # 200 uniform draws of 0 to 1999: the mean's standard deviation is 2000/√12/√200 = 41
    assert abs(members(held).mean() - 999.5) < 200
    np.testing.assert_array_equal(held.labels_of(np.arange(200)), members(held) % 7)


def test_samples_are_spread_over_all_of_a_source():
    held = splits(numbered(1000), 0.3)[1]
    assert isinstance(held, ArraySource)
    np.testing.assert_array_equal(held.spread(4), [0, 99, 199, 299])
    np.testing.assert_array_equal(held.spread(1000), np.arange(300))
    assert list(numbered(1).spread(5)) == [0]


def test_a_part_can_be_split_again():
    train, held = splits(numbered(1000), 0.3)
    again, held_again = splits(train, 0.5)
    assert sorted([*members(again), *members(held_again)]) == list(members(train))
    assert not set(members(held_again)) & set(members(held))


def test_a_stream_gives_only_what_is_trained_on():
    train, _ = splits(numbered(100), 0.25)
    stream = open_stream(train, batch_size=10, seed=3, device=torch.device("cpu"))
    batch = stream.next(150)
    seen = batch.samples[:, 0].long()
    assert set(seen.tolist()) == set(members(train))
    assert sorted(seen[:75].tolist()) == list(members(train))  # an epoch has each once
    assert torch.equal(batch.labels, seen % 7)
    with pytest.raises(InputError, match=r"only 75 samples \(25 more are held out\)"):
        open_stream(train, batch_size=76, seed=3, device=torch.device("cpu"))


def test_a_density_is_both_and_a_published_test_split_comes_first():
    density = ring()
    assert splits(density, 0.5) == (density, density)
    test = numbered(10)
    source = numbered(10_000, test=test)
    assert splits(source, 0.0) == (source, test)
    train, held = splits(source, 0.1)
    assert (len(train), len(held)) == (9000, 1000)
    assert splits(numbered(100), 0.0)[1] is None


def test_the_default_holds_nothing_out_where_that_would_measure_nothing():
    assert default_share(ring()) == 0
    assert default_share(numbered(999)) == 0
    assert default_share(numbered(1000)) == 0.05
    assert default_share(numbered(10_000, test=numbered(10))) == 0
    assert default_share(open_data("mnist")) == 0.05


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0, float("nan")])
def test_a_share_out_of_range_is_refused(share: float):
    with pytest.raises(InputError, match="hold_out is"):
        splits(numbered(10), share)


def test_nothing_left_to_train_on_is_refused():
    with pytest.raises(InputError, match="leaves none"):
        splits(numbered(3), 0.9)


def idx(path: Path, images: np.ndarray) -> None:
    header = (0x803).to_bytes(4, "big") + b"".join(size.to_bytes(4, "big") for size in images.shape)
    with gzip.open(path, "wb") as stream:
        stream.write(header + images.tobytes())


def test_a_folder_of_idx_files_brings_its_test_split(tmp_path: Path):
    rng = np.random.default_rng(0)
    train, test = (rng.integers(0, 256, (count, 4, 4), dtype=np.uint8) for count in (30, 20))
    idx(tmp_path / "train-images-idx3-ubyte.gz", train)
    idx(tmp_path / "t10k-images-idx3-ubyte.gz", test)
    source = open_data(str(tmp_path))
    assert isinstance(source, ArraySource)
    np.testing.assert_array_equal(source.samples[:, 0], train)
    np.testing.assert_array_equal(source.test.samples[:, 0], test)
    idx(tmp_path / "t10k-images-idx3-ubyte.gz", test[:, :3, :3])
    with pytest.raises(InputError, match="same size in both"):
        open_data(str(tmp_path))
