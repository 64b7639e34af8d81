"""A report says all that was found, in a terminal of any width, in JSON, and on a page that needs nothing else."""

import dataclasses
import html
import json
import math
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from adversarium.config import TrainConfig
from adversarium.diagnostics import Circumstances, Finding, Remedy
from adversarium.diagnostics.meanings import meaning
from adversarium.diagnostics.page import as_page
from adversarium.diagnostics.plots import (
    BLOCKS,
    MOST_POINTS,
    PLAIN_BLOCKS,
    as_svg,
    panels_of,
    plot,
    points,
    sparkline,
)
from adversarium.diagnostics.report import (
    Diagnosis,
    as_data,
    as_text,
    command,
    commands,
    grade,
    headline,
    quantity,
    verdict,
)
from adversarium.errors import InputError
from adversarium.presets import PRESETS

CONFIG = TrainConfig(data="ring", preset="nsgan", out="runs/bad")
EVERY = 25  # records between two probes


def records(count: int = 200) -> list[dict[str, float]]:
    rng = np.random.default_rng(5)
    made = []
    for index in range(count):
        record = {
            "step": 20 * (index + 1),
            "kimg": 1.28 * (index + 1),
            "progress": (index + 1) / (2 * count),
            "real_score": float(rng.normal() + index / 9),
            "fake_score": float(rng.normal() - index / 9),
            "generator_gradient_norm": float(np.exp(-index / 10)),
        }
        if index % EVERY == 0:
            record |= {"probe_auc": 1 - 0.5 * math.exp(-index / 30)}
        made.append(record)
    return made


STRONG = Finding(
    kind="critic_too_strong",
    what="The critic tells fakes from data: <b>always</b> & everywhere.",
    since_kimg=64.0,
    severity=0.9,
    evidence={"probe_auc": 0.9987, "generator_gradient_norm": 3.21e-5, "wait_kimg": 12.0},
    series=("probe_auc", "generator_gradient_norm", "real_score", "fake_score", "never_measured"),
    cause="The critic's learning rate is 250 times the preset's.",
    remedies=(
        Remedy(text="Lower the critic's learning rate.", options={"critic_learning_rate": 2e-5}),
        Remedy(text="Take a loss that does not saturate.", options={"preset": "wgan-gp", "seed": 7}),
        Remedy(text="Look at the data."),
    ),
)
COLLAPSE = Finding(
    kind="mode_collapse",
    what="Fakes are alike.",
    since_kimg=128.0,
    severity=0.4,
    evidence={"probe_diversity": 0.1},
    series=("probe_diversity",),
    cause="Nothing in the loss asks for diversity.",
    remedies=(Remedy(text="Mix less.", options={"data": "grid", "compile": True, "critic_batch_norm": False}),),
)


WHY = "no data were held out"


def diagnosis(path: Path = Path("runs/bad"), **changed: object) -> Diagnosis:
    circumstances = Circumstances(config=CONFIG, preset=PRESETS["nsgan"], data={"spread": float("nan"), "rows": 3})
    values = {
        "path": path,
        "findings": (STRONG, COLLAPSE),
        "records": records(),
        "circumstances": circumstances,
        "healthy": ("divergence", "oscillation"),
        "unjudged": {"overfitting": WHY, "cycling": "too short", "memory": WHY},
        "notes": ("metrics.jsonl: cut short",),
    }
    return Diagnosis(**{**values, **changed})


def empty(**changed: object) -> Diagnosis:
    return diagnosis(**{"findings": (), "unjudged": {}, "notes": (), **changed})


# small curves


@pytest.mark.parametrize("blocks", [BLOCKS, PLAIN_BLOCKS])
@pytest.mark.parametrize("count", [2, 8, 24, 25, 1000])
def test_a_line_of_blocks_rises_with_the_values(blocks: str, count: int):
    values = np.random.default_rng(count).exponential(size=count).cumsum() - 3.0
    heights = [blocks.index(block) for block in sparkline(values, blocks=blocks)]
    assert len(heights) == min(count, 24)
    assert heights == sorted(heights)
    assert (heights[0], heights[-1]) == (0, len(blocks) - 1)


def test_a_line_of_blocks_of_what_shrinks_by_decades_is_straight():
    drawn = sparkline(10.0 ** -np.arange(8), width=8)
    assert drawn == BLOCKS[::-1]
    assert sparkline(np.r_[-1.0, 10.0 ** -np.arange(1, 8)], width=8).count(BLOCKS[-1]) > 4  # no logarithm of -1


