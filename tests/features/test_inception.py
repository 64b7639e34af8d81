"""Inception's loading code on random weights of the published names and shapes; its structure against the papers'."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, batch_norm, conv2d, max_pool2d

from adversarium.errors import InputError
from adversarium.features import extract, inception, open_features
from adversarium.features.inception import PUBLISHED, Inception, Unit, resize_by_corners

pytestmark = pytest.mark.filterwarnings("ignore::adversarium.features.WeightsWarning")  # random weights

# the published file's units: its block and branch names, inputs, outputs, kernel
THREE, ACROSS, DOWN = (3, 3), (1, 7), (7, 1)
STEM = {
    "Conv2d_1a_3x3": (3, 32, THREE), "Conv2d_2a_3x3": (32, 32, THREE), "Conv2d_2b_3x3": (32, 64, THREE),
    "Conv2d_3b_1x1": (64, 80, (1, 1)), "Conv2d_4a_3x3": (80, 192, THREE),
}  # fmt: skip


def units() -> dict[str, tuple[int, int, tuple[int, int]]]:
    found = dict(STEM)
    one = (1, 1)
    for name, inputs, pooled in (("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64)):
        found |= {f"Mixed_{name}.{branch}": shape for branch, shape in {
            "branch1x1": (inputs, 64, one), "branch5x5_1": (inputs, 48, one), "branch5x5_2": (48, 64, (5, 5)),
            "branch3x3dbl_1": (inputs, 64, one), "branch3x3dbl_2": (64, 96, THREE), "branch3x3dbl_3": (96, 96, THREE),
            "branch_pool": (inputs, pooled, one),
        }.items()}  # fmt: skip
    found |= {f"Mixed_6a.{branch}": shape for branch, shape in {
        "branch3x3": (288, 384, THREE), "branch3x3dbl_1": (288, 64, one), "branch3x3dbl_2": (64, 96, THREE),
        "branch3x3dbl_3": (96, 96, THREE),
    }.items()}  # fmt: skip
    for name, inner in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        found |= {f"Mixed_{name}.{branch}": shape for branch, shape in {
            "branch1x1": (768, 192, one), "branch7x7_1": (768, inner, one), "branch7x7_2": (inner, inner, ACROSS),
            "branch7x7_3": (inner, 192, DOWN), "branch7x7dbl_1": (768, inner, one),
            "branch7x7dbl_2": (inner, inner, DOWN), "branch7x7dbl_3": (inner, inner, ACROSS),
            "branch7x7dbl_4": (inner, inner, DOWN), "branch7x7dbl_5": (inner, 192, ACROSS),
            "branch_pool": (768, 192, one),
        }.items()}  # fmt: skip
    found |= {f"Mixed_7a.{branch}": shape for branch, shape in {
        "branch3x3_1": (768, 192, one), "branch3x3_2": (192, 320, THREE), "branch7x7x3_1": (768, 192, one),
        "branch7x7x3_2": (192, 192, ACROSS), "branch7x7x3_3": (192, 192, DOWN), "branch7x7x3_4": (192, 192, THREE),
    }.items()}  # fmt: skip
    for name, inputs in (("7b", 1280), ("7c", 2048)):
        found |= {f"Mixed_{name}.{branch}": shape for branch, shape in {
            "branch1x1": (inputs, 320, one), "branch3x3_1": (inputs, 384, one), "branch3x3_2a": (384, 384, (1, 3)),
            "branch3x3_2b": (384, 384, (3, 1)), "branch3x3dbl_1": (inputs, 448, one),
            "branch3x3dbl_2": (448, 384, THREE), "branch3x3dbl_3a": (384, 384, (1, 3)),
            "branch3x3dbl_3b": (384, 384, (3, 1)), "branch_pool": (inputs, 192, one),
        }.items()}  # fmt: skip
    return found


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(7)
    made = {}
    for name, (inputs, outputs, kernel) in units().items():
        size = (6 / (inputs * kernel[0] * kernel[1])) ** 0.5
        made[f"{name}.conv.weight"] = (torch.rand(outputs, inputs, *kernel, generator=rng) - 0.5) * (2 * size)
        made[f"{name}.bn.weight"] = torch.rand(outputs, generator=rng) + 0.5
        made[f"{name}.bn.bias"] = torch.randn(outputs, generator=rng) * 0.1
        made[f"{name}.bn.running_mean"] = torch.randn(outputs, generator=rng) * 0.1
        made[f"{name}.bn.running_var"] = torch.rand(outputs, generator=rng) + 0.5
    made["fc.weight"] = torch.randn(1008, 2048, generator=rng) * 0.02
    made["fc.bias"] = torch.randn(1008, generator=rng)
    return made


@pytest.fixture(scope="module")
def file(tensors: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("w") / "pt_inception-2015-12-05-6726825d.pth"
    torch.save(tensors, path)
    return path


@pytest.fixture(scope="module")
def network(tensors: dict[str, Tensor]) -> Inception:
    with torch.device("meta"):
        network = Inception()
    network.to_empty(device="cpu").load_state_dict(tensors, strict=False)
    return network.eval().requires_grad_(False)


class Twin:
    """The network written out in functions, block by block, slowly but readably."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors

    def unit(self, x: Tensor, name: str, *, stride: int = 1, padding: int | tuple[int, int] = 0) -> Tensor:
        x = conv2d(x, self.tensors[f"{name}.conv.weight"], stride=stride, padding=padding)
        mean, variance, weight, bias = (
            self.tensors[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return batch_norm(x, mean, variance, weight, bias, eps=0.001).clamp(min=0)

    def mean_without_padding(self, x: Tensor) -> Tensor:
        cells = avg_pool2d(torch.ones_like(x), 3, 1, 1)  # the share of a cell that is inside, times 1
        return avg_pool2d(x, 3, 1, 1) / cells

    def block(self, x: Tensor, name: str) -> Tensor:
        def unit(x: Tensor, branch: str, **options) -> Tensor:
            return self.unit(x, f"{name}.{branch}", **options)

        pools = {"Mixed_7c": lambda x: max_pool2d(x, 3, 1, 1)}
        if name not in ("Mixed_6a", "Mixed_7a"):
            pooled = unit(pools.get(name, self.mean_without_padding)(x), "branch_pool")
            first = unit(x, "branch1x1")
        if name.startswith("Mixed_5"):
            middle = unit(unit(x, "branch5x5_1"), "branch5x5_2", padding=2)
            double = unit(unit(x, "branch3x3dbl_1"), "branch3x3dbl_2", padding=1)
            return torch.cat([first, middle, unit(double, "branch3x3dbl_3", padding=1), pooled], 1)
        if name == "Mixed_6a":
            double = unit(unit(x, "branch3x3dbl_1"), "branch3x3dbl_2", padding=1)
            double = unit(double, "branch3x3dbl_3", stride=2)
            return torch.cat([unit(x, "branch3x3", stride=2), double, max_pool2d(x, 3, 2)], 1)
        if name == "Mixed_7a":
            small = unit(unit(x, "branch3x3_1"), "branch3x3_2", stride=2)
            large = unit(unit(x, "branch7x7x3_1"), "branch7x7x3_2", padding=(0, 3))
            large = unit(unit(large, "branch7x7x3_3", padding=(3, 0)), "branch7x7x3_4", stride=2)
            return torch.cat([small, large, max_pool2d(x, 3, 2)], 1)
        if name.startswith("Mixed_6"):
            middle = unit(unit(x, "branch7x7_1"), "branch7x7_2", padding=(0, 3))
            double = unit(unit(x, "branch7x7dbl_1"), "branch7x7dbl_2", padding=(3, 0))
            double = unit(unit(double, "branch7x7dbl_3", padding=(0, 3)), "branch7x7dbl_4", padding=(3, 0))
            double = unit(double, "branch7x7dbl_5", padding=(0, 3))
            return torch.cat([first, unit(middle, "branch7x7_3", padding=(3, 0)), double, pooled], 1)
        middle, double = unit(x, "branch3x3_1"), unit(unit(x, "branch3x3dbl_1"), "branch3x3dbl_2", padding=1)
        parts = [first]
        for maps, branch in ((middle, "branch3x3_2"), (double, "branch3x3dbl_3")):
            parts += [unit(maps, f"{branch}a", padding=(0, 1)), unit(maps, f"{branch}b", padding=(1, 0))]
        return torch.cat([*parts, pooled], 1)

    def rows(self, x: Tensor) -> Tensor:
        x = self.unit(self.unit(x, "Conv2d_1a_3x3", stride=2), "Conv2d_2a_3x3")
        x = max_pool2d(self.unit(x, "Conv2d_2b_3x3", padding=1), 3, 2)
        x = max_pool2d(self.unit(self.unit(x, "Conv2d_3b_1x1"), "Conv2d_4a_3x3"), 3, 2)
        for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"):
            x = self.block(x, f"Mixed_{name}")
        return x.mean((2, 3))


BLOCKS = {"5b": 192, "5c": 256, "5d": 288, "6a": 288, "6b": 768, "6e": 768, "7a": 768, "7b": 1280, "7c": 2048}


@pytest.mark.parametrize("name", BLOCKS)
def test_each_block_is_its_slow_twin(name: str, network: Inception, tensors: dict[str, Tensor]):
    maps = torch.rand(2, BLOCKS[name], 7, 9, generator=torch.Generator().manual_seed(1))
    found = network.get_submodule(f"Mixed_{name}")(maps)
    torch.testing.assert_close(found, Twin(tensors).block(maps, f"Mixed_{name}"), rtol=1e-4, atol=1e-4)


def test_it_has_the_published_tensors_and_as_many_weights_as_inception_v3(tensors: dict[str, Tensor]):
    with torch.device("meta"):
        network = Inception()
    own = {name: tuple(v.shape) for name, v in network.state_dict().items() if not name.endswith("batches_tracked")}
    assert own == {name: tuple(value.shape) for name, value in tensors.items()}
    # the InceptionV3 of model collections, without its auxiliary classifier: 23,834,568 with 1000 classes
    assert sum(parameter.numel() for parameter in network.parameters()) == 23_834_568 + 8 * 2049
    assert sum(isinstance(module, Unit) for module in network.modules()) == 94


def test_the_stages_have_the_sizes_of_table_1():
    with torch.device("meta"):
        network, image = Inception().eval(), torch.zeros(1, 3, 299, 299)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, part in network.named_children():
        part.register_forward_hook(lambda module, given, made, name=name: shapes.update({name: tuple(made.shape[1:])}))
    assert network(image).shape == (1, 2048)
    assert shapes["Conv2d_1a_3x3"] == (32, 149, 149)
    assert shapes["Conv2d_2a_3x3"] == (32, 147, 147)
    assert shapes["Conv2d_2b_3x3"] == (64, 147, 147)
    assert shapes["Conv2d_3b_1x1"] == (80, 73, 73)
    assert shapes["Conv2d_4a_3x3"] == (192, 71, 71)
    assert shapes["Mixed_5d"] == (288, 35, 35)
    assert shapes["Mixed_6e"] == (768, 17, 17)
    assert shapes["Mixed_7a"] == (1280, 8, 8)
    assert shapes["Mixed_7c"] == (2048, 8, 8)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (28, 61), (299, 299), (341, 400), (1, 2)])
