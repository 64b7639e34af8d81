"""Which methods keep all modes? PacGAN's ring and grid with PacGAN's metrics, ten seeds.

    python benchmarks/collapse.py [--seeds 10] [--out collapse.json] [--picture docs/collapse.png] [--workers 1]

Methods: the plain (non-saturating) GAN, the same with packs of 2, 3 and 4 samples, and R1 + R2 on the relativistic
paired loss. They share everything else: networks of three hidden layers of 64 ReLU units (PacGAN's: four of 400, with
batch norm, and three of 200 maxout units), codes from N(0, I) in the plane, Adam at 3e-3 (0, 0.95) decayed to 0 along
a cosine, 4,000 steps (PacGAN's: 400,000 at 1e-4) of 96 packs of m samples of each kind (PacGAN's: 100), data in units
in which they reach about as far as the codes: the grid's are divided by 2.828, as WGAN-GP's are.

From 2,500 samples of the averaged generator, as Lin et al. 2017 (arXiv:1712.04086): a sample is of high quality if it
lies within three standard deviations of a mode, a mode counts if it has one such sample, and the reverse KL is that of
the histogram of these over the modes to the uniform one.

The seeds of a method train side by side, as one pair of networks whose weights have the seeds as their first axis:
each has its own weights, data, codes and gradients. Prints a markdown table, mean ± standard deviation over seeds;
with --out also writes one JSON line per seed, and goes on after those that are there already.
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adversarium.data.toys import Mixture, grid, ring
from adversarium.games import alternating
from adversarium.losses import nonsaturating, relativistic
from adversarium.metrics.modes import ceilings, mode_scores
from adversarium.penalties import r1, r2
from adversarium.stabilisers import packed_shape
from adversarium.train.ema import Ema
from adversarium.train.step import Step
from adversarium.types import Anneal, Objective, Term

SAMPLES = 2500
"""How many samples are judged, as in PacGAN."""

DATA: dict[str, Callable[[], Mixture]] = {"ring": ring, "grid": grid}


@dataclass(frozen=True, kw_only=True)
class Method:
    """How one row of the table is trained."""

    title: str
    packing: int = 1
    regularised: bool = False


METHODS = {
    "gan": Method(title="GAN"),
    **{f"packing{m}": Method(title=f"GAN, packs of {m}", packing=m) for m in (2, 3, 4)},
    "r1r2": Method(title="R1 + R2", regularised=True),
}

STEPS, PACKS, WIDTH, LEARNING_RATE, BETAS = 4000, 96, 64, 3e-3, (0.0, 0.95)

UNITS = {"ring": 1.0, "grid": 2.828}
"""What the networks' samples are multiplied by."""

GAMMA = 0.2, 0.02
"""R1's and R2's weight, at the start and at the end (R3GAN's, of images, is 0.05 and 0.005)."""

SHOWN = 1000
"""How many samples are kept, to be drawn."""

REACH = 1.22
"""Half the side of the square that is drawn, in units of the outermost mode's coordinates."""


class Layers(nn.Module):
    """As many linear layers as seeds, side by side: ``[S, B, n_in]`` to ``[S, B, n_out]``."""

    def __init__(self, rngs: list[torch.Generator], n_in: int, n_out: int) -> None:
        super().__init__()
        drawn = torch.stack([torch.rand(n_in + 1, n_out, generator=rng) for rng in rngs]) * 2 - 1
        self.weight = nn.Parameter(drawn[:, 1:] / math.sqrt(n_in))
        self.bias = nn.Parameter(drawn[:, :1] / math.sqrt(n_in))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class Stack(nn.Module):
    """Networks side by side as one: ``[S·B, n_in]``, seed after seed, to ``[S·B, n_out]``."""

    def __init__(self, seeds: int, layers: list[nn.Module]) -> None:
        super().__init__()
        self.seeds, self.layers = seeds, nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x.unflatten(0, (self.seeds, -1)))
        return y.flatten(0, 1)


def networks(seeds: list[int], packing: int) -> tuple[nn.Module, nn.Module]:
    """Return the seeds' generators and critics."""
    rngs = _rngs(seeds, 0)
    sizes = [2, WIDTH, WIDTH, WIDTH]
    hidden = [layer for sides in pairwise(sizes) for layer in (Layers(rngs, *sides), nn.ReLU())]
    generator = Stack(len(seeds), [*hidden, Layers(rngs, WIDTH, 2)])
    sizes[0] = packed_shape((2,), packing)[0]
    hidden = [layer for sides in pairwise(sizes) for layer in (Layers(rngs, *sides), nn.ReLU())]
    return generator, nn.Sequential(Stack(len(seeds), [*hidden, Layers(rngs, WIDTH, 1)]), nn.Flatten(0))


