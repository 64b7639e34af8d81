"""Conditional networks: samples of a class, or of what a vector says.

What is asked for travels as a tensor beside codes and samples, see :class:`~adversarium.types.Condition`. A generator
with batch norm is told by conditional batch norm at each of its layers, as in Miyato and Koyama 2018, "cGANs with
Projection Discriminator", arXiv:1802.05637; one without by further columns of its code, as in Mirza and Osindero 2014,
"Conditional Generative Adversarial Nets", arXiv:1411.1784.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from adversarium.errors import require
from adversarium.nets._build import untouched_global_rng
from adversarium.tensors import described
from adversarium.types import Condition

MODULATION_WIDTH = 128
"""The length of the embedding that conditional batch norms share (that of BigGAN's, arXiv:1809.11096)."""

LARGEST_ENTRY = 1e6
"""Entries of a vector that are larger are refused: they are embedded in rows that drown all else, and overflow."""

_ALONE = ("features", "classify", "recognise", "encode")
_WITH_CONDITION = {"contrast": "contrast", "features_given": "features"}


class Conditioned(nn.Module):
    """A conditional network bound to the condition of each sample of a batch: a critic or generator of one argument.

    Called with k times as many rows it repeats the condition k times, block after block, as ``torch.cat`` joins
    batches. It shows what the network shows, and nothing else: ``features``, ``classify``, ``recognise`` and
    ``encode`` of samples, and ``contrast`` of samples with the condition. A network whose features depend on the
    condition has ``features_given(samples, condition)``, which is ``features`` here.

    Args:
        network: of two arguments: samples or codes, and the values of a :class:`~adversarium.types.Condition`.
        condition: these values, one for each row.

    Attributes:
        condition: as given.

    Raises:
        InputError: a network that cannot be called, or a condition that is no tensor of one value for each row.
    """

    condition: Tensor

    def __init__(self, network: Callable[..., Any], condition: Tensor) -> None:
        super().__init__()
        require(
            callable(network), f"network is {described(network)}: wanted one of two arguments, samples and condition"
        )
        require(
            isinstance(condition, Tensor) and condition.ndim > 0,
            f"condition is {described(condition)}: wanted a tensor, labels int64 [B] or vectors float [B, E]; a "
            "network without a condition is called as it is, and one that is asked for nothing with "
            "Condition.nothing(B)",
        )
        self.network, self.condition = network, condition
        self.training = getattr(network, "training", True)
        # as attributes, not by __getattr__: what a protocol asks for is looked up without it from Python 3.12 on
        for name in _ALONE:
            shown = getattr(network, name, None)
            if shown is not None:
                self.__dict__[name] = shown
        for name, shown_as in _WITH_CONDITION.items():
            shown = getattr(network, name, None)
            if shown is not None:
                self.__dict__[shown_as] = partial(_call, shown, condition)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``network(x, condition)``.

        Raises:
            InputError: not as many rows as there are conditions, or a multiple.
        """
        result: Tensor = _call(self.network, self.condition, x)
        return result

    def take(self, rows: Tensor | slice) -> "Conditioned":
        """Return the network bound to some rows of the condition."""
        return Conditioned(self.network, self.condition[rows])


def _call(function: Callable[..., Any], condition: Tensor, x: Tensor) -> Any:
    count = len(condition)
    if len(x) != count:
        fits = count > 0 and len(x) % count == 0
        require(fits, f"{len(x)} rows, and the condition has {count}: wanted as many, or a multiple")
        condition = condition.repeat(len(x) // count, *[1] * (condition.ndim - 1))
    return function(x, condition)


class ConditionEmbedding(nn.Module):
    """A learned row for each value of a condition, ``[B]`` or ``[B, size]`` to ``[B, width]``.

    Labels have a table of ``size + 1`` rows, the last for no condition, of entries N(0, σ²), σ = ``std``.
    Vectors have a linear map without a bias, so that no condition, zeros, is 0; its entries are N(0, σ²/size):
    vectors of entries of about unit size are embedded in rows like those of labels. They are converted to the dtype
    of the map's weights.

    Raises:
        InputError: a width below 1.
    """

    def __init__(self, condition: Condition, width: int, *, rng: torch.Generator, std: float = 1.0) -> None:
        super().__init__()
        require(width >= 1, f"width is {width}: wanted at least 1")
        self.condition, self.width = condition, width
        with untouched_global_rng():
            self.rows: nn.Embedding | nn.Linear
            if condition.kind == "label":
                self.rows = nn.Embedding(condition.size + 1, width)
            else:
                self.rows = nn.Linear(condition.size, width, bias=False)
                std = std / condition.size**0.5
        with torch.no_grad():
            nn.init.normal_(self.rows.weight, 0.0, std, generator=rng)

    def forward(self, values: Tensor) -> Float[Tensor, "batch width"]:
        """Return the rows of these values.

        Raises:
            InputError: values that are none of the condition; on a CPU also vectors with entries that are NaN, or
                larger than ``LARGEST_ENTRY``.
        """
        if not torch.compiler.is_compiling():  # which cannot look at values
            wanted = "int64 [B]" if self.condition.kind == "label" else f"float [B, {self.condition.size}]"
            is_tensor = isinstance(values, Tensor)
            require(is_tensor, f"condition is {described(values)}: wanted a tensor, {wanted}")
            self.condition.check(values)
            _check_entries(values)
        rows: Tensor = self.rows(values.to(self.rows.weight.dtype) if values.is_floating_point() else values)
        return rows

    def nothing(self, count: int) -> Float[Tensor, "batch width"]:
        """Return the row of no condition, ``count`` times."""
        weight = self.rows.weight
        values = self.condition.nothing(count, weight.device)
        rows: Tensor = self.rows(values.to(weight.dtype) if values.is_floating_point() else values)
        return rows


def _check_entries(values: Tensor) -> None:
    # on an accelerator, which would have to be waited for, it is left to the data's own checks
    if values.is_floating_point() and values.numel() and values.device.type == "cpu":
        largest = float(values.detach().abs().max())
        require(
            largest <= LARGEST_ENTRY,  # which NaN is not
            f"condition has entries up to {largest:g}: wanted numbers of about unit size, at most {LARGEST_ENTRY:g}: "
            "standardise them as those that it was trained on",
        )


class Modulated(nn.Module):
    """A layer of two arguments, ``(x, embedding)``: a :class:`ConditionalGenerator` tells it what is asked for."""

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Return the layer's output for maps or rows x, ``[B, ...]``, and the embeddings, ``[B, E]``."""
        raise NotImplementedError


class _ConditionalBatchNorm(Modulated):
    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d, width: int) -> None:
        super().__init__()
        self.norm = norm
        self.weight = nn.Parameter(torch.zeros(2 * norm.num_features, width))  # gains first, then biases
        self.bias = nn.Parameter(torch.zeros(2 * norm.num_features))

    def forward(self, x: Tensor, embedding: Float[Tensor, "batch width"]) -> Tensor:
        """Return the normalised, scaled and shifted x."""
        normal: Tensor = self.norm(x)
        with torch.autocast(x.device.type, enabled=False):  # 1 + gain has two digits in bfloat16
            affine = functional.linear(embedding.to(self.weight.dtype), self.weight, self.bias)
        gain, bias = affine.unflatten(1, (2, -1, *[1] * (x.ndim - 2))).unbind(1)
        return torch.addcmul(bias.to(normal.dtype), normal, (1 + gain).to(normal.dtype))


