"""From a configuration to everything that a run needs, resolved and checked before the first step."""

import dataclasses
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from adversarium.config import TrainConfig
from adversarium.data import Codec, Latent, Source, default_share, open_stream, splits
from adversarium.errors import InputError, lookup, require
from adversarium.games import GAMES
from adversarium.nets import NETWORKS, parts_of
from adversarium.nets.minibatch import MINIBATCH_LAYERS, groups_of
from adversarium.penalties import WANTED_METHODS
from adversarium.presets import PRESETS
from adversarium.spec import make
from adversarium.stabilisers import Augmentation, ReplayPool, packed_shape
from adversarium.train.ema import Ema, UniformAverage
from adversarium.train.freeze import freeze
from adversarium.train.optimizers import build_optimizer, clip_gradient_norm, paced, settings_of
from adversarium.train.resolve import augmentation_of, conditions_for, known, method_of, prior_of
from adversarium.train.slots import terms_of
from adversarium.train.step import Step
from adversarium.train.terms import played
from adversarium.train.training import Training
from adversarium.types import SLOTS, Anneal, Condition, Objective, Scheduled


def build_generator(config: TrainConfig, codec: Codec, condition: Condition | None = None) -> nn.Module:
    """Return a resolved configuration's generator with its initial weights."""
    method = method_of(config)
    asked = {"condition": condition} if method is not None and method.kinds else {}
    return lookup("network", config.network, NETWORKS).generator(
        codec.sample_shape,
        prior_of(config).dim,
        width=config.width,
        batch_norm=config.generator_batch_norm,
        rng=_rng(config.seed, "generator"),
        **asked,
    )


def build_critic(config: TrainConfig, codec: Codec, condition: Condition | None = None) -> nn.Module:
    """Return a resolved configuration's critic with its initial weights, before what its preset does to them."""
    rngs = {name: _rng(config.seed, name) for name in ("critic", "head")}

    def plain(sample_shape: tuple[int, ...]) -> nn.Module:
        critic = lookup("network", config.network, NETWORKS).critic(
            sample_shape, width=config.width, batch_norm=config.critic_batch_norm, rng=rngs["critic"]
        )
        if config.minibatch is not None:
            critic = make(config.minibatch, "minibatch layer", MINIBATCH_LAYERS)(critic, rngs["head"])
        return critic

    shape, method = packed_shape(codec.sample_shape, config.packing), method_of(config)
    if method is not None:
        return method.critic(plain, shape, condition, rng=rngs["head"])
    return plain(shape)


def build(config: TrainConfig, source: Source) -> Training:
    """Return a resolved configuration's run, at its first step.

    Raises:
        InputError: networks and data do not fit, or a network contains what the preset excludes.
    """
    preset = PRESETS[config.preset]
    codec = source.codec
    device = torch.device(config.device)
    if config.compile:
        _try_compiling(device)
    # spectral normalisation draws its first vector from torch's global state
    torch.manual_seed(_seed(config.seed, "torch"))
    conditions = conditions_for(config, source)
    condition = None if conditions is None else conditions.condition
    generator = _placed(build_generator(config, codec, condition), device)
    critic = build_critic(config, codec, condition)
    for constraint in preset.constraints:
        if constraint.when == "build":
            constraint.apply(critic)
    critic = _placed(critic, device)
    if config.batch_size == 1 and (config.critic_batch_norm or config.generator_batch_norm):
        raise InputError(
            "batch_size is 1, and batch norm needs at least 2: add --no-critic-batch-norm --no-generator-batch-norm"
        )
    if config.batch_size == config.packing and config.critic_batch_norm:
        raise InputError(
            f"packing is {config.packing}, and batch_size too: one pack, and batch norm needs at least 2: add "
            "--no-critic-batch-norm, or a larger batch"
        )
    for player, network, excluded in (
        ("critic", critic, preset.critic_without),
        ("generator", generator, preset.generator_without),
    ):
        for part in sorted(parts_of(network) & excluded):
            raise InputError(f"{config.preset}'s {player} must not contain {part}: {preset.why_without}")
    objective = _objective(config)
    _refuse_what_the_critic_lacks(config, critic, objective)
    data, held_out = splits(source, default_share(source) if config.hold_out is None else config.hold_out)
    stream = open_stream(data, batch_size=config.batch_size, seed=_seed(config.seed, "data"), device=device)
    latent = Latent(prior_of(config), _seed(config.seed, "latent"), device)
    penalty_rng = _rng(config.seed, "penalty")
    augment = augmentation_of(config)
    if augment is not None:
        _try_augmenting(augment, codec)
    freeze(config.freeze, critic=critic, generator=generator)

    def real(n: int) -> Tensor | tuple[Tensor, Tensor]:
        batch = stream.next(n)
        if condition is None:
            return batch.samples
        return batch.samples, _dropped(condition, cast(Tensor, batch.condition), config.drop_condition, penalty_rng)

    settings = settings_of(config, preset)
    step = Step(
        generator=generator,
        critic=critic,
        objective=objective,
        rule=make(known(config.game), "game", GAMES),
        critic_optimizer=build_optimizer(settings[0], critic.parameters()),
        generator_optimizer=build_optimizer(settings[1], generator.parameters()),
        constraints=tuple(each for each in preset.constraints if each.when == "step"),
        real=real,
        latent=latent.next,
        rng=penalty_rng,
        batch_size=config.batch_size,
        precision=config.precision,
        compile=config.compile,
        augment=augment,
        packing=config.packing,
        pool=None if config.replay_pool is None else ReplayPool(config.replay_pool),
        top_k=_top_k(config),
    )
    if config.clip_gradient_norm is not None:  # after the step's own hooks, which measure the norm as it was
        clip_gradient_norm(step.critic_optimizer, config.clip_gradient_norm)
        clip_gradient_norm(step.generator_optimizer, config.clip_gradient_norm)
    return Training(
        config, data, held_out, step, _average(config, generator), stream, latent, penalty_rng, settings, conditions
    )