def run(data: str, name: str, seeds: list[int], steps: int) -> list[dict[str, Any]]:
    """Train a method on some seeds side by side, and return what each one's generator makes."""
    torch.set_num_threads(1)
    method, mixture, unit, started = METHODS[name], DATA[data](), UNITS[data], time.process_time()
    generator, critic = networks(seeds, method.packing)
    real, codes = _rngs(seeds, 1), _rngs(seeds, 2)
    optimizers = [
        torch.optim.Adam(each.parameters(), LEARNING_RATE, BETAS, fused=True) for each in (critic, generator)
    ]
    batch = PACKS * method.packing
    step = Step(
        generator=generator,
        critic=critic,
        objective=_objective(method, steps * len(seeds) * batch),
        rule=alternating(),
        critic_optimizer=optimizers[0],
        generator_optimizer=optimizers[1],
        real=lambda _: torch.cat([mixture.sample(batch, rng) / unit for rng in real]),
        latent=lambda _: torch.cat([torch.randn(batch, 2, generator=rng) for rng in codes]),
        rng=torch.Generator().manual_seed(0),
        batch_size=len(seeds) * batch,
        packing=method.packing,
        joint=False,  # one pass for both sides would mix up whose samples are whose
    )
    average = Ema(generator, half_life_images=100 * batch, rampup=0.05)
    for number in range(1, steps + 1):
        rate = LEARNING_RATE * (1 + math.cos(math.pi * (number - 1) / steps)) / 2
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = rate
        step()
        average.update(number * batch, batch)
        if number % 100 == 0:
            step.measurements()  # forget them
    judged = torch.cat([torch.randn(SAMPLES, 2, generator=rng) for rng in _rngs(seeds, 3)])
    with torch.no_grad():
        samples = unit * average.module(judged).unflatten(0, (len(seeds), -1))
    seconds = (time.process_time() - started) / len(seeds)
    return [
        {
            "data": data,
            "method": name,
            "seed": seed,
            "steps": steps,
            **_scores(own, mixture),
            "seconds": round(seconds, 1),
        }
        for seed, own in zip(seeds, samples, strict=True)
    ]


def _objective(method: Method, images: int) -> Objective:
    if not method.regularised:
        return Objective(loss=nonsaturating())
    weight = Anneal(*GAMMA, over_images=images)
    terms = tuple(Term(name=name, penalty=make(1.0), weight=weight) for name, make in (("r1", r1), ("r2", r2)))
    return Objective(loss=relativistic(pairing="paired"), critic_terms=terms)


def _rngs(seeds: list[int], stream: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(1000 * seed + stream) for seed in seeds]


