"""``adversarium explain``: every member's formula, and what it does on the Dirac game."""

import copy
import dataclasses
import functools
import inspect
import math
from collections.abc import Callable
from itertools import takewhile

import pytest
import torch

from adversarium.cli import explain, main
from adversarium.cli.members import KINDS
from adversarium.constraints import CONSTRAINTS
from adversarium.games import GAMES
from adversarium.losses import LOSSES, WRAPPERS
from adversarium.metrics import METRICS, Metric, Protocol
from adversarium.penalties import PENALTIES
from adversarium.presets import PRESETS
from adversarium.types import Anneal, Objective, OptimizerSettings, Preset, Term

WITHOUT_FORMULA = ("presets", "networks", "datasets", "diagnoses")
FACTORIES = [(kind, name) for kind in KINDS if kind not in WITHOUT_FORMULA for name in KINDS[kind]]
LABEL = "On the Dirac game: "
page = functools.cache(explain.page)


def formula(factory: Callable[..., object] | Metric) -> list[str]:
    """Return the lines under a docstring's ``Formula:``."""
    documented = factory.function if isinstance(factory, Metric) else factory
    lines = (inspect.getdoc(documented) or "").splitlines()
    return list(takewhile(lambda line: line.startswith(" "), lines[lines.index("Formula:") + 1 :]))


def on_the_dirac_game(text: str) -> str:
    """Return the verdict, its lines joined."""
    assert text.count(LABEL) == 1
    found = text.partition(LABEL)[2].splitlines()
    return " ".join([found[0], *(line.strip() for line in takewhile(lambda line: line.startswith("    "), found[1:]))])


@pytest.mark.parametrize(("kind", "name"), FACTORIES)
def test_a_members_page_has_its_formula(capsys: pytest.CaptureFixture[str], kind: str, name: str):
    assert main(["explain", name]) == 0
    said = capsys.readouterr().out
    assert page(kind, name) in said
    wanted = formula(KINDS[kind][name])
    assert wanted
    assert "\n".join(wanted) in page(kind, name)


def test_help_names_every_kind(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="0"):
        main(["explain", "--help"])
    said = "".join(capsys.readouterr().out.split())  # lines are broken at hyphens
    assert f"memberof{','.join(KINDS)}." in said


@pytest.mark.parametrize("name", METRICS)
def test_a_metrics_page_says_how_to_measure_it(name: str):
    (command,) = [line for line in page("metrics", name).splitlines() if line.startswith("Measure with: ")]
    protocol = Protocol.parse(command.rpartition(" ")[2])
    assert (protocol.value, protocol.name) == (name, command.rpartition(" ")[2])


@pytest.mark.parametrize("name", PRESETS)
def test_a_presets_page_has_the_formulas_of_its_parts(name: str):
    preset, text = PRESETS[name], page("presets", name)
    parts = [LOSSES[preset.objective.loss.name]]
    parts += [PENALTIES[term.name] for term in preset.objective.critic_terms]
    parts += [CONSTRAINTS[constraint.name] for constraint in preset.constraints]
    assert all("\n".join(formula(part)) in text for part in parts)
    on_the_dirac_game(text)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nsgan", "alternating, 1 critic step per generator step"),
        ("wgan", "alternating, 5 critic steps per generator step"),
        ("wgan-gp-extraadam", "extragradient"),
    ],
)
def test_a_presets_page_has_its_rule(name: str, words: str):
    assert f"Game:        {words}\n" in page("presets", name)
    rule = PRESETS[name].rule.name
    assert ("\n".join(formula(GAMES[rule])) in page("presets", name)) == (rule != "alternating")


@pytest.mark.parametrize(
    ("name", "radius", "verdict"),
    [
        ("simultaneous", math.sqrt(1 + 0.1**2), "repels"),
        ("alternating", 1.0, "circles"),
        ("extragradient", math.sqrt(1 - 0.1**2 + 0.1**4), "attracts"),
        ("proximal_point", 1 / math.sqrt(1 + 0.1**2), "attracts"),
    ],
)
def test_a_rules_page_tells_what_it_does_on_the_bilinear_game(name: str, radius: float, verdict: str):
    label = "On the bilinear game, by steps of 0.1: spectral radius "
    assert f"{label}{radius:.6g} per step: {verdict}" in page("games", name).splitlines()
    assert all((label in page(kind, name)) == (kind == "games") for kind in KINDS for name in KINDS[kind])


