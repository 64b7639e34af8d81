"""Made-up studies: records that look like those of real runs, and a plain comparison of them."""

import itertools

import numpy as np

from adversarium.study.comparison import Comparison, Pair, Standing
from adversarium.study.plan import Budget, Method, Plan
from adversarium.study.record import Point, Record, Suspicion

NAMES = (
    "gan",
    "nsgan",
    "lsgan",
    "wgan",
    "wgan-gp",
    "rsgan",
    "ragan",
    "hinge",
    "r3gan",
    "dragan",
    "sngan",
    "packed gan",
)


def records_of(
    rng: np.random.Generator,
    *,
    methods: tuple[str, ...] = NAMES[:6],
    seeds: int = 5,
    images: bool = False,
    size: int = 28,
    channels: int = 1,
    dimensions: int = 2,
    failing: float = 0.15,
    points: int = 10,
    better: str = "lower",
) -> list[Record]:
    """Return runs whose methods differ in quality, some of which fail or collapse; two methods never fail."""
    runs = []
    codes = rng.normal(size=(seeds, 16, 6)).astype(np.float32)
    for place, name in enumerate(methods):
        level = 0.02 * 1.9 ** rng.uniform(0, 6)
        for seed in range(seeds):
            broken = place > 1 and rng.uniform() < failing
            lost = place > 1 and rng.uniform() < 0.25
            end = level * rng.lognormal(0, 0.25) * (3 if lost else 1)
            total = float(rng.uniform(40, 60) * (1 + 0.2 * place))
            last = int(rng.integers(2, points)) if broken else points
            curve = []
            for step in range(1, last + 1):
                value = end * (1 + 8 * np.exp(-4 * step / points)) * rng.lognormal(0, 0.08) if step < points else end
                value = value if better == "lower" else 1 / (1 + value)
                kept = None if broken and step == last else float(value)
                share = step / points
                curve.append(Point(kimg=240 * share, seconds=total * share, gradients=int(7500 * share), value=kept))
            suspicions = []
            if lost:
                what = f"{rng.integers(3, 8)} of 8 modes are missed"
                suspicions.append(
                    Suspicion(
                        kind="mode_collapse",
                        what=what,
                        since_kimg=96.0,
                        severity=0.8,
                        cause="The critic sees one sample at a time.",
                    )
                )
            if rng.uniform() < 0.2:
                suspicions.append(
                    Suspicion(
                        kind="critic_too_strong",
                        what="The critic tells all fakes apart.",
                        since_kimg=24.0,
                        severity=0.4,
                        cause="Its learning rate is high.",
                    )
                )
            made = (
                _images(rng, codes[seed], level, size, channels, lost)
                if images
                else _ring(rng, level, lost, dimensions)
            )
            runs.append(
                Record(
                    method=name,
                    seed=seed,
                    value=curve[-1].value,
                    why="The critic's loss is not finite at step 1,204 (term: gradient_penalty)." if broken else "",
                    others={"precision5k": float(rng.uniform()), "recall5k": None if broken else float(rng.uniform())},
                    curve=tuple(curve),
                    suspicions=tuple(suspicions),
                    steps=3750 * last // points,
                    kimg=curve[-1].kimg,
                    gradients=curve[-1].gradients,
                    seconds=curve[-1].seconds,
                    attempts=2 if place == 1 and seed == 0 else 1,
                    options=_options(name, place, seed),
                    versions={
                        "python": "3.11.7",
                        "torch": "2.6.0",
                        "adversarium": "0.7",
                        "machine": "x86-64, 2 cores",
                    },
                    samples=None if broken and last < 3 else made,
                    folder=f"runs/{name}/seed{seed}",
                )
            )
    return runs


def _options(name, place, seed):
    return {
        "data": "ring",
        "preset": name,
        "batch_size": 64,
        "n_critic": 5 if place % 2 else 1,
        "critic_learning_rate": 1e-4 if place % 2 else 2e-4,
        "beta1": None if place == 3 else 0.5,
        "network": "auto",
        "kimg": 240.0,
        "seed": seed,
        "out": f"runs/{name}/seed{seed}",
        "tensorboard": False,
    }


def _ring(rng, level, lost, dimensions, count=256):
    angles = 2 * np.pi * rng.integers(0, 3 if lost else 8, count) / 8
    plane = np.stack([np.cos(angles), np.sin(angles)], 1) + rng.normal(0, 0.03 + 0.15 * level, (count, 2))
    more = rng.normal(size=(count, max(dimensions - 2, 0)))
    return np.concatenate([plane, more], 1)[:, :dimensions].astype(np.float32)


def real_ring(rng, dimensions=2, count=1000):
    return _ring(rng, 0.0, False, dimensions, count)


def _images(rng, codes, level, size, channels, lost):
    """Blobs whose place and width are the code's: at one code, methods draw the same thing with more or less noise."""
    at = np.linspace(-1.5, 1.5, size)
    pictures = []
    for code in codes[:1].repeat(len(codes), 0) if lost else codes:
        blob = sum(
            np.exp(
                -((at[:, None] - 0.7 * code[i]) ** 2 + (at[None] - 0.7 * code[i + 1]) ** 2)
                / (0.1 + 0.1 * abs(code[i + 2]))
            )
            for i in range(0, 4, 2)
        )
        noisy = 200 * np.clip(blob, 0, 1) + rng.normal(0, 40 * min(level, 1.5), (channels, size, size))
        pictures.append(np.clip(noisy, 0, 255))
    return np.stack(pictures).astype(np.uint8)


