"""Detectors on made histories: each failure is found alone, health is not, and every remedy can be followed."""

import dataclasses
import itertools
import math
import re

import numpy as np
import pytest

from adversarium.config import TrainConfig
from adversarium.data import open_data
from adversarium.diagnostics import (
    DETECTORS,
    LIMITS,
    PROBED,
    Circumstances,
    History,
    diagnose,
    unjudged,
)
from adversarium.diagnostics.collapse import mode_collapse
from adversarium.diagnostics.detector import smoothed, tail
from adversarium.diagnostics.detectors import _LEADS_TO
from adversarium.diagnostics.dynamics import divergence
from adversarium.diagnostics.history import since
from adversarium.diagnostics.meanings import meaning, title
from adversarium.diagnostics.penalised import undecided_loss
from adversarium.presets import PRESETS
from adversarium.train.resolve import resolve

RECORDS, EVERY = 150, 5
"""How many records there are, and at how many of them the probe looked."""

SOURCES = {"ring": open_data("ring"), "mnist": open_data("mnist")}


def circumstances(preset="r3gan", data="ring", **options):
    config = resolve(TrainConfig(data=data, preset=preset, device="cpu", **options), SOURCES[data].codec)
    return Circumstances(config=config, preset=PRESETS[preset])


HEALTHY = {
    "score_gap": 1.0,
    "real_score": 0.5,
    "fake_score": -0.5,
    "critic_gradient_norm": 1.0,
    "generator_gradient_norm": 2.0,
    "generator_loss": 0.9,
    "probe_auc": 0.75,
    "probe_auc_held_out": 0.74,
    "probe_auc_memory": 0.51,
    "probe_overfitting": 0.02,
    "probe_generator_signal": 1.1,
    "probe_critic_signal": 0.9,
    "probe_critic_gain": 0.13,
    "probe_sample_gradient": 0.5,
    "probe_slope_real": 0.8,
    "probe_slope_fake": 0.9,
    "probe_slope_between": 0.95,
    "probe_slope_max": 1.3,
    "probe_diversity": 0.98,
    "probe_coverage": 0.9,
    "probe_precision": 0.9,
    "probe_distance": lambda t: 0.01 + 0.5 * np.exp(-12 * t),
    "probe_far": 0.02,
    "probe_modes": 1.0,
    "probe_high_quality": 0.8,
    "probe_critic_update": 0.004,
    "probe_generator_update": 0.003,
}


def records(where=None, seed=0, **columns):
    """Return records whose numbers are given, by progress from 0 to 1 or constant, with 5 % of noise."""
    where = where or circumstances()
    rng = np.random.default_rng(seed)
    terms = {f"critic_{term.name}": 0.05 for term in where.preset.objective.critic_terms}
    given = {**HEALTHY, "critic_loss": undecided_loss(where) - 0.2, **terms, **columns}
    made = []
    for i in range(RECORDS):
        t = (i + 1) / RECORDS
        record = {"step": 20 * (i + 1), "kimg": 1.28 * (i + 1), "progress": t}
        for name, value in given.items():
            if value is None or (name.startswith("probe_") and (i + 1) % EVERY):
                continue
            number = float(value(t) if callable(value) else value)
            noise = 0.05 * rng.standard_normal()
            record[name] = min(number, 1.0) if name == "probe_auc" and number >= 1 else number * (1 + noise)
        made.append(record)
    return made


def turn(t):
    return math.sin(40 * t)


