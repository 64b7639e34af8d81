"""A look at a run from outside: a few samples through both networks, and what can be read off them."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from adversarium.data import Density
from adversarium.errors import require
from adversarium.nets.conditional import Conditioned
from adversarium.penalties import between, per_sample, wide
from adversarium.types import Critic, Loss

_MIDDLE = 64  # points between data and fakes at which slopes are taken
_NEIGHBOURS = 5
_EDGE = 0.99

PROBED: dict[str, str] = {
    "probe_auc": "share of pairs in which data score above fakes; 0.5: the critic sees no difference",
    "probe_auc_held_out": "the same with data that were not trained on",
    "probe_auc_memory": "share of pairs in which data trained on score above data that were not; 0.5: no overfitting",
    "probe_overfitting": "(D(train) - D(held out)) / (D(train) - D(fake)) of mean scores; 0: none, 1: held-out data "
    "count as fake",
    "probe_generator_signal": "mean size of the generator's loss gradient by a score; 1: as at an undecided critic",
    "probe_critic_signal": "the same of the critic's loss, at real and fake scores",
    "probe_critic_gain": "share of the loss of an undecided critic that this one has got rid of; at most 1",
    "probe_sample_gradient": "mean norm of the generator's loss gradient by a sample, times the mean distance of data",
    "probe_slope_real": "mean slope of the critic at data",
    "probe_slope_fake": "mean slope of the critic at fakes",
    "probe_slope_between": "mean slope of the critic on lines between data and fakes",
    "probe_slope_max": "largest of these slopes",
    "probe_diversity": "mean distance between fakes over that between data",
    "probe_coverage": "share of data with a fake among their 5 nearest neighbours in the data; about 0.97 at best",
    "probe_precision": "share of fakes that lie in such a neighbourhood",
    "probe_distance": "energy distance of fakes and data over twice their mean distance: 0 (equal) to 1",
    "probe_far": "share of fakes farther from the data's centre than all data",
    "probe_edge": "share of an image's values within 1 % of the ends of the range, in fakes",
    "probe_edge_real": "the same in the data",
    "probe_modes": "share of the known modes that have a fake nearer than a quarter of the distance between modes",
    "probe_high_quality": "share of fakes within 3 standard deviations of a known mode; 0.989 at best in the plane",
    "probe_critic_update": "size of the critic's last step relative to its weights",
    "probe_generator_update": "size of the generator's last step relative to its weights",
}
"""The numbers that a probe measures, by name in a record, and what they mean. All but the slopes have no unit."""


def probe(
    generator: Callable[[Tensor], Tensor],
    critic: Critic,
    loss: Loss,
    real: Tensor,
    held_out: Tensor | None,
    codes: Tensor,
    *,
    rng: torch.Generator,
    features: Callable[[Tensor], Tensor] | None = None,
    density: Density | None = None,
) -> dict[str, float]:
    """Measure what :data:`PROBED` lists, as far as it is defined here; a number that is not finite is left out.

    It changes nothing: buffers (running statistics, power iterations, equilibria), gradients, modes and torch's random
    streams are afterwards what they were. Networks are evaluated in the mode they are in. It costs a pass of the
    generator over the codes, of the critic over all samples, and the critic's gradient by them: with 128 samples a
    side, between one and two training steps at a batch of 64.

    Args:
        generator: codes to samples.
        critic: samples to scores. A conditional one is ``Conditioned`` on what the i-th real sample, the i-th fake one
            and the i-th held out are of.
        loss: what the two play for.
        real: encoded samples of the training data, ``[N, ...]``. The same ones each time make curves smooth.
        held_out: encoded samples of data that are not trained on, or ``None``.
        codes: ``[N, latent_dim]``.
        rng: for points between data and fakes; on any device.
        features: encoded samples to rows ``[N, D]`` in which distances mean something. ``None``: the numbers
            themselves.
        density: the data's distribution, where it is known, for its modes, where it has any.

    Raises:
        InputError: fewer than 2 real samples or codes.
    """
    require(len(real) >= 2 and len(codes) >= 2, f"{len(real)} real samples and {len(codes)} codes: wanted at least 2")
    with torch.no_grad(), _untouched(rng, real.device, generator, critic, loss.critic, loss.generator):
        fake = generator(codes).detach()
        see = features or _flat
        found = {**_samples(see(real), see(fake)), **_edges(real, fake)}
        if density is not None and density.modes is not None:
            found |= _modes(fake, density, density.modes.to(fake.device, torch.float64))
        found |= _critic(critic, loss, real, held_out, fake, rng, spread=found.pop("spread"))
    names = list(found)
    values = torch.stack([found[name].detach().to(real.device, torch.float64) for name in names])
    return {f"probe_{name}": value for name, value in zip(names, values.tolist(), strict=True) if math.isfinite(value)}


class UpdateSizes:
    """How large one step of each player is, relative to its weights: ``‖w' - w‖ / ‖w‖``.

    Call :meth:`remember` before a step and :meth:`measure` after it. It works for every optimizer and game rule.
    """

    def __init__(self, *, critic: nn.Module, generator: nn.Module) -> None:
        self._networks = {"critic": critic, "generator": generator}
        self._before: dict[str, list[Tensor]] = {}

    @torch.no_grad()
    def remember(self) -> None:
        """Keep a copy of the weights as they are."""
        self._before = {
            player: [each.detach().clone() for each in network.parameters() if each.requires_grad]
            for player, network in self._networks.items()
        }

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Return the sizes since :meth:`remember`, and forget the copy; nothing where there is none."""
        found = {}
        for player, before in self._before.items():
            now = [each.detach() for each in self._networks[player].parameters() if each.requires_grad]
            moved = torch.nn.utils.get_total_norm(torch._foreach_sub(now, before))
            found[f"probe_{player}_update"] = float(moved / torch.nn.utils.get_total_norm(before))
        self._before = {}
        return {name: value for name, value in found.items() if math.isfinite(value)}


