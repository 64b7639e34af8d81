"""The shared passes compute what the loss and the penalties compute on their own."""

import copy
import dataclasses
import math

import pytest
import torch
from torch import nn

from adversarium import penalties
from adversarium.errors import InputError
from adversarium.presets import PRESETS
from adversarium.train import critic_side, generator_side, modules_of
from adversarium.types import Anneal, Objective, Term, at


def make_critic(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(1), nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 1), nn.Flatten(0)).double()


def batches(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(6, 3, 2, 2, generator=rng, dtype=torch.float64) for _ in range(2))


class Counted(nn.Module):
    """A critic that counts the samples it sees in each call."""

    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic, self.calls = critic, []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.append(len(x))
        return self.critic(x)


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("preset", PRESETS)
def test_critic_side_equals_the_parts_computed_one_by_one(preset: str, joint: bool) -> None:
    # a copy: a loss with state moves it at each call
    objective, (real, fake), images = copy.deepcopy(PRESETS[preset].objective), batches(1), 3_000_000
    shared, apart = make_critic(2), make_critic(2)
    rngs = [torch.Generator().manual_seed(3) for _ in range(2)]

    side = critic_side(objective, shared, real, fake, rngs[0], images=images, joint=joint)
    sum(side.parts.values()).backward()

    # the slow twin: a forward for each, the penalties as a builder calls them
    objective = copy.deepcopy(PRESETS[preset].objective)
    total = objective.loss.critic(apart(real), apart(fake)).mean()
    for term in objective.critic_terms:
        total = total + at(term.weight, images) * term.penalty(apart, real, fake, rngs[1]).mean()
    total.backward()

    torch.testing.assert_close(sum(side.parts.values()), total, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(shared.parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-9, atol=1e-12)
    assert set(side.parts) == {"loss", *(term.name for term in objective.critic_terms)}


@pytest.mark.parametrize(
    ("preset", "joint", "calls"),
    [("nsgan", True, [12]), ("nsgan", False, [6, 6]), ("r3gan", True, [12]), ("wgan-gp", True, [12, 6])],
)
def test_number_of_critic_passes(preset: str, joint: bool, calls: list[int]) -> None:
    critic = Counted(make_critic(0))
    critic_side(PRESETS[preset].objective, critic, *batches(0), torch.Generator(), joint=joint)
    assert critic.calls == calls


def test_one_penalty_at_the_real_samples_takes_no_gradient_at_the_fakes() -> None:
    critic = Counted(make_critic(0))
    objective = Objective(
        loss=PRESETS["nsgan"].objective.loss, critic_terms=(Term(name="r1", penalty=penalties.r1()),)
    )
    critic_side(objective, critic, *batches(0), None)
    assert critic.calls == [6, 6]


def test_a_lazy_term_is_due_at_each_kth_step_with_k_times_the_weight() -> None:
    (real, fake), critic = batches(4), make_critic(5)
    loss = PRESETS["nsgan"].objective.loss
    always = Objective(loss=loss, critic_terms=(Term(name="r1", penalty=penalties.r1(), weight=0.7),))
    lazy = Objective(loss=loss, critic_terms=(Term(name="r1", penalty=penalties.r1(), weight=0.7, every=4),))
    each = critic_side(always, critic, real, fake, None).parts["r1"]
    for step in range(9):
        parts = critic_side(lazy, critic, real, fake, None, step=step).parts
        assert ("r1" in parts) == (step % 4 == 0)
        if "r1" in parts:
            torch.testing.assert_close(parts["r1"], 4 * each)


def test_annealed_weights() -> None:
    anneal = Anneal(3.0, 1.0, over_images=500)
    # half a cosine: its ends, its middle, and constant afterwards
    assert [anneal(images) for images in (0, 250, 500, 800, 10**9)] == pytest.approx([3.0, 2.0, 1.0, 1.0, 1.0])
    (real, fake), critic = batches(6), make_critic(7)
    objective = Objective(
        loss=PRESETS["nsgan"].objective.loss, critic_terms=(Term(name="r1", penalty=penalties.r1(), weight=anneal),)
    )
    start, middle = (critic_side(objective, critic, real, fake, None, images=n).parts["r1"] for n in (0, 250))
    torch.testing.assert_close(middle / start, torch.full_like(start, 2 / 3))


@pytest.mark.parametrize("preset", PRESETS)
def test_generator_side(preset: str) -> None:
    loss, (real, fake) = PRESETS[preset].objective.loss, batches(8)
    critic = Counted(make_critic(9))
    fake.requires_grad_()
    (value,) = generator_side(PRESETS[preset].objective, critic, real, fake).values()
    # the losses that do not read the real scores do not pay for them
    assert critic.calls == ([6, 6] if loss.generator_needs_real else [6])
    expected = loss.generator(critic.critic(real), critic.critic(fake)).mean()
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(
        torch.autograd.grad(value, fake)[0], torch.autograd.grad(expected, fake)[0], rtol=1e-9, atol=1e-12
    )


def test_inputs_are_left_as_they_were() -> None:
    real, fake = batches(0)
    critic_side(PRESETS["r3gan"].objective, make_critic(0), real, fake, None)
    assert not real.requires_grad
    assert not fake.requires_grad
    assert real.grad is None


def test_terms_that_could_not_be_told_apart_or_never_come() -> None:
    loss, r1 = PRESETS["nsgan"].objective.loss, penalties.r1()
    with pytest.raises(InputError, match="two critic terms have one name"):
        Objective(loss=loss, critic_terms=(Term(name="r1", penalty=r1), Term(name="r1", penalty=r1)))
    for wrong, words in (
        ({"every": 0}, "every is 0"),
        ({"weight": -1.0}, "weight is -1.0"),
        ({"name": "loss"}, "loss"),
        ({"name": "gradient_norm"}, "gradient_norm"),
    ):
        with pytest.raises(InputError, match=words):
            Term(**{"name": "r1", "penalty": r1, **wrong})


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("preset", ["r3gan", "wgan-gp"])
@pytest.mark.parametrize("fraction", [0.5, 0.3, 1e-6])
def test_a_fraction_is_the_penalty_on_the_first_rows_of_a_random_order(
    preset: str, fraction: float, joint: bool
) -> None:
    objective, (real, fake) = PRESETS[preset].objective, batches(1)
    terms = tuple(dataclasses.replace(term, fraction=fraction) for term in objective.critic_terms)
    critic, twin = make_critic(2), make_critic(2)
    side = critic_side(
        dataclasses.replace(objective, critic_terms=terms),
        critic,
        real,
        fake,
        torch.Generator().manual_seed(3),
        joint=joint,
    )
    sum(side.parts.values()).backward()

    rng = torch.Generator().manual_seed(3)
    order = torch.randperm(6, generator=rng)
    rows = order[: math.ceil(fraction * 6)]
    total = objective.loss.critic(twin(real[order]), twin(fake[order])).mean()
    for term in terms:
        total = total + at(term.weight, 0) * term.penalty(twin, real[rows], fake[rows], rng).mean()
    total.backward()
    for mine, theirs in zip(critic.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-9, atol=1e-12)


def test_terms_of_different_fractions_share_one_pass() -> None:
    (real, fake), critic = batches(1), Counted(make_critic(2))
    terms = tuple(
        Term(name=name, penalty=factory(), fraction=fraction)
        for name, factory, fraction in (("r1", penalties.r1, 1 / 3), ("r2", penalties.r2, 0.5))
    )
    parts = critic_side(
        Objective(loss=PRESETS["nsgan"].objective.loss, critic_terms=terms),
        critic,
        real,
        fake,
        torch.Generator().manual_seed(0),
    ).parts
    assert critic.calls == [5, 7]  # two real and three fake samples with slopes, all others without
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(parts["r1"], penalties.r1()(critic.critic, real[order[:2]], fake, None).mean())
    torch.testing.assert_close(parts["r2"], penalties.r2()(critic.critic, real, fake[order[:3]], None).mean())


def test_a_fraction_is_unbiased() -> None:
    (real, fake), critic = batches(4), make_critic(5)
    whole = penalties.r1()(critic, real, fake, None).detach()
    rng = torch.Generator().manual_seed(0)
    term = Term(name="r1", penalty=penalties.r1(), fraction=0.5)
    objective = Objective(loss=PRESETS["nsgan"].objective.loss, critic_terms=(term,))
    drawn = torch.stack([critic_side(objective, critic, real, fake, rng).parts["r1"].detach() for _ in range(600)])
    assert abs(drawn.mean() - whole.mean()) < 4 * drawn.std() / 600**0.5
    assert drawn.std() > 0.01 * whole.mean()


def test_scores_come_back_in_the_order_of_the_samples() -> None:
    (real, fake), critic = batches(4), make_critic(5)
    term = Term(name="r1", penalty=penalties.r1(), fraction=0.5)
    side = critic_side(
        Objective(loss=PRESETS["nsgan"].objective.loss, critic_terms=(term,)),
        critic,
        real,
        fake,
        torch.Generator().manual_seed(0),
    )
    torch.testing.assert_close(side.real_scores, critic(real).detach())
    torch.testing.assert_close(side.fake_scores, critic(fake).detach())
    with pytest.raises(InputError, match="6 real and 4 fake samples"):
        critic_side(
            Objective(loss=PRESETS["nsgan"].objective.loss, critic_terms=(term,)), critic, real, fake[:4], None
        )


@pytest.mark.parametrize(
    ("fraction", "samples", "rows"), [(0.07, 100, 7), (0.55, 100, 55), (0.5, 5, 3), (1e-11, 9, 1)]
)
def test_a_fraction_is_rounded_up_but_for_rounding_errors(fraction: float, samples: int, rows: int) -> None:
    assert penalties.rows_of(fraction, samples) == rows


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.5])
def test_a_fraction_is_a_share(fraction: float) -> None:
    with pytest.raises(InputError, match=f"fraction is {fraction}"):
        Term(name="r1", penalty=penalties.r1(), fraction=fraction)


