"""A small classifier of handwritten digits, whose last hidden layer says how alike two digits are."""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from adversarium.features._samples import check_images, device_of, seen_on
from adversarium.features._weights import open_network
from adversarium.features.feature import Features, Seen

WEIGHTS = Path(__file__).parent / "weights" / "lenet.safetensors"
"""Trained by ``benchmarks/train_lenet.py``; its metadata say on what, and how well it does."""

WIDTH = 84
"""Units of the last hidden layer, as in LeNet-5."""


class LeNet(nn.Module):
    """A convolutional network for ``[B, 1, 28, 28]`` from 0 to 1.

    Two convolutions 5×5 (16 and 32 channels), each with a ReLU and a 2×2 maximum, a hidden layer of 84 units, and ten
    outputs: the shape of LeNet-5 with more channels in place of its second hidden layer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 5), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.hidden = nn.Linear(32 * 4 * 4, WIDTH)
        self.classifier = nn.Linear(WIDTH, 10)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the hidden layer before its ReLU ``[B, 84]``, and the classes' logits ``[B, 10]``."""
        hidden = self.hidden(self.convolutions(images).flatten(1))
        return hidden, self.classifier(hidden.relu())


def lenet(*, device: torch.device | str | None = None) -> Features:
    """Return what a small classifier of digits sees: 84 features, and the probabilities of the ten digits.

    Formula:
        rows = W·c(x/255) + b, probabilities = softmax(V·relu(rows) + a); c: the convolutions
    Convention:
        Rows are the last hidden layer before its ReLU: no column is constant (a unit that never fires would be one),
        and the distribution is closer to the normal one that the Fréchet distance compares. They are scaled by one
        number such that a column's variance over MNIST's training digits is 1 on average: two real digits are about
        13 (√(2·84)) apart. Images are ``[B, 1, 28, 28]``, white on black, 0 to 255. Trained on the 60,000 training
        digits, shifted, turned, scaled, noisy; the digits of ``mnist`` that come with the package are MNIST's test
        digits, which it has not seen.
    Use when:
        The data are MNIST's digits: seconds for 10,000 on a processor, and its distances follow what digits look
        like. For other small pictures take ``random_conv``.
    Paper:
        The network's shape: LeCun, Bottou, Bengio and Haffner 1998, "Gradient-Based Learning Applied to Document
        Recognition" (Proceedings of the IEEE). A LeNet in Inception's place for MNIST: Bińkowski et al. 2018,
        "Demystifying MMD GANs", arXiv:1801.01401 (their published code).

    Raises:
        InputError: (when it sees) samples that are not images of 28×28 with one channel.
    """
    network = open_network(LeNet, "lenet", WEIGHTS)
    return Features(
        name="lenet",
        see=partial(_see, network.to(device)),
        classes=tuple(str(digit) for digit in range(10)),
    )


def _see(network: LeNet, samples: Tensor) -> Seen:
    check_images("lenet", samples, channels=(1,), size=(28, 28))
    with seen_on(device_of(network), samples) as images:
        rows, logits = network(images / 255)
        return Seen(rows, logits.softmax(1))
