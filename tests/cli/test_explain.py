"""``adversarium explain``: every member's formula, and what it does on the Dirac game."""

import copy
import dataclasses
import functools
import inspect
import math
import typing
from collections.abc import Callable
from itertools import takewhile

import pytest
import torch

from adversarium import component, stabilisers
from adversarium.cli import explain, explain_games, main
from adversarium.cli.members import FROM_TEXT, KINDS
from adversarium.constraints import CONSTRAINTS
from adversarium.errors import InputError
from adversarium.games import GAMES
from adversarium.losses import LOSSES, WRAPPERS
from adversarium.metrics import METRICS, Metric, Protocol
from adversarium.penalties import PENALTIES
from adversarium.presets import PRESETS
from adversarium.types import Anneal, Objective, OptimizerSettings, Preset, Term

WITHOUT_FORMULA = ("presets", "networks", "datasets", "diagnoses")
NETWORKS = (component.LayeredCritic, component.SeveralCritics)
FACTORIES = [
    (kind, name)
    for kind in KINDS
    if kind not in WITHOUT_FORMULA
    for name, member in KINDS[kind].items()
    if not (inspect.isclass(member) and issubclass(member, NETWORKS))
]
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
            assert said.startswith(("eigenvalues ", "no linearisation at 0", "not played: "))
            assert ("(with the non-saturating loss)" in said) == (
                kind == "penalties" and not said.startswith("not played")
            )
            if said.startswith("not played"):  # about the member, not what the code says to whoever calls it
                assert not [word for word in ("shape", "Sequential", "wanted", "augment=", "differ") if word in said]
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
        ("presets", "sngan", "not played: spectral_norm makes another function of its critic, a straight line"),
        ("penalties", "cr", "not played: it compares images with altered ones, and this game's samples are numbers"),
        ("penalties", "acgan_critic", "not played: it asks what a sample is of, and this game has no labels"),
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
    assert on_the_dirac_game("\n".join(explain_games.preset_on_the_dirac_game(made))) == (
        "not played: its critic is an autoencoder, and this game's is a straight line"
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


def test_a_preset_says_which_of_its_terms_has_no_part_in_the_game(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(KINDS["presets"], "made", preset_with(Term(name="cr", penalty=PENALTIES["cr"]())))
    said = on_the_dirac_game(explain.page("presets", "made"))
    assert said.startswith("not played, for cr: it compares images")


# --- what is not selected by a name, but called ------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        *(("stabilisers", name, getattr(stabilisers, name)) for name in ("pack", "top_k", "ReplayPool")),
        *(
            ("components", name, getattr(component, name))
            for name in (
                *("AdversarialWeight", "PatchCritic", "MultiScaleCritic"),
                *("MultiPeriodCritic", "MultiScaleWaveCritic", "over_scales"),
            )
        ),
    ],
)
def test_functions_and_modules_are_found_by_their_name(
    capsys: pytest.CaptureFixture[str], kind: str, name: str, value: Callable[..., object]
):
    assert KINDS[kind][name] is value
    assert main(["explain", name]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{name} ({kind[:-1]})\n")
    assert inspect.getdoc(value) in said
    assert f"{kind.removesuffix('s') if kind == 'components' else kind}.{name}(" in said
    assert main(["explain", name[:-1].swapcase()]) == 2
    assert f"did you mean {name!r}?" in capsys.readouterr().err


# --- arguments ---------------------------------------------------------------------------------------

TAKING = [(kind, name) for kind in FROM_TEXT for name in KINDS[kind]]


def written_default(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


@pytest.mark.parametrize(("kind", "name"), TAKING)
def test_a_default_may_be_written_out(kind: str, name: str):
    given = [
        f"{each.name}={each.default!r}"
        for each in inspect.signature(KINDS[kind][name]).parameters.values()
        if written_default(each.default)
    ]
    text = f"{name}({', '.join(given)})"
    title, _, rest = explain.page(kind, text).partition("\n")
    assert title.startswith(f"{text} (")
    assert rest.partition("\n")[2] == page(kind, name).split("\n", 2)[2]


CHOICES = [
    (kind, f"{name}({each.name}={choice})")
    for kind in ("losses", "misprints", "penalties", "games")
    for name, factory in KINDS[kind].items()
    for each in inspect.signature(factory).parameters.values()
    if typing.get_origin(each.annotation) is typing.Literal
    for choice in typing.get_args(each.annotation)
]


@pytest.mark.parametrize(("kind", "text"), CHOICES)
def test_every_choice_has_a_page(kind: str, text: str):
    assert explain.page(kind, text).splitlines()[-1]


@pytest.mark.parametrize("seed", range(3))
def test_what_a_member_does_is_measured_with_its_arguments(seed: int):
    gamma = 0.05 + 0.9 * float(torch.rand((), generator=torch.Generator().manual_seed(seed)))
    said = on_the_dirac_game(explain.page("penalties", f"r1(gamma={gamma})"))
    middle, spread = round(-gamma / 2, 4), round(math.sqrt(1 / 4 - gamma**2 / 4), 4)
    assert said == f"eigenvalues {middle:.4g} ± {spread:.4g}i: attracts (with the non-saturating loss)"
    alpha, k = 0.1 + 0.8 * gamma, 2 + seed
    text = explain.page("games", f"lookahead(alpha={alpha}, k={k}, inner=simultaneous)")
    radius = abs(1 - alpha + alpha * (1 - 0.1j) ** k) ** (1 / k)
    assert f"spectral radius {radius:.6g} per step" in text


def test_arguments_choose_the_kind_that_takes_them(capsys: pytest.CaptureFixture[str]):
    assert main(["explain", "mmd"]) == 0
    both = capsys.readouterr().out
    assert "mmd (distance)" in both
    assert "mmd (metric)" in both
    assert main(["explain", " mmd(kernel=laplace) "]) == 0
    one = capsys.readouterr().out
    assert one.startswith("mmd(kernel=laplace) (distance)\n")
    assert "(metric)" not in one


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("acgan(weigth=0.5)", "acgan has no argument 'weigth' (did you mean 'weight'?): wanted weight=..., fake=..."),
        ("acgan(weight=-1)", "weight is -1.0: wanted a number that is not negative"),
        (
            "acgan(weight=0.5",
            "conditional is 'acgan(weight=0.5' (did you mean 'acgan'?): wanted NAME or NAME(argument=value, ...)",
        ),
        ("acgn(weight=0.5)", "unknown name 'acgn' (did you mean 'acgan'?)"),
        ("wgan-gp(weight=1)", "'wgan-gp(weight=1)': presets are explained without arguments: wanted 'wgan-gp'"),
        ("pack(degree=3)", "'pack(degree=3)': stabilisers are explained without arguments: wanted 'pack'"),
    ],
)
def test_wrong_arguments(capsys: pytest.CaptureFixture[str], text: str, words: str):
    assert main(["explain", text]) == 2
    assert words in capsys.readouterr().err
    with pytest.raises(InputError):
        explain.run([text])