def test_optimizers_and_schedules_in_words(monkeypatch: pytest.MonkeyPatch):
    rate = Anneal(0.1, 0.0, over_images=5000, shape="linear", after_images=2000)
    made = dataclasses.replace(
        PRESETS["nsgan"],
        critic_optimizer=OptimizerSettings(kind="sgd", learning_rate=rate, beta1=-0.5),
        generator_optimizer=OptimizerSettings(kind="amsgrad", learning_rate=0.1, beta2=0.9),
    )
    monkeypatch.setitem(KINDS["presets"], "made", made)
    text = explain.page("presets", "made")
    assert "SGD, learning rate 0.1 -> 0 (a line after 2 kimg, over the next 5 kimg), momentum -0.5" in text
    assert "AMSGrad, learning rate 0.1, betas 0 and 0.9" in text


@pytest.mark.parametrize("kind", KINDS)
def test_losses_penalties_and_presets_have_a_verdict_and_others_none(kind: str):
    for name in KINDS[kind]:
        text = page(kind, name)
        if kind in ("presets", "losses", "misprints", "penalties") or name in WRAPPERS:
            said = on_the_dirac_game(text)
            assert said.startswith(("eigenvalues ", "no linearisation at 0", "not computed: "))
            assert ("(with the non-saturating loss)" in said) == (
                kind == "penalties" and not said.startswith("not computed")
            )
        else:
            assert LABEL not in text


@pytest.mark.parametrize(
    ("kind", "name", "verdict"),
    [
        ("losses", "nonsaturating", "eigenvalues ±0.5i: circles"),
        ("losses", "wasserstein", "eigenvalues ±1i: circles"),
        ("penalties", "r1", "eigenvalues -0.5 twice: attracts (with the non-saturating loss)"),
        ("penalties", "wgan_gp", "no linearisation at 0 (with the non-saturating loss)"),
        ("presets", "wgan", "eigenvalues ±1i: circles"),
        ("presets", "wgan-gp", "no linearisation at 0"),
        ("presets", "sngan", "not computed: spectral_norm makes another function of the critic"),
        # γ = 0.05 for R1 and for R2: -0.05 ± √(0.05² - ¼)
        ("presets", "r3gan", "eigenvalues -0.05 ± 0.4975i: attracts (at the weights of the start)"),
    ],
)
def test_the_verdict(kind: str, name: str, verdict: str):
    assert on_the_dirac_game(page(kind, name)) == verdict


@pytest.mark.parametrize("name", ["ebgan", "began"])
def test_an_autoencoders_loss_is_not_played_with_a_line(name: str):
    loss = LOSSES[name]()
    made = dataclasses.replace(PRESETS["nsgan"], objective=Objective(loss=loss))
    assert on_the_dirac_game("\n".join(explain._preset_on_the_dirac_game(made))) == (
        "not computed: the critic is an autoencoder"
    )


def preset_with(*terms: Term) -> Preset:
    return dataclasses.replace(
        PRESETS["nsgan"], objective=Objective(loss=LOSSES["nonsaturating"](), critic_terms=terms)
    )


def test_a_presets_terms_count_with_their_weights(monkeypatch: pytest.MonkeyPatch):
    r1, r2 = (Term(name=name, penalty=PENALTIES[name](2.0), weight=w) for name, w in (("r1", 0.4), ("r2", 0.225)))
    monkeypatch.setitem(KINDS["presets"], "made", preset_with(r1, r2))
    assert on_the_dirac_game(explain.page("presets", "made")) == "eigenvalues -1 and -0.25: attracts"
    annealed = dataclasses.replace(r1, weight=Anneal(0.3, 5.0, over_images=10))
    monkeypatch.setitem(KINDS["presets"], "made", preset_with(annealed))
    expected = "eigenvalues -0.3 ± 0.4i: attracts (at the weights of the start)"
    assert on_the_dirac_game(explain.page("presets", "made")) == expected


def test_a_page_leaves_a_penalty_with_state_as_it_was(monkeypatch: pytest.MonkeyPatch):
    class Counter(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, critic, real, fake, rng):
            self.calls += 1
            return critic(real).square()

    counter = Counter()
    before = copy.deepcopy(counter.state_dict())
    monkeypatch.setitem(KINDS["presets"], "made", preset_with(Term(name="lecam", penalty=counter)))
    assert on_the_dirac_game(explain.page("presets", "made")) == "eigenvalues ±0.5i: circles"
    assert counter.state_dict() == before