def test_penalties_on_scores_take_the_losss_scores() -> None:
    (real, fake), critic = batches(6), Counted(make_critic(7))
    lecam, twin = penalties.lecam(), penalties.lecam()
    objective = Objective(
        loss=PRESETS["nsgan"].objective.loss, critic_terms=(Term(name="lecam", penalty=lecam, weight=0.3),)
    )
    for seed in (6, 7):
        real, fake = batches(seed)
        part = critic_side(objective, critic, real, fake, None).parts["lecam"]
        torch.testing.assert_close(part, 0.3 * twin(critic.critic, real, fake, None).mean())
    assert critic.calls == [12, 12]
    assert modules_of(objective) == {"critic.lecam": lecam}
    for mine, theirs in zip(lecam.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_penalties_with_other_methods_take_their_own_pass() -> None:
    (real, fake), critic = batches(6), Counted(make_critic(7))
    terms = (
        Term(name="r1", penalty=penalties.r1(method="functional")),
        Term(name="r2", penalty=penalties.r2(method="finite")),
    )
    parts = critic_side(Objective(loss=PRESETS["nsgan"].objective.loss, critic_terms=terms), critic, real, fake, None)
    assert critic.calls == [6, 6, 6, 12]  # real with slopes, fake, then R2's direction and both ends
    for name, samples in (("r1", real), ("r2", fake)):
        expected = penalties.r1()(critic.critic, samples, samples, None).mean()
        torch.testing.assert_close(parts.parts[name], expected, rtol=1e-6, atol=0)


def test_generator_terms() -> None:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Unflatten(1, (3, 2, 2))).double()
    critic, codes = make_critic(1), torch.randn(6, 4, dtype=torch.float64)
    penalty = penalties.mode_seeking()
    objective = Objective(
        loss=PRESETS["nsgan"].objective.loss,
        generator_terms=(Term(name="spread", penalty=penalty, weight=0.7, every=2, fraction=0.5),),
    )
    fake = generator(codes)
    for step in range(3):
        parts = generator_side(objective, critic, None, fake, generator=generator, codes=codes, step=step)
        assert ("spread" in parts) == (step % 2 == 0)
        if "spread" in parts:
            expected = penalty(generator, critic, codes[:3], fake[:3], None).mean()
            torch.testing.assert_close(parts["spread"], 2 * 0.7 * expected)
