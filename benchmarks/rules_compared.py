"""Does a game rule help on real data? Rules at equal compute, several seeds: the ring's modes, and digits.

    python benchmarks/rules_compared.py --out FILE --mnist FOLDER [--data ring,mnist] [--rules extragradient,...]
        [--seeds 0,1,2,3,4] [--workers 1] [--ring-kimg N] [--mnist-kimg N] [--classifier FILE]
    python benchmarks/rules_compared.py --out FILE --table
    python benchmarks/rules_compared.py --out FILE --mnist FOLDER --reference

Each run is `adversarium train DATA --game RULE` at its defaults with preset nsgan (DCGAN's Adam, the same for all) but
for width, batch and budget. The budget counts the critic's images, so a rule that looks twice before it moves once
gets half the steps: all default runs of a data set evaluate each player's gradient equally often, and the line says
how often (unrolled, and alternating with n_critic, evaluate the critic's more often than the generator's).
On one core a run takes about 45 s (ring) or 60 s (mnist).

Each run appends one JSON line to FILE; one whose line is there already is skipped, so that a comparison can be stopped
and continued. A line judges the averaged generator and the raw one:

ring: 2,500 samples; the modes reached of 8, the share of high quality (a perfect sampler: 98.889 %) and the reverse KL
of the modes (a perfect sampler: 0.0014), see `metrics/modes.py`.

mnist: 10,000 samples, read by the classifier of `quality_mnist.py`, which learns from FOLDER, MNIST's four IDX files
(and is kept in `--classifier`): the share that it is sure of, the smallest share of a class, KL of the classes to the
data's, and the Fréchet distance to the 10,000 digits trained on, of Gaussians in its 128 last features (10,000 real
digits of the training set: 97.6 %, 8.6 %, 0.0006 and 7.1).

`--table` prints mean ± standard deviation over the seeds, as markdown; `--reference` judges 10,000 digits of FOLDER
that no run has seen, as if a generator had made them.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from quality_mnist import class_shares, judge, probabilities, sure_share
from torch import Tensor, nn

from adversarium import spec
from adversarium.config import TrainConfig
from adversarium.data import open_data
from adversarium.data.idx import open_idx
from adversarium.data.toys import ring
from adversarium.games import GAMES
from adversarium.metrics.modes import mode_scores
from adversarium.train import StoppedError, load_generator, sample_run, train

RULES = "alternating,simultaneous,extragradient,extrapolation_from_the_past,optimistic,lookahead(k=5)"
SETTINGS: dict[str, dict[str, Any]] = {
    "ring": {"width": 128, "batch_size": 128, "kimg": 1536.0},
    "mnist": {"width": 16, "batch_size": 64, "kimg": 96.0},
}
COLUMNS = {
    # measure: heading, factor, decimals
    "ring": {
        "modes": ("modes of 8", 1, 1),
        "high_quality": ("high quality, %", 100, 1),
        "reverse_kl": ("reverse KL", 1, 3),
    },
    "mnist": {
        "sure": ("sure, %", 100, 1),
        "smallest_class": ("smallest class, %", 100, 1),
        "class_kl": ("class KL", 1, 3),
        "frechet": ("Fréchet distance", 1, 1),
    },
}
DIGITS = 10_000
SAMPLES = 2500


def key(line: dict[str, Any]) -> str:
    """Return what makes two runs the same."""
    return json.dumps([line[name] for name in ("data", "rule", "seed", "settings")], sort_keys=True)


def run(data: str, rule: str, seed: int, settings: dict[str, Any], mnist: Path | None, kept: Path) -> dict[str, Any]:
    """Train and judge one run."""
    torch.set_num_threads(1)
    line: dict[str, Any] = {"data": data, "rule": rule, "seed": seed, "settings": settings}
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(
            preset="nsgan", data=data, game=rule, seed=seed, **settings, out=f"{folder}/run", device="cpu",
            log_every_steps=200, sample_every_kimg=1e9, checkpoint_every_seconds=1e9,
        )  # fmt: skip
        started = time.process_time()
        try:
            ended = train(config)
        except StoppedError as error:
            return {**line, "stopped": str(error).split(";")[0]}
        seconds = time.process_time() - started
        made = spec.make(rule, "game", GAMES)
        line |= {
            "critic_evaluations": ended.images // config.batch_size,
            "generator_evaluations": ended.steps * made.generator_evaluations,
            "steps": ended.steps,
            "seconds": round(seconds, 1),
        }
        for name, average in (("averaged", True), ("raw", False)):
            trained = load_generator(ended.path, average=average, device="cpu")
            n = SAMPLES if data == "ring" else DIGITS
            samples = torch.from_numpy(sample_run(trained, n, seed=1000 + seed))
            found = read_modes(samples) if data == "ring" else read(samples, mnist, kept)
            line[name] = {each: round(value, 5) if math.isfinite(value) else None for each, value in found.items()}
    return line


def read_modes(samples: Tensor) -> dict[str, float]:
    """Judge samples of the ring."""
    source = ring()
    found = mode_scores(samples, source.modes, source.std)
    return {
        "modes": int(found.modes),
        "high_quality": float(found.high_quality),
        "reverse_kl": float(found.reverse_kl),
    }


def read(images: Tensor, mnist: Path | None, kept: Path) -> dict[str, float]:
    """Judge digits by the classifier, against those that they were learnt from."""
    model, real_shares, real_features = reference(mnist, kept)
    found = probabilities(model, images)
    shares = class_shares(found)
    return {
        "sure": sure_share(found),
        "smallest_class": float(shares.min()),
        "class_kl": float((torch.xlogy(shares, shares) - torch.xlogy(shares, real_shares)).sum()),
        "frechet": frechet(features(model, images), real_features),
    }


@cache
def reference(mnist: Path | None, kept: Path) -> tuple[nn.Module, Tensor, Tensor]:
    """Return the classifier, and the data's class shares and features."""
    assert mnist is not None or kept.exists(), "the classifier has to learn first: give --mnist FOLDER"
    model = judge(mnist or Path(), kept)
    data = torch.from_numpy(open_data("mnist").samples[:])
    return model, class_shares(probabilities(model, data)), features(model, data)


