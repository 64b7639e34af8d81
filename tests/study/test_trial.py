"""A trial's settings are judged by all of its seeds, whether those are trained together or not."""

import math
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
PLAN = plan(method("gan", {"learning_rate": "1e-5..1e-2 log"}), trials=1, measurements=MEASUREMENTS)


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
) -> Any:
    return judge(runs, material, measurements=MEASUREMENTS, together=together, report=report, is_hopeless=is_hopeless)


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


@pytest.mark.parametrize("together", [1, SEEDS])
def test_a_trial_is_asked_about_after_each_measurement_of_any_run(
    tmp_path: Path, material: Material, together: int
) -> None:
    asked: list[tuple[float, int]] = []
    told: list[float] = []
    runs = configs(material, tmp_path)
    judged(material, runs, together, lambda cost, count: asked.append((cost, count)) or False, told.append)
    assert told == sorted(told)
    assert told[-1] == 1
    assert [count for _, count in asked] == list(range(1, SEEDS * MEASUREMENTS))  # not after the last
    known: list[list[float]] = [[] for _ in range(SEEDS)]
    whole = courses(material, runs)
    for cost, count in asked:
        number, measurement = divmod(count - 1, MEASUREMENTS) if together == 1 else divmod(count - 1, SEEDS)[::-1]
        known[number].append(whole[number][measurement])
        assert cost == pytest.approx(statistics.fmean(each[-1] for each in known if each))


@pytest.mark.parametrize("together", [1, SEEDS])
def test_hopeless_settings_are_given_up_at_once(tmp_path: Path, material: Material, together: int) -> None:
    runs = configs(material, tmp_path)
    found = judged(material, runs, together, lambda cost, count: count == MEASUREMENTS + 1)
    assert found == Judged(pruned=True)
    begun = [Path(str(each.out)).exists() for each in runs]
    assert begun == ([True, True, False] if together == 1 else [True] * SEEDS)


@pytest.mark.parametrize("together", [1, SEEDS])
def test_settings_of_which_a_run_fails_have_failed(tmp_path: Path, material: Material, together: int) -> None:
    wild = plan(method("wgan-gp", {"learning_rate": "1e-5..1e-2 log"}), trials=1, measurements=MEASUREMENTS)
    runs = configs(material, tmp_path, rate=1e6, of=wild)
    found = judged(material, runs, together)
    assert (found.cost, found.pruned) == (None, False)
    assert found.why.startswith("stopped at step")
    assert Path(str(runs[-1].out)).exists() == (together > 1)  # the others would change nothing
    calm = [*configs(material, tmp_path / "calm", count=1), replace(runs[0], out=str(tmp_path / "wild"))]
    assert judged(material, calm).cost is None


@pytest.mark.parametrize("together", [1, SEEDS])
def test_a_trial_goes_on_where_its_worker_died(tmp_path: Path, material: Material, together: int) -> None:
    class Died(Exception):
        pass

    def die(cost: float, count: int) -> bool:
        if count == MEASUREMENTS + 1:
            raise Died
        return False

    runs = configs(material, tmp_path / "broken")
    with pytest.raises(Died):
        judged(material, runs, together, die)
    asked: list[tuple[float, int]] = []
    found = judged(material, runs, together, lambda cost, count: asked.append((cost, count)) or False)
    whole: list[tuple[float, int]] = []
    expected = judged(
        material, configs(material, tmp_path / "whole"), together,
        lambda cost, count: whole.append((cost, count)) or False,
    )  # fmt: skip
    assert found.cost == pytest.approx(expected.cost, rel=1e-4)
    if together == 1:  # what the dead one measured counts, though nobody measures it again
        assert min(count for _, count in asked) > MEASUREMENTS
        by_count = {count: cost for cost, count in whole}
        for cost, count in asked:
            assert cost == pytest.approx(by_count[count], rel=1e-4)
    assert math.isfinite(found.cost)
