"""DINOv2's loading code on random weights of the published names and shapes; its parts against slow twins."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor

from adversarium.errors import InputError
from adversarium.features import dinov2, extract, open_features
from adversarium.features._samples import resize_smooth
from adversarium.features.dinov2 import VARIANTS, VisionTransformer

pytestmark = pytest.mark.filterwarnings("ignore::adversarium.features.WeightsWarning")  # random weights


def published(width: int, depth: int, rng: torch.Generator) -> dict[str, Tensor]:
    """Return random tensors under the names of Hugging Face's model.safetensors."""
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.cls_token": (1, 1, width),
        "embeddings.mask_token": (1, width),
        "embeddings.position_embeddings": (1, 37 * 37 + 1, width),
        "embeddings.patch_embeddings.projection.weight": (width, 3, 14, 14),
        "embeddings.patch_embeddings.projection.bias": (width,),
        "layernorm.weight": (width,),
        "layernorm.bias": (width,),
    }
    for index in range(depth):
        linear = {f"attention.attention.{part}": (width, width) for part in ("query", "key", "value")}
        linear |= {"attention.output.dense": (width, width), "mlp.fc1": (4 * width, width)}
        linear |= {"mlp.fc2": (width, 4 * width)}
        for name, shape in linear.items():
            shapes |= {f"encoder.layer.{index}.{name}.weight": shape, f"encoder.layer.{index}.{name}.bias": shape[:1]}
        for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"):
            shapes[f"encoder.layer.{index}.{name}"] = (width,)
        for name in ("layer_scale1.lambda1", "layer_scale2.lambda1"):
            shapes[f"encoder.layer.{index}.{name}"] = (width,)
    return {
        name: torch.randn(shape, generator=rng) * (0.5 if len(shape) == 1 else torch.Size(shape[1:]).numel() ** -0.5)
        for name, shape in shapes.items()
    }


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(11)


@pytest.fixture
def tiny(rng: torch.Generator) -> VisionTransformer:
    network = VisionTransformer(128, 2)
    network.load_state_dict(published(128, 2, rng))
    return network.eval()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("w") / "model.safetensors"
    safetensors.torch.save_file(published(384, 12, torch.Generator().manual_seed(2)), path)
    return path


