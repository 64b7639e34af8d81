"""Terms that name classes or codes, in steps with batch norm in the critic: against a slow twin, and twice derived."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from adversarium import losses
from adversarium.conditionals import CONDITIONALS
from adversarium.errors import InputError
from adversarium.games import alternating
from adversarium.games.linearised import Linearised
from adversarium.nets.heads import ClassifyingCritic, ContrastiveCritic, RecognisingCritic
from adversarium.penalties import GENERATOR_PENALTIES, PENALTIES, SAMPLE_PENALTIES, WANTED_METHODS, WITH_BATCH_NORM
from adversarium.train import Step
from adversarium.types import SLOTS, Closure, Condition, GameRule, Objective, Term

BATCH, NOISE, CLASSES, NUMBERS = 12, 4, 3, 1
LATENT = NOISE + NUMBERS + CLASSES
LABELS = Condition("label", CLASSES)
HEADS: dict[str, Callable[..., nn.Module]] = {
    "acgan": lambda body, rng: ClassifyingCritic(body, 6, LABELS, rng=rng),
    "contrastive": lambda body, rng: ContrastiveCritic(body, 6, LABELS, width=5, rng=rng),
    "infogan": lambda body, rng: RecognisingCritic(body, 6, categories=CLASSES, continuous=NUMBERS, hidden=7, rng=rng),
}
OPTIONS: dict[str, dict[str, int]] = {"infogan": {"categories": CLASSES, "continuous": NUMBERS}}


class ByClass(nn.Module):
    """A generator of two arguments: a column of its code is the class."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Linear(LATENT + 1, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2)]
        self.layers = nn.Sequential(*layers)

    def forward(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        column = codes.new_zeros(len(codes)) if labels is None else labels.to(codes.dtype)
        return self.layers(torch.cat([codes, column[:, None]], 1))


def networks(method: str) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(2)
    body = nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6), nn.Softplus())
    critic = HEADS[method](body, torch.Generator().manual_seed(3))
    return ByClass().double(), critic.double()


def objective_of(method: str) -> Objective:
    made = CONDITIONALS[method](**OPTIONS.get(method, {}))
    return Objective(loss=losses.nonsaturating(), **{slot: getattr(made, slot) for slot in SLOTS})


