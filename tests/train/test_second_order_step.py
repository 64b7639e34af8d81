"""What a step hands to a rule that differentiates twice: losses with graphs through both networks."""

import copy

import pytest
import torch
from torch import Tensor, nn

from adversarium.errors import InputError
from adversarium.games.linearised import Linearised
from adversarium.losses import LOSSES, relativistic
from adversarium.nets.dcgan import critic as dcgan_critic
from adversarium.penalties import PENALTIES, WANTED_METHODS, mode_seeking, on_fraction
from adversarium.train import Step
from adversarium.types import Closure, GameRule, Objective, Term

BATCH, LATENT = 6, 3


def networks(seed: int) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(seed)
    generator = nn.Sequential(nn.Linear(LATENT, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    critic = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 4), nn.Softplus(), nn.Linear(4, 1), nn.Flatten(0))
    return generator, critic.double()


def rule(play) -> GameRule:
    return GameRule(name="mine", play=play, second_order=True)


def step_of(generator: nn.Module, critic: nn.Module, objective: Objective, play, **changes) -> Step:
    data, codes = (torch.Generator().manual_seed(each) for each in (1, 2))
    arguments = {
        "generator": generator,
        "critic": critic,
        "objective": objective,
        "rule": rule(play),
        "critic_optimizer": torch.optim.SGD(critic.parameters(), lr=0.1),
        "generator_optimizer": torch.optim.SGD(generator.parameters(), lr=0.1),
        "real": lambda n: torch.randn(n, 2, generator=data, dtype=torch.float64),
        "latent": lambda n: torch.randn(n, LATENT, generator=codes, dtype=torch.float64),
        "rng": torch.Generator().manual_seed(3),
        "batch_size": BATCH,
    }
    return Step(**{**arguments, **changes})


def gradient_at(
    generator: nn.Module, critic: nn.Module, objective: Objective, shift: list[Tensor], **changes
) -> Tensor:
    """Return both players' first-order gradients, on the first batch, at shifted weights."""
    generator, critic = copy.deepcopy((generator, critic))
    with torch.no_grad():
        for each, by in zip([*critic.parameters(), *generator.parameters()], shift, strict=True):
            each += by
    found: list[Tensor] = []

    def play(critic_side: Closure, generator_side: Closure, *_: torch.optim.Optimizer) -> None:
        critic_side()
        found.extend(each.grad.flatten() for each in critic.parameters())
        generator_side()
        found.extend(each.grad.flatten() for each in generator.parameters())

    first = GameRule(name="mine", play=play)
    step_of(generator, critic, objective, play, rule=first, **changes)()
    return torch.cat(found)


