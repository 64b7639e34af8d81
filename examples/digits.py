"""What the examples share, and import from here: digits, a VAE of them, their sharpness, a picture, a command line."""

import argparse
import inspect
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler

from adversarium.data import open_data, splits
from adversarium.train.pictures import grid_of


class VAE(nn.Module):
    """A small convolutional VAE of digits with ``latent`` numbers each."""

    def __init__(self, latent: int = 16, width: int = 16) -> None:
        super().__init__()
        down = [nn.Conv2d(1, width, 4, 2, 1), nn.SiLU(), nn.Conv2d(width, 2 * width, 4, 2, 1), nn.SiLU(), nn.Flatten()]
        up = [nn.ConvTranspose2d(2 * width, width, 4, 2, 1), nn.SiLU(), nn.ConvTranspose2d(width, width, 4, 2, 1)]
        self.encoder = nn.Sequential(*down, nn.Linear(98 * width, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, 98 * width), nn.Unflatten(1, (2 * width, 7, 7)), nn.SiLU(), *up)
        self.decoder.extend([nn.SiLU()]).add_module("conv_out", nn.Conv2d(width, 1, 3, 1, 1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return reconstructions, as many samples, and each code's divergence from the prior in nats."""
        mean, log_variance = self.encoder(images).chunk(2, dim=1)
        codes = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        made, sampled = self.decoder(torch.cat([codes, torch.randn_like(codes)])).tanh().chunk(2)
        return made, sampled, 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)


def digits() -> tuple[Tensor, Tensor]:
    """Return the digits that come with the package, in [-1, 1]: 9,000 to train on, and 1,000 held out."""
    parts = splits(open_data("mnist"), 0.1)
    return tuple(part.codec.encode(torch.from_numpy(part.take(part.spread(9_000)))) for part in parts)


def batches(images: Tensor, total: int, size: int = 64) -> DataLoader:
    """Return a loader that draws ``total`` of the images with replacement, ``size`` at a time."""
    return DataLoader(images, batch_size=size, sampler=RandomSampler(images, replacement=True, num_samples=total))


def sharpness(images: Tensor) -> Tensor:
    """Return the mean size of each image's gradient, from differences of neighbouring pixels, ``[B]``."""
    return torch.stack([images.diff(dim=3)[:, :, 1:], images.diff(dim=2)[..., 1:]]).norm(dim=0).mean((1, 2, 3))


def draw(images: Tensor, out: str) -> None:
    """Draw images of [-1, 1] into the picture ``out``, 16 in a row."""
    grid_of(images.clamp(-1, 1).add(1).mul(127.5).byte().cpu().numpy(), columns=16).save(out)


def run(main: Callable[..., object], description: str) -> None:
    """Call ``main`` with options from the command line, one for each of its arguments."""
    parser = argparse.ArgumentParser(description=description)
    for name, argument in inspect.signature(main).parameters.items():
        parser.add_argument(f"--{name}", type=type(argument.default), default=argument.default)
    main(**vars(parser.parse_args()))
