"""The report's page: what it shows is where the numbers say, what it holds is escaped, all of it is there."""

import dataclasses
import html
import itertools
import math
import re
from html.parser import HTMLParser

import made_up
import numpy as np
import pytest

from adversarium.errors import InputError
from adversarium.study import _drawing, _mean_ranks, _numbers, _tables
from adversarium.study._chart import Scale, beyond
from adversarium.study._failures import failures
from adversarium.study._looks import DARK, LIGHT, looks_of
from adversarium.study._mean_ranks import cliques
from adversarium.study._pairs import pairs
from adversarium.study._ranking import ranking
from adversarium.study._samples import window_of
from adversarium.study.compare import compare
from adversarium.study.record import Point, Record
from adversarium.study.report import as_page, write_report

HOSTILE = (
    "<script>alert(1)</script>",
    "a,b \"c\" & 'd' <img src=x onerror=alert(2)>",
    "$x_1^2$ ünïcode 日本 ☃",
    "a-very-long-name-of-a-method-that-has-no-end-and-goes-on-and-on=1e-5",
)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def page_of(records, comparison=None, **more):
    comparison = comparison or made_up.comparison_of(records)
    plan = made_up.plan_of(records, **more.pop("plan", {}))
    return as_page(plan, records, comparison, looks_of([each.name for each in plan.methods]), **more)


class Tree(HTMLParser):
    """Sees that each element is closed where it was opened, and what was in it."""

    VOID = ("meta", "img", "br", "wbr")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    ("images", "trials", "dimensions"), [(False, 12, 2), (True, 0, 2), (False, 0, 1), (False, 0, 5)]
)
def test_the_page_holds_every_section_and_is_whole(rng, images, trials, dimensions):
    records = made_up.records_of(rng, images=images, dimensions=dimensions)
    real = records[0].samples if images else made_up.real_ring(rng, dimensions)
    chosen = made_up.trials_of(rng, made_up.NAMES[:6]) if trials else None
    page = page_of(records, real=real, chosen=chosen, files=["runs.csv"], plan={"trials": trials})
    tree = Tree(page)
    wanted = {"ranking", "time", "samples", "pairs", "failures", "cost", "settings", "notes"}
    sections = {attributes.get("id") for tag, attributes in tree.tags if tag == "section"}
    assert sections == wanted | ({"search"} if trials else set())
    links = {attributes["href"] for tag, attributes in tree.tags if tag == "a"}
    assert {f"#{name}" for name in sections} <= links
    assert len(set(tree.ids)) == len(tree.ids)
    assert all(attributes.get("alt") for tag, attributes in tree.tags if tag == "img")
    assert all(attributes.get("aria-label") for tag, attributes in tree.tags if attributes.get("class") == "scroll")
    for sentence in made_up.comparison_of(records).advice:
        assert html.escape(sentence) in page


def test_nothing_is_fetched_and_names_are_only_names(rng):
    records = made_up.records_of(rng, methods=HOSTILE, failing=0.4)
    page = page_of(records, chosen=made_up.trials_of(rng, HOSTILE), plan={"trials": 3, "data": "/tmp/<b>data</b>"})
    tree = Tree(page)
    assert not [tag for tag, _ in tree.tags if tag in ("script", "link", "iframe", "object", "b>")]
    assert not [name for _, attributes in tree.tags for name in attributes if name.startswith("on")]
    assert all(attributes["src"].startswith("data:") for tag, attributes in tree.tags if tag == "img")
    for name in HOSTILE:
        assert html.escape(name) in page
    assert not re.findall(r"(?:href|src)=\"(?:https?:)?//", page)
    assert "url(" not in page.replace("url(#", "")  # of a clip path in the page
    assert "default-src 'none'" in page


