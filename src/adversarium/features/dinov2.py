"""DINOv2: a vision transformer that learned from 142 million photographs without labels."""

from functools import partial
from math import isqrt
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate, scaled_dot_product_attention

from adversarium.errors import lookup
from adversarium.features._samples import check_images, colour, device_of, resize_smooth, seen_on
from adversarium.features._weights import Published, find_weights, open_network
from adversarium.features.feature import Features, Seen

SIZE = 224
PATCH = 14
TRAINED_GRID = 37
"""Patches along a side of the images that the published positions are for; for others they are interpolated."""

OFFSET = 0.1
"""Patches added to the side when positions are interpolated: the published network rounds its scale so."""

HEAD = 64
"""Width of an attention head."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the colours of ImageNet, from 0 to 1."""


class Variant(NamedTuple):
    """One of the published networks."""

    width: int
    depth: int
    published: Published


def _published(size: str, sha256: str, megabytes: int) -> Published:
    return Published(
        f"https://huggingface.co/facebook/dinov2-{size}/resolve/main/model.safetensors", sha256, megabytes
    )


VARIANTS = {
    "small": Variant(
        384, 12, _published("small", "ae1e99fcefd534ed978cdeb8326f08030c96e28b7a81ffcbc98a857c84d14be1", 88)
    ),
    "base": Variant(
        768, 12, _published("base", "d73036b56966966d07975d696bde331762f37297e2f095de8cea0040c3aa0841", 346)
    ),
    "large": Variant(
        1024, 24, _published("large", "399fba97a95f22c36834418bc69373364a99af3a1153da1c0fb31db567c92e23", 1217)
    ),
}
"""The networks and their files; Apache-2.0."""


def dinov2(
    weights: Path | str | None = None,
    *,
    size: Literal["small", "base", "large"] = "small",
    device: torch.device | str | None = None,
) -> Features:
    """Return what DINOv2 sees in images: its class token, 384 features (``small``), 768 or 1024 (``large``).

    Formula:
        rows = norm(class token after the last block); block: t + λ₁·attention(norm(t)), then t + λ₂·mlp(norm(t))
    Convention:
        Images are stretched to 224×224 (cubic, without aliasing), scaled to [0, 1], and normalised by ImageNet's mean
        and standard deviation; patches of 14×14. One channel is repeated to three. Positions are interpolated as in
        the published network. In float32, never under autocast.
        ``weights`` is the ``model.safetensors`` of ``facebook/dinov2-small`` (or ``-base``, ``-large``) of Hugging
        Face. Without it the file is taken from the cache, or downloaded there after saying so (88 MB, 346 MB,
        1.2 GB), and its SHA-256 is checked. A file of another SHA-256 is taken with a ``WeightsWarning``. ``base``
        and ``large`` are named ``dinov2-base`` and ``dinov2-large``: distances by another size are on another scale.
    Elsewhere:
        dgm-eval resizes each picture by Pillow's cubic filter, to whole levels, and takes the large network.
        transformers' ``Dinov2Model`` interpolates positions without the published offset: rows differ slightly.
    Use when:
        The data are photographs, or anything that looks like them: the ranking of generators follows people's
        judgement better than by Inception. For digits take ``lenet``.
    Paper:
        Oquab et al. 2023, "DINOv2: Learning Robust Visual Features without Supervision", arXiv:2304.07193; as a
        metric's features: Stein et al. 2023, "Exposing flaws of generative model evaluation metrics and their unfair
        treatment of diffusion models", arXiv:2306.04675.

    Raises:
        InputError: an unknown size, there is no such file, it cannot be downloaded, or it is not this network's;
            (when it sees) samples that are not images of one or three channels.
    """
    width, depth, published = lookup("size of dinov2", size, VARIANTS)
    name = "dinov2" if size == "small" else f"dinov2-{size}"
    network = open_network(partial(VisionTransformer, width, depth), name, find_weights(name, weights, published))
    return Features(name=name, see=partial(_see, network.to(device)))


def _see(network: "VisionTransformer", samples: Tensor) -> Seen:
    check_images("dinov2", samples, channels=(1, 3))
    with seen_on(device_of(network), samples) as images:
        mean, std = (images.new_tensor(numbers)[:, None, None] for numbers in (MEAN, STD))
        return Seen(network((resize_smooth(colour(images), SIZE) / 255 - mean) / std))


class VisionTransformer(nn.Module):
    """Normalised colour images ``[B, 3, H, W]``, sides divisible by 14, to class tokens ``[B, width]``.

    The modules are named as in Hugging Face's file.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.embeddings = Embeddings(width)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer(width) for _ in range(depth))})
        self.layernorm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, images: Tensor) -> Tensor:
        """Return the class tokens."""
        tokens = self.embeddings(images)
        layers = self.encoder["layer"]
        assert isinstance(layers, nn.ModuleList)
        for layer in layers:
            tokens = layer(tokens)
        rows: Tensor = self.layernorm(tokens[:, 0])
        return rows


class Embeddings(nn.Module):
    """Images to tokens: a class token, then one for each patch, with their positions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))  # for training only; published with the others
        self.position_embeddings = nn.Parameter(torch.zeros(1, TRAINED_GRID**2 + 1, width))
        self.patch_embeddings = nn.ModuleDict({"projection": nn.Conv2d(3, width, PATCH, PATCH)})

    def forward(self, images: Tensor) -> Tensor:
        """Return the tokens ``[B, 1 + patches, width]``."""
        patches = self.patch_embeddings["projection"](images)
        rows, columns = patches.shape[2:]
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches.flatten(2).transpose(1, 2)], 1)
        return tokens + self.positions(rows, columns)

    def positions(self, rows: int, columns: int) -> Tensor:
        """Return the class token's position and those of a grid of patches, interpolated where it is another one."""
        first, others = self.position_embeddings[:, :1], self.position_embeddings[:, 1:]
        side = isqrt(others.shape[1])
        if (rows, columns) == (side, side):
            return self.position_embeddings
        grid = others.reshape(1, side, side, -1).permute(0, 3, 1, 2)
        scale = ((rows + OFFSET) / side, (columns + OFFSET) / side)
        resized = interpolate(grid, scale_factor=scale, mode="bicubic", align_corners=False)
        return torch.cat([first, resized.flatten(2).transpose(1, 2)], 1)


class Layer(nn.Module):
    """A transformer block, normalised first, whose two branches are scaled per channel (LayerScale)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = Attention(width)
        self.layer_scale1 = Scale(width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})
        self.layer_scale2 = Scale(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the next tokens."""
        tokens = tokens + self.layer_scale1(self.attention(self.norm1(tokens)))
        hidden = gelu(self.mlp["fc1"](self.norm2(tokens)))
        moved: Tensor = tokens + self.layer_scale2(self.mlp["fc2"](hidden))
        return moved


class Attention(nn.Module):
    """Self-attention in heads of 64 channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.output = nn.ModuleDict({"dense": nn.Linear(width, width)})

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what each token gathers from all."""
        query, key, value = (
            self.attention[name](tokens).unflatten(2, (-1, HEAD)).transpose(1, 2) for name in ("query", "key", "value")
        )
        gathered = scaled_dot_product_attention(query, key, value)
        mixed: Tensor = self.output["dense"](gathered.transpose(1, 2).flatten(2))
        return mixed


class Scale(nn.Module):
    """A factor for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lambda1 = nn.Parameter(torch.ones(width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the scaled tokens."""
        return tokens * self.lambda1