def test_the_resize_is_tensorflow_1s(height: int, width: int):
    rng = torch.Generator().manual_seed(height)
    image = torch.rand(1, 1, height, width, generator=rng) * 255
    found = resize_by_corners(image, 299)[0, 0]
    for row, column in [*torch.randint(0, 299, (60, 2), generator=rng).tolist(), [0, 0], [298, 298]]:
        y, x = row * height / 299, column * width / 299
        value = 0.0
        for dy, wy in ((0, 1 - y % 1), (1, y % 1)):
            for dx, wx in ((0, 1 - x % 1), (1, x % 1)):
                pixel = image[0, 0, min(int(y) + dy, height - 1), min(int(x) + dx, width - 1)]
                value += wy * wx * float(pixel)
        assert float(found[row, column]) == pytest.approx(value, abs=0.01)


def test_a_file_loads_and_sees_what_the_twin_sees(file: Path, tensors: dict[str, Tensor]):
    rng = torch.Generator().manual_seed(3)
    state = torch.get_rng_state()
    features = open_features("inception", weights=file)
    images = torch.randint(0, 256, (2, 3, 32, 32), generator=rng, dtype=torch.uint8)
    seen = extract(features, images.numpy(), batch_size=1)
    rows = Twin(tensors).rows((resize_by_corners(images.float(), 299) - 128) / 128)
    assert seen.rows.shape == (2, 2048)
    assert rows.std() > 0.1
    torch.testing.assert_close(seen.rows, rows, rtol=1e-4, atol=2e-5 * float(rows.abs().max()))
    logits = seen.rows @ tensors["fc.weight"].T  # the published inception score has no bias
    assert seen.probabilities is not None
    torch.testing.assert_close(seen.probabilities, logits.softmax(1), rtol=1e-3, atol=1e-5)
    assert len(features.classes) == 1008
    assert torch.equal(torch.get_rng_state(), state)