def strips(page):
    """Yield of each row of the ranking: its label, the places of its runs, and of its crosses."""
    for label, shapes in re.findall(
        r'<svg class="row" role="img" aria-label="([^"]*: median[^"]*)">(.*?)</svg></div>', page
    ):
        marks = re.findall(
            r'<svg x="([\d.]+)%" y="[^"]*" class="mark"><path d="[^"]*" class="(\w+)"><title>(.*?)</title>', shapes
        )
        yield html.unescape(label), marks


@pytest.mark.parametrize("better", ["lower", "higher", 0.4])
@pytest.mark.parametrize("seed", range(3))
def test_runs_lie_in_their_order_and_failed_ones_beyond_the_worse_edge(seed, better):
    rng = np.random.default_rng(seed)
    records = made_up.records_of(rng, seeds=int(rng.integers(1, 9)), failing=0.3, better=str(better))
    comparison = made_up.comparison_of(records, better)
    looks = looks_of([each.method for each in comparison.standings])
    found = list(strips(ranking(comparison, looks, range(comparison.seeds))))
    assert [label.split(":")[0] for label, _ in found] == [each.method for each in comparison.standings]
    places = []
    for (_, marks), standing in zip(found, comparison.standings, strict=True):
        assert sum(kind == "failed" for _, kind, _ in marks) == standing.failed
        assert sum(kind == "run" for _, kind, _ in marks) == standing.runs - standing.failed
        values = [value for value in standing.values if value is not None]
        places += [
            (value, float(x)) for value, (x, kind, _) in zip(values, [m for m in marks if m[1] == "run"], strict=True)
        ]
    ordered = [x for _, x in sorted(places)]
    assert ordered == sorted(ordered)
    assert 0 <= ordered[0] <= ordered[-1] <= 100
    crosses = [float(x) for _, marks in found for x, kind, _ in marks if kind == "failed"]
    if crosses and better == "higher":
        assert max(crosses) < ordered[0]
    elif crosses:
        assert min(crosses) > ordered[-1]


def test_bars_join_what_is_not_told_apart_and_nothing_else(rng):
    records = made_up.records_of(rng, seeds=8, failing=0)
    names = list(made_up.NAMES[:6])
    comparison = made_up.comparison_of(records)
    order = [each.method for each in comparison.standings]
    groups = ((order[0], order[1]), (order[1], order[3], order[4]), (order[5],))
    page = ranking(made_up.comparison_of(records, groups=groups), looks_of(names), range(8))
    rows = re.findall(r'<div class="bars" role="img"[^>]*>(.*?)</div>', page)
    cells = [re.findall(r'<i class="([^"]*)">', row) for row in rows]
    assert [len(row) for row in cells] == [2] * 6
    for a, b in itertools.combinations(range(6), 2):
        joined = any("in" in x.split() and "in" in y.split() for x, y in zip(cells[a], cells[b], strict=True))
        assert joined == any(order[a] in group and order[b] in group for group in groups), names
    assert cells[2][1] == "gap"


def test_a_cell_of_the_matrix_says_who_is_better(rng):
    records = made_up.records_of(rng, seeds=10, failing=0)
    comparison = made_up.comparison_of(records)
    order = [each.method for each in comparison.standings]
    body = re.search(r'<table class="cells">.*?<tbody>(.*?)</tbody>', pairs(comparison, looks_of(order)))[1]
    rows = [re.findall(r"<td.*?</td>", row) for row in body.split("</tr>")[:-1]]
    told = {(pair.better, pair.worse): pair for pair in comparison.pairs}
    for (i, a), (j, b) in itertools.permutations(enumerate(order), 2):
        clear = told.get((a, b), told.get((b, a))).adjusted <= comparison.level
        assert ("▲" in rows[i][j]) == (clear and (a, b) in told)
        assert ("▼" in rows[i][j]) == (clear and (b, a) in told)
    assert any("▲" in cell for row in rows for cell in row)


