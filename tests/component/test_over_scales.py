"""Losses over lists of scores against a loop; gradient accumulation and autocast."""

from collections.abc import Callable

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor, nn

from adversarium.component import (
    MultiPeriodCritic,
    MultiScaleCritic,
    all_layers,
    over_scales,
)
from adversarium.errors import InputError
from adversarium.losses import LOSSES
from adversarium.penalties import match_features
from adversarium.types import Loss


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


STATELESS = [name for name in LOSSES if name != "began"]
SHAPES = ((4, 3, 5), (4, 2, 2), (4,))


def lists(loss: Loss, seed: int) -> tuple[list[Tensor], list[Tensor]]:
    """Scores of three critics; never positive, as EBGAN wants them."""
    width = () if loss.score_width is None else (loss.score_width,)
    draw = [
        [-torch.rand((*s, *width), generator=seeded(seed + k), dtype=torch.float64) for s in SHAPES] for k in (0, 9)
    ]
    return draw[0], draw[1]


@pytest.mark.parametrize("name", STATELESS)
@pytest.mark.parametrize("together", ["sum", "mean"])
def test_it_is_a_loop_over_critics_and_positions(name: str, together: str):
    loss = LOSSES[name]()
    real, fake = lists(loss, 1)
    several = over_scales(loss, together)
    for side in ("critic", "generator"):
        wanted = torch.zeros(4, dtype=torch.float64)
        for r, s in zip(real, fake, strict=True):
            values = getattr(loss, side)(r, s)
            for b in range(4):
                entries = values[b].flatten()
                wanted[b] += sum(entries) / len(entries) / (3 if together == "mean" else 1)
        torch.testing.assert_close(getattr(several, side)(real, fake), wanted)
    assert several.generator_needs_real == loss.generator_needs_real


@pytest.mark.parametrize("name", ["minimax", "nonsaturating", "least_squares", "hinge", "wasserstein", "f_divergence"])
def test_a_map_counts_alike_whatever_its_size(name: str):
    loss = LOSSES[name]()
    small = [-torch.rand(2, 1, 1, generator=seeded(k)) for k in (0, 1)]
    large = [each.expand(2, 7, 9) for each in small]
    for side in ("critic", "generator"):
        call = getattr(over_scales(loss), side)
        torch.testing.assert_close(call([large[0]], [large[1]]), call([small[0]], [small[1]]))


def test_one_tensor_is_a_list_of_one():
    hinge = over_scales(LOSSES["hinge"]())
    real, fake = torch.randn(2, 3, 4, 4, generator=seeded())
    torch.testing.assert_close(hinge.critic(real, fake), hinge.critic([real], [fake]))
    torch.testing.assert_close(hinge.generator(None, fake), -fake.flatten(1).mean(1))


def test_half_precision_scores_give_float32_losses():
    hinge = over_scales(LOSSES["hinge"]())
    real, fake = (torch.randn(4, 9, generator=seeded(k)).bfloat16() for k in (0, 1))
    found = hinge.critic([real], [fake])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, hinge.critic([real.float()], [fake.float()]))


def test_lists_that_cannot_be_meant():
    hinge, paired = over_scales(LOSSES["hinge"]()), over_scales(LOSSES["relativistic"]())
    one, two = torch.zeros(4, 3), torch.zeros(4, 2)
    with pytest.raises(InputError, match="2 real and 1 fake"):
        hinge.critic([one, two], [one])
    with pytest.raises(InputError, match=r"critic 1: real_scores have shape \[4, 2\] and fake_scores \[4, 3\]"):
        hinge.critic([one, two], [one, one])
    with pytest.raises(InputError, match=r"critic 1 has scores \[3, 2\] and critic 0 \[4, 3\]"):
        hinge.generator(None, [one, two[:3]])
    with pytest.raises(InputError, match="empty list"):
        hinge.generator(None, [])
    with pytest.raises(InputError, match="real_scores is None"):
        paired.generator(None, [one])
    with pytest.raises(InputError, match="cannot take 'began': its state"):
        over_scales(LOSSES["began"]())
    with pytest.raises((InputError, TypeCheckError), match="'mean'"):
        over_scales(LOSSES["hinge"](), "maen")


