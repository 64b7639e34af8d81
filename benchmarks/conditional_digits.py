"""Does a conditional generator make the digits that it is asked for? A classifier trained apart answers.

    python benchmarks/conditional_digits.py [--methods projection ...] [--seeds 3] [--kimg 200] [--out found.jsonl]
    python benchmarks/conditional_digits.py --quick

Trains on 7,500 of the 10,000 builtin digits; the other 2,500 are held out. The judge is the classifier behind the
features lenet, trained on 60,000 other digits; it errs on 0.6 % of the builtin ones. Of each run's averaged generator:

- agreement: of 1,000 samples, 100 of each digit, the share that the judge takes for what was asked; worst: that of
  the worst digit.
- purity (infogan, which sees no label): of 1,000 samples, 100 of each category of the code, the share of the digit
  that the judge finds most often in the sample's category; found: how many of the ten digits are such a digit. One
  digit in every category would be pure too.
- variety: the mean distance of two samples of the same digit or category, over that of two real ones of the digit, in
  lenet features; the mean over digits. 1: as varied as the data, 0: always the same picture.
- fd: Fréchet distance of 2,500 samples to the held-out digits in these features.

Prints one JSON line per run and a markdown table, mean ± standard deviation over seeds; with --out it keeps the lines,
and goes on after those that are there already; with --pictures it keeps each run's sheet, a row to a digit or
category. Exits with 1 if agreement is below 0.9, or a run took more than 960 seconds of processor time (8 minutes of
two cores).
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _measure import mean_and_spread
from torch import Tensor

from adversarium.config import TrainConfig
from adversarium.data import open_data
from adversarium.data.source import ArraySource
from adversarium.features import Seen, open_features
from adversarium.metrics import mean_pairwise_distance
from adversarium.train import TrainedGenerator, load_generator, train
from adversarium.train.sample import generate

EACH = 100
CLASSES = 10
PROTOCOL = "fd2500_lenet_test"
OPTIONS: dict[str, Any] = {"preset": "nsgan", "hold_out": 0.25}
AUGMENTED: dict[str, Any] = {
    "network": "dcgan",
    "width": 16,
    "augment": "ada(target=0.4, kimg=5, policy='xint,scale,rotate,aniso,xfrac')",
    "critic_learning_rate": 5e-4,
    "generator_learning_rate": 5e-4,
}
PLAIN: dict[str, Any] = {  # those of the authors of infogan, openai/InfoGAN run_mnist_exp.py
    "network": "dcgan",
    "width": 16,
    "critic_learning_rate": 2e-4,
    "generator_learning_rate": 1e-3,
}
NETWORKS = {
    "projection": AUGMENTED,
    "concatenation": AUGMENTED,
    "acgan": PLAIN,
    "contrastive": PLAIN,
    "infogan": PLAIN,
}
SHOWN = {"agreement": 3, "worst": 2, "purity": 3, "found": 1, "variety": 2, "fd": 1, "cpu_seconds": 0}


def see(samples: np.ndarray) -> Seen:
    """Return what the judge sees in stored images."""
    return open_features("lenet").see(torch.from_numpy(samples))


def spreads(rows: Tensor, labels: Tensor) -> list[float]:
    """Return the mean distance within the first ``EACH`` rows of each label."""
    return [float(mean_pairwise_distance(rows[labels == each][:EACH])) for each in range(CLASSES)]


def real_spreads() -> list[float]:
    """Return these of real digits."""
    data = open_data("mnist")
    assert isinstance(data, ArraySource)
    numbers = np.arange(3000)
    labels = data.labels_of(numbers)
    assert labels is not None
    return spreads(see(data.take(numbers)).rows, torch.from_numpy(labels))


def judged(trained: TrainedGenerator) -> dict[str, Any]:
    """Return what the judge finds in a generator's samples."""
    rows = torch.arange(CLASSES).repeat_interleave(EACH)
    prior, rng = trained.feed.prior, torch.Generator().manual_seed(1)
    codes, asked = trained.feed.by_row(prior.draw(len(rows), rng), CLASSES)
    seen = see(generate(trained.module, trained.codec, codes, asked))
    assert seen.probabilities is not None
    digits = seen.probabilities.argmax(1)
    table = torch.zeros(CLASSES, CLASSES).index_put_((rows, digits), torch.ones(len(rows)), accumulate=True) / EACH
    inner = spreads(seen.rows, rows)
    if asked is None:
        most = table.max(1)
        found = {"purity": float(most.values.mean()), "found": len(most.indices.unique())}
        own = [real_spreads()[digit] for digit in most.indices.tolist()]
    else:
        assert torch.equal(asked, rows)
        found = {"agreement": float(table.diag().mean()), "worst": float(table.diag().min())}
        own = real_spreads()
    return {
        **found,
        "variety": statistics.mean(a / b for a, b in zip(inner, own, strict=True)),
        "table": table.tolist(),
    }


