"""Runs of seconds that are watched every 10 steps, and what they leave on the disk."""

import json
from pathlib import Path

import torch

from adversarium.config import TrainConfig
from adversarium.train.checkpoint import load, newest_first


def config(out: Path, **options: object) -> TrainConfig:
    defaults: dict[str, object] = {
        "data": "ring", "width": 16, "batch_size": 16, "steps": 30, "log_every_steps": 10, "seed": 5, "device": "cpu",
        "diagnose_every_steps": 10, "sample_every_kimg": 1e9,
    }  # fmt: skip
    return TrainConfig(**{**defaults, "out": str(out), **options})


def records(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return load(newest_first(path / "checkpoints")[0]).tensors
