"""Critics that are autoencoders: a sample's score is minus its reconstruction error.

Zhao et al. 2017 (EBGAN, arXiv:1609.03126) and Berthelot et al. 2017 (BEGAN, arXiv:1703.10717) use them.
"""

from math import prod
from typing import cast

import torch
from torch import Tensor, nn

from adversarium.errors import require
from adversarium.nets import dcgan, mlp
from adversarium.nets._build import untouched_global_rng
from adversarium.types import PerSample, Samples

IMAGE_CODE = 64
"""The length of an image's code (BEGAN's default for its autoencoder's hidden layer)."""


class AutoencoderCritic(nn.Module):
    """A critic whose score is minus the mean of ``|x - decoder(encoder(x))| ** power`` over a sample's axes.

    Scores are at most 0, and up = real: a sample that is well reconstructed scores high.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, power: float = 1.0) -> None:
        super().__init__()
        require(1 <= power < float("inf"), f"power is {power}: wanted at least 1")
        self.encoder = encoder
        self.decoder = decoder
        self.power = power

    def encode(self, samples: Samples) -> Tensor:
        """Return the samples' codes, ``[B, F]``."""
        codes: Tensor = self.encoder(samples)
        return codes.flatten(1)

    def reconstruct(self, samples: Samples) -> Samples:
        """Return what is left of the samples after coding, in their shape."""
        copies: Tensor = self.decoder(self.encoder(samples))
        return copies

    def forward(self, samples: Samples) -> PerSample:
        """Return the samples' scores, ``[B]``, in float32 at least."""
        dtype = torch.promote_types(samples.dtype, torch.float32)
        gaps = (samples.to(dtype) - self.reconstruct(samples).to(dtype)).abs()
        return -gaps.pow(self.power).flatten(1).mean(1)


def image_critic(
    sample_shape: tuple[int, ...],
    *,
    width: int,
    batch_norm: bool = True,
    rng: torch.Generator,
    code: int = IMAGE_CODE,
    power: float = 1.0,
) -> AutoencoderCritic:
    """Return the autoencoder of DCGAN's two networks: its critic's convolutions, ``code`` numbers, its generator.

    Raises:
        InputError: the samples are not square images of 28, 32, 64 or 128 pixels.
    """
    require(code >= 1, f"code is {code}: wanted at least 1")
    critic = dcgan.critic(sample_shape, width=width, batch_norm=batch_norm, rng=rng)
    *features, last, _ = critic  # without the score and its flattening
    with untouched_global_rng():
        encoder = nn.Sequential(*features, nn.Linear(cast(nn.Linear, last).in_features, code))
    decoder = dcgan.generator(sample_shape, code, width=width, batch_norm=batch_norm, rng=rng)
    network = AutoencoderCritic(encoder, decoder, power)
    _init_he(network, rng)
    return network


def vector_critic(
    sample_shape: tuple[int, ...],
    *,
    width: int,
    batch_norm: bool = False,
    rng: torch.Generator,
    code: int | None = None,
    power: float = 1.0,
) -> AutoencoderCritic:
    """Return an autoencoder of vectors, each half with three hidden layers of ``width`` ReLU units.

    ``code`` is half the vector's length unless given: it has to be a bottleneck, or everything is reconstructed.

    Raises:
        InputError: the samples are not vectors.
    """
    code = max(1, prod(sample_shape) // 2) if code is None else code
    require(code >= 1, f"code is {code}: wanted at least 1")
    # a decoder is a generator of samples from codes, and an encoder one of codes from samples
    decoder = mlp.vector_generator(sample_shape, code, width=width, batch_norm=batch_norm, rng=rng)
    encoder = mlp.vector_generator((code,), sample_shape[0], width=width, batch_norm=batch_norm, rng=rng)
    network = AutoencoderCritic(encoder, decoder, power)
    _init_he(network, rng)
    return network


@torch.no_grad()
def _init_he(network: nn.Module, rng: torch.Generator) -> None:
    """Draw weights N(0, 2/fan_in), biases 0 (He et al. 2015, arXiv:1502.01852).

    A signal then reaches the other end without batch norm too; the halves' own initial weights shrink it to nothing
    in twice as many layers. The fan in of a transposed convolution is the number of inputs that reach one output.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            fan_in = module.weight[0].numel()
            if isinstance(module, nn.ConvTranspose2d):  # [in, out, height, width], and a stride spreads the inputs
                fan_in = module.in_channels * prod(module.kernel_size) // prod(module.stride)
            nn.init.normal_(module.weight, 0.0, (2 / fan_in) ** 0.5, generator=rng)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