@pytest.mark.parametrize("seed", range(20))
def test_quantiles_are_numpys_and_failures_the_worst(seed):
    rng = np.random.default_rng(seed)
    values = [float(value) for value in rng.normal(size=rng.integers(1, 9))]
    shares = np.array([0.25, 0.5, 0.75])
    assert _numbers.quartiles(values, "lower") == pytest.approx(np.quantile(values, shares))
    assert _numbers.quartiles(values, "higher") == pytest.approx(np.quantile(values, 1 - shares))
    best = float(rng.normal())
    away = [abs(value - best) for value in values]
    assert [abs(near - best) for near in _numbers.quartiles(values, best)] == pytest.approx(np.quantile(away, shares))
    failed = [*values, *[None] * int(rng.integers(1, 4)), math.inf]
    places = shares * (len(failed) - 1)
    for place, found in zip(places, _numbers.quartiles(failed, "lower"), strict=True):
        assert (found is None) == (math.ceil(place) > len(values) - 1)
        if found is not None:
            assert found == pytest.approx(np.interp(place, range(len(values)), sorted(values)))


def test_a_run_that_ended_early_has_failed_from_there_on():
    def run(seed, values, pace, together=1):
        points = tuple(Point(kimg=i + 1.0, seconds=pace * (i + 1), gradients=i, value=v) for i, v in enumerate(values))
        return Record(method="a", seed=seed, value=values[-1], curve=points, together=together)

    moments = _numbers.course(
        [run(0, [1, 2, 3], 2.0), run(1, [4, 5, 6], 1.0, together=2), run(2, [7, None], 1.0, together=2)], "lower"
    )
    assert [moment.quartiles[1] for moment in moments] == [4, 5, 6]
    assert [moment.quartiles[2] for moment in moments] == [5.5, None, None]
    assert [moment.along["seconds"] for moment in moments] == [1, 2, 4.5]  # of 2, 1, 1; of 4, 2, 2; of 6 and 3
    assert [moment.along["kimg"] for moment in moments] == [1, 2, 3]


def test_the_seed_whose_samples_are_shown_is_the_most_typical_one():
    def run(method, seed, value, drawn=True):
        return Record(method=method, seed=seed, value=value, samples=np.zeros((3, 2), "float32") if drawn else None)

    runs = {
        "a": [run("a", 0, 1.0), run("a", 1, 2.0), run("a", 2, 3.0)],
        "b": [run("b", 0, 5.0), run("b", 1, 7.0), run("b", 2, 6.0)],
    }
    assert _numbers.typical_seed(runs, "lower") == 1  # away by 0 + 1; 2 is by 1 + 0 as well, and comes later
    runs["b"][1] = run("b", 1, None, drawn=False)
    assert _numbers.typical_seed(runs, "lower") == 2
    assert _numbers.place(runs["b"][0], runs["b"], "lower") == "the best of 3"
    assert _numbers.place(runs["b"][2], runs["b"], "lower") == "the median run of 3"
    assert _numbers.place(runs["b"][1], runs["b"], "lower") == "failed, as 1 of 3 did"
    assert _numbers.typical_seed({"a": [Record(method="a", seed=0, value=None)]}, "lower") is None


@pytest.mark.parametrize("seed", range(30))
def test_a_scale_holds_its_values_and_its_ticks_are_round(seed):
    rng = np.random.default_rng(seed)
    values = list(map(float, rng.normal(size=4) * 10 ** rng.uniform(-4, 4)))
    values = [abs(value) for value in values] if seed % 2 else values
    scale = Scale.of(values)
    shares = [scale.share(value) for value in sorted(values)]
    assert shares == sorted(shares)
    assert 0 < shares[0] <= shares[-1] < 1
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 7
    assert all(0 <= scale.share(tick) <= 1 for tick in ticks)
    assert all(len(f"{tick:.3e}".split("e")[0].rstrip("0").strip("-.").replace(".", "")) <= 3 for tick in ticks)
    if scale.log:
        assert shares[0] == pytest.approx(math.log(min(values) / scale.low) / math.log(scale.high / scale.low))