@contextmanager
def _untouched(rng: torch.Generator, device: torch.device, *parts: Any) -> Iterator[None]:
    """Put buffers, modes and torch's random streams back to what they are now; meanwhile those depend on ``rng``."""
    modules = {id(module): module for part in parts if isinstance(part, nn.Module) for module in part.modules()}
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in modules.values()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    # a spectral norm's power iteration would move at each pass
    still = [
        (part, part.training)
        for module in modules.values()
        if isinstance(module, parametrize.ParametrizationList)
        for part in module.modules()
    ]
    devices = [device] if device.type == "cuda" else []
    seed = int(torch.randint(2**62, (), generator=rng, device=rng.device))
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        for each in devices:
            torch.cuda.default_generators[each.index or 0].manual_seed(seed)
        try:
            for part, _ in still:
                part.training = False
            yield
        finally:
            for part, mode in still:
                part.training = mode
            for module, name, buffer, value in buffers:
                buffer.copy_(value)
                module._buffers[name] = buffer


def _critic(
    critic: Critic,
    loss: Loss,
    real: Tensor,
    held_out: Tensor | None,
    fake: Tensor,
    rng: torch.Generator,
    *,
    spread: Tensor,
) -> dict[str, Tensor]:
    pairs = min(len(real), len(fake))
    real_scores, at_real = _scores_and_slopes(critic, real)
    fake_scores, at_fake = _scores_and_slopes(critic, fake)
    found = _signals(loss, real_scores[:pairs], fake_scores[:pairs])
    if loss.score_width is not None:  # scores that are distributions have no order and no slope
        return found
    some = min(_MIDDLE, pairs)
    first = critic.take(slice(some)) if isinstance(critic, Conditioned) else critic
    at_middle = _scores_and_slopes(first, between(real[:some], fake[:some], rng))[1]
    found |= {
        "slope_real": at_real.mean(),
        "slope_fake": at_fake.mean(),
        "slope_between": at_middle.mean(),
        "slope_max": torch.cat([at_real, at_fake, at_middle]).max(),
    }
    if "generator_slope" in found:
        found["sample_gradient"] = found.pop("generator_slope") * at_fake.mean() * spread
    r, s = per_sample(real_scores), per_sample(fake_scores)
    found["auc"] = _above(r, s)
    if held_out is not None and len(held_out):
        h = per_sample(wide(critic(held_out)))
        found |= {"auc_held_out": _above(h, s), "auc_memory": _above(r, h)}
        gap = r.mean() - s.mean()
        # where the critic sees no difference the ratio is one of two noises
        if bool(gap > 0.1 * torch.cat([r - r.mean(), s - s.mean()]).std()):
            found["overfitting"] = (r.mean() - h.mean()) / gap
    return found