@pytest.mark.parametrize(("values", "drawn"), [([], ""), ([3.0], BLOCKS[0]), ([2.0, 2.0, 2.0], 3 * BLOCKS[0])])
def test_a_line_of_blocks_without_a_range(values: list[float], drawn: str):
    assert sparkline(values) == drawn


def test_points_are_the_records_that_have_the_number_and_where_it_is_finite():
    made = [{"kimg": 1.0, "x": 5.0}, {"kimg": 2.0}, {"kimg": 3.0, "x": float("nan")}, {"kimg": 4.0, "x": 6.0}]
    kimg, values = points("x", made)
    assert kimg.tolist() == [1.0, 4.0]
    assert values.tolist() == [5.0, 6.0]
    assert [len(each) for each in points("y", made)] == [0, 0]


# plots


def test_series_that_end_alike_share_a_panel():
    assert panels_of(["real_score", "probe_auc", "fake_score"]) == [["real_score", "fake_score"], ["probe_auc"]]


def test_a_plot_has_every_measured_series_without_gaps_and_the_onset():
    made = records(MOST_POINTS)
    figure = plot(STRONG, made)
    drawn = {}
    for axes in figure.axes:
        *lines, onset = axes.get_lines()
        assert set(onset.get_xdata()) == {STRONG.since_kimg}
        drawn |= {line.get_label().replace(" ", "_"): line for line in lines}
    assert set(drawn) == set(STRONG.series) - {"never_measured"}
    for name, line in drawn.items():
        kimg, values = points(name, made)
        assert np.array_equal(line.get_xdata(), kimg)
        assert np.array_equal(line.get_ydata(), values)
    assert len(drawn["probe_auc"].get_xdata()) == math.ceil(MOST_POINTS / EVERY)
    assert drawn["probe_auc"].get_marker() == "o"
    scales = {axes.get_title(loc="left"): axes.get_yscale() for axes in figure.axes}
    assert list(scales.values()) == ["linear", "log", "linear"]
    auc, norm, scores = (" ".join(each.split()) for each in scales)
    assert auc == "share of pairs in which data score above fakes"  # in words, and not probe_auc
    assert norm == meaning("generator_gradient_norm")
    assert scores == "score"


def test_a_long_series_is_drawn_by_its_mean_and_keeps_its_extremes():
    made = records(20 * MOST_POINTS)
    made[777]["real_score"] = 1e4
    axes = next(axes for axes in plot(STRONG, made).axes if axes.get_title(loc="left") == "score")
    line = axes.get_lines()[0]
    values = points("real_score", made)[1]
    assert np.allclose(line.get_ydata(), values.reshape(MOST_POINTS, 20).mean(1))
    ranges = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (ranges.min(), ranges.max()) == (values.min(), 1e4)


def test_a_plot_of_one_point_and_of_none():
    assert plot(COLLAPSE, records()) is None
    figure = plot(COLLAPSE, [{"kimg": 9.0, "probe_diversity": 0.1}])
    assert figure.axes[0].get_lines()[0].get_marker() == "o"


def test_a_drawing_takes_the_pages_colours_and_is_valid():
    one = as_svg(plot(STRONG, records()), "1. <first>")
    other = as_svg(plot(STRONG, records()), "2. second")
    assert one == as_svg(plot(STRONG, records()), "1. <first>")
    root = ElementTree.fromstring(one)
    assert root.find("{http://www.w3.org/2000/svg}title").text == "1. <first>"
    assert "width" not in root.attrib
    assert "currentColor" in one
    assert "#010203" not in one
    ids = re.findall(r'id="([^"]*)"', one + other)
    assert len(ids) == len(set(ids))
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "share of pairs in which data score above fakes" in texts


# numbers and words


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("x", 3.0, "3"),
        ("x", 3.14159, "3.142"),
        ("x", 2e-5, "2e-05"),
        ("x", 5e9, "5e+09"),
        ("x", float("nan"), "nan"),
        ("duplicate_share", 0.1234, "12.34 %"),
        ("wait_kimg", 12.0, "12 kimg"),
        ("period_steps", 40.0, "40 steps"),
        ("seconds", 1.5, "1.5 s"),
        ("images_per_second", 3.5, "3.5"),
        ("shared", 0.5, "0.5"),
    ],
)
def test_numbers_with_the_unit_that_their_name_tells(name: str, value: float, said: str):
    assert quantity(name, value) == said