def test_one_value_has_a_scale():
    for values in ([0.0], [3.0], [-2.0], []):
        scale = Scale.of(values)
        assert scale.low < scale.high
        assert all(0 < scale.share(value) < 1 for value in values)


@pytest.mark.parametrize("seed", range(30))
def test_the_curves_choose_the_axis_and_a_far_landmark_stands_at_its_edge(seed):
    rng = np.random.default_rng(seed)
    values = list(map(float, rng.uniform(1, 2, 5) * 10 ** rng.uniform(-2, 2)))  # too near for logarithms
    width = max(values) - min(values)
    landmark = float(max(values) + rng.uniform(-3, 3) * width)
    scale = Scale.beside(values, landmark)
    assert scale.share(max(values)) - scale.share(min(values)) >= 0.5
    margin = 0.04 * width
    shown = width / (1.08 * (max(*values, landmark) - min(*values, landmark))) >= 0.5  # 4 % are free at either end
    assert scale.shows(landmark) == (shown or min(values) - margin <= landmark <= max(values) + margin)
    told = beyond(landmark, scale)
    assert bool(told) != scale.shows(landmark)
    if told:
        assert told.startswith("↓" if landmark < min(values) else "↑")
        assert told.endswith(_numbers.number(landmark))
        assert (scale.low, scale.high) == (Scale.of(values).low, Scale.of(values).high)


def test_a_far_floor_squeezes_no_axis():
    over_decades = [0.02, 0.3, 4.0]
    assert Scale.beside(over_decades, 1e-5) == Scale.of(over_decades)
    assert Scale.beside(over_decades, -1e-4) == Scale.of(over_decades)  # has no logarithm
    assert Scale.beside(over_decades, 0.01).shows(0.01)
    assert Scale.beside([], 0.5).shows(0.5)
    assert Scale.beside([0.1, 0.2], None) == Scale.of([0.1, 0.2])
    assert not beyond(None, Scale.of(over_decades))


def test_a_far_floor_is_told_at_the_edge_of_the_page(rng):
    records = made_up.records_of(rng)
    away = page_of(records, made_up.comparison_of(records, floor=1e-9))
    assert away.count("↓ real samples: 1e−09") == 2  # over either axis
    assert away.count("← real samples: 1e−09") == 1
    assert 'class="floor"' not in away
    assert "1e−09, is out of view" in away
    near = page_of(records, made_up.comparison_of(records, floor=0.011))
    assert 'class="floor"' in near
    assert "out of view" not in near


@pytest.mark.parametrize("gap", [math.inf, math.nan])
def test_without_a_critical_difference_nothing_is_joined_and_the_caption_says_why(rng, gap):
    records = made_up.records_of(rng, seeds=3)
    comparison = made_up.comparison_of(records, critical_difference=gap)
    looks = looks_of([each.method for each in comparison.standings])
    assert not cliques([each.rank for each in comparison.standings], gap)
    axes = _mean_ranks.critical_difference(comparison, looks).axes[0]
    assert not [text for text in axes.texts if "critical" in text.get_text()]
    assert {width for lines in axes.collections for width in lines.get_linewidths()} <= {1.0, 1.2}  # ticks, the axis
    assert 'class="in' not in _mean_ranks.rows(comparison, looks)
    assert "No bar is drawn" in _mean_ranks.caption(comparison)
    assert "with 3 seeds" in _mean_ranks.caption(comparison)
    assert "all ranks are equal" not in _mean_ranks.caption(comparison)
    drawn = _mean_ranks.critical_difference(made_up.comparison_of(records), looks).axes[0]
    assert 3.0 in {width for lines in drawn.collections for width in lines.get_linewidths()}
    assert "No bar" not in _mean_ranks.caption(made_up.comparison_of(records))