class ConditionalBatchNorm1d(_ConditionalBatchNorm):
    """Batch norm of rows ``[B, features]``, then ``(1 + gain(e))·x + bias(e)`` for the embedding e ``[B, width]``.

    gain and bias are affine in e and 0 at first, when it is plain batch norm; their constant parts are what all
    conditions share. Dumoulin et al. 2017, "A Learned Representation for Artistic Style", arXiv:1610.07629 (of
    instance norm); de Vries et al. 2017, "Modulating early visual processing by language", arXiv:1707.00683; in GANs
    Miyato and Koyama 2018, "cGANs with Projection Discriminator", arXiv:1802.05637, with a table of gains and biases
    at each layer instead of a shared embedding.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__(nn.BatchNorm1d(features, affine=False), width)


class ConditionalBatchNorm2d(_ConditionalBatchNorm):
    """:class:`ConditionalBatchNorm1d` of maps ``[B, features, H, W]``."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__(nn.BatchNorm2d(features, affine=False), width)


class ConditionalGenerator(nn.Module):
    """A generator of two arguments: codes ``[B, Z]`` and the values of a condition.

    Args:
        layers: from codes to samples. Each :class:`Modulated` one among them is told the embedding.
        embedding: of the condition.
        joined: whether the layers take the embedding as further columns of the code, ``[B, Z + E]``.
    """

    def __init__(self, layers: nn.Sequential, embedding: ConditionEmbedding, *, joined: bool) -> None:
        super().__init__()
        told = joined or any(isinstance(layer, Modulated) for layer in layers)
        require(told, "no layer is Modulated, and joined is False: the samples would not depend on the condition")
        self.layers, self.embedding, self.joined = layers, embedding, joined

    def embed(self, condition: Tensor) -> Float[Tensor, "batch width"]:
        """Return the embedding of the condition's values, ``[B, E]``: points to walk between.

        Raises:
            InputError: values that are none of the generator's condition.
        """
        rows: Tensor = self.embedding(condition)
        return rows

    def forward(self, codes: Tensor, condition: Tensor) -> Tensor:
        """Return samples of what is asked for.

        Raises:
            InputError: values that are none of the generator's condition, or not one for each code.
        """
        return self.forward_embedded(codes, self.embed(condition))

    def forward_embedded(self, codes: Tensor, embedding: Tensor) -> Tensor:
        """Return samples of what the embeddings ask for, ``[B, E]``.

        Raises:
            InputError: not one embedding for each code, or of another width.
        """
        wanted = (len(codes), self.embedding.width)
        require(
            tuple(embedding.shape) == wanted,
            f"the embedding has shape {list(embedding.shape)}: wanted {list(wanted)}, one for each code",
        )
        x = torch.cat([codes, embedding], 1) if self.joined else codes
        for layer in self.layers:
            x = layer(x, embedding) if isinstance(layer, Modulated) else layer(x)
        return x

    def guided(self, codes: Tensor, condition: Tensor, scale: float) -> Tensor:
        """Return samples of more than what is asked for: the embedding is e₀ + scale·(e - e₀).

        e₀ is the embedding of no condition: scale 0 is that, 1 is the plain one. In the manner of classifier-free
        guidance (Ho and Salimans 2022, arXiv:2207.12598), which extrapolates a diffusion model's prediction; a
        generator has none, and its embedding is taken instead. It wants a generator that was also trained without a
        condition.

        Raises:
            InputError: as :meth:`forward`.
        """
        embedding = self.embed(condition)
        nothing = self.embedding.nothing(len(embedding)).to(embedding.dtype)
        return self.forward_embedded(codes, torch.lerp(nothing, embedding, scale))


