"""Augmentation, packing, pools, further terms and conditions in a run: against twins, and resumed bit for bit."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import config, records, tensors
from torch import Tensor, nn

from adversarium import losses, penalties
from adversarium.conditionals import CONDITIONALS
from adversarium.config import TrainConfig
from adversarium.data import open_data
from adversarium.diagnostics import Circumstances
from adversarium.diagnostics.penalised import has_critic_penalty
from adversarium.diagnostics.remedies import robust
from adversarium.errors import InputError
from adversarium.games import alternating
from adversarium.losses import LOSSES
from adversarium.nets.minibatch import minibatch_discrimination
from adversarium.penalties import rows_of
from adversarium.stabilisers import diffaugment
from adversarium.train import Step, resume, train
from adversarium.train.build import build
from adversarium.train.objective import critic_side, generator_side
from adversarium.train.resolve import conditions_for, resolve
from adversarium.train.slots import terms_of
from adversarium.train.step import SingleView
from adversarium.train.terms import played
from adversarium.train.watch import looked_at
from adversarium.types import Condition, Objective, Term

OPTIONS: dict[str, dict[str, object]] = {
    "ada": {"data": "mnist", "width": 8, "augment": "ada(kimg=1.0, p=0.3)"},
    "apa": {"augment": "apa(kimg=1.0, p=0.2)"},
    "pool": {"replay_pool": 20},
    "packing": {"packing": 2, "preset": "wgan-gp"},
    "minibatch": {"minibatch": "minibatch_std"},
    "terms": {"terms": "historical_averaging(weight=0.1), generator_historical_averaging(weight=0.1), lecam"},
    "matching": {"terms": "feature_matching(weight=1.0, every=2), r1(gamma=1.0, fraction=0.5)"},
    "top-k": {"top_k": 0.5, "top_k_kimg": 0.2},
    "projection": {"data": "mnist", "width": 8, "conditional": "projection", "drop_condition": 0.2, "preset": "r3gan"},
    "acgan": {"data": "mnist", "width": 8, "conditional": "acgan"},
    "contrastive": {"data": "mnist", "width": 8, "conditional": "contrastive"},
    "infogan": {"data": "mnist", "width": 8, "conditional": "infogan(continuous=2)"},
}
WITH_BATCH_NORM = ("acgan", "contrastive", "infogan")


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_resumed_run_ends_as_one_that_never_stopped(tmp_path: Path, options: dict[str, object]) -> None:
    whole = train(config(tmp_path / "whole", **{**options, "steps": 10}))
    halves = train(config(tmp_path / "halves", **{**options, "steps": 5}))
    resume(halves.path, budget={"steps": 10})
    ours, theirs = tensors(whole.path), tensors(halves.path)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    if options.get("conditional", "").partition("(")[0] in WITH_BATCH_NORM:
        assert any(name.startswith("critic.") and name.endswith("running_var") for name in ours)
    assert all(math.isfinite(value) for record in records(whole.path) for value in record.values())


def test_a_term_is_logged_under_its_name(tmp_path: Path) -> None:
    run = train(config(tmp_path / "run", steps=4, log_every_steps=1, terms="feature_matching, r1(gamma=1.0, every=2)"))
    logged = records(run.path)
    assert all("generator_feature_matching" in record for record in logged)
    assert ["critic_r1" in record for record in logged] == [True, False, True, False]


@pytest.mark.parametrize("name", LOSSES)
def test_no_score_is_better_than_the_boundary_where_data_and_fakes_are_alike(name: str) -> None:
    loss = LOSSES[name]()
    if loss.boundary is None:
        return
    around = loss.boundary + torch.linspace(-0.5, 0.5, 101, dtype=torch.float64)
    values = loss.critic(around, around)
    assert values[50] <= values.min() + 1e-12


def test_every_f_divergence_has_its_own_boundary() -> None:
    assert losses.LOSSES["f_divergence"](divergence="kl").boundary == 1.0
    assert losses.LOSSES["f_divergence"](divergence="pearson").boundary == 0.0
    assert losses.LOSSES["least_squares"](fake=-1.0, real=2.0).boundary == 0.5
    assert losses.LOSSES["wasserstein"]().boundary is None


class PerClass(nn.Module):
    """D(x, y) = <w_y, x>, whose slope is ‖w_y‖ everywhere."""

    def __init__(self, classes: int, dim: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.randn(classes, dim, dtype=torch.float64))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return (self.rows[y] * x).sum(1)


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("fraction", [1.0, 0.4])
@pytest.mark.parametrize("method", ["exact", "functional", "finite"])
def test_penalties_see_each_sample_with_its_own_condition(joint: bool, fraction: float, method: str) -> None:
    torch.manual_seed(3)
    critic, batch = PerClass(4, 3), 10
    real, fake = torch.randn(2, batch, 3, dtype=torch.float64)
    labels = torch.randint(4, (batch,))
    objective = Objective(
        loss=losses.nonsaturating(),
        critic_terms=(
            Term(name="r1", penalty=penalties.r1(2.0, method=method), fraction=fraction),
            Term(name="r2", penalty=penalties.r2(2.0, method=method), fraction=fraction),
            Term(name="wgan_gp", penalty=penalties.wgan_gp(1.0, method=method), fraction=fraction),
            Term(name="lecam", penalty=penalties.lecam(1.0)),
        ),
    )
    side = critic_side(objective, critic, real, fake, torch.Generator().manual_seed(7), joint=joint, condition=labels)
    order = torch.arange(batch)
    if fraction < 1:
        order = penalties.random_rows(batch, real, fake, torch.Generator().manual_seed(7))
    rows = labels[order][: rows_of(fraction, batch)]
    slopes = critic.rows[rows].norm(dim=1)
    tolerance = {"rtol": 1e-6 if method == "finite" else 1e-12, "atol": 1e-9}
    torch.testing.assert_close(side.parts["r1"], slopes.square().mean(), **tolerance)
    torch.testing.assert_close(side.parts["r2"], slopes.square().mean(), **tolerance)
    torch.testing.assert_close(side.parts["wgan_gp"], (slopes - 1).square().mean(), **tolerance)
    torch.testing.assert_close(side.real_scores, (critic.rows[labels] * real).sum(1).detach())
    torch.testing.assert_close(side.fake_scores, (critic.rows[labels] * fake).sum(1).detach())


def test_the_generator_is_judged_by_what_it_was_asked_for() -> None:
    critic, fake, labels = PerClass(3, 2), torch.randn(6, 2, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
    parts = generator_side(Objective(loss=losses.wasserstein()), critic, None, fake, condition=labels)
    torch.testing.assert_close(parts["loss"], -(critic.rows[labels] * fake).sum(1).mean())
    # of the best half alone, those that score highest
    scores = (critic.rows[labels] * fake).sum(1)
    parts = generator_side(Objective(loss=losses.wasserstein()), critic, None, fake, condition=labels, share=0.5)
    torch.testing.assert_close(parts["loss"], -scores.sort(descending=True).values[:3].mean())


class Twin:
    """The same draws for both of two ways to take a step."""

    def __init__(self) -> None:
        self.data, self.codes, self.rng = (torch.Generator().manual_seed(seed) for seed in (1, 2, 3))

    def real(self, n: int) -> Tensor:
        return torch.randn(n, 3, generator=self.data)

    def latent(self, n: int) -> Tensor:
        return torch.randn(n, 2, generator=self.codes)


def pair(inputs: int) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3)), nn.Sequential(
        nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0)
    )


def moved(generator: nn.Module, critic: nn.Module, twin: Twin, **options: object) -> list[Tensor]:
    step = Step(
        generator=generator,
        critic=critic,
        objective=Objective(loss=losses.nonsaturating(), critic_terms=(Term(name="r1", penalty=penalties.r1(0.5)),)),
        rule=alternating(),
        critic_optimizer=torch.optim.SGD(critic.parameters(), lr=0.1),
        generator_optimizer=torch.optim.SGD(generator.parameters(), lr=0.1),
        real=twin.real,
        latent=twin.latent,
        rng=twin.rng,
        batch_size=12,
        **options,
    )
    for _ in range(3):
        step()
    return [each.detach() for each in (*generator.parameters(), *critic.parameters())]


def by_hand(generator: nn.Module, critic: nn.Module, twin: Twin, join: Callable[[Tensor], Tensor], share: float):
    softplus = nn.functional.softplus
    for _ in range(3):
        real, fake = join(twin.real(12)).requires_grad_(), join(generator(twin.latent(12)).detach())
        scores = critic(real)
        slope = torch.autograd.grad(scores.sum(), real, create_graph=True)[0].square().sum(1)
        value = softplus(-scores).mean() + softplus(critic(fake)).mean() + 0.25 * slope.mean()
        for parameter, gradient in zip(
            critic.parameters(), torch.autograd.grad(value, list(critic.parameters())), strict=True
        ):
            parameter.data -= 0.1 * gradient
        scores = critic(join(generator(twin.latent(12))))
        best = softplus(-scores)[scores.argsort(descending=True)][: math.ceil(share * len(scores))]
        for parameter, gradient in zip(
            generator.parameters(), torch.autograd.grad(best.mean(), list(generator.parameters())), strict=True
        ):
            parameter.data -= 0.1 * gradient
    return [each.detach() for each in (*generator.parameters(), *critic.parameters())]


@pytest.mark.parametrize(("packing", "share"), [(1, 1.0), (3, 1.0), (1, 0.5), (2, 0.5)])
def test_packs_and_the_best_fakes_against_a_loop_by_hand(packing: int, share: float) -> None:
    def join(samples: Tensor) -> Tensor:
        return torch.stack([torch.cat([*samples[i : i + packing]]) for i in range(0, len(samples), packing)])

    ours = moved(*pair(3 * packing), Twin(), packing=packing, top_k=share)
    theirs = by_hand(*pair(3 * packing), Twin(), join, share)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_view_of_single_samples_gives_each_its_packs_score_and_slope() -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 1), nn.Flatten(0)).double()
    samples = torch.randn(8, 2, dtype=torch.float64, requires_grad=True)
    scores = SingleView(critic, 3, 1)(samples)  # the third pack is filled up with the first sample
    packs = torch.stack([samples[:3].flatten(), samples[3:6].flatten(), samples[[6, 7, 0]].flatten()])
    expected = critic(packs)
    torch.testing.assert_close(scores, expected.repeat_interleave(3)[:8])
    found = torch.autograd.grad(scores[:6].sum(), samples)[0][:6]
    torch.testing.assert_close(found, torch.autograd.grad(expected[:2].sum(), samples)[0][:6])


def test_both_sides_are_augmented_and_the_generator_learns_through_it() -> None:
    seen: list[Tensor] = []

    class Critic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.ones(()))

        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.detach())
            return self.gain * x.flatten(1).mean(1)

    generator = nn.Sequential(nn.Linear(2, 64), nn.Unflatten(1, (1, 8, 8)))
    critic = Critic()
    step = Step(
        generator=generator, critic=critic, objective=Objective(loss=losses.hinge()), rule=alternating(),
        critic_optimizer=torch.optim.SGD(critic.parameters(), lr=0.0),
        generator_optimizer=torch.optim.SGD(generator.parameters(), lr=0.0),
        real=lambda n: torch.ones(n, 1, 8, 8), latent=lambda n: torch.ones(n, 2),
        rng=torch.Generator().manual_seed(0), batch_size=4, augment=diffaugment("cutout"),
    )  # fmt: skip
    step()
    real, fake = seen[0].chunk(2)
    # a quarter of each image is cut out, at another place of each
    assert ((real == 0).flatten(1).sum(1) > 0).all()
    plain = generator(torch.ones(4, 2)).detach()
    assert ((fake == 0) | (fake == plain)).all()
    assert (fake == 0).any()
    assert (seen[-1] == 0).any()  # in the generator's own step as well
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in generator.parameters())


@pytest.mark.parametrize("name", ["nonsaturating", "least_squares", "wasserstein", "relativistic"])
def test_an_augmentation_is_told_how_clearly_real_samples_were_recognised(name: str) -> None:
    told: list[tuple[Tensor, int]] = []

    class Watching(nn.Module):
        probability = 1.0

        def real(self, real: Tensor, fake: Tensor, rng: torch.Generator | None) -> Tensor:
            return real + 2

        def fake(self, fake: Tensor, rng: torch.Generator | None) -> Tensor:
            return fake

        def observe(self, margins: Tensor, images: int) -> None:
            told.append((margins, images))

    torch.manual_seed(0)
    generator, critic = nn.Linear(2, 1), nn.Sequential(nn.Linear(1, 1), nn.Flatten(0))
    reals, codes = torch.randn(2, 6, 2).unbind()
    with torch.no_grad():
        r, s = critic(reals[:, :1] + 2), critic(generator(codes))
    Step(
        generator=generator, critic=critic, objective=Objective(loss=LOSSES[name]()), rule=alternating(),
        critic_optimizer=torch.optim.SGD(critic.parameters(), lr=0.1),
        generator_optimizer=torch.optim.SGD(generator.parameters(), lr=0.1),
        real=lambda n: reals[:, :1], latent=lambda n: codes, rng=torch.Generator(), batch_size=6, augment=Watching(),
    )()  # fmt: skip
    ((margins, images),) = told
    expected = {"nonsaturating": r, "least_squares": r - 0.5}.get(name, r - s)
    torch.testing.assert_close(margins, expected)
    assert images == 6
    assert not margins.requires_grad


def test_labels_are_dropped_at_random(tmp_path: Path) -> None:
    source = open_data("mnist")
    conditions = conditions_for(TrainConfig(conditional="projection"), source)
    assert conditions is not None
    options = TrainConfig(width=4, conditional="projection", drop_condition=0.3, batch_size=500, device="cpu")
    step = build(resolve(options, source.codec, conditions.condition), source).step
    drawn = torch.cat([step._draw()[1] for _ in range(8)])
    share = float((drawn == 10).float().mean())
    assert abs(share - 0.3) < 4 * (0.3 * 0.7 / 4000) ** 0.5
    assert set(drawn.tolist()) == set(range(11))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "ring", "conditional": "projection"}, "no labels"),
        ({"conditional": "projektion"}, "did you mean 'projection'"),
        ({"conditional": "projection", "packing": 2}, "several classes"),
        ({"conditional": "acgan", "replay_pool": 50}, "other labels"),
        ({"conditional": "infogan", "terms": "lecam", "critic_batch_norm": True}, "the term lecam"),
        ({"conditional": "acgan", "preset": "r3gan", "critic_batch_norm": True}, "must not contain batch norm"),
        ({"conditional": "infogan", "drop_condition": 0.1}, "given no labels"),
        ({"packing": 3}, "wanted a batch of whole packs, 63 say"),
        ({"data": "ring", "augment": "ada"}, "wants images"),
        ({"augment": "adaa"}, "did you mean 'ada'"),
        ({"minibatch": "minibatch_sdt"}, "did you mean 'minibatch_std'"),
        ({"terms": "feature_machting"}, "did you mean 'feature_matching'"),
        ({"terms": "r1(gama=1.0)"}, "did you mean 'gamma'"),
        ({"terms": "lecam, lecam"}, "twice"),
        ({"terms": "acgan_critic"}, "--conditional acgan"),
        ({"preset": "r3gan", "terms": "r1"}, "has already"),
        ({"terms": "r1", "critic_batch_norm": True}, "leave --critic-batch-norm out"),
        ({"freeze": "critic.00"}, "did you mean 'critic.0'"),
        ({"freeze": "critic.1"}, "no weights"),
        ({"freeze": "critic.0, critic.2, critic.3, critic.6, critic.7, critic.9"}, "nothing of the critic"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train(TrainConfig(**{"data": "mnist", "width": 8, "steps": 2, "out": str(tmp_path / "run"), **options}))
    assert not (tmp_path / "run").exists()


def test_resolving_is_done_once(tmp_path: Path) -> None:
    source = open_data("mnist")
    wanted = TrainConfig(width=8, conditional="acgan(weight=2.0)", terms="lecam", augment="ada", device="cpu")
    conditions = conditions_for(wanted, source)
    assert conditions is not None
    once = resolve(wanted, source.codec, conditions.condition)
    assert resolve(once, source.codec, conditions.condition) == once
    assert once.conditional == "acgan(weight=2.0, fake=True)"
    assert once.critic_batch_norm is False  # lecam reads single scores
    assert {term.name for term in build(once, source).step.objective.critic_terms} == {"acgan_critic", "lecam"}


@pytest.mark.parametrize("conditional", [None, *CONDITIONALS])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, True),
        ({"terms": "feature_matching"}, True),
        ({"terms": "orthogonal_regularisation"}, True),
        ({"terms": "lecam"}, False),
        ({"terms": "cr"}, False),
        ({"terms": "zcr_critic"}, False),
        ({"penalties": "r1(gamma=1.0)"}, False),
        ({"preset": "wgan-gp"}, False),
    ],
)
def test_naming_classes_takes_no_batch_norm_out_of_the_critic(
    conditional: str | None, options: dict[str, object], expected: bool
) -> None:
    codec = open_data("mnist").codec
    found = resolve(TrainConfig(device="cpu", conditional=conditional, **options), codec, Condition("label", 10))
    assert found.critic_batch_norm is expected
    assert found.network == "dcgan"


def test_a_conditional_critic_is_asked_the_same_of_held_out_digits(tmp_path: Path) -> None:
    source = open_data("mnist")
    conditions = conditions_for(TrainConfig(conditional="projection"), source)
    assert conditions is not None
    options = TrainConfig(width=4, conditional="projection", hold_out=0.3, device="cpu")
    training = build(resolve(options, source.codec, conditions.condition), source)
    seen = looked_at(training, 40, torch.device("cpu"))
    labels = {image.tobytes(): int(label) for image, label in zip(source.samples, source.labels, strict=True)}
    assert seen.condition is not None
    assert seen.held_out is not None
    for images in (seen.real, seen.held_out):
        stored = source.codec.decode(images).numpy()
        assert [labels[image.tobytes()] for image in stored] == seen.condition.tolist()
    kept = {image.tobytes() for image in training.data.take(np.arange(len(training.data)))}
    assert not any(image.tobytes() in kept for image in source.codec.decode(seen.held_out).numpy())


def test_a_critic_of_whole_batches_is_looked_at_in_batches_of_its_own() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0))
    critic = minibatch_discrimination(kernels=4, dimensions=2)(plain, torch.Generator().manual_seed(0))
    generator = nn.Linear(2, 3)
    twin = Twin()
    step = Step(
        generator=generator, critic=critic, objective=Objective(loss=losses.hinge()), rule=alternating(),
        critic_optimizer=torch.optim.SGD(critic.parameters(), lr=0.0),
        generator_optimizer=torch.optim.SGD(generator.parameters(), lr=0.0),
        real=twin.real, latent=twin.latent, rng=twin.rng, batch_size=8,
    )  # fmt: skip
    samples = torch.randn(16, 3)
    found = step.judge()(samples)
    torch.testing.assert_close(found, torch.cat([critic(samples[:8]), critic(samples[8:])]))
    assert not torch.allclose(found, critic(samples))
    # and real and fake samples do not meet in it, without being told
    scores: list[int] = []
    critic.register_forward_pre_hook(lambda module, inputs: scores.append(len(inputs[0])))
    step()
    assert scores[:2] == [8, 8]


def test_vector_scores_have_no_order() -> None:
    generator, critic = nn.Linear(2, 3), nn.Linear(3, 4)
    twin = Twin()
    with pytest.raises(InputError, match="have no order"):
        Step(
            generator=generator, critic=critic, objective=Objective(loss=losses.realness(outcomes=4)),
            rule=alternating(), critic_optimizer=torch.optim.SGD(critic.parameters(), lr=0.0),
            generator_optimizer=torch.optim.SGD(generator.parameters(), lr=0.0),
            real=twin.real, latent=twin.latent, rng=twin.rng, batch_size=8, top_k=0.5,
        )  # fmt: skip


@pytest.mark.parametrize("critic", [{"packing": 4}, {"minibatch": "minibatch_std"}])
def test_packs_of_sorted_data_are_looked_at_mixed(tmp_path: Path, critic: dict[str, object]) -> None:
    vectors = np.repeat(np.arange(8, dtype=np.float32), 64)[:, None] + np.zeros((1, 2), np.float32)
    np.save(tmp_path / "sorted.npy", vectors)
    source = open_data(str(tmp_path / "sorted.npy"))
    training = build(resolve(TrainConfig(width=8, device="cpu", **critic), source.codec), source)
    seen = looked_at(training, 128, torch.device("cpu")).real.reshape(-1, 4, 2)
    alone = (seen[:, 1:] == seen[:, :1]).all((1, 2)).float().mean()
    assert alone < 0.1  # in the file's order, all of them


def test_a_batch_that_groups_do_not_divide_is_refused_first(tmp_path: Path) -> None:
    options = {"data": "ring", "minibatch": "minibatch_std", "packing": 2, "batch_size": 36, "steps": 1}
    with pytest.raises(InputError, match="wanted a batch that is a multiple of 8"):
        train(TrainConfig(**options, out=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_the_doctor_knows_further_terms_and_its_commands_can_be_run(tmp_path: Path) -> None:
    config = TrainConfig(data="ring", preset="gan", terms="r1(gamma=1e5)", device="cpu")
    codec = open_data("ring").codec
    resolved = resolve(config, codec)
    circumstances = Circumstances(config=resolved, preset=played(resolved))
    assert has_critic_penalty(circumstances)
    remedy = robust(circumstances)
    assert remedy is not None
    resolve(dataclasses.replace(resolved, **remedy.options), codec)
    # and the scale reaches them
    scaled = build(resolve(dataclasses.replace(config, penalty_scale=0.1), codec), open_data("ring"))
    assert scaled.step.objective.critic_terms[0].weight == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "mnist", "packing": 8, "batch_size": 8}, "one pack"),
        ({"data": "mnist", "preset": "ebgan", "conditional": "projection"}, "reconstructs"),
        ({"data": "mnist", "terms": "pulling_away"}, "asks the critic for encode"),
    ],
)
def test_what_the_critic_cannot_do_is_refused_first(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(TrainConfig(width=8, steps=1, out=str(tmp_path / "run"), **options))
    assert not (tmp_path / "run").exists()


def test_scale_and_fraction_reach_every_kind_of_term() -> None:
    terms = "r1(gamma=1.0), zcr_critic, mode_seeking, feature_matching"
    source = open_data("ring")
    config = TrainConfig(terms=terms, penalty_scale=3.0, penalty_fraction=0.5, width=8, device="cpu")
    objective = build(resolve(config, source.codec), source).step.objective
    assert [(term.weight, term.fraction) for term in terms_of(objective)] == [(3.0, 0.5)] * 4
