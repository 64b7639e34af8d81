"""A study in its folder and database: begun once, gone on with, joined, and reported from the database alone."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import records_of
from small_studies import images, method, plan, vectors

from adversarium.data import ArraySource, open_data, splits
from adversarium.errors import InputError
from adversarium.study.conduct import STORAGE, Study, real_samples, refuse_other, try_database
from adversarium.study.jobs import Jobs
from adversarium.study.outlook import Outlook, Prospect
from adversarium.study.plan import Budget, Method, Plan

PLAN = plan(method("gan"), method("wgan-gp"), seeds=(0, 1, 2, 3, 4))
SEARCHED = plan(method("gan", {"beta1": "0|0.5"}), method("wgan-gp"), trials=2)


def looked(made: Plan) -> Outlook:
    found = [
        Prospect(method=each.name, steps=9, seconds=2.0, trial_seconds=1.0, together=2, alone="")
        for each in made.methods
    ]
    return Outlook(prospects=tuple(found), seconds=9.0, workers=2)


def begun(folder: Path, made: Plan = PLAN, **options: Any) -> Study:
    return Study.begin(folder, made, looked(made), **options)


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    found = begun(tmp_path / "study")
    yield found
    found.jobs.close()


def done(study: Study) -> None:
    """Do all runs of a study in no time, the last seed first."""
    rng = np.random.default_rng(3)
    made = records_of(rng, methods=("gan", "wgan-gp"), seeds=5)
    results = {f"run/{each.method}/{each.seed}": each for each in made}
    while claims := study.jobs.claim("me", most=1):
        study.jobs.finish(claims[0], results[claims[0].job.key].as_dict())


def test_a_study_is_begun_once_and_opened_again(study: Study, tmp_path: Path) -> None:
    assert study.name == "study"
    assert study.jobs.left() == 10
    for again in (begun(tmp_path / "study"), Study.open(tmp_path / "study")):
        assert again.plan == PLAN
        assert again.jobs.left() == 10
        again.jobs.close()
    values = json.loads((tmp_path / "study" / "study.json").read_text())
    assert Plan.from_dict(values["plan"]) == PLAN
    assert study.go_on == f"adversarium study --resume {tmp_path / 'study'}"


def test_a_folder_that_was_moved_is_still_a_study(study: Study, tmp_path: Path) -> None:
    study.jobs.close()
    (tmp_path / "study").rename(tmp_path / "moved here")
    found = Study.open(tmp_path / "moved here")
    assert found.jobs.left() == 10
    assert found.go_on.endswith(f"--resume '{tmp_path / 'moved here'}'")
    found.jobs.close()


def test_records_come_in_the_plans_order_and_make_a_report(study: Study, tmp_path: Path) -> None:
    done(study)
    assert [(each.method, each.seed) for each in study.records()] == [
        (name, seed) for name in ("gan", "wgan-gp") for seed in range(5)
    ]
    page = study.report()
    assert page == tmp_path / "study" / "report.html"
    assert (tmp_path / "study" / "runs.csv").exists()
    assert study.compared().seeds == 5


def test_a_report_of_nothing_says_what_is_done_and_how_to_go_on(study: Study) -> None:
    with pytest.raises(InputError, match=r"0 of 10 runs are done, of 0 methods: .* adversarium study --resume"):
        study.report()


def test_trials_are_those_of_one_method_in_their_order(tmp_path: Path) -> None:
    study = begun(tmp_path / "study", SEARCHED)
    claims = [study.jobs.claim(f"worker{number}")[0] for number in range(2)]
    assert [claim.job.key for claim in claims] == ["trial/gan/0", "trial/gan/1"]
    for claim in reversed(claims):
        study.jobs.finish(claim, {"cost": float(claim.job.payload["number"])})
    assert [each["cost"] for each in study.trials("gan")] == [0.0, 1.0]
    assert study.trials("wgan-gp") == []
    study.jobs.close()


# refused


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seeds": (0, 1)}, "seeds is [0, 1, 2, 3, 4] there, and [0, 1] here"),
        ({"budget": Budget(5.0, "kimg")}, "budget is '48gradients' there, and '5kimg' here"),
        ({"methods": (method("gan"), method("wgan-gp", packing=2))}, "methods (wgan-gp)"),
        ({"methods": (method("gan"), method("wgan-gp"), Method(name="new", options={}))}, "methods (new)"),
        ({"methods": (method("wgan-gp"), method("gan"))}, "the methods' order"),
        ({"level": 0.01, "trials": 3}, "trials is 0 there, and 3 here; level is 0.05 there, and 0.01 here"),
    ],
)
def test_the_folder_of_another_study_names_what_differs(
    study: Study, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    before = (tmp_path / "study" / "study.json").read_text()
    with pytest.raises(InputError) as error:
        begun(tmp_path / "study", replace(PLAN, **changes))
    assert f"holds another study: {words}." in str(error.value)
    assert f"adversarium study --resume {tmp_path / 'study'}" in str(error.value)
    assert (tmp_path / "study" / "study.json").read_text() == before


def test_folders_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is a file"):
        refuse_other(tmp_path / "file", PLAN, name="a", own_database=True)
    with pytest.raises(InputError, match="holds something that is no study"):
        refuse_other(tmp_path / "full", PLAN, name="a", own_database=True)
    for name in ("empty", "new"):
        refuse_other(tmp_path / name, PLAN, name=name, own_database=True)
    with pytest.raises(InputError, match="cannot be made|Not a directory|is a file"):
        begun(tmp_path / "file" / "below")


def test_a_study_that_was_killed_while_it_was_begun_can_be_begun(study: Study, tmp_path: Path) -> None:
    study.jobs.close()
    (tmp_path / "study" / "study.json").unlink()
    again = begun(tmp_path / "study")
    assert again.jobs.left() == 10
    again.jobs.close()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "holds no study"),
        ("{", "cannot be read as a study"),
        ("[]", "cannot be read as a study"),
        ("{}", "lacks name, own_database, plan"),
        ('{"name": "a", "own_database": true, "plan": {"dta": "ring"}}', "did you mean 'data'"),
    ],
)
def test_what_is_no_study_cannot_be_opened(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "study.json").write_text(content)
    with pytest.raises(InputError, match=words):
        Study.open(tmp_path)


def test_a_study_whose_database_is_gone_is_not_called_done(study: Study, tmp_path: Path) -> None:
    study.jobs.close()
    for path in (tmp_path / "study").glob("study.db*"):
        path.unlink()
    with pytest.raises(InputError, match="holds no study 'study'"):
        Study.open(tmp_path / "study")


@pytest.mark.parametrize("url", ["mysql://here/there", "sqlite:////nowhere/at/all/study.db", "nonsense"])
def test_a_database_that_cannot_be_used_leaves_nothing(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match="database"):
        begun(tmp_path / "one" / "two", url=url)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken_in_a_database_leaves_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    begun(tmp_path / "first", url=url, name="ours").jobs.close()
    with pytest.raises(InputError, match="holds a study 'ours' with another plan: level is 0.05 there"):
        begun(tmp_path / "second", replace(PLAN, level=0.01), url=url, name="ours")
    assert not (tmp_path / "second").exists()


def test_a_study_keeps_its_name_and_its_database(study: Study, tmp_path: Path) -> None:
    """The same plan under another name, or from another database, would make its own runs anew in its folder."""
    folder, before = tmp_path / "study", (tmp_path / "study" / "study.json").read_text()
    url = f"sqlite:///{folder}/study.db"
    with pytest.raises(InputError, match="name is 'study' there, and 'another' here"):
        begun(folder, name="another")
    for way in (lambda: Study.join(folder, url=url, name="study"), lambda: begun(folder, url=url)):
        with pytest.raises(InputError, match=r"the database is in its folder there, and elsewhere \(--storage\) here"):
            way()
    assert (folder / "study.json").read_text() == before
    study.jobs.close()
    folder.rename(tmp_path / "moved")
    again = begun(tmp_path / "moved")
    assert (again.name, again.jobs.left()) == ("study", 10)
    again.jobs.close()


def test_a_database_is_tried_before_methods_are(study: Study, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study/study.db"
    try_database(url, "study", PLAN)
    try_database(url, "new", replace(PLAN, level=0.01))
    assert Jobs(url, "new").plan() is None
    with pytest.raises(InputError, match="holds a study 'study' with another plan: level is 0.05 there, and 0.01"):
        try_database(url, "study", replace(PLAN, level=0.01))


# real samples


@pytest.mark.parametrize("kind", ["points", "images", "density"])
def test_reports_show_real_samples_that_no_run_was_trained_on(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"points": vectors, "images": images}[kind](tmp_path / "data.npz") if kind != "density" else "ring"
    made = replace(PLAN, data=data, hold_out=0.0 if kind == "density" else 0.25)
    found = real_samples(made, open_data(data))
    assert found is not None
    if kind == "points":
        source = open_data(data)
        assert isinstance(source, ArraySource)
        _, test = splits(source, 0.25)
        assert isinstance(test, ArraySource)
        rows = {tuple(row) for row in np.asarray(test.take(np.arange(len(test)))).tolist()}
        assert {tuple(row) for row in found.tolist()} == rows
    if kind == "images":
        assert (found.shape, found.dtype) == ((12, 3, 32, 32), np.uint8)
    if kind == "density":
        assert (found.shape, found.dtype) == ((1000, 2), np.float32)
        assert np.abs(np.linalg.norm(found, axis=1) - np.linalg.norm(found, axis=1).mean()).max() < 0.2
    given: dict[str, Any] = {}
    monkeypatch.setattr(
        "adversarium.study.conduct.write_report", lambda *_, **options: given.update(options) or Path()
    )
    study = begun(tmp_path / "study", made)
    done(study)
    study.report()
    np.testing.assert_array_equal(given["real"], found)
    if kind != "density":
        Path(data).unlink()
        told: list[str] = []
        study.report(tell=told.append)
        assert given["real"] is None
        assert "the report is without real samples: " in told[0]
    study.jobs.close()


# a database that several machines reach


def test_a_study_is_joined_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    first = begun(tmp_path / "first", url=url, name="ours")
    second = Study.join(tmp_path / "second", url=url, name="ours")
    assert second.plan == PLAN
    (claim,) = second.jobs.claim("me")
    assert first.jobs.claim("you")[0].job.key != claim.job.key
    with pytest.raises(InputError, match="its database is not in it: add --storage URL"):
        Study.open(tmp_path / "second")
    monkeypatch.setenv(STORAGE, url)
    found = Study.open(tmp_path / "second")
    assert found.jobs.left() == 10
    assert url not in " ".join(found.command())
    assert found.go_on == f"adversarium study --resume {tmp_path / 'second'} --storage {url}"
    for each in (first, second, found):
        each.jobs.close()


def test_joining_what_there_is_not_leaves_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    with pytest.raises(InputError, match="has no study 'ours'"):
        Study.join(tmp_path / "second", url=url, name="ours")
    assert not (tmp_path / "second").exists()
    begun(tmp_path / "elsewhere", replace(PLAN, data="/photos"), url=url, name="photos").jobs.close()
    with pytest.raises(InputError, match="data are /photos, which is not here: wanted the same data at the same path"):
        Study.join(tmp_path / "second", url=url, name="photos")
    assert not (tmp_path / "second").exists()
    begun(tmp_path / "first", url=url, name="ours").jobs.close()
    begun(tmp_path / "other", replace(PLAN, level=0.01), url=url, name="others").jobs.close()
    with pytest.raises(InputError, match="holds another study"):
        Study.join(tmp_path / "other", url=url, name="ours")


def test_optuna_and_the_jobs_speak_to_a_server_by_one_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        def __init__(self, url: str, name: str, **_: Any) -> None:
            pass

    monkeypatch.setattr("adversarium.study.conduct.Jobs", Nothing)
    for kind in ("postgresql", "postgres", "postgresql+psycopg"):
        study = Study(tmp_path, PLAN, f"{kind}://me@here/studies", "ours")
        assert study.url == "postgresql+psycopg://me@here/studies"
