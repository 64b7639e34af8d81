"""The Inception network of 2015 that the Fréchet Inception distance and the inception score are defined with."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d

from adversarium.features._samples import check_images, colour, device_of, seen_on
from adversarium.features._weights import Published, find_weights, open_network
from adversarium.features.feature import Features, Seen

SIZE = 299
CLASSES = 1008
PUBLISHED = Published(
    url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    megabytes=96,
)
"""Apache-2.0; torch-fidelity's weights-inception-2015-12-05-6726825d.pth is the same file under another name."""


def inception(weights: Path | str | None = None, *, device: torch.device | str | None = None) -> Features:
    """Return what the Inception network of the FID sees: 2048 pooled features, and 1008 class probabilities.

    Formula:
        rows: the mean over the last 8×8 feature maps; probabilities = softmax(V·rows), without the bias
    Convention:
        The network of TensorFlow's ``inception-2015-12-05``, from which published FIDs and inception scores come. It
        differs from the InceptionV3 of model collections: the mean of a border cell counts no padding, the last block
        takes a maximum where the others take a mean, there are 1008 classes, and the weights are others. As in that
        graph: images are stretched to 299×299 bilinearly, with no filter and no half-pixel shift (pixel i of 299 is
        at i·n/299 of n), and become (x - 128)/128; the class probabilities leave out the bias, as the first published
        inception score did. One channel is repeated to three. In float32, never under autocast.
        ``weights`` is the published file ``pt_inception-2015-12-05-6726825d.pth``, or the same tensors as safetensors.
        Without it the file is taken from the cache, or downloaded there after saying so (96 MB), and its SHA-256 is
        checked. A file of another SHA-256 is taken with a ``WeightsWarning``.
    Elsewhere:
        torch-fidelity's ``inception-v3-compat`` is this. pytorch-fid resizes with half-pixel centres and scales by
        x/127.5 - 1: its FID differs slightly.
    Use when:
        A number has to stand beside published ones, on colour photographs, with the sample count of those (50,000).
        For the quality itself ``dinov2`` follows people's judgement better.
    Paper:
        Szegedy et al. 2015, "Rethinking the Inception Architecture for Computer Vision", arXiv:1512.00567; as a
        metric's features: Salimans et al. 2016, "Improved Techniques for Training GANs", arXiv:1606.03498, and
        Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
        arXiv:1706.08500.

    Raises:
        InputError: there is no such file, it cannot be downloaded, or it is not this network's; (when it sees) samples
            that are not images of one or three channels.
    """
    network = open_network(Inception, "inception", find_weights("inception", weights, PUBLISHED))
    return Features(
        name="inception",
        see=partial(_see, network.to(device)),
        classes=tuple(str(index) for index in range(CLASSES)),
    )


def _see(network: "Inception", samples: Tensor) -> Seen:
    check_images("inception", samples, channels=(1, 3))
    with seen_on(device_of(network), samples) as images:
        rows = network((resize_by_corners(colour(images), SIZE) - 128) / 128)
        return Seen(rows, (rows @ network.fc.weight.T).softmax(1))


def resize_by_corners(images: Tensor, size: int) -> Tensor:
    """Return images resized as TensorFlow 1 did: bilinear, unfiltered, output pixel i at i·in/out."""

    def along(length: int) -> tuple[Tensor, Tensor, Tensor]:
        place = torch.arange(size, device=images.device, dtype=torch.float32) * (length / size)
        low = place.long()
        return low, (low + 1).clamp(max=length - 1), place - low

    top, bottom, down = along(images.shape[2])
    left, right, across = along(images.shape[3])
    wide = images[..., left] + (images[..., right] - images[..., left]) * across
    return wide[:, :, top] + (wide[:, :, bottom] - wide[:, :, top]) * down[:, None]


def mean_of_cells(maps: Tensor) -> Tensor:
    """Return the means over 3×3 cells; at the border, of the cells that there are."""
    return avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False)


def largest_of_cells(maps: Tensor) -> Tensor:
    """Return the maxima over 3×3 cells."""
    return max_pool2d(maps, 3, stride=1, padding=1)


