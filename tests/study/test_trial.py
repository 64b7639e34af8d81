"""A trial's settings are judged by all of its seeds, whether those are trained together or not."""

import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_studies import method, plan

from adversarium.config import TrainConfig
from adversarium.study.material import Material, open_source
from adversarium.study.plan import SEED_OF_TRIALS, Plan
from adversarium.study.run import run_config
from adversarium.study.trial import Judged, judge
from adversarium.train.folder import RunFolder

MEASUREMENTS, SEEDS = 3, 3
PLAN, WGAN_GP = (
    plan(method(name, {"learning_rate": "1e-5..1e-2 log"}), trials=1, measurements=MEASUREMENTS)
    for name in ("gan", "wgan-gp")
)


@pytest.fixture(scope="module")
def material() -> Material:
    return Material.of_trials(PLAN, open_source(PLAN))


def configs(
    material: Material, out: Path, *, count: int = SEEDS, rate: float = 1e-3, of: Plan = PLAN
) -> list[TrainConfig]:
    rates = {"critic_learning_rate": rate, "generator_learning_rate": rate}
    return [
        run_config(
            of,
            of.methods[0],
            material,
            seed=SEED_OF_TRIALS + number,
            out=out / f"seed{number}",
            options={**rates, "device": "cpu"},
        )
        for number in range(count)
    ]


def judged(
    material: Material,
    runs: list[TrainConfig],
    together: int = 1,
    is_hopeless: Callable[[float, int], bool] = lambda cost, count: False,
    report: Callable[[float], None] = lambda share: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Any:
    return judge(
        runs,
        material,
        measurements=MEASUREMENTS,
        together=together,
        report=report,
        is_hopeless=is_hopeless,
        stopping=stopping,
    )


def courses(material: Material, runs: list[TrainConfig]) -> list[list[float]]:
    """Return what each run cost at each measurement: the sliced Wasserstein distance is smaller where it is better."""
    found = [RunFolder.open(Path(str(each.out))).records() for each in runs]
    return [[line[material.protocol] for line in lines if material.protocol in line] for lines in found]


@pytest.mark.parametrize("together", [1, 2, SEEDS])
def test_settings_cost_what_their_runs_cost_in_the_mean(tmp_path: Path, material: Material, together: int) -> None:
    alone = [judged(material, [config]).cost for config in configs(material, tmp_path / "alone")]
    assert len(set(alone)) == SEEDS  # of another seed each
    found = judged(material, configs(material, tmp_path / "all"), together)
    assert found.cost == pytest.approx(statistics.fmean(alone), rel=1e-4)
    assert found == Judged(cost=found.cost)


@pytest.mark.parametrize("together", [1, 2, SEEDS])
def test_a_trial_is_asked_about_after_each_measurement_of_the_runs_that_come_first(
    tmp_path: Path, material: Material, together: int
) -> None:
    asked: list[tuple[float, int]] = []
    told: list[float] = []
    runs = configs(material, tmp_path)
    judged(material, runs, together, lambda cost, count: asked.append((cost, count)) or False, told.append)
    assert told == sorted(told)
    assert told[-1] == 1
    assert [count for _, count in asked] == list(range(1, together * MEASUREMENTS))  # not after their last
    known: list[list[float]] = [[] for _ in range(together)]
    whole = courses(material, runs)
    for cost, count in asked:
        measurement, number = divmod(count - 1, together)
        known[number].append(whole[number][measurement])
        assert cost == pytest.approx(statistics.fmean(each[-1] for each in known if each))


@pytest.mark.parametrize("together", [1, SEEDS])
def test_hopeless_settings_are_given_up_at_once(tmp_path: Path, material: Material, together: int) -> None:
    runs = configs(material, tmp_path)
    found = judged(material, runs, together, lambda cost, count: count == 2)
    assert found == Judged(pruned=True)
    assert [Path(str(each.out)).exists() for each in runs] == [together > number for number in range(SEEDS)]
    assert len(courses(material, runs[:1])[0]) <= 2


@pytest.mark.parametrize("together", [1, SEEDS])
def test_settings_of_which_a_run_fails_have_failed(tmp_path: Path, material: Material, together: int) -> None:
    runs = configs(material, tmp_path, rate=1e6, of=WGAN_GP)
    found = judged(material, runs, together)
    assert (found.cost, found.pruned) == (None, False)
    assert found.why.startswith("stopped at step")
    assert Path(str(runs[-1].out)).exists() == (together > 1)  # the others would change nothing


@pytest.mark.parametrize("together", [1, 2])
def test_the_other_runs_stop_where_one_fails(tmp_path: Path, material: Material, together: int) -> None:
    calm = configs(material, tmp_path, count=2, of=WGAN_GP)
    rates = {"critic_learning_rate": 1e18, "generator_learning_rate": 1e18}
    runs = [calm[0], replace(calm[1], **rates)]
    found = judged(material, runs, together, lambda cost, count: together == 2)
    assert (found.cost, found.pruned) == (None, False)
    assert "stopped" in found.why
    # one after the other the sound one was whole before; in a stack it goes no further than to its first measurement
    (course,) = courses(material, runs[:1])
    assert len(course) == (MEASUREMENTS if together == 1 else 1)


@pytest.mark.parametrize("together", [1, SEEDS])
def test_a_trial_goes_on_where_its_worker_died(tmp_path: Path, material: Material, together: int) -> None:
    class Died(Exception):
        pass

    def die(share: float) -> None:
        if share > 0.5:  # of those one after the other the second is half done
            raise Died

    runs = configs(material, tmp_path / "broken")
    with pytest.raises(Died):
        judged(material, runs, together, report=die)
    asked: list[tuple[float, int]] = []
    told: list[float] = []
    found = judged(material, runs, together, lambda cost, count: asked.append((cost, count)) or False, told.append)
    whole: list[tuple[float, int]] = []
    expected = judged(
        material, configs(material, tmp_path / "whole"), together,
        lambda cost, count: whole.append((cost, count)) or False,
    )  # fmt: skip
    assert found.cost == pytest.approx(expected.cost, rel=1e-4)
    by_count = {count: cost for cost, count in whole}
    assert {count: cost for cost, count in asked} == pytest.approx(
        {count: by_count[count] for _, count in asked}, rel=1e-4
    )
    if together == 1:
        assert asked == []  # the first run was whole
        assert min(told) >= 1 / SEEDS
    else:
        assert asked


def test_a_trial_stops_between_its_runs(tmp_path: Path, material: Material) -> None:
    """A signal that comes when a run is about to end is not seen by the run."""
    told: list[float] = []
    runs = configs(material, tmp_path / "stopped")
    assert judged(material, runs, report=told.append, stopping=lambda: bool(told) and told[-1] >= 1 / SEEDS) is None
    assert max(told) == pytest.approx(1 / SEEDS)
    assert judged(material, runs).cost == pytest.approx(
        judged(material, configs(material, tmp_path / "whole")).cost, rel=1e-4
    )
