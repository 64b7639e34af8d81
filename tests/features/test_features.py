"""What all features have in common: opening them, seeing in chunks, refusing what they cannot see; raw and random."""

import hashlib
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from adversarium.errors import InputError
from adversarium.features import (
    FEATURES,
    PRETRAINED,
    Features,
    Seen,
    WeightsWarning,
    extract,
    open_features,
    random_conv,
    raw,
)
from adversarium.features._samples import seen_on
from adversarium.features._weights import Published, find_weights, load_exactly, read_tensors
from adversarium.features.random_conv import draw_weights

SEEN_OFFLINE = [name for name in FEATURES if name not in PRETRAINED]


@pytest.mark.parametrize("name", FEATURES)
def test_docstrings_say_what_explain_prints(name: str):
    text = inspect.getdoc(FEATURES[name]) or ""
    headings = re.findall(r"^(\w[\w ]*):$", text, flags=re.MULTILINE)
    assert [heading for heading in headings if heading != "Elsewhere"] == [
        "Formula", "Convention", "Use when", "Paper", "Raises"
    ]  # fmt: skip
    assert re.search(r"arXiv:\d{4}\.\d{4,5}\b", text)


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def digits(rng: torch.Generator, count: int = 7) -> torch.Tensor:
    return torch.randint(0, 256, (count, 1, 28, 28), generator=rng, dtype=torch.uint8)


@pytest.mark.parametrize("name", SEEN_OFFLINE)
def test_chunks_of_any_size_give_what_one_gives(name: str, rng: torch.Generator):
    features, samples = open_features(name), digits(rng)
    whole = features.see(samples)
    for batch_size in (1, 3, 7, 100):
        seen = extract(features, samples.numpy(), batch_size=batch_size)
        torch.testing.assert_close(seen.rows, whole.rows, rtol=1e-5, atol=1e-5)
        assert seen.rows.dtype == torch.float32
        assert (seen.probabilities is None) == (whole.probabilities is None)
        if seen.probabilities is not None:
            assert len(features.classes) == seen.probabilities.shape[1]
            torch.testing.assert_close(seen.probabilities, whole.probabilities, rtol=1e-5, atol=1e-5)
    # bytes and floats of the same levels are the same samples
    assert torch.equal(extract(features, samples.double()).rows, extract(features, samples).rows)


@pytest.mark.parametrize("name", SEEN_OFFLINE)
def test_they_leave_the_random_state_and_see_in_full_precision(name: str, rng: torch.Generator):
    samples, before = digits(rng), torch.get_rng_state()
    rows = extract(open_features(name), samples).rows
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(extract(open_features(name), samples).rows, rows)
    assert torch.equal(torch.get_rng_state(), before)


def test_convolutions_on_a_gpu_are_not_rounded_more_coarsely_either():
    settings = "enabled", "benchmark", "deterministic", "allow_tf32"
    cudnn = torch.backends.cudnn
    for allowed in (True, False):
        with cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=allowed):
            before = [getattr(cudnn, name) for name in settings]
            with seen_on(torch.device("cpu"), torch.zeros(2, 3)):
                assert [getattr(cudnn, name) for name in settings] == [*before[:3], False]
            assert [getattr(cudnn, name) for name in settings] == before


@pytest.mark.parametrize("name", SEEN_OFFLINE)
def test_they_are_differentiable_in_samples_and_have_nothing_to_train(name: str, rng: torch.Generator):
    samples = digits(rng).float().requires_grad_()
    seen = open_features(name).see(samples)
    (gradient,) = torch.autograd.grad(seen.rows.square().sum(), samples)
    assert (gradient.flatten(1).norm(dim=1) > 0).all()
    assert not extract(open_features(name), samples).rows.requires_grad


