"""What a step copies of what it is given, and what of its critic's terms reaches the generator."""

import pytest
import torch
from torch import Tensor, nn

from adversarium.losses import LOSSES
from adversarium.penalties import information, zcr_critic
from adversarium.stabilisers import ReplayPool, ada
from adversarium.train import Step
from adversarium.types import Closure, GameRule, GeneratorPenalty, Objective, Term

BATCH = 8


class Recognising(nn.Module):
    """A critic that also reads a category of two from a sample."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.Tanh())
        self.score, self.reader = nn.Linear(5, 1), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.score(self.body(x))[:, 0]

    def recognise(self, x: Tensor) -> Tensor:
        return self.reader(self.body(x))


def step_of(objective: Objective, rule: GameRule, **options: object) -> Step:
    torch.manual_seed(0)
    generator, critic = nn.Sequential(nn.Linear(3, 64), nn.Unflatten(1, (1, 8, 8))), Recognising()
    draws = torch.Generator().manual_seed(1)
    return Step(
        generator=generator,
        critic=critic,
        objective=objective,
        rule=rule,
        critic_optimizer=torch.optim.SGD(critic.parameters(), lr=0.1),
        generator_optimizer=torch.optim.SGD(generator.parameters(), lr=0.1),
        real=lambda n: torch.randn(n, 1, 8, 8, generator=draws),
        latent=lambda n: torch.eye(3)[torch.arange(n) % 3],
        rng=torch.Generator().manual_seed(2),
        batch_size=BATCH,
        **options,
    )


def test_two_steps_of_one_augmentation_and_pool_share_no_state() -> None:
    def play(critic_side: Closure, generator_side: Closure, *_: torch.optim.Optimizer) -> None:
        critic_side()

    augment, pool = ada(kimg=0.01, every=1, target=-0.9), ReplayPool(4)
    before = {name: value.clone() for part in (augment, pool) for name, value in part.state_dict().items()}
    objective = Objective(loss=LOSSES["nonsaturating"](), critic_terms=(Term(name="x", penalty=_no_reader),))
    one, other = (step_of(objective, GameRule(name="mine", play=play), augment=augment, pool=pool) for _ in range(2))
    one()
    after = {name: value for part in (augment, pool) for name, value in part.state_dict().items()}
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert (int(one.pool.count), int(other.pool.count)) == (4, 0)
    assert float(one.augment.probability) > 0 == float(other.augment.probability)
    assert one.stateful() == {"augment": one.augment, "pool": one.pool}


def _no_reader(critic: Recognising, real: Tensor, fake: Tensor, rng: torch.Generator | None = None) -> Tensor:
    """Let every parameter have a gradient."""
    return 0 * critic.recognise(real).sum(1)


@pytest.mark.parametrize(("term", "reaches"), [(information(2), True), (zcr_critic(), False)])
def test_terms_of_the_codes_under_a_rule_that_differentiates_twice(term: GeneratorPenalty, reaches: bool) -> None:
    """The critic's loss with the term, less the one without it, by the generator's weights."""
    found: list[tuple[Tensor, ...]] = []

    def play(critic_side: Closure, generator_side: Closure, *_: torch.optim.Optimizer) -> None:
        found.append(torch.autograd.grad(critic_side(), list(step.generator.parameters())))

    for terms in ((Term(name="codes", penalty=term),), ()):
        objective = Objective(loss=LOSSES["nonsaturating"](), critic_latent_terms=terms)
        step = step_of(objective, GameRule(name="mine", play=play, second_order=True))
        step()
    difference = max(float((one - other).abs().max()) for one, other in zip(*found, strict=True))
    assert (difference > 1e-4) == reaches
