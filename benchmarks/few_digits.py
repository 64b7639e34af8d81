"""Does augmentation keep a critic from learning few digits by heart? 500 digits, with and without.

    python benchmarks/few_digits.py [--methods none diffaugment ada apa] [--seeds 3] [--kimg 50] [--out few.jsonl]
    python benchmarks/few_digits.py --quick

Trains on 50 of the 10,000 builtin digits of each class, always the same ones; the 9,500 others are held out. Of each
run:

- overfitting: (D(train) - D(held out)) / (D(train) - D(fake)), D the critic's mean score of all 500 training digits,
  of 2,000 held-out ones and of 500 samples of the generator in training, none of them augmented. 0: held-out digits
  count as training ones, 1: as fakes.
- memory: the share of pairs in which a training digit scores above a held-out one. 0.5: the critic knows none by
  heart.
- fd: Fréchet distance of 2,500 samples of the averaged generator to 2,500 held-out digits, in features of a
  classifier that was trained on other digits (lenet).

All three are taken every tenth of the run. "End" is the last of them; "late" is the mean over the run's second half,
and "best" the lowest Fréchet distance. Prints one JSON line per run and a markdown table, mean ± standard deviation
over seeds; with --out it keeps the lines, and goes on after those that are there already. Exits with 1 unless ADA or
DiffAugment halves the overfitting of the end and of the second half, and lowers the Fréchet distance, on every seed.
"""

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _measure import mean_and_spread

from adversarium.config import TrainConfig
from adversarium.data.idx import mnist
from adversarium.data.source import ArraySource, some_of
from adversarium.diagnostics import probe
from adversarium.train import train
from adversarium.train.build import Training
from adversarium.train.writers import Record

PER_CLASS = 50
HELD_OUT = 2000
PROTOCOL = "fd2500_lenet_test"
OPTIONS: dict[str, Any] = {
    "preset": "nsgan",
    "width": 16,
    "critic_learning_rate": 5e-4,
    "generator_learning_rate": 5e-4,
}
METHODS = {
    "none": None,
    "diffaugment": "diffaugment(policy='translation,cutout')",
    "ada": "ada(target=0.4, kimg=5, policy='xint,scale,rotate,aniso,xfrac')",
    "apa": "apa(target=0.4, kimg=5)",
}
SHOWN = ("overfitting_end", "overfitting_late", "memory_end", "memory_late", "fd_end", "fd_best")


def few_digits() -> ArraySource:
    """Return the 500 digits; their test split is all others."""
    everything = mnist()
    labels = everything.labels_of(np.arange(len(everything)))
    order = np.random.default_rng(0).permutation(len(everything))
    chosen = np.sort(np.concatenate([order[labels[order] == digit][:PER_CLASS] for digit in range(10)]))
    others = np.setdiff1d(np.arange(len(everything)), chosen)
    held_out = dataclasses.replace(everything, rows=others, test=None)
    return dataclasses.replace(everything, rows=chosen, test=held_out)


class Looks:
    """An observer of a run: how well its critic knows the training digits, at each measurement of its samples."""

    def __init__(self) -> None:
        self.found: list[dict[str, float]] = []

    def start(self, folder: object, training: Training, source: object) -> None:
        """Take all that will be looked at."""
        self.training = training
        encode = training.codec.encode
        assert training.held_out is not None
        self.real = encode(some_of(training.data, 10 * PER_CLASS, 0))
        self.held_out = encode(some_of(training.held_out, HELD_OUT, 0))
        self.codes = training.latent.prior.draw(len(self.real), torch.Generator().manual_seed(1))

    def __call__(self, record: Record) -> None:
        """Look, where the record holds a measurement."""
        if PROTOCOL not in record:
            return
        step = self.training.step
        seen = probe(
            step.generator,
            step.judge(),
            step.objective.loss,
            self.real,
            self.held_out,
            self.codes,
            rng=torch.Generator().manual_seed(2),
        )
        augment = step.augment
        self.found.append(
            {
                "kimg": record["kimg"],
                # a critic that sees no difference between data and fakes has learnt nothing by heart
                "overfitting": seen.get("probe_overfitting", 0.0),
                "memory": seen["probe_auc_memory"],
                "fd": record[PROTOCOL],
                "p": float(augment.probability) if augment is not None else 0.0,
                "diversity": seen["probe_diversity"],
            }
        )