FAR = {"probe_distance": 0.4}
FAILURES = {
    "vanishing_generator_gradient": ("gan", {"probe_generator_signal": 1e-3}),
    "critic_too_strong": ("nsgan", {"probe_auc": 1.0, **FAR}),
    "critic_too_weak": ("nsgan", {"probe_auc": 0.5, **FAR}),
    "critic_saturated": ("hinge", {"probe_critic_signal": 1e-3}),
    "mode_collapse": ("nsgan", {"probe_diversity": 0.1, "probe_modes": 0.1, **FAR}),
    "partial_collapse": ("nsgan", {"probe_modes": 0.6}),
    "critic_overfitting": (
        "r3gan",
        {"probe_auc_memory": 0.9, "probe_overfitting": 0.6, "probe_auc": 0.9, "probe_auc_held_out": 0.6},
    ),
    "oscillation": ("nsgan", {"score_gap": turn, "probe_auc": lambda t: 0.7 + 0.5 * turn(t), **FAR}),
    "divergence": ("hinge", {"score_gap": lambda t: math.exp(12 * t), "critic_loss": lambda t: math.exp(12 * t)}),
    "lipschitz_violated": ("wgan-gp", {"probe_slope_between": 5.0, "probe_slope_max": 20.0}),
    "penalty_dominates": ("wgan-gp", {"critic_wgan_gp": 3.0, **FAR}),
    "penalty_idle": ("r3gan", {"critic_r1": 1e-6, "critic_r2": 1e-6}),
    "learning_rate_imbalance": ("lsgan", {"probe_critic_update": 0.1, "probe_generator_update": 1e-3, **FAR}),
}
"""Kind to a method and to numbers that are those of this failure alone."""


@pytest.mark.parametrize("gain", [-2.0, 0.0, 0.05])
def test_a_critic_whose_loss_gains_nothing_is_too_weak_whatever_its_order(gain):
    where = circumstances("nsgan")
    found = diagnose(records(where, probe_auc=0.8, probe_critic_gain=gain, **FAR), where)
    assert kinds(found) == ["critic_too_weak"]
    assert "loss is only" in found[0].what
    assert diagnose(records(where, probe_critic_gain=0.2, **FAR), where) == []
    assert diagnose(records(where, probe_critic_gain=gain), where) == []  # at an equilibrium it has nothing to gain


DATA_KINDS = {"data_range", "data_duplicates", "data_constant_channels"}


def kinds(found):
    return [finding.kind for finding in found]


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_found_in_a_healthy_run(preset, seed):
    where = circumstances(preset)
    assert diagnose(records(where, seed), where) == []


@pytest.mark.parametrize("kind", sorted(FAILURES))
@pytest.mark.parametrize("seed", range(3))
def test_each_failure_is_found_alone(kind, seed):
    preset, numbers = FAILURES[kind]
    where = circumstances(preset)
    (finding,) = diagnose(records(where, seed, **numbers), where)
    assert finding.kind == kind
    assert 0 < finding.severity <= 1
    assert finding.evidence
    assert all(math.isfinite(value) for value in finding.evidence.values())
    assert finding.what.endswith(".")
    assert finding.cause.endswith(".")
    assert finding.remedies
    assert finding.remedies[0].options


def test_every_detector_is_tested_here_or_with_the_data():
    assert set(FAILURES) | DATA_KINDS == set(DETECTORS)


@pytest.mark.parametrize("kind", sorted(FAILURES.keys() - {"divergence"}))
def test_a_finding_says_since_when(kind):
    preset, numbers = FAILURES[kind]
    where = circumstances(preset)
    sound = {**HEALTHY, "critic_wgan_gp": 0.05, "critic_r1": 0.05, "critic_r2": 0.05}

    def from_half(name):
        def value(t):
            before = sound[name](t) if callable(sound[name]) else sound[name]
            after = numbers[name](t) if callable(numbers[name]) else numbers[name]
            return after if t > 0.5 else before

        return value

    (finding,) = diagnose(records(where, **{name: from_half(name) for name in numbers}), where)
    assert finding.kind == kind
    assert finding.since_kimg == pytest.approx(1.28 * RECORDS / 2, abs=0.2 * 1.28 * RECORDS)