class Draws:
    """The same real samples, labels and codes for both of two ways to take a step."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.data, self.of_codes = (torch.Generator().manual_seed(each) for each in (4, 5))

    def real(self, n: int) -> Any:
        samples = torch.randn(n, 2, generator=self.data, dtype=torch.float64) * 2 + 1
        labels = torch.randint(CLASSES, (n,), generator=self.data)
        return samples if self.method == "infogan" else (samples, labels)

    def codes(self, n: int) -> Tensor:
        rows = torch.randn(n, NOISE + NUMBERS, generator=self.of_codes, dtype=torch.float64)
        category = torch.randint(CLASSES, (n,), generator=self.of_codes)
        return torch.cat([rows, functional.one_hot(category, CLASSES).to(rows.dtype)], 1)


def step_of(method: str, generator: nn.Module, critic: nn.Module, rule: GameRule, rate: float = 0.05) -> Step:
    draws = Draws(method)
    return Step(
        generator=generator,
        critic=critic,
        objective=objective_of(method),
        rule=rule,
        critic_optimizer=torch.optim.SGD(critic.parameters(), lr=rate),
        generator_optimizer=torch.optim.SGD(generator.parameters(), lr=rate),
        real=draws.real,
        latent=draws.codes,
        rng=torch.Generator().manual_seed(6),
        batch_size=BATCH,
    )


def named(method: str, critic: Any, samples: Tensor, labels: Tensor | None, codes: Tensor) -> Tensor:
    """What a method wants of samples, written out."""
    if method == "acgan":
        return functional.cross_entropy(critic.classify(samples), labels)
    if method == "infogan":
        logits, means = critic.recognise(samples).split([CLASSES, NUMBERS], 1)
        unsure = functional.cross_entropy(logits, codes[:, -CLASSES:].argmax(1))
        return unsure + 0.1 * 0.5 * (codes[:, NOISE : NOISE + NUMBERS] - means).square().sum(1).mean()
    assert labels is not None
    rows, proxies = (functional.normalize(each) for each in critic.contrast(samples, labels))
    values = []
    for i in range(len(rows)):
        own = (rows[i] @ proxies[i]).exp()
        others = sum((rows[i] @ rows[k]).exp() for k in range(len(rows)) if k != i)
        values.append(-(own / (own + others)).log())
    return torch.stack(values).mean()


def twin(method: str, generator: nn.Module, critic: Any, steps: int) -> None:
    """Real and fake in a pass each, what is named in further ones: batch norm sees one side at a time."""
    draws, softplus = Draws(method), functional.softplus
    critic_optimizer = torch.optim.SGD(critic.parameters(), lr=0.05)
    generator_optimizer = torch.optim.SGD(generator.parameters(), lr=0.05)
    for _ in range(steps):
        drawn = draws.real(BATCH)
        real, labels = (drawn, None) if method == "infogan" else drawn
        codes = draws.codes(BATCH)
        fake = generator(codes, labels).detach()
        loss = softplus(-critic(real, labels)).mean() + softplus(critic(fake, labels)).mean()
        for samples in {"acgan": (real, fake), "contrastive": (real,), "infogan": (fake,)}[method]:
            loss = loss + named(method, critic, samples, labels, codes)
        critic_optimizer.zero_grad()
        loss.backward()
        critic_optimizer.step()
        codes = draws.codes(BATCH)
        fake = generator(codes, labels)
        loss = softplus(-critic(fake, labels)).mean() + named(method, critic, fake, labels, codes)
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()


@pytest.mark.parametrize("method", HEADS)
def test_weights_and_running_statistics_are_those_of_the_slow_twin(method: str) -> None:
    ours, theirs = networks(method), networks(method)
    step = step_of(method, *ours, alternating())
    for _ in range(30):
        step()
    twin(method, *theirs, 30)
    for mine, other in zip(ours, theirs, strict=True):
        expected = other.state_dict()
        assert any(name.endswith("running_var") for name in expected)
        for name, value in mine.state_dict().items():
            torch.testing.assert_close(value, expected[name], rtol=1e-8, atol=1e-9, msg=lambda s, n=name: f"{n}: {s}")


@pytest.mark.parametrize("method", HEADS)
def test_a_rule_that_differentiates_twice_sees_through_batch_norm(method: str) -> None:
    """Products by autograd through the attached losses, against differences of what other rules descend by."""
    pair = networks(method)
    weights = [each for network in reversed(pair) for each in network.parameters()]
    rng = torch.Generator().manual_seed(7)
    way = [torch.randn(each.shape, generator=rng, dtype=torch.float64) for each in weights]
    seen: list[Tensor] = []

    def twice(critic_side: Closure, generator_side: Closure, *_: torch.optim.Optimizer) -> None:
        game = Linearised(critic_side, generator_side, *(list(each.parameters()) for each in reversed(pair)))
        seen.append(torch.cat([each.flatten() for each in game.gradients]).detach())
        seen.append(torch.cat([each.flatten() for each in game.product(way)]))

    def gradients(size: float) -> Tensor:
        generator, critic = copy.deepcopy(pair)
        with torch.no_grad():
            for each, by in zip([*critic.parameters(), *generator.parameters()], way, strict=True):
                each += size * by
        found: list[Tensor] = []

        def once(critic_side: Closure, generator_side: Closure, *_: torch.optim.Optimizer) -> None:
            for side, network in ((critic_side, critic), (generator_side, generator)):
                side()
                found.extend(each.grad.flatten() for each in network.parameters())

        step_of(method, generator, critic, GameRule(name="once", play=once))()
        return torch.cat(found)

    step_of(method, *pair, GameRule(name="twice", play=twice, second_order=True))()
    torch.testing.assert_close(seen[0], gradients(0), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(seen[1], (gradients(1e-5) - gradients(-1e-5)) / 2e-5, rtol=1e-5, atol=1e-7)


EXCLUDED = {
    *("wgan_gp", "zero_centred", "r1", "r2", "dragan", "max_gradient", "wgan_div", "noise_r1", "noise_r2"),
    *("lecam", "cr", "bcr", "zcr_critic"),
}
"""They say something of each sample on its own."""
WELCOME = {
    *("spectral_regularisation", "orthogonal_regularisation", "historical_averaging"),
    *("acgan_critic", "contrastive_critic", "information"),
}
"""They are about weights, or name a class or a code."""


@pytest.mark.parametrize("name", [*PENALTIES, "zcr_critic", "information"])
def test_batch_norm_is_refused_by_terms_on_single_samples_alone(name: str) -> None:
    latent = name in GENERATOR_PENALTIES
    term: Term[Any] = Term(name=name, penalty=(GENERATOR_PENALTIES if latent else PENALTIES)[name]())
    slot = "critic_latent_terms" if latent else "critic_terms"
    generator, critic = networks("acgan")

    def step() -> Step:
        return Step(
            generator=generator,
            critic=critic,
            objective=Objective(loss=losses.nonsaturating(), **{slot: (term,)}),
            rule=alternating(),
            critic_optimizer=torch.optim.SGD(critic.parameters(), lr=0.1),
            generator_optimizer=torch.optim.SGD(generator.parameters(), lr=0.1),
            real=Draws("acgan").real,
            latent=Draws("acgan").codes,
            rng=torch.Generator(),
            batch_size=BATCH,
        )

    assert (name in EXCLUDED) != (name in WELCOME)
    if name in EXCLUDED:
        with pytest.raises(
            InputError, match=rf"batch norm and a penalty \({name}\) that says something of each sample"
        ):
            step()
    else:
        step()


def test_what_goes_with_batch_norm_is_a_member_that_asks_the_critic_for_more_than_scores() -> None:
    assert set(WITH_BATCH_NORM) <= {*PENALTIES, *GENERATOR_PENALTIES, *SAMPLE_PENALTIES}
    assert set(WITH_BATCH_NORM) <= set(WANTED_METHODS)
    assert set(SAMPLE_PENALTIES) <= set(WITH_BATCH_NORM)  # they see batches, as the generator's loss does
