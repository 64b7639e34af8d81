"""From a configuration to everything that a run needs, resolved and checked before the first step."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from adversarium.conditionals import CONDITIONALS
from adversarium.config import TrainConfig
from adversarium.data import (
    Codec,
    Conditions,
    Latent,
    Source,
    Stream,
    default_share,
    open_stream,
    splits,
)
from adversarium.errors import InputError, lookup, require
from adversarium.games import GAMES
from adversarium.nets import NETWORKS, parts_of
from adversarium.nets.minibatch import MINIBATCH_LAYERS, groups_of
from adversarium.penalties import WANTED_METHODS
from adversarium.presets import PRESETS
from adversarium.spec import make, written
from adversarium.stabilisers import Augmentation, ReplayPool, packed_shape
from adversarium.train.checkpoint import Checkpoint, restore_module
from adversarium.train.ema import Ema, UniformAverage
from adversarium.train.feed import Feed
from adversarium.train.freeze import freeze
from adversarium.train.objective import terms_of
from adversarium.train.optimizers import (
    build_optimizer,
    clip_gradient_norm,
    optimizer_tensors,
    paced,
    restore_optimizer,
    set_progress,
    settings_of,
)
from adversarium.train.resolve import augmentation_of, conditions_for, known, method_of, prior_of
from adversarium.train.step import Step
from adversarium.train.terms import played
from adversarium.types import SLOTS, Anneal, Condition, Objective, OptimizerSettings, Scheduled


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


_WRITTEN: dict[str, Mapping[str, Callable[..., Any]]] = {"game": GAMES, "conditional": CONDITIONALS}
"""Options that hold a member as text."""

OF_THE_NETWORKS = (
    *("network", "width", "latent_dim", "critic_batch_norm", "generator_batch_norm"),
    *("conditional", "minibatch", "packing"),
)
"""Options that say what a run's networks are."""

_OF_LATE = ("game", "optimizer", "conditional", "minibatch", "packing")
"""Options of a checkpoint's identity that older checkpoints do not name."""


@dataclass(frozen=True)
class Training:
    """A run in memory: what moves, the streams that feed it, and data that are kept out of it."""

    config: TrainConfig
    data: Source
    held_out: Source | None
    step: Step
    average: Ema | UniformAverage
    stream: Stream
    latent: Latent
    penalty_rng: torch.Generator
    settings: tuple[OptimizerSettings, OptimizerSettings]
    conditions: Conditions | None = None

    @property
    def feed(self) -> Feed:
        """What its generator makes samples of."""
        return Feed(self.latent.prior, self.conditions)

    @property
    def codec(self) -> Codec:
        """What its samples are."""
        return self.data.codec

    def move(self, images: int) -> int:
        """Take one step after ``images`` images; return the number of images now."""
        for optimizer, settings in zip(
            (self.step.critic_optimizer, self.step.generator_optimizer), self.settings, strict=True
        ):
            set_progress(optimizer, settings, images)
        before = self.step.critic_steps
        self.step(images)
        images += (self.step.critic_steps - before) * self.config.batch_size
        self.average.update(images, (self.step.critic_steps - before) * self.config.batch_size)
        return images

    def identity(self) -> dict[str, object]:
        """Return what a checkpoint must agree with to be continued from."""
        return {name: getattr(self.config, name) for name in ("preset", "game", "optimizer", *OF_THE_NETWORKS)}

    def tensors(self) -> dict[str, Tensor]:
        """Return everything that determines how the run continues."""
        device = torch.device(self.config.device)
        parts = {
            "generator": self.step.generator.state_dict(),
            "critic": self.step.critic.state_dict(),
            "ema": self.average.module.state_dict(),
            "generator_optimizer": optimizer_tensors(self.step.generator_optimizer),
            "critic_optimizer": optimizer_tensors(self.step.critic_optimizer),
            "rng": {
                "latent": self.latent.rng.get_state(),
                "penalty": self.penalty_rng.get_state(),
                "torch": torch.get_rng_state(),
                **({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {}),
            },
            "data": {"stream": self.stream.state()},
            **{name: part.state_dict() for name, part in self.step.stateful().items()},
        }
        return {f"{part}.{name}": value for part, tensors in parts.items() for name, value in tensors.items()}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue exactly where a checkpoint was taken.

        Raises:
            InputError: the checkpoint is of another run, or of other networks.
        """
        for option, value in self.identity().items():
            if option in _OF_LATE and option not in checkpoint.counters:
                continue
            saved = checkpoint.counters.get(option)
            if option in _WRITTEN and isinstance(saved, str):
                saved = written(make(saved, option, _WRITTEN[option]))  # it may have got a new argument since
            if saved != value:
                raise InputError(f"{checkpoint.path}: holds another run: {option} is {saved!r}, and here {value!r}")
        for name, module in (
            ("generator", self.step.generator),
            ("critic", self.step.critic),
            ("ema", self.average.module),
        ):
            restore_module(module, checkpoint.part(name), name, checkpoint.path)
        for name, part in self.step.stateful().items():
            restore_module(part, checkpoint.part(name), f"state of {name}", checkpoint.path)
        restore_optimizer(self.step.generator_optimizer, checkpoint.part("generator_optimizer"))
        restore_optimizer(self.step.critic_optimizer, checkpoint.part("critic_optimizer"))
        self.latent.rng.set_state(checkpoint.tensors["rng.latent"])
        self.penalty_rng.set_state(checkpoint.tensors["rng.penalty"])
        torch.set_rng_state(checkpoint.tensors["rng.torch"])
        if self.config.device.startswith("cuda") and "rng.cuda" in checkpoint.tensors:
            torch.cuda.set_rng_state(checkpoint.tensors["rng.cuda"], torch.device(self.config.device))
        self.stream.restore(checkpoint.tensors["data.stream"])
        self.step.steps = checkpoint.counters["step"]
        self.step.critic_steps = checkpoint.counters["critic_steps"]


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
