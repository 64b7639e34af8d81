"""Training: the objective on a batch, the step, the loop, checkpoints, samples."""

from adversarium.config import TrainConfig
from adversarium.train.diagnosis import diagnose_run
from adversarium.train.ema import Ema, UniformAverage
from adversarium.train.evaluation import Evaluation, default_protocols, open_evaluation
from adversarium.train.evaluator import Evaluator
from adversarium.train.feed import Feed
from adversarium.train.loop import Run, StoppedError, resume, train
from adversarium.train.objective import (
    CriticSide,
    compiled_critic_side,
    critic_side,
    generator_side,
    latent_parts,
)
from adversarium.train.optimizers import build_optimizer, clip_gradient_norm
from adversarium.train.sample import TrainedGenerator, load_generator, sample_run, write_samples
from adversarium.train.slots import modules_of
from adversarium.train.spectrum import game_of, run_game
from adversarium.train.step import NonFiniteError, Step

__all__ = [
    "CriticSide",
    "Ema",
    "Evaluation",
    "Evaluator",
    "Feed",
    "NonFiniteError",
    "Run",
    "Step",
    "StoppedError",
    "TrainConfig",
    "TrainedGenerator",
    "UniformAverage",
    "build_optimizer",
    "clip_gradient_norm",
    "compiled_critic_side",
    "critic_side",
    "default_protocols",
    "diagnose_run",
    "game_of",
    "generator_side",
    "latent_parts",
    "load_generator",
    "modules_of",
    "open_evaluation",
    "resume",
    "run_game",
    "sample_run",
    "train",
    "write_samples",
]