@pytest.mark.parametrize("seeds", [1, 2, 10])
def test_the_caption_says_where_all_ranks_are_equal(seeds):
    equal = [Record(method=name, seed=seed, value=1.0) for name in "ab" for seed in range(seeds)]
    found = compare(equal, protocol="w2", better="lower")
    assert (found.p_any, found.critical_difference) == (1.0, math.inf)
    assert "there is no critical difference: all ranks are equal." in _mean_ranks.caption(found)
    assert "by chance" not in _mean_ranks.caption(found)
    turned = [dataclasses.replace(run, value=2.0) if run.method == "a" and run.seed == 0 else run for run in equal]
    assert "by chance more often" in _mean_ranks.caption(compare(turned, protocol="w2", better="lower"))


@pytest.mark.parametrize("count", [2, 6, 13])
def test_names_in_the_diagram_are_inside_it_and_apart(rng, count):
    names = tuple(f"packed discriminator {at} with spectral norm, learning_rate=0.0001" for at in range(count))
    records = made_up.records_of(rng, methods=names, seeds=3)
    comparison = made_up.comparison_of(records)
    figure = _mean_ranks.critical_difference(comparison, looks_of(names))
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
    for one, two in itertools.combinations(boxes, 2):
        across = min(one.x1, two.x1) - max(one.x0, two.x0)
        up = min(one.y1, two.y1) - max(one.y0, two.y0)
        assert across <= 1 or up <= 2, (one, two)


def test_names_are_broken_between_words_and_stay_whole():
    for name in (*HOSTILE, "wgan-gp-extraadam", "packed discriminator with spectral norm"):
        lines = _drawing.broken(name)
        assert len(lines) <= 3
        assert "".join(name.split()).startswith("".join("".join(lines).rstrip("…").split()))
    assert _drawing.broken("packed discriminator with spectral norm") == [
        "packed discriminator with",
        "spectral norm",
    ]
    assert _drawing.broken("no-end" * 40)[-1].endswith("…")
    short, long = _drawing.width_of(["gan"]), _drawing.width_of(["gan", "wgan-gp-extraadam"])
    assert 5 < short < 30 < long


def test_the_order_of_the_ranking_explains_itself(rng):
    records = made_up.records_of(rng)
    comparison = made_up.comparison_of(records)
    page = ranking(comparison, looks_of(made_up.NAMES[:6]), range(5))
    told = re.findall(r"mean rank ([\d.]+)<", page)
    assert told == [f"{each.rank:.2f}" for each in comparison.standings]
    assert told == sorted(told, key=float)


@pytest.mark.parametrize(
    ("seeds", "told"), [(5, "the range of 5 seeds"), (7, "the range of 7 seeds"), (8, "its 95 % interval")]
)
def test_a_range_is_not_called_an_interval_of_95_percent(rng, seeds, told):
    records = made_up.records_of(rng, methods=("a", "b"), seeds=seeds, failing=0)
    page = page_of(records, compare(records, protocol="w2", better="lower"))
    assert f"the band {told}" in page
    shown = page[page.index('id="ranking"') : page.index('id="time"')]
    assert ("95 % interval " in shown.split("</p>", 1)[1]) == (seeds >= 8)  # of every row, read aloud


def test_what_ranks_alone_would_say_stands_with_their_diagram_only(rng):
    records = made_up.records_of(rng, seeds=10, failing=0)
    found = compare(records, protocol="w2", better="lower")
    found = dataclasses.replace(found, notes=("Few seeds.",), hints=(*found.hints, "By ranks a is above b."))
    page = page_of(records, found)
    sections = dict(re.findall(r'<section id="(\w+)"(.*?)</section>', page, re.S))
    for note in found.hints:
        assert html.escape(note) in sections["pairs"]
        assert html.escape(note) not in sections["notes"]
    assert "Few seeds." in sections["notes"]
    assert sections["pairs"].index("rough guide") > sections["pairs"].index("Critical-difference diagram")