def run(method: str, seed: int, kimg: float, pictures: Path | None, **changes: Any) -> dict[str, Any]:
    """Train once, and return what was found."""
    started, options = time.process_time(), {**OPTIONS, **NETWORKS[method], **changes}
    measured: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(
            data="mnist",
            **options,
            conditional=method,
            kimg=kimg,
            seed=seed,
            evaluate=PROTOCOL,
            evaluate_every_kimg=kimg,
            diagnose_every_steps=0,
            sample_every_kimg=kimg,
            out=f"{folder}/run",
        )
        ended = train(
            config, observers=[lambda record: measured.extend([record[PROTOCOL]] if PROTOCOL in record else [])]
        )
        seconds = time.process_time() - started
        found = judged(load_generator(ended.path))
        if pictures is not None:
            pictures.mkdir(parents=True, exist_ok=True)
            shutil.copy(ended.path / "samples.png", pictures / f"{method}-{seed}.png")
    return {
        **{"method": method, "seed": seed, "kimg": kimg, **found, "fd": measured[-1]},
        "cpu_seconds": round(seconds, 1),
        "options": options,
    }


def table_of(results: list[dict[str, Any]]) -> str:
    """Return the results as a markdown table."""
    lines = [f"| conditional | seeds | {' | '.join(SHOWN)} |", "|---" * (len(SHOWN) + 2) + "|"]
    for method in NETWORKS:
        own = [each for each in results if each["method"] == method]
        cells = [mean_and_spread([each[name] for each in own if name in each], SHOWN[name]) for name in SHOWN]
        if own:
            lines.append(f"| `{method}` | {len(own)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=NETWORKS, default=["projection", "infogan"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--kimg", type=float, default=200.0)
    parser.add_argument("--out", type=Path, help="a .jsonl that keeps each run's result")
    parser.add_argument("--pictures", type=Path, help="a folder that keeps each run's sheet of samples")
    parser.add_argument("--quick", action="store_true", help="a tiny run of each method: does it work?")
    given = parser.parse_args()
    torch.set_num_threads(1)
    methods, seeds, kimg, changes = given.methods, given.seeds, given.kimg, {}
    if given.quick:
        methods, seeds, kimg, changes = list(NETWORKS), 1, 0.64, {"width": 4}
    results = []
    if given.out is not None and given.out.exists():
        results = [json.loads(line) for line in given.out.read_text().splitlines()]
    done = {(each["method"], each["seed"], each["kimg"]) for each in results}
    for seed in range(given.first_seed, given.first_seed + seeds):
        for method in methods:
            if (method, seed, kimg) in done:
                continue
            results.append(run(method, seed, kimg, given.pictures, **changes))
            line = json.dumps(results[-1])
            print(line, flush=True)
            if given.out is not None:
                with given.out.open("a") as file:
                    file.write(line + "\n")
    print(table_of(results))
    if given.quick:
        return 0
    return 0 if all(each.get("agreement", 1) >= 0.9 and each["cpu_seconds"] <= 960 for each in results) else 1


if __name__ == "__main__":
    sys.exit(main())