def critics() -> dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]]:
    return {
        "images": (lambda: MultiScaleCritic(1, scales=2, width=3, layers=1, rng=seeded()), (1, 12, 12)),
        "waves": (lambda: MultiPeriodCritic(periods=(2, 3), width=2, rng=seeded()), (1, 40)),
    }


def generator_for(shape: tuple[int, ...]) -> nn.Module:
    """A decoder that is a line in its weights."""
    size = torch.Size(shape).numel()
    network = nn.Sequential(nn.Linear(3, size), nn.Unflatten(1, shape))
    nn.init.normal_(network[0].weight, 0, 0.5, generator=seeded(4))
    nn.init.zeros_(network[0].bias)
    return network


def gradients(
    loss: Loss, critic: nn.Module, generator: nn.Module, real: Tensor, codes: Tensor, parts: int
) -> list[Tensor]:
    """Both players' gradients of the mean over the batch, in so many parts."""
    several, found = over_scales(loss), []
    for player in (critic, generator):
        player.zero_grad()
    for x, z in zip(real.chunk(parts), codes.chunk(parts), strict=True):
        value = several.critic(critic(x), critic(generator(z).detach())).mean() / parts
        value.backward()
    found += [each.grad.clone() for each in critic.parameters()]
    for x, z in zip(real.chunk(parts), codes.chunk(parts), strict=True):
        (real_scores, wanted), (scores, features) = (
            critic.scores_and_features(x),
            critic.scores_and_features(generator(z)),
        )
        matched = match_features(all_layers(wanted), all_layers(features))
        ((several.generator(real_scores, scores) + 2 * matched).mean() / parts).backward()
    return found + [each.grad.clone() for each in generator.parameters()]


@pytest.mark.parametrize("kind", critics())
@pytest.mark.parametrize("name", ["hinge", "nonsaturating", "least_squares", "wasserstein", "relativistic"])
def test_four_micro_batches_are_one_batch(kind: str, name: str):
    loss = LOSSES[name]()
    assert loss.coupling in ("none", "paired")
    build, shape = critics()[kind]
    critic, generator = build().double(), generator_for(shape).double()
    real = torch.randn(8, *shape, generator=seeded(1), dtype=torch.float64)
    codes = torch.randn(8, 3, generator=seeded(2), dtype=torch.float64)
    whole = gradients(loss, critic, generator, real, codes, 1)
    for one, four in zip(whole, gradients(loss, critic, generator, real, codes, 4), strict=True):
        torch.testing.assert_close(four, one)
    assert all(each.abs().max() > 0 for each in whole if each.ndim > 1)


@pytest.mark.parametrize("kind", critics())
@pytest.mark.parametrize("name", ["hinge", "nonsaturating", "least_squares", "relativistic"])
def test_autocast_gives_finite_float32_losses_near_those_without(kind: str, name: str):
    build, shape = critics()[kind]
    critic, generator, several = build(), generator_for(shape), over_scales(LOSSES[name]())
    real, codes = torch.randn(8, *shape, generator=seeded(1)), torch.randn(8, 3, generator=seeded(2))

    def both() -> tuple[Tensor, Tensor, Tensor]:
        (r, wanted), (s, features) = critic.scores_and_features(real), critic.scores_and_features(generator(codes))
        return several.critic(r, s), several.generator(r, s), match_features(all_layers(wanted), all_layers(features))

    plain = both()
    with torch.autocast("cpu", torch.bfloat16):
        assert critic(real)[0].dtype == torch.bfloat16
        cast = both()
    for one, two in zip(plain, cast, strict=True):
        assert two.dtype == torch.float32
        assert two.isfinite().all()
        torch.testing.assert_close(two, one, rtol=0.03, atol=0.03)
    generator.zero_grad()
    cast[1].mean().backward()
    assert all(each.grad.isfinite().all() and each.grad.dtype == torch.float32 for each in generator.parameters())


def test_layers_of_several_critics_are_one_list():
    a, b, c = torch.randn(3, 2, 4, generator=seeded())
    assert all(one is two for one, two in zip(all_layers([[a, b], [c]]), [a, b, c], strict=True))
    assert all(one is two for one, two in zip(all_layers([a, b]), [a, b], strict=True))
