"""A run as a game of one fixed batch, for ``games.Field``: what its two networks would do next, and how fast."""

import copy
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.spectral_norm import SpectralNorm

from adversarium.config import TrainConfig
from adversarium.data import Latent, Source, open_data, open_stream
from adversarium.errors import InputError, require
from adversarium.games import Game
from adversarium.nets.minibatch import couples_samples
from adversarium.penalties import on_whole
from adversarium.train.build import build
from adversarium.train.checkpoint import load_newest
from adversarium.train.folder import RunFolder
from adversarium.train.objective import critic_side, generator_side
from adversarium.train.passes import bound
from adversarium.train.resolve import resolve
from adversarium.train.slots import modules_of
from adversarium.types import AnyPenalty, Objective, Term

_DATA, _CODES = 101, 102  # seeds of the batch, apart from those of training


def game_of(
    generator: nn.Module,
    critic: nn.Module,
    objective: Objective,
    real: Tensor,
    codes: Tensor,
    *,
    images: int = 0,
    condition: Tensor | None = None,
) -> Game:
    """Return the game that two networks play on one batch: the same two functions of the weights at every call.

    Networks and objective are copied, so that looking changes nothing. Batch norm uses the batch's statistics, as in
    training; spectral norms and moving averages stand still; dropout and penalties draw the same numbers each time.
    Lazy terms and fractions count in full, at every call.

    Args:
        generator: codes to samples.
        critic: samples to scores.
        objective: what the two minimise.
        real: ``[B, ...]``.
        codes: ``[B, latent_dim]``.
        images: how many images the critic has been shown, for annealed weights.
        condition: what each sample is of, where the networks are conditional.

    Raises:
        InputError: critic terms that need the codes (``critic_latent_terms``), of which some cut the graph to the
            generator; a spectral norm of torch's older kind.
    """
    if objective.critic_latent_terms:
        names = ", ".join(term.name for term in objective.critic_latent_terms)
        raise InputError(
            f"the critic has terms of the codes ({names}), which may cut the graph to the generator: the game is "
            "known without them only"
        )
    generator, critic = (_standing(copy.deepcopy(each)) for each in (generator, critic))
    objective = _in_full(copy.deepcopy(objective))
    for part in modules_of(objective).values():
        part.to(real.device).eval()
    joint = not couples_samples(critic)
    devices = [real.device] if real.is_cuda else []

    def critic_loss() -> Tensor:
        with _same_draws(devices) as rng:
            fake = bound(generator, condition)(codes)
            side = critic_side(
                objective, critic, real, fake, rng, images=images, joint=joint, attached=True, condition=condition
            )
        return torch.stack(list(side.parts.values())).sum()

    def generator_loss() -> Tensor:
        with _same_draws(devices) as rng:
            parts = generator_side(
                objective,
                critic,
                real,
                bound(generator, condition)(codes),
                generator=generator,
                codes=codes,
                rng=rng,
                images=images,
                attached=True,
                condition=condition,
            )
        return torch.stack(list(parts.values())).sum()

    return Game(
        critic=tuple(each for each in critic.parameters() if each.requires_grad),
        generator=tuple(each for each in generator.parameters() if each.requires_grad),
        critic_loss=critic_loss,
        generator_loss=generator_loss,
    )


def run_game(
    path: Path | str,
    batch: int = 256,
    *,
    source: Source | None = None,
    device: str = "auto",
    dtype: torch.dtype = torch.float64,
    on_decode: Callable[[int, int], None] = lambda done, total: None,
    warn: Callable[[str], None] = lambda message: None,
) -> Game:
    """Return the game of a run's newest whole checkpoint on one batch of its data, as in :func:`game_of`.

    The generator is the one in training, not its average.

    Args:
        path: the run's folder.
        batch: real samples and codes in the batch.
        source: the data, where they are not what the run's configuration names.
        device: where to evaluate.
        dtype: of weights and samples; second derivatives are worth the double precision.
        on_decode: called while image files are decoded, with how many are done and how many there are.
        warn: called with a sentence for each damaged checkpoint that was passed over.

    Raises:
        InputError: no usable run or checkpoint, or data that have changed; a run with augmentation, packing, a replay
            pool or top-k; whatever :func:`game_of` refuses.
    """
    if batch < 2:
        raise InputError(f"batch is {batch}: wanted at least 2")
    folder = RunFolder.open(Path(path))
    config = dataclasses.replace(folder.config(), device=device, compile=False)
    config = resolve(config, folder.codec(), folder.condition())
    found, problems = load_newest(folder.checkpoints)
    for problem in problems:
        warn(f"{problem}; using {found.path.name}")
    source = source if source is not None else open_data(config.data, size=config.size, progress=on_decode)
    folder.check_data(source)
    where = torch.device(config.device)
    with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):  # both move torch's global streams
        training = build(config, source)
        training.restore(found)
    _refuse_shown(config)
    drawn = open_stream(training.data, batch_size=batch, seed=_DATA, device=where).next(batch)
    codes = Latent(training.latent.prior, _CODES, where).next(batch)
    return game_of(
        training.step.generator.to(dtype),
        training.step.critic.to(dtype),
        training.step.objective,
        drawn.samples.to(dtype),
        codes.to(dtype),
        images=found.counters["images"],
        condition=None if training.conditions is None else _as(drawn.condition, dtype),
    )


def _refuse_shown(config: TrainConfig) -> None:
    """Refuse runs whose critic is shown other samples than the generator's, or whose generator is taught by some."""
    for name, value in (
        ("augment", config.augment),
        ("packing", config.packing if config.packing > 1 else None),
        ("replay_pool", config.replay_pool),
        ("top_k", config.top_k if config.top_k < 1 else None),
    ):
        require(value is None, f"{name} is {value}: the game of a run is known without it only")


def _as(condition: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return condition.to(dtype) if condition is not None and condition.is_floating_point() else condition


@contextmanager
def _same_draws(devices: list[torch.device]) -> Iterator[torch.Generator]:
    """Give the same random numbers at each call, torch's global ones (dropout) too, and leave those as they were."""
    with torch.random.fork_rng(devices=devices):
        # only the streams that were forked: torch.manual_seed reaches every GPU
        torch.default_generator.manual_seed(0)
        for device in devices:
            torch.cuda.default_generators[device.index or 0].manual_seed(0)
        yield torch.Generator().manual_seed(0)


def _standing(network: nn.Module) -> nn.Module:
    """Return a network in training mode whose parametrisations (power iterations) stand still."""
    network.train()
    for name, module in network.named_modules():
        old = any(isinstance(hook, SpectralNorm) for hook in module._forward_pre_hooks.values())
        if old:
            raise InputError(
                f"{name or type(module).__name__} has torch.nn.utils.spectral_norm, which moves at every call: wanted "
                "torch.nn.utils.parametrizations.spectral_norm"
            )
        if isinstance(module, parametrize.ParametrizationList):
            module.eval()
    return network


def _in_full(objective: Objective) -> Objective:
    """Return an objective whose terms count at every call, on the whole batch."""

    def full(terms: tuple[Term[AnyPenalty], ...]) -> tuple[Term[AnyPenalty], ...]:
        return tuple(
            dataclasses.replace(term, penalty=on_whole(term.penalty), every=1, fraction=1.0) for term in terms
        )

    return dataclasses.replace(
        objective,
        critic_terms=full(objective.critic_terms),
        generator_terms=full(objective.generator_terms),
        generator_sample_terms=full(objective.generator_sample_terms),
    )