def _scores(samples: Tensor, mixture: Mixture) -> dict[str, Any]:
    found = mode_scores(samples, mixture.modes, mixture.std)
    return {
        "modes": int(found.modes),
        "high_quality": round(float(found.high_quality), 4),
        "reverse_kl": round(float(found.reverse_kl), 4) if found.counts.any() else None,  # infinite
        "samples": [[round(number, 3) for number in point] for point in samples[:SHOWN].tolist()],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return a markdown table of each method's means and standard deviations over seeds."""
    lines = [
        "| data | method | modes | high quality, % | reverse KL | seeds that keep all |",
        "|---|---|---|---|---|---|",
    ]
    groups = _groups(rows)
    for data in dict.fromkeys(group[0] for group in groups):
        mixture = DATA[data]()
        for name, own in (group[1:] for group in groups if group[0] == data):
            cells = [
                _spread([row["modes"] for row in own], 1),
                _spread([100 * row["high_quality"] for row in own], 1),
                _spread([row["reverse_kl"] for row in own], 3),
            ]
            kept = sum(row["modes"] == len(mixture.modes) for row in own)
            lines.append(f"| {data} | {METHODS[name].title} | {' | '.join(cells)} | {kept} of {len(own)} |")
        best, even = ceilings(len(mixture.modes), SAMPLES), _even(mixture)
        for title, (found, share, divergence) in {
            "a perfect sampler": (best.modes, best.high_quality, best.reverse_kl),
            "samples spread evenly over the square": even,
        }.items():
            lines.append(f"| {data} | *{title}* | {found:.1f} | {100 * share:.1f} | {divergence:.3f} | |")
    return "\n".join(lines)


def _even(mixture: Mixture, rounds: int = 100) -> tuple[float, ...]:
    """Return the mean modes, quality and reverse KL of samples that know only how far the modes reach."""
    reach, rng = REACH * mixture.modes.abs().max(), torch.Generator().manual_seed(0)
    found = []
    for _ in range(rounds):
        samples = reach * (2 * torch.rand(SAMPLES, 2, generator=rng, dtype=torch.float64) - 1)
        scores = mode_scores(samples, mixture.modes, mixture.std)
        found.append(torch.stack([scores.modes.double(), scores.high_quality, scores.reverse_kl]))
    return tuple(torch.stack(found).mean(0).tolist())


def _groups(rows: list[dict[str, Any]]) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Return the rows by data and method, as far as there are any."""
    groups = [
        (data, name, [row for row in rows if (row["data"], row["method"]) == (data, name)])
        for data in DATA
        for name in METHODS
    ]
    return [group for group in groups if group[2]]


def _spread(values: list[Any], digits: int) -> str:
    if None in values:
        return "infinite"
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} ± {spread:.{digits}f}"


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the samples of each method's first seed over the data's modes."""
    import matplotlib.pyplot as plt

    groups = _groups(rows)
    down, across = (list(dict.fromkeys(group[axis] for group in groups)) for axis in (0, 1))
    size = (2.6 * len(across), 2.95 * len(down))
    figure, panels = plt.subplots(len(down), len(across), figsize=size, squeeze=False, layout="constrained")
    for data, name, own in groups:
        panel, mixture = panels[down.index(data)][across.index(name)], DATA[data]()
        first = min(own, key=lambda row: row["seed"])
        reach = REACH * float(mixture.modes.abs().max())
        panel.scatter(*mixture.modes.T, s=150, facecolors="none", edgecolors="#e69f00", linewidths=1.2)
        panel.scatter(*torch.tensor(first["samples"]).T, s=3, color="#0072b2", alpha=0.45, linewidths=0)
        panel.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], aspect="equal")
        share = f"{100 * first['high_quality']:.0f} % on a mode"
        panel.set_xlabel(f"{first['modes']} of {len(mixture.modes)} modes, {share}", fontsize=9.5)
        if data == down[0]:
            panel.set_title(METHODS[name].title, fontsize=11)
        if name == across[0]:
            panel.set_ylabel(data, fontsize=11)
        for edge in panel.spines.values():
            edge.set_color("#b8c0c8")
    figure.savefig(path, dpi=120)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="how many (default: 10)")
    parser.add_argument("--first-seed", type=int, default=0, help="the first of them (default: 0)")
    parser.add_argument("--together", type=int, default=10, help="how many train side by side (default: 10)")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of the generator (default: {STEPS})")
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--out", type=Path, help="a file of JSON lines, to write and to go on from")
    parser.add_argument("--picture", type=Path, help="a PNG to draw the first seed's samples in")
    parser.add_argument("--workers", type=int, default=1, help="processes, each on one core (default: 1)")
    given = parser.parse_args()
    rows = []
    if given.out is not None and given.out.exists():
        rows = [json.loads(line) for line in given.out.read_text().splitlines()]
    rows = [row for row in rows if row["steps"] == given.steps]
    done = {(row["data"], row["method"], row["seed"]) for row in rows}
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    jobs = []
    for data in given.data:
        for name in given.methods:
            left = [seed for seed in seeds if (data, name, seed) not in done]
            jobs += [(data, name, left[i : i + given.together]) for i in range(0, len(left), given.together)]
    with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(run, *job, given.steps) for job in jobs]
        for future in as_completed(futures):
            found = future.result()
            rows += found
            if given.out is not None:
                with given.out.open("a") as stream:
                    stream.writelines(json.dumps(row) + "\n" for row in found)
            print(table(found).splitlines()[2], f"{found[0]['seconds']} s each", flush=True)
    rows = [row for row in rows if row["seed"] in seeds]
    print(f"\n{table(rows)}")
    if given.picture is not None:
        draw(rows, given.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