def test_a_memory_map_is_read_a_chunk_at_a_time(tmp_path: Path, rng: torch.Generator):
    np.save(tmp_path / "x.npy", digits(rng, 50).numpy())
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    sizes: list[int] = []

    def see(samples: torch.Tensor) -> Seen:
        sizes.append(len(samples))
        assert samples.dtype == torch.uint8
        samples += 1  # what features do with a chunk does not reach the file
        return Seen(samples.flatten(1).float())

    before = mapped[:].copy()
    rows = extract(Features(name="own", see=see), mapped, batch_size=16).rows
    assert sizes == [16, 16, 16, 2]
    assert np.array_equal(mapped, before)
    assert np.array_equal(rows.numpy(), (before + 1).reshape(50, -1))


def test_foreign_byte_orders_and_steps(rng: torch.Generator):
    vectors = torch.randn(9, 4, generator=rng, dtype=torch.float64).numpy()
    for stored in (vectors.astype(">f4"), vectors[::-1], vectors.astype(np.longdouble), vectors.astype(np.float16)):
        assert np.allclose(extract(raw(), stored, batch_size=4).rows.numpy(), stored.astype(np.float32))


def test_raw_is_the_samples_themselves(rng: torch.Generator):
    vectors = torch.randn(6, 3, generator=rng)
    assert torch.equal(raw().see(vectors).rows, vectors)
    images = torch.randint(0, 256, (4, 3, 5, 7), generator=rng, dtype=torch.uint8)
    rows = extract(raw(), images).rows
    assert rows.shape == (4, 105)
    assert rows[2, 1 * 35 + 4 * 7 + 6] == images[2, 1, 4, 6] / 255
    with pytest.raises(InputError, match=r"shape \[4, 3, 5\]: wanted vectors \[B, D\] or images"):
        raw().see(torch.zeros(4, 3, 5))


class TestRandomConvolution:
    def test_weights_are_the_mersenne_twisters(self):
        # numpy's generator, seeded alike, gives the same 32-bit words; their lowest 24 bits are torch's fractions
        seed, channels, width = 1234, 2, 16
        weights = draw_weights(channels, width, seed)
        assert [tuple(weight.shape) for weight in weights] == [
            (32, 2, 3, 3), (64, 32, 3, 3), (128, 64, 3, 3), (2048, 16)
        ]  # fmt: skip
        words = np.random.RandomState(seed).randint(0, 2**32, 200_000, dtype=np.uint32)
        fractions = ((words & 0xFFFFFF) / 2**24).astype(np.float32)
        start = 0
        for weight, inputs in zip(weights, (2 * 9, 32 * 9, 64 * 9, 2048), strict=True):
            own = fractions[start : start + weight.numel()]
            start += weight.numel()
            assert np.array_equal(weight.flatten().numpy(), (2 * own - 1) * np.float32((6 / inputs) ** 0.5))

    def test_each_number_of_channels_has_its_weights(self, rng: torch.Generator):
        features = random_conv()
        for channels in (1, 3, 1, 2):
            images = torch.randint(0, 256, (2, channels, 20, 20), generator=rng, dtype=torch.uint8)
            assert torch.equal(features.see(images).rows, random_conv().see(images).rows)

    def test_weights_keep_the_signal(self, rng: torch.Generator):
        rows = extract(random_conv(width=200), torch.randint(0, 256, (64, 3, 32, 32), generator=rng).byte()).rows
        assert 0.1 < float(rows.square().mean()) < 10

    @pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (4, 1, 1), (2, 5, 300), (3, 64, 48)])
    def test_any_size_and_channels(self, shape: tuple[int, int, int], rng: torch.Generator):
        images = torch.randint(0, 256, (3, *shape), generator=rng, dtype=torch.uint8)
        rows = extract(random_conv(), images).rows
        assert rows.shape == (3, 64)
        assert rows.isfinite().all()
        assert torch.pdist(rows).min() > 0

    def test_seed_and_width_are_part_of_it(self, rng: torch.Generator):
        samples = digits(rng)
        assert torch.equal(random_conv().see(samples).rows, random_conv(seed=0).see(samples).rows)
        assert not torch.equal(random_conv().see(samples).rows, random_conv(seed=1).see(samples).rows)
        assert random_conv().name == "random_conv"
        assert random_conv(width=100, seed=3).name == "random_conv-100-3"
        with pytest.raises(InputError, match="width is 0"):
            random_conv(width=0)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(images)