def test_headline_verdict_and_grades():
    assert headline(diagnosis()) == "runs/bad: nsgan on ring, step 4000 (256 kimg, 50 % of its budget)"
    without_progress = [{"step": 3, "kimg": 1.0}]
    assert headline(diagnosis(records=without_progress)).endswith("step 3 (1 kimg)")
    assert verdict(diagnosis()).text == "2 findings, of 4 kinds of failure that were looked for."
    assert verdict(diagnosis(findings=(STRONG,))).text.startswith("1 finding, of 3 kinds")
    assert verdict(good()).text.startswith("Nothing found, of 2 kinds")
    assert [grade(severity) for severity in (0.0, 0.32, 0.33, 0.66, 0.67, 1.0)] == [
        "slight", "slight", "clear", "clear", "severe", "severe",
    ]  # fmt: skip


# what the samples are like


def seen(distance: object, progress: float = 1.0, **shares: object) -> list[dict[str, float]]:
    """Return what the probe saw in 30 looks: numbers, or how they move with the run from 0 to 1."""
    made = []
    for index in range(30):
        t = index / 29
        record = {"step": index + 1, "kimg": index + 1.0, "progress": progress * (index + 1) / 30}
        for name, value in {"distance": distance, **shares}.items():
            record[f"probe_{name}"] = value(t) if callable(value) else value
        made.append(record)
    return made


def good(**changed: object) -> Diagnosis:
    return empty(**{"records": seen(0.01, coverage=0.9), **changed})


def test_the_text_of_samples_that_are_good():
    found = verdict(good())
    assert (found.grade, found.command) == ("good", "")
    assert found.text.endswith("The samples are good: distance 0.01 (0: equal, 1: apart), coverage 90 %.")
    at_modes = seen(0.01, coverage=0.1, high_quality=0.9)  # where modes are known, coverage says less
    assert verdict(good(records=at_modes)).text.endswith("high quality 90 %.")
    assert verdict(good(records=seen(0.01))).grade == "good"


@pytest.mark.parametrize(
    "records",
    [seen(0.25, coverage=0.9), seen(0.01, coverage=0.05), seen(0.01, coverage=0.9, high_quality=0.235)],
    ids=["far", "little covered", "few at a mode"],
)
def test_without_a_finding_samples_that_are_bad_are_not_called_good(records: list[dict[str, float]]):
    found = verdict(good(records=records))
    assert found.grade == "clear"
    assert found.text.startswith("No failure found, of 2 kinds that were looked for, but the samples are not good: ")
    assert "no longer improving: take a wider network (--width), " in found.text
    assert "(--preset r3gan)" in found.text
    assert found.command == ""
    page = as_page(good(records=records))
    assert "The samples are good" not in page
    assert 'class="verdict clear"' in page


@pytest.mark.parametrize(
    "records",
    [
        seen(lambda t: 0.2 + 0.6 * (1 - t), coverage=0.0),
        seen(0.01, coverage=lambda t: 0.4 * t),
        seen(0.01, high_quality=lambda t: 0.4 * t, coverage=0.9),
    ],
    ids=["closer", "more covered", "more at a mode"],
)
def test_samples_that_still_improve_want_more_training(records: list[dict[str, float]]):
    where = dataclasses.replace(good().circumstances, config=dataclasses.replace(CONFIG, kimg=30.0))
    found = verdict(good(records=records, circumstances=where))
    assert (found.grade, found.state.improving) == ("clear", True)
    assert "but the samples are not good yet: " in found.text
    assert found.text.endswith("; still improving: train longer:")
    assert found.command == "adversarium train --resume runs/bad --kimg 60"
    assert f"   {found.command}" in as_text(good(records=records, circumstances=where)).splitlines()
    assert found.command in checked(as_page(good(records=records, circumstances=where))).commands
    halfway = [{**record, "progress": record["progress"] / 2} for record in records]
    assert verdict(good(records=halfway, circumstances=where)).command == "adversarium train --resume runs/bad"


def test_a_run_whose_rates_have_decayed_begins_anew(tmp_path: Path):
    config = dataclasses.replace(CONFIG, kimg=30.0, decay="linear", decay_kimg=30.0)
    where = dataclasses.replace(good().circumstances, config=config)
    records = seen(lambda t: 0.2 + 0.6 * (1 - t))
    said = shlex.split(verdict(good(path=tmp_path / "run", records=records, circumstances=where)).command)
    assert said[2:6] == ["--config", str(tmp_path / "run" / "config.json"), "--out", str(tmp_path / "run-2")]
    assert said[6:] == ["--kimg", "60", "--decay-kimg", "60"]