class Unit(nn.Module):
    """A convolution, batch norm and a ReLU; padded so that stride 1 keeps the size, unless ``valid``."""

    def __init__(self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, valid: bool = False):
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (0, 0) if valid or stride > 1 else (height // 2, width // 2)
        self.conv = nn.Conv2d(inputs, outputs, (height, width), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the unit's feature maps."""
        normalised: Tensor = self.bn(self.conv(maps))
        return normalised.relu_()


class Block(nn.Module):
    """Several branches side by side. A branch is a chain of units; its last step may be a pair of units, side by side.

    The attributes are named as in the published file: ``branch3x3dbl_1``, ``branch3x3dbl_2``, ...
    """

    def __init__(
        self, inputs: int, branches: dict[str, list[Unit | tuple[Unit, Unit]]], pool: Callable[[Tensor], Tensor] | None
    ) -> None:
        super().__init__()
        self.inputs, self.pool = inputs, pool
        self.chains: dict[str, list[tuple[str, ...]]] = {}
        for name, steps in branches.items():
            self.chains[name] = []
            for index, step in enumerate(steps, 1):
                label = name if len(steps) == 1 else f"{name}_{index}"
                units = {label: step} if isinstance(step, Unit) else {f"{label}a": step[0], f"{label}b": step[1]}
                for unit_name, unit in units.items():
                    self.add_module(unit_name, unit)
                self.chains[name].append(tuple(units))

    def forward(self, maps: Tensor) -> Tensor:
        """Return the branches' feature maps, one after the other."""
        results = []
        for name, steps in self.chains.items():
            branch = self.pool(maps) if name == "branch_pool" and self.pool is not None else maps
            for step in steps:
                branch = torch.cat([self.get_submodule(unit)(branch) for unit in step], 1)
            results.append(branch)
        if self.pool is None:  # a block that halves the resolution
            results.append(max_pool2d(maps, 3, stride=2))
        return torch.cat(results, 1)


def block_35(inputs: int, pooled: int) -> Block:
    """Return a block at 35×35 (Figure 5 of the paper)."""
    return Block(
        inputs,
        {
            "branch1x1": [Unit(inputs, 64, 1)],
            "branch5x5": [Unit(inputs, 48, 1), Unit(48, 64, 5)],
            "branch3x3dbl": [Unit(inputs, 64, 1), Unit(64, 96, 3), Unit(96, 96, 3)],
            "branch_pool": [Unit(inputs, pooled, 1)],
        },
        mean_of_cells,
    )


def block_17(inputs: int, inner: int) -> Block:
    """Return a block at 17×17, its 7×7 convolutions in two factors (Figure 6)."""
    across, down = (1, 7), (7, 1)
    return Block(
        inputs,
        {
            "branch1x1": [Unit(inputs, 192, 1)],
            "branch7x7": [Unit(inputs, inner, 1), Unit(inner, inner, across), Unit(inner, 192, down)],
            "branch7x7dbl": [
                Unit(inputs, inner, 1),
                *(Unit(inner, inner, kernel) for kernel in (down, across, down)),
                Unit(inner, 192, across),
            ],
            "branch_pool": [Unit(inputs, 192, 1)],
        },
        mean_of_cells,
    )


def block_8(inputs: int, pool: Callable[[Tensor], Tensor]) -> Block:
    """Return a block at 8×8, its 3×3 convolutions side by side (Figure 7)."""

    def fork(given: int) -> tuple[Unit, Unit]:
        return Unit(given, 384, (1, 3)), Unit(given, 384, (3, 1))

    return Block(
        inputs,
        {
            "branch1x1": [Unit(inputs, 320, 1)],
            "branch3x3": [Unit(inputs, 384, 1), fork(384)],
            "branch3x3dbl": [Unit(inputs, 448, 1), Unit(448, 384, 3), fork(384)],
            "branch_pool": [Unit(inputs, 192, 1)],
        },
        pool,
    )


class Inception(nn.Module):
    """The network: colour images ``[B, 3, 299, 299]`` from -1 to 1 to pooled features ``[B, 2048]``."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Unit(32, 32, 3, valid=True)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3)
        self.Conv2d_3b_1x1 = Unit(64, 80, 1)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3, valid=True)
        self.Mixed_5b = block_35(192, 32)
        self.Mixed_5c = block_35(256, 64)
        self.Mixed_5d = block_35(288, 64)
        self.Mixed_6a = Block(
            288,
            {
                "branch3x3": [Unit(288, 384, 3, stride=2)],
                "branch3x3dbl": [Unit(288, 64, 1), Unit(64, 96, 3), Unit(96, 96, 3, stride=2)],
            },
            None,
        )
        self.Mixed_6b = block_17(768, 128)
        self.Mixed_6c = block_17(768, 160)
        self.Mixed_6d = block_17(768, 160)
        self.Mixed_6e = block_17(768, 192)
        self.Mixed_7a = Block(
            768,
            {
                "branch3x3": [Unit(768, 192, 1), Unit(192, 320, 3, stride=2)],
                "branch7x7x3": [
                    Unit(768, 192, 1), Unit(192, 192, (1, 7)), Unit(192, 192, (7, 1)), Unit(192, 192, 3, stride=2)
                ],
            },
            None,
        )  # fmt: skip
        self.Mixed_7b = block_8(1280, mean_of_cells)
        self.Mixed_7c = block_8(2048, largest_of_cells)
        self.fc = nn.Linear(2048, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Return the pooled features."""
        maps = images
        for name, part in self.named_children():
            if name in ("Conv2d_3b_1x1", "Mixed_5b"):
                maps = max_pool2d(maps, 3, stride=2)
            if name != "fc":
                maps = part(maps)
        return maps.mean((2, 3))
