"""Several runs as one game: stacked networks, an objective of all, and the rule that moves them."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from adversarium.errors import require
from adversarium.games import GAMES
from adversarium.nets.stacked import StackedNetwork
from adversarium.spec import make
from adversarium.tensors import Generators
from adversarium.train.objective import critic_side, generator_side, latent_parts
from adversarium.train.resolve import known
from adversarium.train.stacked_objective import StackedObjective
from adversarium.train.stacked_player import StackedPlayer
from adversarium.train.step import NonFiniteError
from adversarium.train.terms import played
from adversarium.train.training import Training


class Stack:
    """The runs that play, as one game.

    Attributes:
        errors: the runs that were stopped, and by what.
    """

    def __init__(self, trainings: Sequence[Training]) -> None:
        steps, config = [each.step for each in trainings], trainings[0].config
        self._steps, self._critic_steps = steps[0].steps, steps[0].critic_steps
        for step in steps:
            require(
                (step.steps, step.critic_steps) == (self._steps, self._critic_steps),
                f"a training is at step {step.steps} and another at {self._steps}: wanted all at the same",
            )
        self._trainings, self._batch_size, self._images = trainings, steps[0].batch_size, 0
        self._alone: set[int] = set()
        self.errors: list[tuple[Training, NonFiniteError]] = []
        settings = [each.settings for each in trainings]
        self._critic, self._generator = (
            StackedPlayer(
                [getattr(step, player) for step in steps],
                [getattr(step, f"{player}_optimizer") for step in steps],
                [each[index] for each in settings],
                config.clip_gradient_norm,
            )
            for index, player in enumerate(("critic", "generator"))
        )
        averages = [each.average.module for each in trainings]
        self._average = copy.copy(trainings[0].average)
        self._average.module = module = StackedNetwork(averages)
        module.share(averages)
        self._average.follow(self._generator.network)
        self._objective = StackedObjective([step.objective for step in steps])
        self._rule = make(known(config.game), "game", GAMES)
        self._constraints = played(config).constraints
        for constraint in self._constraints:
            self._critic.optimizer.register_step_post_hook(
                lambda *_, apply=constraint.apply: apply(self._critic.network)
            )
        self._rng = Generators([each.penalty_rng for each in trainings])
        self._real: Tensor | None = None

    @property
    def restored(self) -> bool:
        """Whether a run was restored since."""
        return bool(self._critic.restored or self._generator.restored)

    def move(self, images: int) -> int:
        """Move all games once after ``images`` images; return the number of images now."""
        self._images, before = images, self._critic_steps
        self._steps += 1
        for player in (self._critic, self._generator):
            player.set_progress(images)
        self._count()
        self._rule(
            self._critic_gradients, self._generator_gradients, self._critic.optimizer, self._generator.optimizer
        )
        for constraint in self._constraints:  # some rules move weights after the optimizer did
            constraint.apply(self._critic.network)
        shown = (self._critic_steps - before) * self._batch_size
        self._average.update(images + shown, shown)
        return images + shown

    def release(self) -> None:
        """Give each run its own numbers."""
        for index in range(len(self._trainings)):
            self._release(index)

    def _release(self, index: int) -> None:
        if index in self._alone:
            return
        self._alone.add(index)
        self._critic.release(index)
        self._generator.release(index)
        training = self._trainings[index]
        for parameter in training.average.module.parameters():
            parameter.data = parameter.data.clone()
        training.average.follow(training.step.generator)

    def _count(self) -> None:
        for index, training in enumerate(self._trainings):
            if index not in self._alone:
                training.step.steps, training.step.critic_steps = self._steps, self._critic_steps

    def _drawn(self, draw: Callable[[Training], Tensor]) -> Tensor:
        """Return all runs' rows, in turns."""
        return torch.stack([draw(training) for training in self._trainings], 1).flatten(0, 1)

    def _codes(self) -> Tensor:
        return self._drawn(lambda training: training.latent.next(self._batch_size))

    def _critic_gradients(self) -> None:
        self._critic.optimizer.zero_grad(set_to_none=True)
        real, codes = self._drawn(lambda training: training.stream.next(self._batch_size).samples), self._codes()
        with torch.no_grad():
            fake = self._generator.network(codes)
        step = self._critic_steps // self._rule.evaluations_per_move
        objective, mean = self._objective.whole, self._objective.mean
        how: dict[str, Any] = {"step": step, "images": self._images, "mean": mean}
        side = critic_side(objective, self._critic.network, real, fake, self._rng, **how)
        networks = (self._generator.network, self._critic.network)
        latent = latent_parts(objective.critic_latent_terms, *networks, codes, fake, self._rng, **how)
        parts = self._objective.weighted("critic", side.parts | latent, self._images)
        torch.stack(list(parts.values())).sum().backward()
        real_score, fake_score = mean(side.real_scores), mean(side.fake_scores)
        scores = {"real_score": real_score, "fake_score": fake_score, "score_gap": real_score - fake_score}
        self._note({**parts, **scores, "critic_gradient_norm": self._critic.gradient_norms()})
        self._critic_steps += 1
        self._count()
        self._real = real

    def _generator_gradients(self) -> None:
        self._generator.optimizer.zero_grad(set_to_none=True)
        moving = [each for each in self._critic.network.parameters() if each.requires_grad]
        for parameter in moving:
            parameter.requires_grad_(False)
        try:
            codes = self._codes()
            parts = generator_side(
                self._objective.whole,
                self._critic.network,
                self._real,
                self._generator.network(codes),
                generator=self._generator.network,
                codes=codes,
                rng=self._rng,
                step=self._steps - 1,
                images=self._images,
                mean=self._objective.mean,
            )
            parts = self._objective.weighted("generator", parts, self._images)
            torch.stack(list(parts.values())).sum().backward()
        finally:
            for parameter in moving:
                parameter.requires_grad_(True)
        self._note({**parts, "generator_gradient_norm": self._generator.gradient_norms()})

    def _note(self, measured: dict[str, Tensor]) -> None:
        """Keep each run's numbers, and let those go where one is not finite, before an optimizer uses it."""
        numbers = torch.stack(list(measured.values())).detach()
        if numbers.device.type == "cpu":  # a GPU is waited for when the numbers are read
            for index in (~numbers.isfinite().all(0)).nonzero()[:, 0].tolist():
                if index not in self._alone:
                    bad = int((~numbers[:, index].isfinite()).nonzero()[0])
                    error = NonFiniteError(list(measured)[bad], self._steps, float(numbers[bad, index]))
                    self.errors.append((self._trainings[index], error))
                    self._release(index)
        for index, column in enumerate(numbers.unbind(1)):
            if index not in self._alone:
                for name, value in zip(measured, column.unbind(), strict=True):
                    self._trainings[index].step.note(name, value)