def test_what_was_found_comes_with_the_state_of_the_samples():
    found = verdict(diagnosis(records=seen(0.25, coverage=0.011)))
    assert found.text.endswith("The samples are not good: distance 0.25 (0: equal, 1: apart), coverage 1 %.")
    assert (found.grade, found.command) == ("clear", "")


@pytest.mark.parametrize("records", [[], [{"kimg": 3.0, "step": 7.0, "probe_distance": 0.01}], seen(0.01)[:7]])
def test_too_little_is_not_health(records: list[dict[str, float]]):
    made = empty(records=records, healthy=("data_range",), unjudged={"a": WHY, "b": WHY}, notes=("no records",))
    found = verdict(made)
    assert found.text == "Too little was measured to judge: 2 of 3 kinds of failure not looked for."
    assert (found.grade, found.state) == ("open", None)
    lines = as_text(made).splitlines()
    assert lines[1:3] == [found.text, "Note: no records"]
    page = as_page(made)
    assert 'class="verdict open"' in page
    assert page.index("no records") < page.index("healthy")
    assert as_data(made)["verdict"] == found.text


# commands


def test_each_command_trains_into_a_free_folder_of_its_own(tmp_path: Path):
    for name in ("run", "run-2", "run-4"):
        (tmp_path / name).mkdir()
    wanted = commands(diagnosis(tmp_path / "run"))
    assert [[bool(line) for line in lines] for lines in wanted] == [[True, True, False], [True]]
    folders = [shlex.split(line)[5] for lines in wanted for line in lines if line]
    assert folders == [str(tmp_path / f"run-{number}") for number in (3, 5, 6)]


def test_the_same_remedy_of_two_findings_is_one_command(tmp_path: Path):
    other = dataclasses.replace(COLLAPSE, remedies=(*COLLAPSE.remedies, STRONG.remedies[0], Remedy(text="Wait.")))
    (first, _, _), (second, third, fourth) = commands(diagnosis(tmp_path / "run", findings=(STRONG, other)))
    assert third == first
    assert shlex.split(second)[5] == str(tmp_path / "run-4")
    assert fourth == ""


def test_a_run_named_by_a_dot_gets_a_named_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert shlex.split(commands(diagnosis(Path("."), findings=(COLLAPSE,)))[0][0])[5] == f"{tmp_path}-2"


def test_a_command_line_has_the_options_by_kind():
    options = {"critic_learning_rate": 2e-5, "compile": True, "critic_batch_norm": False, "game": "lookahead(k=5)"}
    said = command(Path("runs/my run"), Path("o"), options)
    start = "adversarium train --config 'runs/my run/config.json' --out o "
    assert said == start + "--critic-learning-rate 2e-05 --compile --no-critic-batch-norm --game 'lookahead(k=5)'"
    assert shlex.split(command(Path("r"), Path("o"), {"steps": 1234567}))[-1] == "1234567"
    rate = 1.2345678e-4
    assert float(shlex.split(command(Path("r"), Path("o"), {"critic_learning_rate": rate}))[-1]) == rate


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"critic_learnin_rate": 1.0}, "did you mean 'critic_learning_rate'"),
        ({"compile": False}, "compile cannot be switched off"),
        ({"clip_gradient_norm": None}, "clip_gradient_norm is None"),
    ],
)
def test_a_remedy_that_cannot_be_written_as_a_command_is_refused(options: dict[str, object], words: str):
    with pytest.raises(InputError, match=words):
        command(Path("r"), Path("o"), options)


# text


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_text_has_everything_and_keeps_to_the_width(width: int):
    said = as_text(diagnosis(), width=width)
    flat = " ".join(said.split())
    for finding in (STRONG, COLLAPSE):
        assert finding.what in flat
        assert finding.cause in flat
        assert all(remedy.text in flat for remedy in finding.remedies)
    assert "1. critic too strong: since 64 kimg, severe (0.90)" in said
    last = points("probe_auc", records())[1][-1]
    assert re.search(rf"probe_auc +0\.9987 +▁\S+█  0\.5 to {last:.4g}\n", said)
    assert "data score above fakes; 0.5: the critic sees no difference" in flat
    shown = records()[-1]["real_score"]
    assert re.search(rf"real_score +{re.escape(f'{shown:.4g}')} \(last\) +▁\S+", said)  # not in the evidence
    assert re.search(r"wait_kimg +12 kimg\n", said)
    assert "never_measured" not in said
    assert "Healthy: divergence, oscillation." in flat
    assert "Not judged: overfitting, memory: no data were held out. Not judged: cycling: too short." in flat
    assert said.index("Note: metrics.jsonl: cut short") < said.index("1. critic too strong")
    wanted = [line for lines in commands(diagnosis()) for line in lines if line]
    kept = [line.strip() for line in said.splitlines() if line.strip().startswith("adversarium train")]
    assert kept == wanted
    assert all(len(line) <= width for line in said.splitlines() if "adversarium train" not in line and "▁" not in line)


