"""Critics of images: of overlapping patches, and of patches at several scales."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from adversarium.component.critics import LayeredCritic, SeveralCritics, check_layout, check_whole
from adversarium.errors import lookup, require
from adversarium.nets._build import init_dcgan, untouched_global_rng
from adversarium.tensors import described

Normalisation = Literal["instance", "batch", "none"]


class PatchCritic(LayeredCritic):
    """PatchGAN: a score for each overlapping patch of an image, ``[B, channels, H, W] -> [B, h, w]``.

    ``layers`` convolutions 4×4 of stride 2 and one of stride 1, leaky ReLU 0.2, and a convolution 4×4 to the scores:
    a patch is 9·2^layers - 2 pixels wide, 70 with 3 layers, 34 with 2, 16 with 1. The channels double from ``width``
    to at most 8·``width``; the first layer and the head are not normalised. Instance norm has no weights, and lets
    every score see the whole image through its mean and variance; batch norm couples the samples, and gradient
    penalties refuse it: take ``"none"`` with them (or spectral norm). Weights are drawn from N(0, 0.02²). ``shrink``
    halves the image so many times first, by averages over 3×3 pixels.

    Elsewhere: junyanz/pytorch-CycleGAN-and-pix2pix and CompVis/taming-transformers ``NLayerDiscriminator`` with
    ``"batch"`` are the same network; the latter is the VQGAN's.

    Paper: Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks", arXiv:1611.07004.

    Raises:
        InputError: an unknown normalisation, sizes that are none; when called, images too small (fewer than
            3·2^layers pixels a side).
    """

    def __init__(
        self,
        channels: int,
        *,
        width: int = 64,
        layers: int = 3,
        normalisation: Normalisation = "instance",
        shrink: int = 0,
        rng: torch.Generator,
    ) -> None:
        named = isinstance(normalisation, str)
        kinds = " or ".join(map(repr, get_args(Normalisation)))
        require(named, f"normalisation is {described(normalisation)}: wanted a name, {kinds}")
        lookup("normalisation", normalisation, dict.fromkeys(get_args(Normalisation)))
        check_whole(1, channels=channels, width=width, layers=layers)
        check_whole(0, shrink=shrink)
        with untouched_global_rng():
            blocks = [nn.Sequential(nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2))]
            inputs = width
            for number in range(1, layers + 1):
                outputs = width * min(2**number, 8)
                stride = 2 if number < layers else 1
                blocks.append(_block(inputs, outputs, stride, normalisation))
                inputs = outputs
            super().__init__(blocks, nn.Conv2d(inputs, 1, 4, 1, 1))
        init_dcgan(self, rng)
        self.channels, self.shrink = channels, shrink
        # after the strided layers 3 pixels have to be left, and shrinking n pixels leaves ceil(n/2)
        self.least = (3 * 2**layers - 1) * 2**shrink + 1

    def view(self, samples: Tensor) -> Tensor:
        """Return the images, shrunk.

        Raises:
            InputError: no images of so many channels, or too small ones.
        """
        check_layout(samples, f"images [B, {self.channels}, H, W]", self.channels, 2)
        sides = f"{samples.shape[2]}×{samples.shape[3]}"
        least = self.least
        require(min(samples.shape[2:]) >= least, f"images are {sides} pixels: wanted at least {least}×{least}")
        for _ in range(self.shrink):
            samples = avg_pool2d(samples, 3, 2, 1, count_include_pad=False)
        return samples


class MultiScaleCritic(SeveralCritics):
    """Patch critics of an image and of its halves, quarters, ...: ``[B, channels, H, W] -> list of [B, h, w]``.

    ``critics[i]`` sees images that have been halved i times, and halves them itself; each has its own weights.

    Elsewhere: NVIDIA/pix2pixHD ``MultiscaleDiscriminator`` lists the scales in this order too (its paper has 3 scales,
    its code 2 by default); its convolutions are padded by 2 instead of 1, so it scores a few patches more.

    Paper: Wang et al. 2018, "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs",
    arXiv:1711.11585.

    Raises:
        InputError: as :class:`PatchCritic`, or no scale.
    """

    def __init__(
        self,
        channels: int,
        *,
        scales: int = 3,
        width: int = 64,
        layers: int = 3,
        normalisation: Normalisation = "instance",
        rng: torch.Generator,
    ) -> None:
        check_whole(1, scales=scales)
        super().__init__(
            PatchCritic(channels, width=width, layers=layers, normalisation=normalisation, shrink=shrink, rng=rng)
            for shrink in range(scales)
        )


def _block(inputs: int, outputs: int, stride: int, normalisation: Normalisation) -> nn.Sequential:
    # a bias before a normalisation would be taken off again
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 4, stride, 1, bias=normalisation == "none")]
    if normalisation == "instance":
        layers.append(nn.InstanceNorm2d(outputs))
    elif normalisation == "batch":
        layers.append(nn.BatchNorm2d(outputs))
    return nn.Sequential(*layers, nn.LeakyReLU(0.2))
