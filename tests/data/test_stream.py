"""The stream: each epoch once, resumable anywhere."""

from pathlib import Path

import numpy as np
import pytest
import torch

from adversarium.data import ArraySource, Codec, Latent, Stream, open_stream
from adversarium.data.toys import ring
from adversarium.errors import InputError

CPU = torch.device("cpu")


def numbered(n: int) -> ArraySource:
    """Vectors that are their own index, with labels that follow from it."""
    index = np.arange(n)
    return ArraySource(
        "numbered", index[:, None].astype(np.float32), Codec((1,), (0.0,), (1.0,)), (7 * index % 11).astype(np.int64)
    )


def take(stream: Stream, sizes: list[int]) -> list[int]:
    indices = []
    for n in sizes:
        batch = stream.next(n)
        found = batch.samples[:, 0].long()
        assert len(found) == n
        assert batch.labels is not None
        assert batch.labels.dtype == torch.int64
        assert torch.equal(batch.labels, 7 * found % 11)
        indices += found.tolist()
    return indices


@pytest.mark.parametrize(("n", "batch"), [(10, 3), (10, 10), (7, 4), (1, 1), (12, 5)])
def test_each_epoch_has_every_sample_once(n: int, batch: int):
    stream = open_stream(numbered(n), batch_size=batch, seed=0, device=CPU)
    indices = take(stream, [batch] * n)  # batch epochs, most batches straddling two
    epochs = [indices[i : i + n] for i in range(0, len(indices), n)]
    assert len(epochs) == batch
    for epoch in epochs:
        assert sorted(epoch) == list(range(n))
    if n >= 7:
        assert len({tuple(epoch) for epoch in epochs}) == batch  # no two in the same order


def test_a_batch_may_span_many_epochs():
    stream = open_stream(numbered(4), batch_size=4, seed=0, device=CPU)
    indices = take(stream, [3, 11])
    assert [sorted(indices[i : i + 4]) for i in (0, 4, 8)] == [[0, 1, 2, 3]] * 3


def test_order_depends_on_the_seed_alone_not_on_the_batch_size():
    def order(seed: int, sizes: list[int]) -> list[int]:
        return take(open_stream(numbered(50), batch_size=1, seed=seed, device=CPU), sizes)

    assert order(3, [60]) == order(3, [7, 13, 40])
    assert order(3, [50]) != order(4, [50])


@pytest.mark.parametrize("kind", ["array", "density"])
def test_resumes_at_any_step_bit_equal(kind: str):
    source = numbered(10) if kind == "array" else ring()
    through = open_stream(source, batch_size=4, seed=5, device=CPU)
    for step in range(8):
        resumed = open_stream(source, batch_size=4, seed=5, device=CPU)
        if step % 2:
            resumed.next(3)  # restoring forgets what came before
        state = through.state()
        assert isinstance(state, torch.Tensor)
        resumed.restore(state.clone())
        n = 3 + step % 2
        expected = through.next(n)
        found = resumed.next(n)
        assert torch.equal(found.samples, expected.samples)
        assert torch.equal(resumed.state(), through.state())


def test_a_state_is_a_snapshot():
    for source in (numbered(10), ring()):
        stream = open_stream(source, batch_size=4, seed=5, device=CPU)
        state = stream.state()
        first = stream.next(4).samples
        stream.next(4)
        stream.restore(state)
        assert torch.equal(stream.next(4).samples, first)


def test_density_streams_differ_by_seed_and_never_repeat():
    a, b = (open_stream(ring(), batch_size=4, seed=seed, device=CPU) for seed in (0, 1))
    first = a.next(4)
    assert first.labels is None
    assert not torch.equal(first.samples, b.next(4).samples)
    assert not torch.equal(first.samples, a.next(4).samples)


def test_images_arrive_encoded():
    pixels = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    stream = open_stream(ArraySource("pixels", pixels, Codec((3, 4, 4))), batch_size=2, seed=0, device=CPU)
    batch = stream.next(2)
    assert batch.labels is None
    first = 0 if batch.samples[0, 0, 0, 0] == -1 else 1
    expected = torch.from_numpy(pixels).float() / 127.5 - 1
    torch.testing.assert_close(batch.samples[[first, 1 - first]], expected)


def test_a_read_only_transposed_map_gives_fresh_contiguous_tensors(tmp_path: Path):
    file = tmp_path / "x.npy"
    np.save(file, np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), dtype=np.uint8))
    stored = np.load(file, mmap_mode="r").transpose(0, 3, 1, 2)
    source = ArraySource("map", stored, Codec((3, 4, 4)))
    before = file.read_bytes()
    batch = open_stream(source, batch_size=6, seed=0, device=CPU).next(6)  # a warning here is an error
    assert batch.samples.is_contiguous()
    batch.samples.zero_()
    assert file.read_bytes() == before
    vectors = ArraySource("v", np.ones((4, 1), np.float32), Codec((1,), (0.0,), (1.0,)))
    open_stream(vectors, batch_size=4, seed=0, device=CPU).next(4).samples.zero_()
    assert vectors.samples.min() == 1


@pytest.mark.parametrize(
    ("batch_size", "seed", "words"),
    [(11, 0, "batch_size is 11, but 'numbered' has only 10"), (0, 0, "at least 1"), (5, -1, "seed is -1")],
)
def test_refusals(batch_size: int, seed: int, words: str):
    with pytest.raises(InputError, match=words):
        open_stream(numbered(10), batch_size=batch_size, seed=seed, device=CPU)


def test_latent_codes_are_standard_normal_and_follow_their_seed():
    latent = Latent(16, 3, CPU)
    codes = latent.next(10_000)
    assert codes.shape == (10_000, 16)
    assert codes.mean().abs() < 4.5 / 400
    assert (codes.var() - 1).abs() < 4.5 * 2**0.5 / 400
    assert torch.equal(codes, Latent(16, 3, CPU).next(10_000))
    assert not torch.equal(codes, latent.next(10_000))
    assert not torch.equal(codes, Latent(16, 4, CPU).next(10_000))
