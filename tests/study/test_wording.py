"""How numbers are said."""

import numpy as np
import pytest

from adversarium.metrics import METRICS, Protocol
from adversarium.study._compared import interval_of
from adversarium.study.wording import (
    better_of,
    duration,
    interval_name,
    names,
    plural,
    probability,
    short,
    spread,
    title,
)


@pytest.mark.parametrize(
    ("seconds", "exactly", "roughly"),
    [
        (0.0, "0 s", "1 s"),
        (0.21234, "0.212 s", "1 s"),
        (89.4, "89.4 s", "89 s"),
        (91.0, "1.52 min", "2 min"),
        (5300.0, "88.3 min", "88 min"),
        (5400.0, "1 h 30 min", "1 h 30 min"),
        (7199.0, "2 h 00 min", "2 h 00 min"),
        (356_520.0, "99 h 02 min", "99 h 02 min"),
    ],
)
def test_a_time_has_the_unit_that_suits_it(seconds, exactly, roughly):
    assert duration(seconds) == exactly
    assert duration(seconds, rough=True) == roughly


def test_one_is_not_many():
    assert [plural(count, "run") for count in (0, 1, 2, 1200)] == ["0 runs", "1 run", "2 runs", "1,200 runs"]


@pytest.mark.parametrize(
    ("p", "said"), [(1.0, "1.00"), (0.32, "0.32"), (0.0321, "0.032"), (0.0059, "0.0059"), (2e-5, "< 0.001")]
)
def test_a_p_is_said_in_a_few_characters(p, said):
    assert probability(p) == said


@pytest.mark.parametrize("seeds", range(2, 15))
def test_an_interval_is_called_a_range_where_it_is_one(seeds):
    values = np.random.default_rng(seeds).standard_normal(seeds)
    is_range = interval_of(values) == (values.min(), values.max())
    assert interval_name(seeds) == (f"range of {seeds} seeds" if is_range else "95 % interval")


@pytest.mark.parametrize("seeds", range(2, 15))
def test_what_is_called_a_95_percent_interval_covers_about_that(seeds):
    """By simulation; of a range the share is known: all runs fall on one side of the median in 2 of 2ⁿ studies."""
    samples = np.random.default_rng(seeds).standard_normal((4000, seeds))
    ends = np.array([interval_of(each) for each in samples])
    covered = float(((ends[:, 0] <= 0) & (ends[:, 1] >= 0)).mean())
    if interval_name(seeds) == "95 % interval":
        assert 0.895 < covered < 0.975  # the least is 90.8 %, of 13
    else:
        assert covered == pytest.approx(1 - 2.0 ** (1 - seeds), abs=0.03)


def test_where_python_drops_docstrings_a_protocol_has_its_metrics_name(monkeypatch):
    monkeypatch.setattr(METRICS["fd"].function, "__doc__", None)
    assert title("fd2500_lenet_test") == "fd against test data in the features of lenet"


def test_a_protocol_is_said_in_the_words_of_its_metric():
    assert title("sw2_2500_raw_test") == "sliced Wasserstein distance to test data (sw2)"
    assert title("fd2500_lenet_test") == "Fréchet distance to test data in the features of lenet (fd)"
    assert title("kid1k_raw_train") == "kernel distance to training data (kid)"
    assert title("vendi500_raw_test") == "Vendi score (vendi)"
    assert title("modes2500_raw_test") == "modes (how many known modes have a sample)"
    assert short("high_quality2500_raw_test") == "high quality"


@pytest.mark.parametrize("value", METRICS)
def test_every_metric_has_short_words(value):
    name = Protocol(value=value, samples=500, features="raw", split="test").name
    assert better_of(name) == METRICS[value].better
    assert short(name).replace(" ", "_") == value
    said = title(name)
    assert len(said) < 120
    assert not said.startswith("The ")
    assert value.replace("_", " ") in said
    assert "500" not in said


def test_another_name_stands_for_itself():
    assert (title("loss of a judge"), short("fd"), better_of("sw2")) == ("loss of a judge", "fd", None)


def test_a_spread_is_the_median_and_the_range():
    assert spread([3.0, 1.0, 2.0, 10.0], "{:g}".format, " kimg") == "2.5 kimg (1 to 10)"
    assert spread([9.0, 12.0, 10.0], duration) == "10 s (9 s to 12 s)"
    assert spread([1.0001, 1.0002], "{:.2g}".format, " kimg") == "1 kimg"


def test_names_are_joined_as_in_a_sentence():
    assert [names("a"), names("ab"), names("abc")] == ["a", "a and b", "a, b and c"]
