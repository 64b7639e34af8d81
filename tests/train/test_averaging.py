"""The uniform average: a running mean that needs no count of its own."""

import math

import pytest
import torch
from torch import nn

from adversarium.errors import InputError
from adversarium.games import GAMES
from adversarium.train import Ema, UniformAverage


class Point(nn.Module):
    def __init__(self, *values: float) -> None:
        super().__init__()
        self.at = nn.Parameter(torch.tensor(values, dtype=torch.float64))
        self.register_buffer("doubled", 2 * self.at.detach())
        self.register_buffer("count", torch.tensor(0))

    @torch.no_grad()
    def move_to(self, value: torch.Tensor) -> None:
        self.at.copy_(value)
        self.doubled.copy_(2 * value)
        self.count += 1


@pytest.mark.parametrize("start", [0, 3, 8])
@pytest.mark.parametrize("batch", [1, 64])
def test_it_is_the_mean_of_the_iterates_since_the_start(start: int, batch: int):
    rng = torch.Generator().manual_seed(start)
    point, seen = Point(1.0, 2.0), []
    average = UniformAverage(point, from_images=start * batch)
    for step in range(1, 21):
        point.move_to(torch.randn(2, generator=rng, dtype=torch.float64))
        average.update(step * batch, batch)
        seen.append(point.at.detach().clone())
        expected = torch.stack(seen[start:]).mean(0) if step > start else seen[-1]
        torch.testing.assert_close(average.module.at.detach(), expected)
        torch.testing.assert_close(average.module.doubled, 2 * expected)
        assert int(average.module.count) == step
    assert not average.module.at.requires_grad


def test_steps_are_weighted_by_their_images():
    point, rng = Point(0.0), torch.Generator().manual_seed(0)
    average, images, total = UniformAverage(point, from_images=100), 0, torch.zeros(1, dtype=torch.float64)
    for step_images in (64, 64, 10, 200, 64):  # the second step crosses the start: 28 of its images count
        images += step_images
        point.move_to(torch.randn(1, generator=rng, dtype=torch.float64))
        average.update(images, step_images)
        total += max(min(step_images, images - 100), 0) * point.at.detach()
    torch.testing.assert_close(average.module.at.detach(), total / (images - 100))


def test_on_the_bilinear_game_the_mean_converges_like_one_over_t_while_the_players_circle():
    psi, theta = Point(1.0), Point(1.0)
    average, rule = UniformAverage(theta), GAMES["alternating"]()
    optimizers = [torch.optim.SGD([each.at], lr=0.3) for each in (psi, theta)]

    def critic() -> None:
        psi.at.grad = -theta.at.detach().clone()

    def generator() -> None:
        theta.at.grad = psi.at.detach().clone()

    scaled, radii = [], []
    for t in range(1, 5001):
        rule(critic, generator, *optimizers)
        average.update(t, 1)
        scaled.append(t * abs(float(average.module.at)))
        radii.append(math.hypot(float(psi.at.detach()), float(theta.at.detach())))
    # the invariant of alternating descent bounds the circle on both sides, and t * |mean| with it
    assert 1.0 < min(radii) < max(radii) < 2.0
    assert max(scaled[2500:]) == pytest.approx(max(scaled[:1000]), rel=0.01)
    assert 1.0 < max(scaled) < 10.0


def test_a_start_before_the_run_is_refused():
    with pytest.raises(InputError, match="from_images is -1"):
        UniformAverage(Point(0.0), from_images=-1)


def test_both_averages_take_the_same_calls():
    for average in (UniformAverage(Point(1.0)), Ema(Point(1.0), 0.0, 0.05)):
        average.update(64, 64)
        assert float(average.module.at) == 1.0