def test_a_narrow_page_lists_what_the_matrix_shows(rng):
    records = made_up.records_of(rng, seeds=10, failing=0)
    comparison = made_up.comparison_of(records)
    page = pairs(comparison, looks_of(made_up.NAMES[:6]))
    listed = re.search(r'<ul class="beats">(.*?)</ul>', page, re.S)[1]
    found = set()
    for item in re.findall(r"<li>(.*?)</li>", listed):
        method = re.search(r'title="([^"]*)"', item)[1]
        for sign, line in re.findall(r"<br>(▲ better|▼ worse) than ([^<]*)", item):
            others = re.findall(r"([^,]+?) \(p&nbsp;[^)]*\)", line)
            found |= {(method, other.strip()) if sign[0] == "▲" else (other.strip(), method) for other in others}
    assert found == {(pair.better, pair.worse) for pair in comparison.pairs if pair.adjusted <= comparison.level}
    assert found


def test_the_time_of_training_stands_alone(rng):
    page = page_of(made_up.records_of(rng))
    assert re.search(r"<dt>training in all</dt><dd>[\d.]+ (s|min)</dd>", page)
    assert "with measuring" not in page


@pytest.mark.parametrize("seed", range(10))
def test_cliques_are_all_the_stretches_that_cannot_grow(seed):
    rng = np.random.default_rng(seed)
    ranks = sorted(map(float, rng.uniform(1, 9, rng.integers(2, 9))))
    gap = float(rng.uniform(0.2, 5))
    fits = {(a, b) for a, b in itertools.combinations(range(len(ranks)), 2) if ranks[b] - ranks[a] < gap}
    largest = {s for s in fits if not any(o != s and o[0] <= s[0] and o[1] >= s[1] for o in fits)}
    assert set(cliques(ranks, gap)) == largest


# Machado, Oliveira and Fernandes (2009), severity 1, in linear sRGB
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}  # fmt: skip


def linear(colour):
    parts = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def oklab(rgb):
    cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    lab = [
        [0.2104542553, 0.793617785, -0.0040720468],
        [1.9779984951, -2.428592205, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.808675766],
    ]
    return np.array(lab) @ np.cbrt(np.clip(np.array(cones) @ rgb, 0, None))


@pytest.mark.parametrize(("colours", "ground"), [(LIGHT, "#ffffff"), (DARK, "#1c2229")])
@pytest.mark.parametrize("blindness", BLINDNESS)
def test_colours_can_be_told_apart(colours, ground, blindness):
    seen = [oklab(np.clip(np.array(BLINDNESS[blindness]) @ linear(colour), 0, 1)) for colour in colours]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 0.09
    for colour in colours:
        bright, dark = sorted((0.2126, 0.7152, 0.0722) @ linear(each) + 0.05 for each in (colour, ground))[::-1]
        assert bright / dark >= 3


def test_a_method_keeps_its_look_and_no_two_of_eighteen_share_one():
    looks = looks_of([f"m{at}" for at in range(18)])
    assert len({(look.variable, look.dashes, look.mark) for look in looks.values()}) == 18


def test_the_chosen_trial_is_the_cheapest_that_ended(rng):
    trials = made_up.trials_of(rng, ("a",), 40)["a"]
    best = _tables.best_trial(trials)
    ended = [trial["cost"] for trial in trials if trial["cost"] is not None and not trial["pruned"]]
    assert best["cost"] == min(ended)
    assert _tables.best_trial([{"options": {}, "cost": math.inf, "pruned": False}]) is None


def test_trials_that_were_given_up_have_not_failed(rng):
    trials = [
        {"options": {"beta1": 0.5}, "cost": 0.2, "pruned": False},
        *[{"options": {"beta1": 0.6}, "cost": None, "pruned": True}] * 3,
        *[{"options": {"beta1": 0.7}, "cost": None, "pruned": False}] * 2,
    ]
    records = made_up.records_of(rng, methods=("a", "b"), seeds=1, failing=0)
    page = page_of(records, chosen={"a": trials, "b": trials[1:2]}, plan={"trials": 6})
    section = re.search(r'<section id="search".*?</section>', page, re.S)[0]
    assert "6 trials, 3 given up early, 2 failed" in section
    assert re.search("1 trial, 1 given up early(?!, 1 failed)", section)
    assert section.count('class="failed"') == 2
    assert section.count("<title>beta1\u00a00.6: given up early</title>") == 4
    assert section.count("<title>beta1\u00a00.7: failed</title>") == 2
    cells = re.findall(r"<tr>.*?</tr>", section[section.index("All trials") :])
    told = [re.sub("<[^>]*>", " ", row).split() for row in cells]
    given_up = sorted(row for row in told if row[1:2] == ["0.6"])
    assert given_up == [[at, "0.6", "given", "up", "early"] for at in "1234"]
    assert [row for row in told if row[1:2] == ["0.7"]] == [[n, "0.7", "failed"] for n in "56"]