def _average(config: TrainConfig, generator: nn.Module) -> Ema | UniformAverage:
    if config.average == "uniform":
        return UniformAverage(generator, config.average_from_kimg * 1000)
    half_life = config.ema_half_life_kimg * 1000 if config.average == "ema" else 0.0  # 0: a copy
    return Ema(generator, half_life, config.ema_rampup)


def _try_compiling(device: torch.device) -> None:
    """Compile next to nothing, so that a machine that cannot says so before a run begins."""
    try:
        torch.compile(torch.add, dynamic=False)(torch.zeros(2, device=device), 1)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"compile is on, and torch.compile does not work here ({reason}): it needs a C++ compiler on a CPU, "
            "Triton on a GPU; leave --compile out, or set CXX"
        ) from error


def _placed(network: nn.Module, device: torch.device) -> nn.Module:
    """Return a network on its device, its weights channels_last: that makes steps on a CPU 7 to 12 % faster."""
    placed: nn.Module = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


def _dropped(condition: Condition, values: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Return the values with a random share of them asking for nothing."""
    if share == 0:
        return values
    drop = (torch.rand(len(values), generator=rng) < share).to(values.device)
    nothing = condition.nothing(len(values), values.device)
    return torch.where(drop if values.ndim == 1 else drop[:, None], nothing, values)


def _refuse_what_the_critic_lacks(config: TrainConfig, critic: nn.Module, objective: Objective) -> None:
    """Refuse batches that its layers cannot take, and terms that ask it for what it has not."""
    for group in filter(None, groups_of(critic)):
        multiple = config.packing * group
        require(
            config.batch_size % multiple == 0,
            f"batch_size is {config.batch_size}, minibatch_std compares groups of {group}, and packing is "
            f"{config.packing}: wanted a batch that is a multiple of {multiple}",
        )
    for term in terms_of(objective):
        wanted = WANTED_METHODS.get(term.name)
        require(
            wanted in (None, "features") or hasattr(critic, str(wanted)),  # features are found in every critic
            f"terms name {term.name}, which asks the critic for {wanted}, and that of {config.network} has none",
        )


def _try_augmenting(augment: Augmentation, codec: Codec) -> None:
    """Let an augmentation refuse samples that it cannot change before a run begins."""
    samples, rng = torch.zeros(2, *codec.sample_shape), torch.Generator().manual_seed(0)
    augment.fake(samples, rng)
    augment.real(samples, samples, rng)


def _top_k(config: TrainConfig) -> Scheduled:
    if config.top_k_kimg is None:
        return config.top_k
    return Anneal(1.0, config.top_k, over_images=config.top_k_kimg * 1000, shape="linear")


def _objective(config: TrainConfig) -> Objective:
    """Return what a configuration's players minimise."""
    objective = _scaled(played(config).objective, config)
    method = method_of(config)
    if method is not None:
        joined: dict[str, Any] = {slot: getattr(objective, slot) + getattr(method, slot) for slot in SLOTS}
        objective = dataclasses.replace(objective, **joined)
    return objective


def _scaled(objective: Objective, config: TrainConfig) -> Objective:
    """Return the objective with the configured scale, pace and fraction of its penalties."""
    factor = config.penalty_scale

    def scaled(weight: Scheduled) -> Scheduled:
        if isinstance(weight, Anneal):
            weight = dataclasses.replace(weight, start=weight.start * factor, stop=weight.stop * factor)
            return paced(weight, config)
        return weight * factor

    terms: dict[str, Any] = {
        slot: tuple(
            dataclasses.replace(term, weight=scaled(term.weight), fraction=term.fraction * config.penalty_fraction)
            for term in getattr(objective, slot)
        )
        for slot in SLOTS
    }
    return dataclasses.replace(objective, **terms)


# Each random stream has its own number, so that one more draw in one does not shift the others.
_STREAMS = ("generator", "critic", "data", "latent", "penalty", "torch", "head")


def _seed(seed: int, stream: str) -> int:
    sequence = np.random.SeedSequence([seed, _STREAMS.index(stream)])
    return int(sequence.generate_state(1, np.uint64)[0])


def _rng(seed: int, stream: str) -> torch.Generator:
    return torch.Generator().manual_seed(_seed(seed, stream))