OBJECTIVES = {
    **{
        f"nonsaturating + {name}": lambda name=name: Objective(
            loss=LOSSES["nonsaturating"](),
            critic_terms=(Term(name=name, penalty=PENALTIES[name](), weight=0.7),),
        )
        for name in PENALTIES
        # images, classes, and anchors that move with the weights
        if name not in ("cr", "bcr", "lecam", "historical_averaging") and name not in WANTED_METHODS
    },
    "relativistic + r1 + r2": lambda: Objective(
        loss=relativistic(pairing="paired"),
        critic_terms=(
            Term(name="r1", penalty=PENALTIES["r1"](), fraction=0.5),
            Term(name="r2", penalty=PENALTIES["r2"]()),
        ),
    ),
    "nonsaturating + r2 on a fraction": lambda: Objective(
        loss=LOSSES["nonsaturating"](),
        critic_terms=(Term(name="r2", penalty=on_fraction(PENALTIES["r2"](), 0.5)),),
    ),
    "relativistic average": lambda: Objective(loss=relativistic(pairing="average")),
    "hinge": lambda: Objective(loss=LOSSES["hinge"]()),
    "wasserstein + mode seeking": lambda: Objective(
        loss=LOSSES["wasserstein"](),
        generator_terms=(Term(name="mode_seeking", penalty=mode_seeking(), weight=0.1),),
    ),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_jacobian_is_that_of_the_first_order_gradients(name: str) -> None:
    """Products by autograd through the attached losses, against differences of what other rules descend by."""
    objective, (generator, critic) = OBJECTIVES[name](), networks(4)
    weights = [*critic.parameters(), *generator.parameters()]
    rng = torch.Generator().manual_seed(5)
    way = [torch.randn(each.shape, generator=rng, dtype=torch.float64) for each in weights]
    seen: list[Tensor] = []

    def play(critic_side: Closure, generator_side: Closure, *_: torch.optim.Optimizer) -> None:
        game = Linearised(critic_side, generator_side, list(critic.parameters()), list(generator.parameters()))
        seen.append(torch.cat([each.flatten() for each in game.gradients]).detach())
        seen.append(torch.cat([each.flatten() for each in game.product(way)]))

    step_of(generator, critic, objective, play)()
    here = gradient_at(generator, critic, objective, [0 * each for each in way])
    torch.testing.assert_close(seen[0], here, rtol=1e-9, atol=1e-11)
    ahead, behind = (
        gradient_at(generator, critic, objective, [sign * 1e-5 * each for each in way]) for sign in (1, -1)
    )
    torch.testing.assert_close(seen[1], (ahead - behind) / 2e-5, rtol=1e-5, atol=1e-7)


def test_a_convolutional_critic_with_penalties_may_be_differentiated_on() -> None:
    """The fast second derivatives are for one use: here they must stay out of the way."""
    torch.manual_seed(0)
    critic = dcgan_critic((1, 28, 28), width=2, batch_norm=False, rng=torch.Generator().manual_seed(1)).double()
    generator = nn.Sequential(nn.Linear(LATENT, 784), nn.Tanh(), nn.Unflatten(1, (1, 28, 28))).double()
    objective = Objective(
        loss=relativistic(pairing="paired"),
        critic_terms=tuple(Term(name=each, penalty=PENALTIES[each]()) for each in ("r1", "r2", "wgan_gp")),
    )
    weights = [*critic.parameters(), *generator.parameters()]
    rng = torch.Generator().manual_seed(5)
    way = [torch.randn(each.shape, generator=rng, dtype=torch.float64) for each in weights]
    seen: list[Tensor] = []

    def play(critic_side: Closure, generator_side: Closure, *_: torch.optim.Optimizer) -> None:
        game = Linearised(critic_side, generator_side, list(critic.parameters()), list(generator.parameters()))
        seen.append(torch.cat([each.flatten() for each in game.product(way)]))

    data = torch.randn(BATCH, 1, 28, 28, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    changes = {"real": lambda n: data}
    step_of(generator, critic, objective, play, **changes)()

    ahead, behind = (  # leaky ReLU: no kink may lie between
        gradient_at(generator, critic, objective, [sign * 1e-7 * each for each in way], **changes) for sign in (1, -1)
    )
    expected = (ahead - behind) / 2e-7
    assert float((seen[0] - expected).norm() / expected.norm()) < 1e-5


def test_lazy_terms_count_moves_and_not_evaluations() -> None:
    """Two evaluations a move, as in extragradient: a term due at every second move is due at both, or at neither."""
    seen: list[set[str]] = []
    objective = Objective(
        loss=LOSSES["nonsaturating"](), critic_terms=(Term(name="r1", penalty=PENALTIES["r1"](), every=2),)
    )

    def play(critic_side: Closure, generator_side: Closure, *_: torch.optim.Optimizer) -> None:
        for _ in range(2):
            critic_side()
            generator_side()
            seen.append({name for name in step.measurements() if name == "critic_r1"})

    twice = GameRule(name="mine", play=play, critic_evaluations=2, generator_evaluations=2, evaluations_per_move=2)
    step = step_of(*networks(0), objective, play, rule=twice)
    for _ in range(3):
        step()
    assert [bool(each) for each in seen] == [True, True, False, False, True, True]


def test_what_a_second_order_rule_cannot_have_is_refused() -> None:
    objective = Objective(loss=LOSSES["nonsaturating"]())
    with pytest.raises(InputError, match="drop compile"):
        step_of(*networks(0), objective, print, compile=True)
    fixed = GameRule(name="reference", play=print, fixed_batch=True)
    with pytest.raises(InputError, match="reference, which wants the same batch"):
        step_of(*networks(0), objective, print, rule=fixed)


def test_a_constraint_holds_after_a_rule_that_moves_the_weights_itself() -> None:
    from adversarium.constraints import clip

    generator, critic = networks(1)

    def play(critic_side: Closure, generator_side: Closure, *_: torch.optim.Optimizer) -> None:
        with torch.no_grad():
            for each in critic.parameters():
                each += 1.0

    step_of(generator, critic, Objective(loss=LOSSES["wasserstein"]()), play, constraints=(clip(0.01),))()
    assert max(float(each.detach().abs().max()) for each in critic.parameters()) <= 0.01