def normed(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight + bias


def twin(tensors: dict[str, Tensor], patches: Tensor, positions: Tensor, depth: int) -> Tensor:
    """Return the class token of one image: token by token, head by head. ``patches`` are ``[P, 3, 14, 14]``."""
    weight = tensors["embeddings.patch_embeddings.projection.weight"].flatten(1)
    tokens = patches.flatten(1) @ weight.T + tensors["embeddings.patch_embeddings.projection.bias"]
    x = torch.cat([tensors["embeddings.cls_token"][0], tokens]) + positions
    for index in range(depth):
        at = {name.split(".", 3)[3]: value for name, value in tensors.items() if f"encoder.layer.{index}." in name}

        def linear(y: Tensor, name: str, at: dict[str, Tensor] = at) -> Tensor:
            return y @ at[f"{name}.weight"].T + at[f"{name}.bias"]

        y = normed(x, at["norm1.weight"], at["norm1.bias"])
        query, key, value = (linear(y, f"attention.attention.{part}") for part in ("query", "key", "value"))
        heads = []
        for start in range(0, x.shape[1], 64):
            head = slice(start, start + 64)
            heads.append((query[:, head] @ key[:, head].T / 8).softmax(1) @ value[:, head])
        x = x + at["layer_scale1.lambda1"] * linear(torch.cat(heads, 1), "attention.output.dense")
        hidden = linear(normed(x, at["norm2.weight"], at["norm2.bias"]), "mlp.fc1")
        hidden = hidden * (1 + torch.erf(hidden / 2**0.5)) / 2
        x = x + at["layer_scale2.lambda1"] * linear(hidden, "mlp.fc2")
    return normed(x[0], tensors["layernorm.weight"], tensors["layernorm.bias"])


def test_the_network_is_its_slow_twin(tiny: VisionTransformer, rng: torch.Generator):
    image = torch.randn(2, 3, 42, 70, generator=rng)
    tensors = {name: value.double() for name, value in tiny.state_dict().items()}
    positions = tiny.embeddings.positions(3, 5)[0].detach().double()
    found = tiny(image)
    for index in range(2):
        patches = torch.stack(
            [image[index, :, y : y + 14, x : x + 14] for y in range(0, 42, 14) for x in range(0, 70, 14)]
        )
        expected = twin(tensors, patches.double(), positions, 2)
        torch.testing.assert_close(found[index].double(), expected, rtol=1e-3, atol=1e-4)


def cubic(values: np.ndarray, count: int) -> np.ndarray:
    """Return values ``[n, ...]`` at ``count`` places, by cubic convolution with a = -3/4, borders repeated."""
    scale = (count + 0.1) / len(values)  # the published network's offset
    result = []
    for index in range(count):
        place = (index + 0.5) / scale - 0.5
        left = int(np.floor(place))
        total = np.zeros_like(values[0])
        for tap in range(left - 1, left + 3):
            d = abs(place - tap)
            near, far = 1.25 * d**3 - 2.25 * d**2 + 1, -0.75 * (d**3 - 5 * d**2 + 8 * d - 4)
            total = total + (near if d <= 1 else far) * values[min(max(tap, 0), len(values) - 1)]
        result.append(total)
    return np.stack(result)


def test_positions_are_interpolated_as_published(tiny: VisionTransformer):
    table = tiny.embeddings.position_embeddings.detach()
    assert torch.equal(tiny.embeddings.positions(37, 37), table)
    grid = table[0, 1:].double().numpy().reshape(37, 37, 128)
    for rows, columns in ((16, 16), (8, 12)):
        found = tiny.embeddings.positions(rows, columns).detach()
        expected = cubic(cubic(grid, rows).transpose(1, 0, 2), columns).transpose(1, 0, 2)
        assert torch.equal(found[0, 0], table[0, 0])
        assert np.allclose(found[0, 1:].numpy(), expected.reshape(rows * columns, 128), atol=1e-4)


@pytest.mark.parametrize("size", [28, 60, 300])
def test_the_resize_is_pillows(size: int, rng: torch.Generator):
    images = torch.rand(1, 1, size, size, generator=rng) * 255
    pillow = Image.fromarray(images[0, 0].numpy()).resize((224, 224), Image.Resampling.BICUBIC)
    found = resize_smooth(images, 224)[0, 0]
    assert np.allclose(found.numpy(), np.asarray(pillow).clip(0, 255), atol=0.01)


def test_a_file_loads_and_sees(small: Path, rng: torch.Generator):
    state = torch.get_rng_state()
    features = open_features("dinov2", weights=small)
    assert torch.equal(torch.get_rng_state(), state)
    images = torch.randint(0, 256, (2, 3, 40, 56), generator=rng, dtype=torch.uint8)
    rows = extract(features, images, batch_size=1).rows
    # the same by hand: resized, normalised, one image at a time through the network
    network = VisionTransformer(384, 12)
    network.load_state_dict(safetensors.torch.load_file(small))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    seen = (resize_smooth(images.float(), 224) / 255 - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        expected = network.eval()(seen)
    assert rows.shape == (2, 384)
    assert torch.pdist(rows).item() > 0.01
    torch.testing.assert_close(rows, expected, rtol=1e-3, atol=1e-3)
    assert features.name == "dinov2"
    assert features.classes == ()


def test_grey_is_repeated_and_floats_have_gradients(small: Path, rng: torch.Generator):
    features = dinov2(small)
    grey = torch.randint(0, 256, (1, 1, 28, 28), generator=rng).float().requires_grad_()
    rows = features.see(grey).rows
    with torch.no_grad():
        torch.testing.assert_close(rows, features.see(grey.repeat(1, 3, 1, 1)).rows)
    (gradient,) = torch.autograd.grad(rows.sum(), grey)
    assert gradient.abs().sum() > 0
    with pytest.raises(InputError, match=r"shape \[1, 2, 28, 28\], and dinov2 sees images \[B, 1 or 3, H, W\]"):
        features.see(torch.zeros(1, 2, 28, 28))


def test_files_of_other_networks(small: Path, tmp_path: Path, rng: torch.Generator):
    with pytest.raises(InputError, match=r"'embeddings\.cls_token' .* \[1, 1, 384\], and dinov2-base wants .*768"):
        dinov2(small, size="base")
    tensors = published(384, 12, rng)
    safetensors.torch.save_file(published(384, 11, rng), tmp_path / "shallow.safetensors")
    with pytest.raises(InputError, match=r"has no 'encoder\.layer\.11\.norm1\.weight'"):
        dinov2(tmp_path / "shallow.safetensors")
    hub = {name.replace("encoder.layer", "blocks"): value for name, value in tensors.items()}
    torch.save(hub, tmp_path / "dinov2_vits14_pretrain.pth")
    with pytest.raises(InputError, match=r"has no 'encoder\.layer\.0\.norm1\.weight' \(it has 'blocks\.0\.norm1"):
        dinov2(tmp_path / "dinov2_vits14_pretrain.pth")
    # registers make another network
    safetensors.torch.save_file(
        tensors | {"embeddings.register_tokens": torch.zeros(1, 4, 384)}, tmp_path / "registers.safetensors"
    )
    with pytest.raises(InputError, match=r"has 'embeddings\.register_tokens', which dinov2 has not"):
        dinov2(tmp_path / "registers.safetensors")


def test_sizes():
    # the paper's table of networks: 21 million, 86 million, 300 million weights
    for size, millions in (("small", 21), ("base", 86), ("large", 300)):
        with torch.device("meta"):
            network = VisionTransformer(*VARIANTS[size][:2])
        assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(millions, rel=0.06)
        assert VARIANTS[size].published.filename.endswith("-model.safetensors")
    assert len({variant.published.filename for variant in VARIANTS.values()}) == 3


def test_offline_it_says_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    def no_network(*args: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setenv("ADVERSARIUM_CACHE", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    with pytest.raises(InputError, match=r"get the file from https://huggingface\.co/facebook/dinov2-small/.*=PATH"):
        open_features("dinov2")
    assert "downloading 88 MB" in capsys.readouterr().err