class TestOpening:
    def test_a_module_sees_in_eval_mode_and_keeps_its_modes(self, rng: torch.Generator):
        module, samples = Net(), digits(rng)
        module.train()
        module.body[1].eval()
        state = {name: value.clone() for name, value in module.state_dict().items()}
        features = open_features(module)
        seen = extract(features, samples, batch_size=2)
        assert features.name == "Net"
        assert seen.rows.shape == (7, 2 * 26 * 26)
        assert [part.training for part in module.modules()] == [True, True, True, False, True]
        assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
        expected = module.eval()(samples.float())
        torch.testing.assert_close(seen.rows, expected.flatten(1).detach(), rtol=1e-4, atol=1e-3)

    def test_a_module_that_fails_keeps_its_modes(self, rng: torch.Generator):
        module = Net().train()
        with pytest.raises(RuntimeError):
            open_features(module).see(digits(rng)[:, :, :2, :2])
        assert all(part.training for part in module.modules())

    def test_any_callable(self, rng: torch.Generator):
        samples = digits(rng)
        rows = extract(open_features(lambda x: x.mean((2, 3))), samples).rows
        assert torch.equal(rows, samples.float().mean((2, 3)))
        features = open_features(lambda x: Seen(x.flatten(1), x.flatten(1)[:, :4].softmax(1)))
        assert extract(features, samples, batch_size=3).probabilities.shape == (7, 4)
        assert open_features(features) is features

    @pytest.mark.parametrize(
        ("function", "got"),
        [
            (lambda x: x.mean(), r"\[\] for 7 samples: wanted a tensor \[7, \.\.\.\]"),
            (lambda x: x.flatten(), r"\[5488\] for 7"),
            (lambda x: x[:3], r"\[3, 1, 28, 28\] for 7"),
            (lambda x: [1, 2], "list for 7"),
        ],
    )
    def test_a_callable_that_gives_no_rows(self, function, got: str, rng: torch.Generator):
        with pytest.raises(InputError, match=f"the features '<lambda>' gave {got}"):
            open_features(function).see(digits(rng))

    def test_names(self, tmp_path: Path):
        with pytest.raises(InputError, match=r"unknown features 'lenets' \(did you mean 'lenet'\?\)"):
            open_features("lenets")
        with pytest.raises(InputError, match=r"the features 'raw' have no file; inception, dinov2 have one"):
            open_features("raw", weights=tmp_path)
        for name in SEEN_OFFLINE:
            assert open_features(name).name == name


class TestRefusals:
    @pytest.mark.parametrize("shape", [(0, 1, 28, 28), (4, 0), (4,), (2, 28, 28)])
    def test_shapes(self, shape: tuple[int, ...]):
        with pytest.raises(
            InputError, match=r"samples have shape .*: wanted images \[N, C, H, W\] or vectors \[N, D\]"
        ):
            extract(raw(), np.zeros(shape, np.uint8))

    @pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.complex64, object])
    def test_dtypes(self, dtype: type):
        with pytest.raises(InputError, match="wanted uint8 images, or floats"):
            extract(raw(), np.zeros((3, 4), dtype))

    def test_other_things(self):
        with pytest.raises(InputError, match="samples are torch.int64: wanted uint8 images, or floats"):
            extract(raw(), torch.zeros(3, 4, dtype=torch.int64))
        with pytest.raises(InputError, match="batch_size is 0"):
            extract(raw(), torch.zeros(3, 4), batch_size=0)

    def test_features_of_too_few_rows(self):
        features = Features(name="own", see=lambda samples: Seen(samples[:1]))
        with pytest.raises(InputError, match="the features 'own' gave 1 rows for 3 samples"):
            extract(features, torch.zeros(3, 4))

    @pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 1), (0, 300), (-128, 127)])
    def test_images_of_another_range(self, low: float, high: float, rng: torch.Generator):
        images = torch.rand(50, 1, 28, 28, generator=rng) * (high - low) + low
        features = Features(name="own", see=lambda samples: pytest.fail("seen"))
        with pytest.raises(InputError, match=r"samples are float images .*: features want them .*, from 0 to 255"):
            extract(features, images, batch_size=20)

    def test_images_with_nan(self, rng: torch.Generator):
        images = digits(rng).float()
        images[5, 0, 3, 3] = torch.nan
        with pytest.raises(InputError, match="float images from nan to nan"):
            extract(raw(), images, batch_size=2)

    def test_ranges_that_are_fine(self, rng: torch.Generator):
        dark = digits(rng).float()
        dark[:5] = 0
        extract(raw(), dark, batch_size=2)
        extract(raw(), torch.zeros(3, 1, 28, 28))
        extract(raw(), torch.rand(3, 4, generator=rng))  # vectors keep their own units

    @pytest.mark.parametrize("name", ["lenet", "random_conv"])
    def test_vectors_for_networks(self, name: str):
        with pytest.raises(
            InputError, match=rf"vectors of 2 numbers, and {name} sees images .*: take the features raw"
        ):
            extract(open_features(name), torch.zeros(3, 2))