def test_all_training_is_the_sum_of_the_runs_seconds_stacked_or_not():
    records = [
        Record(method=name, seed=seed, value=float(seed), seconds=10.0, kimg=1.0, together=together)
        for name, together in (("a", 3), ("b", 1))
        for seed in range(3)
    ]
    page = page_of(records, comparison=compare(records, protocol="w2", better="lower"))
    assert "<dt>training in all</dt><dd>60 s</dd>" in page
    assert "Up to 3 runs were trained at once, stacked; the seconds are each one&#x27;s share. Shares of one" in page
    assert "A run of a takes 10 s (its share of a stack of 3), 1 kimg" in page


def test_the_sign_of_a_difference_is_its_own(rng):
    """The paired test may favour the one that is ahead on fewer seeds, by more."""
    records = made_up.records_of(rng, methods=("a", "b"), seeds=30, failing=0)
    gains = [3.0 + 0.1 * at for at in range(14)] + [-0.1 - 0.01 * at for at in range(16)]
    records = [
        dataclasses.replace(each, value=0.0 if each.method == "a" else gains[each.seed], curve=()) for each in records
    ]
    shown = pairs(compare(records, protocol="w2", better="lower"), looks_of(["a", "b"]))
    (above,) = re.findall(r"<b>▲</b><br>0.047<br>([^<]*)<", shown)
    (below,) = re.findall(r"<b>▼</b><br>0.047<br>([^<]*)<", shown)
    assert (above, below) == ("−0.11", "+0.11")


def test_the_window_without_real_samples_is_not_a_diverged_methods(rng):
    records = made_up.records_of(rng, seeds=5, failing=0)
    runs = _numbers.by_method(records, made_up.NAMES[:6])
    before = window_of(runs, None)
    for record in runs[made_up.NAMES[0]] + [each[0] for each in runs.values()]:
        object.__setattr__(record, "samples", 1e6 * record.samples)  # one method, and one run of each
    runs[made_up.NAMES[1]][1].samples[:] = np.nan
    after = window_of(runs, None)
    assert np.allclose([after.low, after.high], [before.low, before.high], atol=0.5)
    assert max(after.high) < 3
    assert window_of(runs, made_up.real_ring(rng)).high < (2.0, 2.0)
    for record in records:
        object.__setattr__(record, "samples", np.full((4, 2), np.inf, "float32"))
    assert window_of(runs, None).high == (1.0, 1.0)


def test_settings_are_parted_into_what_differs_and_what_is_shared(rng):
    records = made_up.records_of(rng)
    found = _numbers.settings_of(records)
    assert set(found.differing) == {"preset", "n_critic", "critic_learning_rate", "beta1"}
    assert set(found.shared) == {"data", "batch_size", "network", "kimg", "tensorboard"}
    assert found.differing["n_critic"]["wgan"] == "5"  # the fourth


def test_failures_are_counted_with_their_sentences(rng):
    records = made_up.records_of(rng, failing=0.5, seeds=8)
    section = failures(_numbers.by_method(records, made_up.NAMES[:6]), looks_of(made_up.NAMES[:6]))
    for name in made_up.NAMES[:6]:
        failed = [record for record in records if record.method == name and record.failed]
        if failed:
            seeds = ", ".join(str(record.seed) for record in failed)
            assert (
                f"{len(failed)} of 8 runs (seed{'s' * (len(failed) > 1)} {seeds}): {html.escape(failed[0].why)}"
                in section
            )
    assert section.count("<b>failed</b>") == len({record.method for record in records if record.failed})