def run(method: str, seed: int, kimg: float, options: dict[str, Any]) -> dict[str, Any]:
    """Train once, and return what was found."""
    looks, started = Looks(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(
            data="mnist",
            **options,
            augment=METHODS[method],
            kimg=kimg,
            seed=seed,
            evaluate=PROTOCOL,
            evaluate_every_kimg=kimg / 10,
            diagnose_every_steps=0,
            sample_every_kimg=kimg,
            out=f"{folder}/run",
        )
        train(config, source=few_digits(), observers=[looks], on_start=looks.start)
    late = looks.found[len(looks.found) // 2 :]
    end = looks.found[-1]
    return {
        "method": method,
        "augment": METHODS[method],
        "seed": seed,
        "kimg": kimg,
        "overfitting_end": end["overfitting"],
        "overfitting_late": statistics.mean(each["overfitting"] for each in late),
        "memory_end": end["memory"],
        "memory_late": statistics.mean(each["memory"] for each in late),
        "fd_end": end["fd"],
        "fd_best": min(each["fd"] for each in looks.found),
        "p_end": end["p"],
        "cpu_seconds": round(time.process_time() - started, 1),
        "looks": looks.found,
    }


def table(results: list[dict[str, Any]]) -> str:
    """Return the results as a markdown table."""
    lines = [f"| augment | {' | '.join(SHOWN)} |", "|---" * (len(SHOWN) + 1) + "|"]
    for method in METHODS:
        own = [each for each in results if each["method"] == method]
        if own:
            cells = [mean_and_spread([each[name] for each in own], 1 if "fd" in name else 2) for name in SHOWN]
            lines.append(f"| `{METHODS[method] or 'none'}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def passes(results: list[dict[str, Any]], method: str) -> bool:
    """Return whether a method halves the overfitting and lowers the Fréchet distance on every seed."""
    plain = {each["seed"]: each for each in results if each["method"] == "none"}
    own = [each for each in results if each["method"] == method]
    return bool(own) and all(
        each["overfitting_end"] <= plain[each["seed"]]["overfitting_end"] / 2
        and each["overfitting_late"] <= plain[each["seed"]]["overfitting_late"] / 2
        and each["fd_end"] < plain[each["seed"]]["fd_end"]
        and each["fd_best"] < plain[each["seed"]]["fd_best"]
        for each in own
    )


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--kimg", type=float, default=50.0)
    parser.add_argument("--out", type=Path, help="a .jsonl that keeps each run's result")
    parser.add_argument("--quick", action="store_true", help="a tiny run of each method: does it work?")
    given = parser.parse_args()
    torch.set_num_threads(1)
    options = {**OPTIONS, **({"width": 4} if given.quick else {})}
    kimg, seeds = (0.64, 1) if given.quick else (given.kimg, given.seeds)
    results = []
    if given.out is not None and given.out.exists():
        results = [json.loads(line) for line in given.out.read_text().splitlines()]
    done = {(each["method"], each["seed"], each["kimg"]) for each in results}
    for seed in range(given.first_seed, given.first_seed + seeds):
        for method in given.methods:
            if (method, seed, kimg) in done:
                continue
            results.append(run(method, seed, kimg, options))
            line = json.dumps(results[-1])
            print(line, flush=True)
            if given.out is not None:
                with given.out.open("a") as file:
                    file.write(line + "\n")
    print(table(results))
    if given.quick or "none" not in given.methods:
        return 0
    return 0 if any(passes(results, method) for method in ("ada", "diffaugment")) else 1


if __name__ == "__main__":
    sys.exit(main())