def _scores_and_slopes(critic: Critic, samples: Tensor) -> tuple[Tensor, Tensor]:
    """Return the critic's scores, and the norm of its gradient at each sample, ``[B]``."""
    with torch.enable_grad():
        points = samples.detach().requires_grad_()
        scores = wide(critic(points))
        gradient = torch.autograd.grad(per_sample(scores).sum(), points)[0]
    return scores.detach(), torch.linalg.vector_norm(wide(gradient).flatten(1), dim=1)


def _signals(loss: Loss, real_scores: Tensor, fake_scores: Tensor) -> dict[str, Tensor]:
    """Return what of the losses' gradients by the scores is left, measured by those of an undecided critic."""
    undecided = _undecided(loss, fake_scores)
    generator, critic, value = _gradients(loss, real_scores, fake_scores)
    generator_then, critic_then, value_then = _gradients(
        loss, torch.full_like(real_scores, undecided or 0.0), torch.full_like(fake_scores, undecided or 0.0)
    )
    found = {
        "generator_signal": generator / generator_then,
        "critic_signal": critic / critic_then,
        "generator_slope": generator,
    }
    if undecided is not None and bool(value_then > 1e-6):
        found["critic_gain"] = 1 - value / value_then
    return found


def _gradients(loss: Loss, real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean size of either player's loss gradient by a score, and the critic's loss."""
    with torch.enable_grad():
        r, s = real_scores.detach().requires_grad_(), fake_scores.detach().requires_grad_()
        value = loss.critic(r, s).mean()
        by_r, by_s = torch.autograd.grad(value, (r, s), allow_unused=True)
        by_fake = torch.autograd.grad(loss.generator(r, s).mean(), s)[0]
    critic = sum((each.abs().sum() for each in (by_r, by_s) if each is not None), start=torch.zeros_like(value))
    return by_fake.abs().sum(), critic.detach(), value.detach()


def _undecided(loss: Loss, like: Tensor) -> float | None:
    """Return the score that a critic gives that sees no difference, nearest to 0; ``None`` where there is none.

    It minimises the critic's loss over one score for all samples. Losses that couple scores read differences: 0.
    """
    if loss.coupling != "none" or loss.score_width is not None:
        return 0.0
    scores = torch.linspace(-5, 5, 201, dtype=torch.float64, device=like.device)
    values = loss.critic(scores, scores)
    low = values.min()
    best = scores[values <= low + 1e-6 * (1 + low.abs())]
    found = float(best[best.abs().argmin()])
    return found if abs(found) < 5 else None


def _above(one: Tensor, other: Tensor) -> Tensor:
    """Return the share of pairs of which ``one`` has the larger number; ties count half."""
    return (torch.sign(one[:, None] - other[None]).mean() + 1) / 2


def _flat(samples: Tensor) -> Tensor:
    return samples.flatten(1)


def _samples(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """Return how fakes lie to data, from the three tables of distances between rows."""
    real, fake = real.double(), fake.double()  # products of nearly equal rows cancel in float32
    among_real, among_fake, across = (torch.cdist(a, b) for a, b in ((real, real), (fake, fake), (real, fake)))
    within, within_fake = (table.sum() / (len(table) * (len(table) - 1)) for table in (among_real, among_fake))
    k = min(_NEIGHBOURS, len(real) - 1)
    radius = among_real.kthvalue(k + 1, dim=1).values  # the nearest is the row itself
    reached = across <= radius[:, None]
    center = real.mean(0)
    reach = torch.linalg.vector_norm(real - center, dim=1).max()
    return {
        "spread": within,
        "diversity": within_fake / within,
        "coverage": reached.any(1).double().mean(),
        "precision": reached.any(0).double().mean(),
        "distance": 1 - (within + within_fake) / (2 * across.mean()),
        "far": (torch.linalg.vector_norm(fake - center, dim=1) > reach).double().mean(),
    }


def _edges(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """Return how much of images from -1 to 1 is black or white."""
    if real.ndim != 4:
        return {}
    return {name: (images.abs() >= _EDGE).double().mean() for name, images in (("edge", fake), ("edge_real", real))}


def _modes(fake: Tensor, density: Density, modes: Tensor) -> dict[str, Tensor]:
    nearest, which = torch.cdist(density.codec.decode(fake).double(), modes).min(dim=1)
    radius = 3 * density.std
    if len(modes) > 1:
        radius = max(radius, float(torch.nn.functional.pdist(modes).min()) / 4)
    return {
        "modes": nearest.new_tensor(which[nearest <= radius].unique().numel() / len(modes)),
        "high_quality": (nearest <= 3 * density.std).double().mean(),
    }
