"""How numbers are said."""

import pytest

from adversarium.study.wording import duration, plural, probability


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