def plan_of(records: list[Record], **changes) -> Plan:
    names = dict.fromkeys(record.method for record in records)
    search = {"learning_rate": "1e-5..1e-2 log"} if changes.get("trials") else {}
    return Plan(
        **{
            "data": "ring",
            "methods": tuple(Method(name=name, options={"preset": name}, search=search) for name in names),
            "seeds": tuple(sorted({record.seed for record in records})),
            "budget": Budget(240.0, "kimg"),
            "protocol": "energy5k_test",
            **changes,
        }
    )


def trials_of(rng: np.random.Generator, methods: tuple[str, ...], count: int = 12) -> dict[str, list[dict]]:
    """Return the results of search jobs: some failed, some were given up early."""
    found = {}
    for name in methods:
        found[name] = []
        for _ in range(count):
            rate, state = 10 ** rng.uniform(-5, -2), rng.uniform()
            pruned = bool(state > 0.8)  # and then its cost is not known
            cost = (
                None
                if state < 0.1 or pruned
                else float(abs(np.log10(rate) + 3.5) * 0.2 + 0.05 * rng.lognormal(0, 0.3))
            )
            options = {
                "critic_learning_rate": rate,
                "generator_learning_rate": rate,
                "beta1": float(rng.choice([0, 0.5])),
            }
            found[name].append({"options": options, "cost": cost, "pruned": pruned})
    return found


def comparison_of(records: list[Record], better: str | float = "lower", **changes) -> Comparison:
    """Return a comparison by plain means, with p values that only look like some: the report does not judge them."""
    names = list(dict.fromkeys(record.method for record in records))
    values = {name: tuple(record.value for record in records if record.method == name) for name in names}
    bad = {name: np.array([_bad(value, better) for value in each]) for name, each in values.items()}
    ranks = np.array([bad[name] for name in names]).argsort(0).argsort(0).mean(1) + 1
    standings = sorted(
        (
            _standing(name, values[name], bad[name], float(rank), records)
            for name, rank in zip(names, ranks, strict=True)
        ),
        key=lambda each: each.rank,
    )
    order = [each.method for each in standings]
    pairs = [_pair(a, b, values, bad, len(order)) for a, b in itertools.combinations(order, 2)]
    clear = {(pair.better, pair.worse) for pair in pairs if pair.adjusted <= 0.05}
    groups = []
    for first in range(len(order)):
        last = max(
            at
            for at in range(first, len(order))
            if not any(p in clear for p in itertools.combinations(order[first : at + 1], 2))
        )
        if not groups or order[last] not in groups[-1]:
            groups.append(tuple(order[first : last + 1]))
    seeds = len(standings[0].values)
    fields = {
        "protocol": "energy5k_test",
        "better": better,
        "level": 0.05,
        "seeds": seeds,
        "standings": tuple(standings),
        "pairs": tuple(pairs),
        "p_any": 0.0004,
        "critical_difference": 2.2,
        "groups": tuple(groups),
        "quality": 0.2,
        "floor": 0.011,
        "advice": (
            f"Use {order[0]}: on these data it was better than {order[-1]} on every seed, and its runs never failed.",
            f"{order[0]} and {order[1]} are too close to call; {order[1]} costs less.",
        ),
        "notes": (f"{len(pairs)} pairs on {seeds} seeds: small differences cannot be told apart.",),
    }
    return Comparison(**{**fields, **changes})


def _bad(value, better):
    return (
        np.inf
        if value is None
        else value
        if better == "lower"
        else -value
        if better == "higher"
        else abs(value - better)
    )


def _middle(values, bad, place):
    at = np.argsort(bad)[round(place * (len(bad) - 1))]
    return values[at]


def _standing(name, values, bad, rank, records):
    runs = [record for record in records if record.method == name]
    return Standing(
        method=name,
        values=values,
        failed=sum(value is None for value in values),
        collapsed=sum(record.collapsed and not record.failed for record in runs),
        median=_middle(values, bad, 0.5),
        quartiles=(_middle(values, bad, 0.25), _middle(values, bad, 0.75)),
        interval=(_middle(values, bad, 0.1), _middle(values, bad, 0.9)),
        rank=rank,
        seconds=float(np.median([record.seconds for record in runs])),
        kimg=float(np.median([record.kimg for record in runs])),
        reached=sum(value is not None and value < 0.2 for value in values),
        seconds_to_quality=20.0
        if sum(value is not None and value < 0.2 for value in values) * 2 > len(values)
        else None,
        kimg_to_quality=96.0 if sum(value is not None and value < 0.2 for value in values) * 2 > len(values) else None,
    )


def _pair(a, b, values, bad, count):
    wins, ties = int((bad[a] < bad[b]).sum()), int((bad[a] == bad[b]).sum())
    runs = len(bad[a])
    p = float(min(1.0, 2.0 ** (1 - abs(2 * wins + ties - runs)) if wins != runs else 2.0 ** (1 - runs)))
    both = [abs(y - x) for x, y in zip(values[a], values[b], strict=True) if x is not None and y is not None]
    difference = float(np.median(both)) if 2 * len(both) > runs else None
    interval = (None, None) if difference is None else (min(both), max(both))
    return Pair(
        better=a, worse=b, difference=difference, interval=interval, wins=wins, ties=ties, runs=runs, p=p,
        adjusted=min(1.0, p * (6 if runs < 8 else count * (count - 1) / 4) / (3 if runs < 8 else 1)),
    )  # fmt: skip