def test_the_text_tells_the_first_remedies():
    said = as_text(diagnosis(), remedies=2)
    assert "      and 1 more, in the report\n" in said
    assert STRONG.remedies[1].text in said
    assert STRONG.remedies[2].text not in said
    assert "more, in the report" not in as_text(diagnosis())


def test_the_text_in_plain_ascii():
    as_text(diagnosis(), blocks=PLAIN_BLOCKS).encode("ascii")


def test_the_text_without_findings():
    assert as_text(good(), width=200).splitlines() == [
        headline(good()),
        "Nothing found, of 2 kinds of failure that were looked for. "
        "The samples are good: distance 0.01 (0: equal, 1: apart), coverage 90 %.",
        "",
        "Healthy: divergence, oscillation.",
    ]


# data


def test_the_data_are_json_and_have_everything(tmp_path: Path):
    made = diagnosis(tmp_path / "run")
    read = json.loads(json.dumps(as_data(made), allow_nan=False))
    first = read["findings"][0]
    assert (first["kind"], first["since_kimg"], first["evidence"]) == (STRONG.kind, 64.0, dict(STRONG.evidence))
    assert [each["command"] or "" for each in first["remedies"]] == commands(made)[0]
    kimg, values = points("probe_auc", made.records)
    assert first["measured"]["probe_auc"] == {"kimg": kimg.tolist(), "value": values.tolist()}
    assert read["data"] == {"spread": "nan", "rows": 3}
    assert read["unjudged"] == {"overfitting": WHY, "cycling": "too short", "memory": WHY}
    assert read["config"]["preset"] == "nsgan"


# page


class Checked(HTMLParser):
    """Sees that elements are closed in order, and collects texts, links and commands."""

    OPEN = ("meta", "br")

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: set[str] = set()
        self.commands: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in self.OPEN:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.stack and self.stack[-1] == "pre":
            self.commands.append(data)


def checked(page: str) -> Checked:
    parser = Checked()
    parser.feed(page)
    parser.close()
    assert not parser.stack
    return parser


def test_the_page_has_everything_and_loads_nothing():
    page = as_page(diagnosis())
    seen = checked(page)
    assert seen.commands == [line for lines in commands(diagnosis()) for line in lines if line]
    for finding in (STRONG, COLLAPSE):
        assert finding.what in seen.text
        assert finding.cause in seen.text
        assert all(remedy.text in seen.text for remedy in finding.remedies)
    for words in (
        "0.9987",
        "divergence",
        "overfitting, memory: no data were held out",
        "Notes",
        "metrics.jsonl: cut short",
        "12 kimg",
    ):
        assert words in seen.text
    assert html.escape(STRONG.what) in page
    last = points("probe_auc", records())
    assert f"{last[1][-1]:.4g} at {last[0][-1]:.4g} kimg" in seen.text
    assert all(link.startswith("#") for link in seen.links)
    assert not {"script", "link", "img", "iframe"} & seen.tags
    assert not re.search(r"url\((?!#)|@import", page)
    assert page.count("<svg") == 1  # of the other nothing was measured


def test_the_page_is_made_for_phones_and_for_light_and_dark():
    page = as_page(diagnosis())
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert "prefers-color-scheme: dark" in page
    assert "color-scheme: light dark" in page
    light, dark = (set(re.findall(r"(--\w+): #", part)) for part in page.split("@media", 1))
    assert light == dark


def test_the_page_without_findings():
    seen = checked(as_page(good()))
    assert "Nothing found" in seen.text
    assert "divergence, oscillation" in seen.text  # in a paragraph: fifteen of them are no news
    assert not {"article", "ul"} & seen.tags
    assert "Notes" not in seen.text
    assert 'class="verdict good"' in as_page(good())


def test_commands_scroll_and_do_not_break():
    rule = re.search(r"\npre \{.*?\}", as_page(diagnosis()), re.S).group()
    assert "overflow-x: auto" in rule
    assert "pre-wrap" not in rule
