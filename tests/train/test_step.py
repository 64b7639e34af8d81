"""The step against a slow readable twin, and what it refuses."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from adversarium import losses
from adversarium.constraints import clip, spectral_norm
from adversarium.errors import InputError
from adversarium.nets.autoencoder import AutoencoderCritic
from adversarium.penalties import GENERATOR_PENALTIES, PENALTIES
from adversarium.presets import PRESETS
from adversarium.train import NonFiniteError, Step
from adversarium.types import Anneal, GameRule, Objective, Term, at

BATCH, LATENT = 8, 5


def networks(seed: int, *, batch_norm: bool, critic_kind: str = "score") -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(seed)
    norm = (lambda n: nn.BatchNorm1d(n)) if batch_norm else (lambda n: nn.Identity())
    generator = nn.Sequential(nn.Linear(LATENT, 12), norm(12), nn.ReLU(), nn.Linear(12, 3))
    body = [nn.Linear(3, 12), norm(12), nn.LeakyReLU(0.2)]
    if critic_kind == "autoencoder":
        return generator, AutoencoderCritic(nn.Sequential(*body, nn.Linear(12, 2)), nn.Linear(2, 3))
    return generator, nn.Sequential(*body, nn.Linear(12, 1), nn.Flatten(0))


class Draws:
    """The random numbers of a run, in the order in which both twins ask for them."""

    def __init__(self, seed: int) -> None:
        self.data, self.codes, self.penalty = (torch.Generator().manual_seed(seed + i) for i in range(3))

    def real(self, n: int) -> Tensor:
        return torch.randn(n, 3, generator=self.data) * 2 + 1

    def latent(self, n: int) -> Tensor:
        return torch.randn(n, LATENT, generator=self.codes)


def step_of(generator: nn.Module, critic: nn.Module, preset_name: str, draws: Draws, **changes) -> Step:
    preset = PRESETS[preset_name]
    arguments = {
        "generator": generator,
        "critic": critic,
        "objective": copy.deepcopy(preset.objective),  # its state belongs to the run
        "rule": preset.rule,
        "critic_optimizer": torch.optim.Adam(critic.parameters(), lr=1e-2),
        "generator_optimizer": torch.optim.Adam(generator.parameters(), lr=1e-2),
        "constraints": tuple(each for each in preset.constraints if each.when == "step"),
        "real": draws.real,
        "latent": draws.latent,
        "rng": draws.penalty,
        "batch_size": BATCH,
    }
    return Step(**{**arguments, **changes})


def twin(generator: nn.Module, critic: nn.Module, preset_name: str, draws: Draws, steps: int) -> None:
    """Train as a textbook would: every forward apart, every graph kept."""
    preset, objective = PRESETS[preset_name], copy.deepcopy(PRESETS[preset_name].objective)
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
    generator_optimizer = torch.optim.Adam(generator.parameters(), lr=1e-2)
    for _ in range(steps):
        for _ in range(preset.rule.critic_evaluations):
            real, fake = draws.real(BATCH), generator(draws.latent(BATCH)).detach()
            loss = objective.loss.critic(critic(real), critic(fake)).mean()
            for term in objective.critic_terms:
                loss = loss + at(term.weight, 0.0) * term.penalty(critic, real, fake, draws.penalty).mean()
            critic_optimizer.zero_grad()
            loss.backward()
            critic_optimizer.step()
            for constraint in preset.constraints:
                if constraint.when == "step":
                    constraint.apply(critic)
        fake = generator(draws.latent(BATCH))
        real_scores = critic(real) if objective.loss.generator_needs_real else None
        loss = objective.loss.generator(real_scores, critic(fake)).mean()
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()


@pytest.mark.parametrize("preset", [name for name, each in PRESETS.items() if each.rule.name == "alternating"])
def test_a_hundred_steps_beside_the_slow_twin(preset: str) -> None:
    batch_norm = not PRESETS[preset].critic_without
    kind = PRESETS[preset].objective.loss.critic_kind
    ours, theirs = (networks(3, batch_norm=batch_norm, critic_kind=kind) for _ in range(2))
    for critic in (ours[1], theirs[1]):
        for constraint in PRESETS[preset].constraints:
            if constraint.when == "build":
                torch.manual_seed(4)  # the power iteration's start
                constraint.apply(critic)
    if preset == "sngan":
        # one pass or two: the power iteration runs once per pass, so hold it still where the twins differ in passes
        for critic in (ours[1], theirs[1]):
            critic.eval()
    step = step_of(*ours, preset, Draws(5))
    for _ in range(100 // PRESETS[preset].rule.critic_evaluations):
        step()
    twin(*theirs, preset, Draws(5), 100 // PRESETS[preset].rule.critic_evaluations)
    for mine, other in zip(ours, theirs, strict=True):
        for (name, a), b in zip(mine.state_dict().items(), other.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, rtol=2e-3, atol=2e-4, msg=lambda text, name=name: f"{name}: {text}")


def test_the_players_leave_each_other_alone() -> None:
    generator, critic = networks(0, batch_norm=False)
    seen: dict[str, list[bool]] = {"critic": [], "generator": []}

    def rule(critic_gradients, generator_gradients, critic_optimizer, generator_optimizer) -> None:
        critic_gradients()
        seen["critic"] = [p.grad is not None for p in generator.parameters()]
        critic.zero_grad(set_to_none=True)
        generator_gradients()
        seen["generator"] = [p.grad is not None for p in critic.parameters()]

    step_of(generator, critic, "r3gan", Draws(0), rule=GameRule(name="mine", play=rule))()
    assert not any(seen["critic"])
    assert not any(seen["generator"])
    assert all(parameter.requires_grad for parameter in critic.parameters())


def test_the_generators_step_costs_no_critic_weight_gradient() -> None:
    generator, critic = networks(0, batch_norm=False)
    during: list[bool] = []
    critic.register_forward_pre_hook(lambda module, _: during.append(module[0].weight.requires_grad))
    step_of(generator, critic, "nsgan", Draws(0))()
    assert during == [True, False]


def test_measurements_are_means_since_the_last_call() -> None:
    step = step_of(*networks(0, batch_norm=False), "wgan-gp", Draws(0))
    step()
    step()
    found = step.measurements()
    assert found["score_gap"] == pytest.approx(found["real_score"] - found["fake_score"], abs=1e-6)
    assert {"critic_loss", "critic_wgan_gp", "generator_loss", "critic_gradient_norm"} <= set(found)
    assert step.measurements() == {}


def test_gradient_norm_is_that_of_all_gradients() -> None:
    generator, critic = networks(1, batch_norm=False)
    step = step_of(generator, critic, "nsgan", Draws(1))
    step()
    expected = torch.cat([p.grad.flatten() for p in generator.parameters()]).norm()
    assert step.measurements()["generator_gradient_norm"] == pytest.approx(float(expected), rel=1e-5)


def test_a_non_finite_term_is_named_before_the_update() -> None:
    generator, critic = networks(0, batch_norm=False)
    draws = Draws(0)
    step = step_of(generator, critic, "wgan-gp", draws)
    step()
    before = copy.deepcopy(critic.state_dict())
    broken = step_of(generator, critic, "wgan-gp", draws, real=lambda n: torch.full((n, 3), float("nan")))
    with pytest.raises(NonFiniteError, match="critic_loss became nan at step 1"):
        broken()
    assert all(torch.equal(value, before[name]) for name, value in critic.state_dict().items())


def test_an_infinite_gradient_of_a_finite_loss_is_named() -> None:
    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * float("inf")

    class Spiky(nn.Module):
        def __init__(self, critic: nn.Module) -> None:
            super().__init__()
            self.critic = critic

        def forward(self, x: Tensor) -> Tensor:
            return Spike.apply(self.critic(x))

    generator, critic = networks(0, batch_norm=False)
    step = step_of(generator, Spiky(critic), "nsgan", Draws(0))
    with pytest.raises(NonFiniteError, match="critic_gradient_norm"):
        step()


def test_what_is_refused() -> None:
    generator, critic = networks(0, batch_norm=False)
    shared = nn.Sequential(critic[0], nn.ReLU(), nn.Linear(12, 3))
    with pytest.raises(InputError, match="share 2 parameters"):
        step_of(shared, critic, "nsgan", Draws(0))
    both = torch.optim.Adam([*critic.parameters(), *generator.parameters()])
    with pytest.raises(InputError, match="the critic's optimizer"):
        step_of(generator, critic, "nsgan", Draws(0), critic_optimizer=both)
    normed = networks(0, batch_norm=True)
    with pytest.raises(InputError, match=r"batch norm and a penalty \(wgan_gp\)"):
        step_of(*normed, "wgan-gp", Draws(0))

    class Idle(nn.Module):
        def __init__(self, critic: nn.Module) -> None:
            super().__init__()
            self.critic, self.unused = critic, nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.critic(x)

    with pytest.raises(InputError, match="critic's parameter 'unused.weight' gets no gradient"):
        step_of(generator, Idle(critic), "nsgan", Draws(0))()


def test_clipping_holds_after_each_critic_step() -> None:
    generator, critic = networks(0, batch_norm=False)
    step_of(generator, critic, "wgan", Draws(0), constraints=(clip(0.005),))()
    assert max(float(p.detach().abs().max()) for p in critic.parameters()) <= 0.005


def test_a_frozen_layer_stays_frozen() -> None:
    generator, critic = networks(0, batch_norm=False)
    critic[0].requires_grad_(False)
    before = critic[0].weight.clone()
    trained = [parameter for parameter in critic.parameters() if parameter.requires_grad]
    step = step_of(generator, critic, "nsgan", Draws(0), critic_optimizer=torch.optim.Adam(trained))
    for _ in range(3):
        step()
    assert torch.equal(critic[0].weight, before)
    assert not critic[0].weight.requires_grad


def test_a_critic_that_couples_its_samples_is_evaluated_apart() -> None:
    sizes: list[int] = []
    generator, critic = networks(0, batch_norm=False)
    critic.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    step_of(generator, critic, "nsgan", Draws(0), joint=False)()
    assert sizes == [BATCH, BATCH, BATCH]


def test_on_a_gpu_numbers_are_looked_at_when_they_are_read() -> None:
    generator, critic = networks(0, batch_norm=False)
    step = step_of(generator, critic, "wgan", Draws(0))
    step.steps = 40  # as after a resume
    step._device = torch.device("meta")  # any device that is not the CPU: no waiting inside a step
    for value in (1.0, float("nan"), 2.0):
        step.steps += 1
        step._measure("critic_loss", torch.tensor(value))
    with pytest.raises(NonFiniteError, match="critic_loss became nan at step 42"):
        step.measurements()


# information wants codes with a category, and a critic that recognises them: tests/train/test_naming_steps.py
@pytest.mark.parametrize("name", [name for name in GENERATOR_PENALTIES if name != "information"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_penalty_on_the_generator_works_in_a_step(name: str, precision: str) -> None:
    generator, critic = networks(0, batch_norm=False, critic_kind="autoencoder")
    term = Term(name=name, penalty=GENERATOR_PENALTIES[name](), weight=0.1)
    where = "critic_latent_terms" if name == "zcr_critic" else "generator_terms"
    objective = Objective(loss=losses.began(), **{where: (term,)})
    step = step_of(generator, critic, "nsgan", Draws(0), objective=objective, precision=precision)
    steps = 2 if name == "generator_historical_averaging" else 1  # the first weights are their own average
    for _ in range(steps):
        step.measurements()
        step()
    measured = step.measurements()
    player = "critic" if name == "zcr_critic" else "generator"
    assert math.isfinite(measured[f"{player}_{name}"])
    assert measured[f"{player}_{name}"] != 0
    # each moves its own player's gradient, and reaches no weight of the other's
    plain = networks(0, batch_norm=False, critic_kind="autoencoder")
    without = step_of(*plain, "nsgan", Draws(0), objective=Objective(loss=losses.began()), precision=precision)
    for _ in range(steps):
        without.measurements()
        without()
    other = without.measurements()
    assert measured[f"{player}_gradient_norm"] != other[f"{player}_gradient_norm"]
    if player == "generator":
        assert measured["critic_gradient_norm"] == other["critic_gradient_norm"]


def test_two_steps_do_not_share_what_an_objective_remembers() -> None:
    objective = Objective(loss=losses.began(rate=0.5))
    ends = []
    for _ in range(2):
        step = step_of(
            *networks(0, batch_norm=False, critic_kind="autoencoder"), "nsgan", Draws(0), objective=objective
        )
        for _ in range(3):
            step()
        ends.append(float(step.objective.loss.critic.k))
    assert ends[0] == ends[1] > 0
    assert float(objective.loss.critic.k) == 0


def test_a_constraint_that_comes_too_late_is_refused() -> None:
    with pytest.raises(InputError, match="spectral_norm is applied when a critic is built"):
        step_of(*networks(0, batch_norm=False), "nsgan", Draws(0), constraints=(spectral_norm(),))


def test_a_penalty_on_the_weights_goes_with_batch_norm_and_one_on_codes_does_not() -> None:
    term = Term(name="orthogonal", penalty=PENALTIES["orthogonal_regularisation"]())
    loss = losses.nonsaturating()
    step_of(*networks(0, batch_norm=True), "nsgan", Draws(0), objective=Objective(loss=loss, critic_terms=(term,)))()
    latent = Term(name="zcr", penalty=GENERATOR_PENALTIES["zcr_critic"]())
    with pytest.raises(InputError, match=r"the critic has batch norm and a penalty \(zcr\)"):
        step_of(
            *networks(0, batch_norm=True),
            "nsgan",
            Draws(0),
            objective=Objective(loss=loss, critic_latent_terms=(latent,)),
        )


def test_a_step_counts_its_images_where_nobody_else_does() -> None:
    term = Term(name="r1", penalty=PENALTIES["r1"](), weight=Anneal(1.0, 0.0, over_images=3 * BATCH))
    objective = Objective(loss=losses.nonsaturating(), critic_terms=(term,))
    step = step_of(*networks(0, batch_norm=False), "nsgan", Draws(0), objective=objective)
    found = []
    for _ in range(5):
        step()
        found.append(step.measurements()["critic_r1"])
    assert found[0] > found[1] > found[2] > 0
    assert found[3:] == [0, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "bfloat16"}, "precision is 'bfloat16': wanted one of fp32, bf16"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_what_a_step_cannot_do_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        step_of(*networks(0, batch_norm=False), "nsgan", Draws(0), **changes)