def embedding_widths(condition: Condition | None, latent_dim: int, batch_norm: bool) -> tuple[int, int]:
    """Return how long an embedding a built-in generator's batch norms are told, and how long a one its code is joined.

    One of the two is 0, and both without a condition. One that is joined to the code is as long as the code, so that
    neither drowns the other.
    """
    if condition is None:
        return 0, 0
    return (MODULATION_WIDTH, 0) if batch_norm else (0, latent_dim)


def batch_norm_1d(features: int, width: int) -> nn.Module:
    """Return batch norm of rows, conditional on an embedding of this width unless that is 0."""
    return ConditionalBatchNorm1d(features, width) if width else nn.BatchNorm1d(features)


def batch_norm_2d(features: int, width: int) -> nn.Module:
    """Return batch norm of maps, conditional on an embedding of this width unless that is 0."""
    return ConditionalBatchNorm2d(features, width) if width else nn.BatchNorm2d(features)


def conditional(
    layers: nn.Sequential, condition: Condition | None, modulated: int, joined: int, *, rng: torch.Generator
) -> nn.Module:
    """Return a generator's layers, told a condition as :func:`embedding_widths` says; as they are if there is none."""
    if condition is None:
        return layers
    # Batch norms' gains and biases are sums over the embedding: rows of norm 1 keep a step of theirs as small as other
    # weights'. With entries of size 1 the class's bias soon drowns the code, and all samples of a class are alike.
    std = modulated**-0.5 if modulated else 1.0
    embedding = ConditionEmbedding(condition, modulated + joined, rng=rng, std=std)
    return ConditionalGenerator(layers, embedding, joined=joined > 0)
