"""Does a penalty on half of each batch keep the modes that the full one keeps? PacGAN's grid of 25 Gaussians.

    python benchmarks/modes_grid.py [--seeds 10] [--fractions 1 0.5] [--steps 8000] [--workers 2]

Trains R1 + R2 on the relativistic paired loss (preset r3gan) with the same settings and seeds for each fraction. From
2,500 samples of the averaged generator: a mode counts if a sample is within three standard deviations of it; the share
of such samples is the quality (a perfect sampler: 98.9 %). Prints one JSON line per run, then a summary per fraction;
exits with 1 unless every run of a fraction below 1 keeps the modes that the full penalty keeps on that seed.
"""

import argparse
import json
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch

from adversarium.config import TrainConfig
from adversarium.data.toys import grid
from adversarium.metrics.modes import mode_scores
from adversarium.train.build import build
from adversarium.train.resolve import resolve

SAMPLES = 2500
"""How many samples are judged, as in PacGAN."""


def run(seed: int, fraction: float, options: dict[str, Any]) -> dict[str, Any]:
    torch.set_num_threads(1)
    source = grid()
    config = resolve(TrainConfig(data="grid", seed=seed, penalty_fraction=fraction, **options), source.codec)
    training = build(config, source)
    images = 0
    for _ in range(config.steps):
        images = training.move(images)
    codes = torch.randn(SAMPLES, config.latent_dim, generator=torch.Generator().manual_seed(1000 + seed))
    with torch.no_grad():
        samples = training.codec.decode(training.average.module.eval()(codes))
    found = mode_scores(torch.as_tensor(samples), source.modes, source.std)
    quality = round(float(found.high_quality), 4)
    return {"fraction": fraction, "seed": seed, "modes": int(found.modes), "high_quality": quality}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--fractions", type=float, nargs="+", default=[1.0, 0.5])
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--penalty-scale", type=float, default=20.0)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    options = {
        "preset": "r3gan",
        "steps": given.steps,
        "width": given.width,
        "batch_size": given.batch_size,
        "critic_learning_rate": given.learning_rate,
        "generator_learning_rate": given.learning_rate,
        "penalty_scale": given.penalty_scale,
        "anneal_kimg": given.steps * given.batch_size / 1000,
    }
    pool = ProcessPoolExecutor(given.workers, mp_context=get_context("spawn"))
    jobs = [pool.submit(run, seed, fraction, options) for seed in range(given.seeds) for fraction in given.fractions]
    results = []
    for job in jobs:
        results.append(job.result())
        print(json.dumps(results[-1]), flush=True)
    for fraction in given.fractions:
        own = [each for each in results if each["fraction"] == fraction]
        quality = [each["high_quality"] for each in own]
        summary = {
            "fraction": fraction,
            "modes": [each["modes"] for each in own],
            "high_quality_mean": round(statistics.mean(quality), 4),
            "high_quality_sd": round(statistics.stdev(quality), 4) if len(quality) > 1 else None,
        }
        print(json.dumps(summary), flush=True)
    full = {each["seed"]: each["modes"] for each in results if each["fraction"] == 1.0}
    kept = all(each["modes"] >= full.get(each["seed"], 0) for each in results)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