def features(model: nn.Module, images: Tensor) -> Tensor:
    """Return what the classifier's last layer sees, ``[N, 128]``."""
    assert isinstance(model, nn.Sequential)
    seen = images.float().div(127.5).sub(1)
    with torch.no_grad():
        return torch.cat([model[:-1](part) for part in seen.split(500)])


def frechet(one: Tensor, other: Tensor) -> float:
    """Return W2² of the Gaussians fitted to two sets of features: ‖Δμ‖² + tr(S1 + S2 - 2(S1^½ S2 S1^½)^½)."""
    one, other = one.double(), other.double()
    s1, s2 = one.T.cov(), other.T.cov()
    values, vectors = torch.linalg.eigh(s1)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ s2 @ root).clamp_min(0).sqrt().sum()
    return float((one.mean(0) - other.mean(0)).square().sum() + s1.trace() + s2.trace() - 2 * cross)


def lines_in(path: Path) -> list[dict[str, Any]]:
    """Return the runs in a file; a line cut short by a kill is left out."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Return mean ± standard deviation over the seeds, one table for each data set and its settings."""
    groups: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for line in lines:
        settings = ", ".join(f"{name} {value:g}" for name, value in line["settings"].items())
        title = f"{line['data']} ({settings})"
        groups.setdefault(title, {}).setdefault(line["rule"], []).append(line)
    pieces = []
    for title, rules in groups.items():
        columns = COLUMNS[title.split()[0]]
        heads = ["rule", "seeds", "steps"]
        heads += [f"{head}: {which}" for which in ("averaged", "raw") for head, _, _ in columns.values()]
        pieces += [f"**{title}**", "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        for rule, runs in rules.items():
            whole = [each for each in runs if "stopped" not in each]
            seeds = f"{len(whole)}" + (f", {len(runs) - len(whole)} stopped" if len(whole) < len(runs) else "")
            steps = " to ".join(sorted({str(each["steps"]) for each in whole})) or "-"
            cells = [f"`{rule}`", seeds, steps]
            for which in ("averaged", "raw"):
                for measure, (_, factor, decimals) in columns.items():
                    cells.append(mean_and_deviation([each[which][measure] for each in whole], factor, decimals))
            pieces.append(f"| {' | '.join(cells)} |")
        pieces.append("")
    return "\n".join(pieces)


def mean_and_deviation(values: Sequence[float | None], factor: float, decimals: int) -> str:
    finite = [factor * value for value in values if value is not None]
    if not finite:
        return "-"
    spread = f" ± {statistics.stdev(finite):.{decimals}f}" if len(finite) > 1 else ""
    missing = f" ({len(values) - len(finite)} infinite)" if len(finite) < len(values) else ""
    return f"{statistics.mean(finite):.{decimals}f}{spread}{missing}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="one JSON line per run, appended")
    parser.add_argument("--data", default="ring,mnist")
    parser.add_argument("--rules", default=RULES, help=f"as `train --game` takes them (default: {RULES})")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    for data, settings in SETTINGS.items():
        parser.add_argument(f"--{data}-kimg", type=float, default=settings["kimg"], help="thousands of critic images")
    parser.add_argument("--mnist", type=Path, help="the folder with MNIST's four IDX files")
    parser.add_argument("--classifier", type=Path, default=Path("classifier.safetensors"), help="where it is kept")
    parser.add_argument("--workers", type=int, default=1, help="runs at a time, each on one core")
    parser.add_argument("--table", action="store_true", help="print the file's runs as a table, and do nothing else")
    parser.add_argument("--reference", action="store_true", help="judge other real digits, and do nothing else")
    options = parser.parse_args()
    if options.reference:
        digits = torch.from_numpy(open_idx(options.mnist).samples[:DIGITS])
        print(json.dumps({"data": "mnist", "real": read(digits, options.mnist, options.classifier)}))
        return 0
    if options.table:
        print(table(lines_in(options.out)))
        return 0
    done = {key(line) for line in lines_in(options.out)}
    wanted = []
    for seed in map(int, options.seeds.split(",")):  # seed by seed: what is there early compares all rules
        for data in options.data.split(","):
            settings = {**SETTINGS[data], "kimg": getattr(options, f"{data}_kimg")}
            for rule in spec.split(options.rules):
                line = {"data": data, "rule": rule, "seed": seed, "settings": settings}
                if key(line) not in done:
                    wanted.append(line)
    if any(line["data"] == "mnist" for line in wanted):
        reference(options.mnist, options.classifier)  # learns before any run begins
    pool = ProcessPoolExecutor(options.workers, mp_context=get_context("spawn"))
    try:
        jobs = [pool.submit(run, **line, mnist=options.mnist, kept=options.classifier) for line in wanted]
        for job in as_completed(jobs):
            text = json.dumps(job.result())
            with open(options.out, "a", encoding="utf-8") as stream:
                stream.write(text + "\n")
            print(text, flush=True)
    finally:
        pool.shutdown(cancel_futures=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