class TestDownload:
    @pytest.fixture
    def published(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
        monkeypatch.setenv("ADVERSARIUM_CACHE", str(tmp_path / "cache" / "deep"))
        file = tmp_path / "net.pth"
        torch.save({"x": torch.arange(3.0)}, file)
        return Published(file.as_uri(), hashlib.sha256(file.read_bytes()).hexdigest(), 1)

    def test_it_says_so_once_and_is_kept(self, published: Published, tmp_path: Path, capsys):
        path = find_weights("inception", None, published)
        assert path.parent == tmp_path / "cache" / "deep"
        assert f"inception: downloading 1 MB from {published.url} to {path}" in capsys.readouterr().err
        assert torch.equal(read_tensors(path)["x"], torch.arange(3.0))
        (tmp_path / "net.pth").unlink()  # it is not needed any more
        assert find_weights("inception", None, published) == path
        assert capsys.readouterr().err == ""

    def test_another_content_is_refused(self, published: Published, tmp_path: Path, capsys):
        (tmp_path / "net.pth").write_bytes(b"something else")
        with pytest.raises(InputError, match="not the published .*: it was cut short or replaced, and is not kept"):
            find_weights("inception", None, published)
        assert list((tmp_path / "cache" / "deep").iterdir()) == []

    def test_offline(self, published: Published, tmp_path: Path, capsys):
        (tmp_path / "net.pth").unlink()
        with pytest.raises(
            InputError, match=r"cannot be downloaded .* get the file from file:.*net\.pth.* weights=PATH"
        ):
            find_weights("inception", None, published)

    def test_a_cache_that_cannot_be_written(self, published: Published, tmp_path: Path, capsys):
        (tmp_path / "cache").write_text("a file")
        with pytest.raises(InputError, match=r"cannot be downloaded .* weights=PATH"):
            find_weights("inception", None, published)

    def test_a_local_file(self, published: Published, tmp_path: Path):
        assert find_weights("inception", tmp_path / "net.pth", published) == tmp_path / "net.pth"
        torch.save({"x": torch.ones(3)}, tmp_path / "other.pth")
        with pytest.warns(WeightsWarning, match=r"other\.pth has the SHA-256 .*: unless it holds the same tensors"):
            find_weights("inception", str(tmp_path / "other.pth"), published)
        assert not (tmp_path / "cache").exists()

    def test_a_local_file_that_is_not_there(self, published: Published):
        with pytest.raises(InputError, match=r"there is no such file; get the file from .*weights=PATH"):
            find_weights("inception", "/nowhere/net.pth", published)


class Opaque:
    """Something that a pickle of tensors has no business with."""


class TestFilesOfTensors:
    @pytest.mark.parametrize(
        ("name", "write"),
        [
            ("cut.safetensors", lambda path: path.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")),
            ("empty.safetensors", lambda path: path.write_bytes(b"")),
            ("pickle.safetensors", lambda path: torch.save({"x": torch.zeros(2)}, path)),
            ("text.pth", lambda path: path.write_text("404: not found")),
            ("empty.pth", lambda path: path.write_bytes(b"")),
            ("code.pth", lambda path: torch.save({"x": Opaque()}, path)),
            ("whole_module.pt", lambda path: torch.save(nn.Linear(2, 2), path)),
        ],
    )
    def test_not_what_the_name_says(self, tmp_path: Path, name: str, write):
        write(tmp_path / name)
        with pytest.raises(InputError, match=rf"{name} is no \{Path(name).suffix} file of tensors"):
            read_tensors(tmp_path / name)

    def test_a_cut_pickle(self, tmp_path: Path):
        torch.save({"x": torch.zeros(1000)}, tmp_path / "net.pth")
        (tmp_path / "net.pth").write_bytes((tmp_path / "net.pth").read_bytes()[:2000])
        with pytest.raises(InputError, match="is no .pth file of tensors"):
            read_tensors(tmp_path / "net.pth")

    @pytest.mark.parametrize("zipped", [True, False])
    def test_damaged_pickles(self, tmp_path: Path, zipped: bool):
        path, rng = tmp_path / "net.pth", np.random.default_rng(0)
        torch.save({"x": torch.zeros(50)}, path, _use_new_zipfile_serialization=zipped)
        content = path.read_bytes()
        for _ in range(60):
            path.write_bytes(content[: rng.integers(len(content) - 60)])
            with pytest.raises(InputError, match="is no .pth file of tensors"):
                read_tensors(path)
            path.write_bytes(rng.bytes(100))
            with pytest.raises(InputError, match="is no .pth file of tensors"):
                read_tensors(path)

    def test_other_kinds(self, tmp_path: Path):
        with pytest.raises(InputError, match=r"ends with '\.onnx': wanted a file \.safetensors, \.pth, \.pt, \.bin"):
            read_tensors(tmp_path / "net.onnx")
        torch.save([torch.zeros(2)], tmp_path / "list.pth")
        with pytest.raises(InputError, match="holds list: wanted tensors by name"):
            read_tensors(tmp_path / "list.pth")
        torch.save({"epoch": 3, "x": torch.zeros(2)}, tmp_path / "run.pth")
        with pytest.raises(InputError, match="holds dict: wanted tensors by name"):
            read_tensors(tmp_path / "run.pth")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda t: t.pop("0.weight"), r"has no '0\.weight': it is not a file of net's weights"),
            (lambda t: t.update({"0.weights": t.pop("0.weight")}), r"has no '0\.weight' \(it has '0\.weights'\?\)"),
            (lambda t: t.update({"0.bias": torch.zeros(5)}), r"'0\.bias' as torch\.float32 of shape \[5\], .* \[2\]"),
            (lambda t: t.update({"0.bias": torch.zeros(2).int()}), r"'0\.bias' as torch\.int32"),
            (lambda t: t.update({"1.bias": torch.full((2,), torch.nan)}), r"NaN or infinity in '1\.bias'"),
            (lambda t: t.update({"head.bias": torch.zeros(1)}), r"has 'head\.bias', which net has not"),
        ],
    )
    def test_the_first_difference_is_named_and_nothing_is_loaded(self, change, message: str):
        network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
        before = {name: value.clone() for name, value in network.state_dict().items()}
        tensors = {name: torch.ones_like(value) for name, value in before.items() if "num_batches" not in name}
        load_exactly(network, tensors, "net", Path("x.pth"))  # batch norm's counter may be missing
        assert torch.equal(network[0].weight, torch.ones(2, 3))
        network.load_state_dict(before)
        change(tensors)
        with pytest.raises(InputError, match=message):
            load_exactly(network, tensors, "net", Path("x.pth"))
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