@pytest.mark.parametrize("kind", sorted(FAILURES.keys() - {"divergence"}))
def test_what_has_passed_is_not_told(kind):
    preset, numbers = FAILURES[kind]
    where = circumstances(preset)
    ill, sound = records(where, **numbers), records(where)
    assert diagnose([*ill[: RECORDS // 3], *sound[RECORDS // 3 :]], where) == []


@pytest.mark.parametrize("kind", sorted(FAILURES))
def test_nothing_is_said_of_a_run_that_has_just_begun(kind):
    preset, numbers = FAILURES[kind]
    where = circumstances(preset)
    for count in (0, 1, 19):
        assert diagnose(records(where, **numbers)[:count], where) == []
    reasons = unjudged(records(where, **numbers)[:19], where)
    assert kind in reasons
    looked = "the probe looked at the run 3 times: wanted at least 8"
    assert {reasons[each] for each in ("mode_collapse", "critic_too_strong", "critic_overfitting")} == {looked}


def test_what_does_not_apply_is_said():
    reasons = unjudged(records(circumstances("nsgan")), circumstances("nsgan"))
    assert reasons == {
        **dict.fromkeys(DATA_KINDS, "the data were not looked at"),
        "lipschitz_violated": "the method bounds no slope",
        "penalty_dominates": "the method penalises its critic by nothing",
        "penalty_idle": "the method penalises its critic by nothing",
    }
    assert set(unjudged(records(), circumstances("wgan-gp"))) == DATA_KINDS


def test_a_critic_ahead_of_samples_that_still_improve_is_not_too_strong():
    where = circumstances("nsgan")
    coming = records(where, probe_auc=1.0, probe_distance=lambda t: 0.6 - 0.4 * t)
    assert diagnose(coming, where) == []


def test_a_critic_that_guesses_at_good_samples_is_not_too_weak():
    where = circumstances("nsgan")
    assert diagnose(records(where, probe_auc=0.5), where) == []


def test_a_generator_whose_own_gradient_vanishes_is_found():
    where = circumstances("nsgan")
    (finding,) = diagnose(records(where, generator_gradient_norm=lambda t: 2.0 if t < 0.4 else 1e-6), where)
    assert finding.kind == "vanishing_generator_gradient"
    assert finding.since_kimg == pytest.approx(1.28 * RECORDS * 0.4, rel=0.05)


def test_images_without_known_modes_collapse_in_part():
    where = circumstances("nsgan", "mnist")
    none = {"probe_modes": None, "probe_high_quality": None, **FAR}
    assert kinds(diagnose(records(where, probe_diversity=0.6, probe_coverage=0.2, **none), where)) == [
        "partial_collapse"
    ]
    assert diagnose(records(where, probe_diversity=0.95, probe_coverage=0.2, **none), where) == []


@pytest.mark.parametrize(
    "ended", ["critic_loss became nan at step 7", "x became -inf at step 9", "a non-finite score"]
)
def test_a_run_that_ended_in_its_numbers_diverged(ended):
    where = dataclasses.replace(circumstances("nsgan"), ended=ended)
    (finding,) = diagnose(records(where)[:4], where)
    assert finding.kind == "divergence"
    assert ended in finding.what
    assert diagnose([], where)[0].kind == "divergence"
    assert diagnose(records(where), dataclasses.replace(where, ended="no information, interrupted")) == []


def test_samples_that_leave_the_data_diverged():
    where = circumstances("nsgan")

    def far(t):
        return 0.05 if t < 0.4 else 1.0

    found = diagnose(records(where, probe_far=far, probe_distance=lambda t: 0.9 * far(t)), where)
    assert "divergence" in kinds(found)
    # samples that never came near did not leave
    assert "divergence" not in kinds(diagnose(records(where, probe_far=1.0, probe_distance=0.9), where))


def test_a_penalty_dominates_by_its_share_of_the_gain():
    where = circumstances("wgan-gp")  # an undecided critic's loss is 0: the gain is minus the loss

    def found(penalty, loss, distance):
        log = records(where, critic_wgan_gp=penalty, critic_loss=loss, probe_distance=distance)
        return kinds(diagnose(log, where))

    assert found(1.0, -1.0, 0.4) == []
    assert found(3.0, -1.0, 0.4) == ["penalty_dominates"]
    assert found(3.0, -1.0, 0.01) == []
    assert found(15.0, -1.0, 0.01) == ["penalty_dominates"]
    assert found(1.0, 1.0, 0.4) == ["penalty_dominates"]  # worse than undecided
    assert found(0.1, 1.0, 0.4) == []  # but not for such a penalty


def test_few_modes_are_a_collapse_unless_samples_are_all_over_the_place():
    where = circumstances("nsgan")
    assert kinds(diagnose(records(where, probe_modes=0.1, probe_diversity=0.5, **FAR), where)) == ["mode_collapse"]
    found = kinds(diagnose(records(where, probe_modes=0.1, probe_diversity=5.0, **FAR), where))
    assert found == ["partial_collapse"]


def test_modes_are_missing_only_where_some_are_made():
    where = circumstances("nsgan")
    assert kinds(diagnose(records(where, probe_modes=0.25, probe_high_quality=0.5), where)) == ["partial_collapse"]
    # samples of a generator that has learnt nothing come near modes by chance
    assert diagnose(records(where, probe_modes=0.25, probe_high_quality=0.02), where) == []


def test_the_collapse_says_how_near_it_looked():
    where = circumstances("nsgan")
    (found,) = diagnose(records(where, probe_modes=lambda t: 0.25), where)
    assert re.search(r", and come near 2\d % of its modes\.$", found.what)


@pytest.mark.parametrize("preset", ["r3gan", "wgan-gp"])
@pytest.mark.parametrize("data", ["ring", "mnist"])
def test_what_circles_is_damped_first_by_the_methods_own_penalty(preset, data):
    def remedies(**options):
        where = circumstances(preset, data, **options)
        (found,) = diagnose(records(where, **FAILURES["oscillation"][1]), where)
        return found.remedies

    first = remedies()[0]
    assert first.options == {"penalty_scale": 10.0}
    assert "ten times as heavy" in first.text
    assert remedies(penalty_scale=20.0)[0].options == {"penalty_scale": 200.0}
    lost = remedies(penalty_scale=0.01)[0]
    assert lost.options == {"penalty_scale": 1.0}
    assert "put the method's own penalty back" in lost.text
    assert not any("penalty" in each.text.lower() and "Damp" in each.text for each in remedies(penalty_scale=500.0))


@pytest.mark.parametrize(
    ("budget", "longer"),
    [
        ({"kimg": 20.0}, {"kimg": 80.0}),
        ({"steps": 30}, {"steps": 120}),
        ({"kimg": 20.0, "decay": "linear"}, {"kimg": 80.0, "decay_kimg": 80.0}),
    ],
)
def test_players_that_learn_slower_learn_longer(budget, longer):
    where = circumstances("nsgan", "mnist", **budget)
    (found,) = diagnose(records(where, **FAILURES["oscillation"][1]), where)
    (slower,) = [each for each in found.remedies if "quarter" in each.text]
    rate = where.config.critic_learning_rate / 4
    assert slower.options == {"critic_learning_rate": rate, "generator_learning_rate": rate, **longer}


def test_of_an_oscillation_only_what_shows_it_is_told():
    where = circumstances("nsgan")
    swings = {"probe_auc": lambda t: 0.7 + 0.5 * turn(t)}
    gap = {"reversed_gap_share", "reversed_gap_mass_share"}
    for numbers, told in (
        ({"score_gap": turn, **FAR}, gap),
        ({**swings, **FAR}, {"reversed_auc_share"}),
        ({"score_gap": turn, **swings, **FAR}, gap | {"reversed_auc_share"}),
    ):
        (found,) = diagnose(records(where, **numbers), where)
        assert {name for name in found.evidence if name.startswith("reversed")} == told
        share = max(found.evidence.get(name, 0.0) for name in ("reversed_gap_share", "reversed_auc_share"))
        assert f"in {100 * share:.0f} % of" in found.what


def test_all_numbers_that_are_told_are_explained():
    for preset, numbers in FAILURES.values():
        where = circumstances(preset)
        for finding in diagnose(records(where, **numbers), where):
            assert [name for name in {*finding.evidence, *finding.series} if not meaning(name)] == []
    assert meaning("critic_r1") == "the penalty r1, its weight included"
    assert (meaning("nothing_known"), title("nothing_known")) == ("", "nothing known")


def test_a_run_that_is_not_known_is_not_called_stable():
    where = circumstances("nsgan")
    assert "divergence" in unjudged([], where)
    assert "divergence" in unjudged([{"kimg": 1.0, "step": 2.0, "probe_far": 0.0, "probe_distance": 0.1}], where)
    assert "divergence" not in unjudged(records(where), where)
    ended = dataclasses.replace(where, ended="critic_loss is nan at step 3")
    assert "divergence" not in unjudged([], ended)  # how it ended says enough
    assert kinds(diagnose([], ended)) == ["divergence"]


def test_a_reason_names_numbers_only_where_others_were_measured():
    where = circumstances("wgan-gp", "mnist")
    made = [
        {name: value for name, value in record.items() if "modes" not in name and "high_quality" not in name}
        for record in records(where)
    ]
    assert "partial_collapse" not in unjudged(made, where)
    few = unjudged(made[:20], where)
    assert (
        few["partial_collapse"] == "the probe looked at the run 4 times: wanted at least 8"
    )  # of digits none has modes
    late = [{name: value for name, value in record.items() if "precision" not in name} for record in made[:-25]]
    assert unjudged([*late, *made[-25:]], where)["partial_collapse"] == (
        "probe_diversity and probe_coverage and probe_precision were measured 5 times: wanted at least 8"
    )  # and not that probe_modes, which digits can never have, was measured 0 times
    without = [{name: value for name, value in record.items() if "memory" not in name} for record in made]
    assert unjudged(without, where) == {
        "critic_overfitting": "probe_auc_memory and probe_auc and probe_auc_held_out were measured 0 times: "
        "wanted at least 8",
        **dict.fromkeys(DATA_KINDS, "the data were not looked at"),
    }


def test_a_player_that_does_not_move_at_all_is_no_imbalance():
    where = circumstances("lsgan")
    assert diagnose(records(where, probe_generator_update=0.0, **FAR), where) == []


def test_scores_that_begin_at_nothing_do_not_diverge():
    where = circumstances("nsgan")
    assert diagnose(records(where, score_gap=lambda t: 1e-3 + 5 * t, critic_loss=lambda t: 1e-3 + t), where) == []


def test_a_cause_comes_before_what_it_explains_and_is_as_severe():
    where = circumstances("gan", "mnist")
    several = {"probe_auc": 1.0, "probe_critic_signal": 1e-3, "probe_generator_signal": 1e-3, **FAR}
    found = diagnose(records(where, **several), where)
    assert kinds(found) == ["critic_too_strong", "critic_saturated", "vanishing_generator_gradient"]
    severities = [finding.severity for finding in found]
    assert severities == sorted(severities, reverse=True)


def test_causes_have_no_circle_and_come_first_among_the_detectors():
    order = list(DETECTORS)
    for cause, symptoms in _LEADS_TO.items():
        assert all(order.index(cause) < order.index(symptom) for symptom in symptoms)


def test_findings_name_numbers_that_runs_have():
    names = {*HEALTHY, *PROBED, "critic_loss"}
    for kind, (preset, numbers) in FAILURES.items():
        where = circumstances(preset)
        terms = {f"critic_{term.name}" for term in where.preset.objective.critic_terms}
        (finding,) = diagnose(records(where, **numbers), where)
        assert set(finding.series) <= names | terms | {"critic_wgan_gp"}, kind
        assert set(finding.series) & set(records(where)[-1]), kind


def test_thresholds_are_those_that_are_given():
    where = circumstances("nsgan")
    log = records(where, probe_auc=0.9, probe_distance=0.4)
    assert diagnose(log, where) == []
    assert kinds(diagnose(log, where, dataclasses.replace(LIMITS, separated=0.8))) == ["critic_too_strong"]
    weak = dataclasses.replace(LIMITS, least_looks=31)
    _, numbers = FAILURES["mode_collapse"]
    assert diagnose(records(where, **numbers), where, weak) == []


@pytest.mark.parametrize("kind", sorted(FAILURES))
def test_every_threshold_window_is_persistent(kind):
    """A single look as in the failure, among healthy ones, is nothing."""
    preset, numbers = FAILURES[kind]
    where = circumstances(preset)
    ill, sound = records(where, **numbers), records(where)
    assert diagnose([*sound[:-1], ill[-1]], where) == []


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_log_may_be_it_is_read_as_far_as_it_goes(seed):
    rng = np.random.default_rng(seed)
    kind = sorted(FAILURES)[seed % len(FAILURES)]
    preset, numbers = FAILURES[kind]
    where = circumstances(preset)
    torn = []
    names = [*HEALTHY, "kimg", "critic_loss"]
    lost = set(rng.choice(names, rng.integers(0, 12), replace=False).tolist())
    for record in records(where, seed, **numbers):
        record = {name: value for name, value in record.items() if name not in lost and rng.random() > 0.1}
        if rng.random() < 0.1:
            name = rng.choice(list(record) or ["kimg"])
            record[name] = [math.nan, math.inf, None, "text", True, []][rng.integers(6)]
        torn.append(record)
    rng.shuffle(torn)
    for finding in diagnose(torn[: rng.integers(0, RECORDS)], where):
        assert math.isfinite(finding.since_kimg)
        assert all(math.isfinite(value) for value in finding.evidence.values())
    unjudged(torn, where)


def test_a_log_with_gaps_and_a_resumed_end_is_found_the_same():
    preset, numbers = FAILURES["critic_too_strong"]
    where = circumstances(preset)
    log = records(where, **numbers)
    again = [{**record, "probe_distance": math.nan} for record in log[-10:]] + log[-10:]
    shuffled = [*log[::-1], *again]
    assert diagnose(shuffled, where) == diagnose(log, where)


# ---- remedies

CHANGES = [
    {},
    {"critic_learning_rate": 5e-2, "generator_learning_rate": 1e-6, "n_critic": 3},
    {"critic_learning_rate": 1e-6, "generator_learning_rate": 5e-2, "batch_size": 8},
    {"optimizer": "sgd", "beta1": 0.9, "critic_learning_rate": 0.1, "generator_learning_rate": 0.1},
    {"game": "extragradient", "clip_gradient_norm": 3.0, "average": "uniform"},
    {"decay": "cosine", "kimg": 20.0, "critic_learning_rate": 1e-3, "generator_learning_rate": 1e-3},
]
PENALISED = {"penalty_scale": 1e3, "penalty_fraction": 0.5}


def followed(where, remedy, data):
    """Return the configuration as a remedy changes it, resolved as a run would."""
    return resolve(dataclasses.replace(where.config, **remedy.options), SOURCES[data].codec)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_remedy_can_be_followed(preset):
    terms = PRESETS[preset].objective.critic_terms
    histories = {}
    for kind, (_, numbers) in FAILURES.items():
        kept = {name: value for name, value in numbers.items() if name in {*HEALTHY, "critic_loss"}}
        if kind.startswith("penalty"):
            kept |= {f"critic_{term.name}": numbers.get("critic_wgan_gp", 1e-6) for term in terms}
        histories[kind] = History(records(circumstances(preset), **kept))
    several = [("ring", each) for each in CHANGES] + [("mnist", each) for each in CHANGES[:2]]
    several += [("ring", {"anneal_kimg": 100.0})] if preset == "r3gan" else []
    several += [("ring", PENALISED), ("mnist", {"penalty_scale": 0.0})] if terms else []
    for data, changes in several:
        if changes.get("n_critic") and PRESETS[preset].rule.name != "alternating":
            continue
        where = circumstances(preset, data, **changes)
        tried = []
        for kind, history in histories.items():
            finding = DETECTORS[kind].detect(history, where)
            assert finding is not None or kind in ("lipschitz_violated", "penalty_dominates", "penalty_idle"), kind
            for remedy in finding.remedies if finding else ():
                assert remedy.text.endswith(".")
                if not remedy.options or remedy.options in tried:
                    continue
                tried.append(remedy.options)
                config = followed(where, remedy, data)
                assert config != where.config, (kind, remedy)
                for name, value in remedy.options.items():
                    assert value is not None
                    assert getattr(config, name) == value or name == "network", (kind, name)
        assert len(tried) > 5


def remedies(kind, where, **more):
    _, numbers = FAILURES[kind]
    history = records(where, **numbers, **more)
    return next(finding for finding in diagnose(history, where) if finding.kind == kind).remedies


def test_a_lead_that_the_user_gave_the_critic_is_put_back():
    where = circumstances(
        "nsgan", "mnist", critic_learning_rate=2e-3, generator_learning_rate=2e-5, n_critic=5, width=16
    )
    first = remedies("critic_too_strong", where)[0]
    assert first.options == {
        "critic_learning_rate": 2e-4,
        "generator_learning_rate": 2e-4,
        "game": "alternating(n_critic=1, n_generator=1)",
    }


def test_a_saturating_generator_is_made_another():
    first = remedies("vanishing_generator_gradient", circumstances("gan", "mnist"))[0]
    assert first.options == {"preset": "nsgan"}


def test_a_generator_that_runs_ahead_is_put_back():
    where = circumstances("lsgan", "mnist", critic_learning_rate=1e-6, generator_learning_rate=1e-2)
    first = remedies("critic_too_weak", where)[0]
    assert first.options == {"critic_learning_rate": 2e-4, "generator_learning_rate": 2e-4}


@pytest.mark.parametrize(
    ("kind", "preset", "scale", "mended"),
    [
        ("penalty_dominates", "wgan-gp", 500.0, 1.0),
        ("penalty_dominates", "wgan-gp", 1.0, 0.1),
        ("penalty_idle", "r3gan", 1e-5, 1.0),
        ("lipschitz_violated", "wgan-gp", 0.0, 1.0),
    ],
)
@pytest.mark.parametrize("data", ["ring", "mnist"])
def test_a_penalty_that_was_scaled_is_scaled_back(kind: str, preset: str, scale: float, mended: float, data: str):
    found = remedies(kind, circumstances(preset, data, penalty_scale=scale))
    put_back = next(each for each in found if each.options == {"penalty_scale": mended})
    # on the small networks of vectors published weights seldom fit: another method comes first
    assert found.index(put_back) == (1 if data == "ring" and preset != "r3gan" else 0)


def test_a_penalty_that_was_taken_out_is_put_back_before_steps_are_made_smaller():
    where = circumstances("wgan-gp", "mnist", penalty_scale=0.0, critic_learning_rate=1e-3)
    first, second, *_ = remedies("divergence", where)
    assert first.options == {"penalty_scale": 1.0}
    assert "preset" in second.options


def test_data_that_were_held_out_are_trained_on():
    where = circumstances("nsgan", "mnist", hold_out=0.98)
    assert remedies("critic_overfitting", where)[0].options == {"hold_out": 0.05}
    assert "hold_out" not in remedies("critic_overfitting", circumstances("nsgan", "mnist", hold_out=0.05))[0].options


def test_another_method_comes_with_all_of_its_settings():
    where = circumstances("wgan", "mnist", penalty_fraction=1.0)
    (change,) = [each for each in remedies("mode_collapse", where) if "preset" in each.options]
    config = followed(where, change, "mnist")
    fresh = resolve(TrainConfig(preset=config.preset, device="cpu"), SOURCES["mnist"].codec)
    for name in ("game", "optimizer", "beta1", "critic_batch_norm", "generator_batch_norm", "network"):
        assert getattr(config, name) == getattr(fresh, name), name


def test_no_remedy_is_told_twice():
    for kind, (preset, numbers) in FAILURES.items():
        where = circumstances(preset)
        for finding in diagnose(records(where, **numbers), where):
            options = [tuple(sorted(each.options.items())) for each in finding.remedies if each.options]
            assert len(set(options)) == len(options), kind


# ---- parts


def test_since_is_the_start_of_what_lasts():
    rng = np.random.default_rng(0)
    for share, length in itertools.product((0.5, 0.75, 1.0), (1, 5, 40)):
        holds = rng.random(length) < 0.6
        places = [i for i in range(length) if holds[i] and holds[i:].mean() >= share]
        assert since(holds, share) == (places[0] if places else length - 1)


def test_smoothed_is_a_mean_of_the_last_values():
    x = np.random.default_rng(1).normal(size=30)
    wanted = [x[max(0, i - 4) : i + 1].mean() for i in range(30)]
    np.testing.assert_allclose(smoothed(x), wanted, rtol=1e-12, atol=1e-12)


def test_a_window_is_the_last_third_and_at_least_four():
    assert tail(30, LIMITS) == slice(20, 30)
    assert tail(31, LIMITS) == slice(20, 31)
    assert tail(6, LIMITS) == slice(2, 6)
    assert tail(2, LIMITS) == slice(0, 2)
    assert tail(0, LIMITS) == slice(0, 0)


def test_a_history_has_gaps_where_nothing_was_measured():
    history = History([{"kimg": 2.0, "a": 1}, {"kimg": 1.0, "b": 5.0}, {"a": 9}, {"kimg": 3.0, "a": math.inf, "b": 7}])
    np.testing.assert_array_equal(history.kimg, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(history.column("a"), [math.nan, 1.0, math.nan])
    assert history.names == {"a", "b", "kimg"}
    kimg, (b,) = history.series("b")
    assert kimg.tolist() == [1.0, 3.0]
    assert b.tolist() == [5.0, 7.0]
    assert len(history.series("a", "b")[0]) == 0
    assert len(history.series("c")[0]) == 0
    assert len(History([])) == 0


def test_a_history_that_grows_is_the_one_that_was_read_at_once():
    rng = np.random.default_rng(4)
    log = [{"kimg": float(k), "a": k, **({"b": k * k} if k % 3 == 0 else {})} for k in range(20)]
    log += [{"kimg": 7.0, "a": -1}, {"a": 3}, {"kimg": math.nan, "a": 5}, {"kimg": 30.0, "new": 1}]
    rng.shuffle(log)
    log += [{"kimg": 5.0, "a": 99}]
    growing = History()
    for record in log:
        growing.add(record)
    whole = History(log)
    np.testing.assert_array_equal(growing.kimg, whole.kimg)
    assert growing.names == whole.names
    for name in whole.names:
        np.testing.assert_array_equal(growing.column(name), whole.column(name))
    assert whole.column("a")[5] == 99
    preset, numbers = FAILURES["mode_collapse"]
    made = records(circumstances(preset), **numbers)
    assert diagnose(History(made), circumstances(preset)) == diagnose(made, circumstances(preset))


def test_looking_directly_at_nothing_finds_nothing():
    for look in (divergence, mode_collapse):
        assert look(History([]), circumstances(), LIMITS) is None


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_loss_of_an_undecided_critic(preset):
    known = {
        "log": math.log(4),
        "hinge": 2.0,
        "lsgan": 0.25,
        "w": 0.0,
        "pair": math.log(2),
        "average": 2 * math.log(2),
    }
    which = {"gan": "log", "nsgan": "log", "hinge": "hinge", "sngan": "hinge", "lsgan": "lsgan", "rsgan": "pair"}
    which |= {"r3gan": "pair", "rasgan": "average"}
    value = undecided_loss(circumstances(preset))
    margin = 0.2 if preset == "ebgan" else known[which.get(preset, "w")]
    assert value == pytest.approx(margin, abs=1e-12)