def test_grey_is_repeated_and_floats_have_gradients(network: Inception, file: Path):
    features = inception(file)
    grey = torch.randint(0, 256, (1, 1, 28, 28), generator=torch.Generator().manual_seed(4)).float().requires_grad_()
    rows = features.see(grey).rows
    with torch.no_grad():
        torch.testing.assert_close(rows, features.see(grey.repeat(1, 3, 1, 1)).rows)
    (gradient,) = torch.autograd.grad(rows.sum(), grey)
    assert gradient.abs().sum() > 0
    with pytest.raises(InputError, match=r"shape \[1, 4, 28, 28\], and inception sees images \[B, 1 or 3, H, W\]"):
        features.see(torch.zeros(1, 4, 28, 28))


def test_safetensors_and_counters_load_as_well(tensors: dict[str, Tensor], tmp_path: Path):
    counted = tensors | {f"{name}.bn.num_batches_tracked": torch.tensor(0) for name in units()}
    safetensors.torch.save_file(counted, tmp_path / "net.safetensors")
    assert inception(tmp_path / "net.safetensors").name == "inception"


def test_weights_of_another_network(tensors: dict[str, Tensor], tmp_path: Path):
    # model collections' file has 1000 classes and an auxiliary classifier
    other = tensors | {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}
    torch.save(other, tmp_path / "inception_v3.pth")
    with pytest.raises(InputError, match=r"'fc\.weight' .* \[1000, 2048\], and inception wants .* \[1008, 2048\]"):
        inception(tmp_path / "inception_v3.pth")
    torch.save({"AuxLogits.fc.bias": torch.zeros(1), **tensors}, tmp_path / "aux.pth")
    with pytest.raises(InputError, match=r"has 'AuxLogits\.fc\.bias', which inception has not"):
        inception(tmp_path / "aux.pth")


def test_offline_it_says_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    def no_network(*args: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setenv("ADVERSARIUM_CACHE", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    with pytest.raises(InputError, match=r"no network.*get the file from https://github\.com/mseitzer/.*weights=PATH"):
        open_features("inception")
    assert "downloading 96 MB" in capsys.readouterr().err
    assert PUBLISHED.filename == "pt_inception-2015-12-05-6726825d.pth"  # it names its own hash already
    assert PUBLISHED.sha256.startswith("6726825d")
