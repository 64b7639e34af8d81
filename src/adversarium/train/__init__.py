"""Training: the objective on a batch, the step, the loop, checkpoints, samples."""

from adversarium.config import TrainConfig
from adversarium.train.ema import Ema
from adversarium.train.loop import Run, StoppedError, resume, train
from adversarium.train.objective import CriticSide, critic_side, generator_side
from adversarium.train.sample import load_generator, sample_run, write_samples
from adversarium.train.step import NonFiniteError, Step

__all__ = [
    "CriticSide",
    "Ema",
    "NonFiniteError",
    "Run",
    "Step",
    "StoppedError",
    "TrainConfig",
    "critic_side",
    "generator_side",
    "load_generator",
    "resume",
    "sample_run",
    "train",
    "write_samples",
]