def test_points_outside_the_window_are_owned_to(rng):
    records = made_up.records_of(rng, methods=("a", "b"), seeds=1, failing=0)
    records[0].samples[:5] = 100.0
    records[0].samples[5] = np.nan
    page = page_of(records, real=made_up.real_ring(rng))
    seen = re.findall(r'aria-label="Samples of (\w), ([^"]*)"', page)
    assert re.search(r"\b6 of 256 points outside", next(told for name, told in seen if name == "a"))


@pytest.mark.parametrize("better", ["lower", 0.3])
def test_odd_studies_have_a_page(rng, better):
    names = tuple(f"method {at}" for at in range(20))
    records = made_up.records_of(rng, methods=names, seeds=2, failing=0.9)
    kept = [
        Record(method=each.method, seed=each.seed, value=None, why="no memory") if each.method == names[3] else each
        for each in records
    ]
    comparison = made_up.comparison_of(
        kept, better, critical_difference=math.inf, floor=None, quality=None, groups=(names,), advice=(), notes=()
    )
    Tree(page_of(kept, comparison))


def test_nothing_measured_on_the_way_and_no_samples(rng):
    bare = [Record(method=name, seed=seed, value=float(seed)) for name in "ab" for seed in range(3)]
    page = page_of(bare)
    Tree(page)
    assert 'id="time"' not in page
    assert 'id="samples"' not in page
    assert "No run failed" in page


def test_a_large_study_of_noise_stays_small(rng):
    records = made_up.records_of(rng, methods=made_up.NAMES, seeds=10, failing=0.1)
    for record in records:
        if record.samples is not None:
            object.__setattr__(record, "samples", rng.integers(0, 256, (16, 3, 96, 96), dtype=np.uint8))
    assert len(page_of(records)) < 5e6


def test_a_report_is_written_whole_with_all_its_files(tmp_path, rng):
    records = made_up.records_of(rng, methods=HOSTILE, seeds=3)
    plan, comparison = made_up.plan_of(records), made_up.comparison_of(records)
    path = write_report(tmp_path / "study", plan, records, comparison, real=made_up.real_ring(rng))
    page = path.read_text(encoding="utf-8")
    names = {str(file.relative_to(path.parent)) for file in path.parent.rglob("*") if file.is_file()}
    listed = set(re.findall(r'href="([^#"]*)"', page))
    assert names == listed | {"report.html"}
    figures = ("ranking", "critical_difference", "quality_over_kimg", "quality_over_seconds", "samples")
    assert {f"figures/{name}.{kind}" for name in figures for kind in ("png", "svg")} <= names
    drawn = (path.parent / "figures" / "ranking.svg").read_text(encoding="utf-8")
    assert "<script" not in drawn
    assert html.escape(HOSTILE[0], quote=False) in drawn
    assert "$x_1^2$" in drawn  # not as mathematics


def test_a_disk_that_fills_leaves_the_page_before(tmp_path, rng, monkeypatch):
    records = made_up.records_of(rng, methods=("a", "b"), seeds=2)
    (tmp_path / "report.html").write_text("before")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("adversarium.study.report.write_figures", full)
    with pytest.raises(OSError, match="No space"):
        write_report(tmp_path, made_up.plan_of(records), records, made_up.comparison_of(records))
    assert (tmp_path / "report.html").read_text() == "before"


def test_a_comparison_of_other_runs_is_refused(tmp_path, rng):
    records = made_up.records_of(rng, methods=("a", "b"), seeds=2)
    with pytest.raises(InputError, match="'b' of which there is no record"):
        write_report(tmp_path, made_up.plan_of(records), records[:2], made_up.comparison_of(records))
