"""One step of the game on real networks: the only place with ``.backward()``."""

import copy
import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from adversarium.config import PRECISIONS
from adversarium.errors import InputError
from adversarium.nets import parts_of
from adversarium.nets.minibatch import couples_samples, groups_of
from adversarium.penalties import per_sample
from adversarium.stabilisers import Augmentation, ReplayPool, pack
from adversarium.train.objective import (
    CriticSide,
    compiled_critic_side,
    critic_side,
    generator_side,
    latent_parts,
)
from adversarium.train.passes import bound
from adversarium.train.slots import modules_of, terms_on_single_samples
from adversarium.train.views import Autocast, SingleView
from adversarium.types import Closure, Constraint, GameRule, Objective, Scheduled, at


class NonFiniteError(ArithmeticError):
    """A term or a gradient became infinite or NaN. Attributes: ``part``, ``step``, ``value``."""

    def __init__(self, part: str, step: int, value: float) -> None:
        super().__init__(f"{part} became {value} at step {step}")
        self.part, self.step, self.value = part, step, value


class Step:
    """Two networks, their optimizers and an objective, moved by a game rule one step at a time.

    It works on any modules and any source of batches: ``real(n)`` returns n real samples and ``latent(n)`` n codes for
    the generator. Conditional networks take a second argument, what their samples are of: ``real(n)`` then returns
    both, and the fakes of a step are asked for what its real samples are. The critic's side builds no graph through
    the generator, and the generator's side computes no gradient for the critic's weights. Networks and optimizers are
    the caller's; the objective, ``augment`` and ``pool`` are copied: what they remember (moving averages, an
    equilibrium, a probability, past fakes) belongs to the step, as ``step.objective``, ``step.augment`` and
    ``step.pool``, and :meth:`stateful` returns it, to be saved. A loss or gradient that is not finite raises before
    the optimizer uses it (on a GPU, which would have to wait for the answer, when :meth:`measurements` reads the
    numbers). A rule that differentiates twice gets losses with graphs through both networks instead of gradients. The
    critic's terms that need the codes (``critic_latent_terms``) then get fakes with their graph: ``information``
    counts in full, and ``zcr_critic``, which detaches them, as constant in the generator. The gradient norms in the
    measurements are then those of what the rule made.

    Args:
        generator: codes ``[B, latent_dim]`` to samples ``[B, ...]``.
        critic: samples to scores ``[B]`` or ``[B, ...]``.
        objective: what the two players minimise.
        rule: how they move. What it remembers lies in the optimizers' state.
        critic_optimizer: over the critic's parameters.
        generator_optimizer: over the generator's parameters.
        constraints: applied after each of the critic's optimizer steps; ``when="build"`` ones belong before the
            optimizer, which has to hold what they make of the weights.
        real: the data.
        latent: the prior.
        rng: for penalties that draw points.
        batch_size: samples in a batch.
        joint: whether real and fake samples may share a forward pass of the critic. ``None``: unless it has batch
            norm or a layer that compares samples. Give ``False`` for one that couples a batch in another way.
        precision: ``fp32``, or ``bf16`` for bf16 autocast in both networks (losses and penalties stay in float32).
        compile: evaluate both players' sides by ``torch.compile``, the critic's objective as one graph. The first
            steps take a minute or so; it needs a C++ compiler (a CPU) or Triton (a GPU).
        augment: what is done to all samples before the critic sees them.
        packing: how many samples the critic sees at once, see :func:`~adversarium.stabilisers.pack`.
        pool: past fakes, some of which take the place of new ones in the critic's step.
        top_k: the share of the fakes, those that score highest, that the generator's loss is taken over.

    Raises:
        InputError: the players share a parameter, or a critic with batch norm has a term that says something of each
            sample on its own (see ``penalties.WITH_BATCH_NORM``); a rule that wants one fixed batch, or second
            derivatives of what is to be compiled; a batch that ``packing`` does not divide.
    """

    def __init__(
        self,
        *,
        generator: nn.Module,
        critic: nn.Module,
        objective: Objective,
        rule: GameRule,
        critic_optimizer: torch.optim.Optimizer,
        generator_optimizer: torch.optim.Optimizer,
        real: Callable[[int], Tensor | tuple[Tensor, Tensor]],
        latent: Callable[[int], Tensor],
        rng: torch.Generator,
        batch_size: int,
        constraints: tuple[Constraint, ...] = (),
        joint: bool | None = None,
        precision: str = "fp32",
        compile: bool = False,
        augment: Augmentation | None = None,
        packing: int = 1,
        pool: ReplayPool | None = None,
        top_k: Scheduled = 1.0,
    ) -> None:
        self.generator = generator
        self.critic = critic
        self.objective = copy.deepcopy(objective)
        self.critic_optimizer = critic_optimizer
        self.generator_optimizer = generator_optimizer
        self.batch_size = batch_size
        self.steps = 0
        self.critic_steps = 0
        self._players = (
            ("critic", critic, critic_optimizer),
            ("generator", generator, generator_optimizer),
        )
        self._rule = rule
        self._real = real
        self._latent = latent
        self._rng = rng
        self._images = 0
        self._last: tuple[Tensor, Tensor | None] | None = None
        self.augment, self.packing, self.pool = copy.deepcopy(augment), packing, copy.deepcopy(pool)
        self._top_k = top_k
        self._measured: dict[str, list[tuple[int, Tensor]]] = {}
        precisions = [each for each in PRECISIONS if each != "auto"]
        if precision not in precisions:
            raise InputError(f"precision is {precision!r}: wanted one of {', '.join(precisions)}")
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}: wanted at least 1")
        adapts = augment is not None and isinstance(augment.probability, Tensor)
        if objective.loss.score_width is not None and (adapts or top_k != 1):
            raise InputError(
                f"the loss is {objective.loss.name}, whose scores are vectors and have no order: leave top_k and "
                "adaptive augmentation out"
            )
        if packing < 1 or batch_size % packing:
            raise InputError(
                f"packing is {packing}, and batch_size {batch_size}: wanted a batch of whole packs, "
                f"{packing * max(1, round(batch_size / max(1, packing)))} say"
            )
        if rule.fixed_batch:
            raise InputError(
                f"rule is {rule.name}, which wants the same batch at every evaluation: a step draws new ones"
            )
        if compile and rule.second_order:
            raise InputError(
                f"rule is {rule.name}, which differentiates twice, and compiled passes cannot: drop compile"
            )
        self._device = next(critic.parameters()).device
        for stateful in self.stateful().values():
            stateful.to(self._device)
        self._score = Autocast(critic, precision, self._device, widen=False)
        # penalties may differentiate the generator twice, which a compiled one cannot
        self._plain_generate = Autocast(generator, precision, self._device, widen=True)
        self._generate: Callable[[Tensor], Tensor] = self._plain_generate
        if compile:
            self._generate = torch.compile(self._plain_generate, dynamic=False)
        self._critic_side = compiled_critic_side() if compile else critic_side
        self._answer: Callable[[Tensor], Tensor] = (
            torch.compile(self._score, dynamic=False) if compile else self._score
        )
        batch_norm = "batch_norm" in parts_of(critic)
        # terms that look at single fakes see them through packs too
        self._single = self._score if packing == 1 else SingleView(self._score, packing)
        # one pass for real and fake changes no score where samples do not meet inside the critic
        self._joint = not couples_samples(critic) if joint is None else joint
        self._check_players(batch_norm)
        for constraint in constraints:
            if constraint.when != "step":
                raise InputError(
                    f"the constraint {constraint.name} is applied when a critic is built: call "
                    f"{constraint.name}().apply(critic) before its optimizer is made"
                )
            critic_optimizer.register_step_post_hook(lambda *_, apply=constraint.apply: apply(self.critic))
        self._constraints = constraints
        self._playing = False
        if rule.second_order:  # the rule makes the gradients, and the optimizers are the first to see them
            for player, network, optimizer in self._players:
                optimizer.register_step_pre_hook(partial(self._measure_before, player, network))

    def __call__(self, images: int | None = None) -> None:
        """Move both players once, after ``images`` images (which annealed weights depend on).

        Without ``images``, those of the steps so far are counted.
        """
        self._images = self.critic_steps * self.batch_size if images is None else images
        self.steps += 1
        closures: tuple[Closure, Closure] = (self._critic_gradients, self._generator_gradients)
        if self._rule.second_order:
            closures = (self._critic_loss, self._generator_loss)
        self._playing = True
        try:
            self._rule(*closures, self.critic_optimizer, self.generator_optimizer)
        finally:
            self._playing = False
        for constraint in self._constraints:  # some rules move weights after the optimizer did
            constraint.apply(self.critic)

    def measurements(self) -> dict[str, float]:
        """Return the means of everything measured since the last call, and forget it. Until then it is kept.

        Raises:
            NonFiniteError: one of the numbers is not finite.
        """
        means = {}
        for name, measured in self._measured.items():
            values = torch.stack([value for _, value in measured]).double().cpu()
            for bad in (~values.isfinite()).nonzero()[:1, 0].tolist():
                raise NonFiniteError(name, measured[bad][0], float(values[bad]))
            means[name] = float(values.mean())
        self._measured.clear()
        return means

    def _critic_gradients(self) -> None:
        self.critic_optimizer.zero_grad(set_to_none=True)
        self._critic_loss().backward()
        self._measure_gradients("critic", self.critic)

    def _generator_gradients(self) -> None:
        self.generator_optimizer.zero_grad(set_to_none=True)
        moving = [parameter for parameter in self.critic.parameters() if parameter.requires_grad]
        for parameter in moving:
            parameter.requires_grad_(False)
        try:
            self._generator_loss().backward()
        finally:
            for parameter in moving:
                parameter.requires_grad_(True)
        self._measure_gradients("generator", self.generator)

    def stateful(self) -> dict[str, nn.Module]:
        """Return what remembers anything besides the networks and the optimizers, by a name to save it under."""
        named = {f"objective.{name}": part for name, part in modules_of(self.objective).items()}
        others = {"augment": self.augment, "pool": self.pool}
        return named | {name: part for name, part in others.items() if isinstance(part, nn.Module)}

    def judge(self, condition: Tensor | None = None) -> Callable[[Tensor], Tensor]:
        """Return the critic as a function of any number of single samples, of these conditions, to look at it."""
        # a layer that compares whole batches is shown as many samples as it was trained on
        groups = [group or self.batch_size // self.packing for group in groups_of(self.critic)]
        if self.packing == 1 and not groups:
            return bound(self.critic, condition)
        return bound(SingleView(self.critic, self.packing, max(groups, default=None)), condition)

    def _draw(self) -> tuple[Tensor, Tensor | None]:
        """Return real samples, and what they are of."""
        drawn = self._real(self.batch_size)
        return drawn if isinstance(drawn, tuple) else (drawn, None)

    def _show(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the critic is shown in its own step."""
        if self.pool is not None:
            fake = self.pool(fake, self._rng)
        if self.augment is not None:
            # adaptive pseudo augmentation shows fakes as real ones
            real, fake = self.augment.real(real, fake, self._rng), self.augment.fake(fake, self._rng)
        return pack(real, self.packing), pack(fake, self.packing)

    def _critic_loss(self) -> Tensor:
        """Return the critic's objective on a new batch; with a graph to the generator for second-order rules only."""
        attached = self._rule.second_order
        (real, condition), codes = self._draw(), self._latent(self.batch_size)
        with torch.set_grad_enabled(attached):
            fake = bound(self._generate, condition)(codes)
            shown_real, shown_fake = self._show(real, fake)
        step = self.critic_steps // self._rule.evaluations_per_move
        side = self._critic_side(
            self.objective,
            self._score,
            shown_real,
            shown_fake,
            self._rng,
            step=step,
            images=self._images,
            joint=self._joint,
            attached=attached,
            condition=condition,
        )
        parts = side.parts | latent_parts(
            self.objective.critic_latent_terms,
            self._plain_generate,
            self._single,
            codes,
            fake,
            self._rng,
            step=step,
            images=self._images,
            condition=condition,
        )
        if self.augment is not None:
            self.augment.observe(_margins(self.objective.loss.boundary, side), self.batch_size)
            probability = self.augment.probability
            if isinstance(probability, Tensor):  # a buffer, which moves
                self._measure("augment_probability", probability.clone())
        for name, value in parts.items():
            self._measure(f"critic_{name}", value)
        real_score, fake_score = side.real_scores.mean(), side.fake_scores.mean()
        self._measure("real_score", real_score)
        self._measure("fake_score", fake_score)
        self._measure("score_gap", real_score - fake_score)
        self.critic_steps += 1
        self._last = shown_real.detach(), condition
        return torch.stack(list(parts.values())).sum()

    def _generator_loss(self) -> Tensor:
        """Return the generator's objective on new codes."""
        assert self._last is not None  # every rule calls the critic's closure first
        real, condition = self._last
        codes = self._latent(self.batch_size)
        fake = bound(self._generate, condition)(codes)
        shown = fake if self.augment is None else self.augment.fake(fake, self._rng)
        parts = generator_side(
            self.objective,
            self._answer,
            real,
            fake,
            generator=self._plain_generate,
            codes=codes,
            rng=self._rng,
            step=self.steps - 1,
            images=self._images,
            attached=self._rule.second_order,
            shown=pack(shown, self.packing),
            share=at(self._top_k, self._images),
            condition=condition,
            single=self._single,
        )
        for name, value in parts.items():
            self._measure(f"generator_{name}", value)
        return torch.stack(list(parts.values())).sum()

    def _measure(self, name: str, value: Tensor) -> None:
        value = value.detach()
        if self._device.type == "cpu" and not math.isfinite(value):
            raise NonFiniteError(name, self.steps, float(value))
        self.note(name, value)

    def note(self, name: str, value: Tensor) -> None:
        """Keep a number of the present step, for :meth:`measurements`."""
        self._measured.setdefault(name, []).append((self.steps, value))

    def _measure_before(self, player: str, network: nn.Module, *_: object) -> None:
        if self._playing:  # the optimizer may by now be another step's
            self._measure_gradients(player, network)

    def _measure_gradients(self, player: str, network: nn.Module) -> None:
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        if self.steps <= 1:
            for name, parameter in network.named_parameters():
                if parameter.requires_grad and parameter.grad is None:
                    raise InputError(f"the {player}'s parameter {name!r} gets no gradient: is it used?")
        self._measure(f"{player}_gradient_norm", torch.nn.utils.get_total_norm(gradients))

    def _check_players(self, critic_has_batch_norm: bool) -> None:
        shared = {id(parameter) for parameter in self.critic.parameters()} & {
            id(parameter) for parameter in self.generator.parameters()
        }
        if shared:
            raise InputError(f"the critic and the generator share {len(shared)} parameters: each needs its own")
        for player, network, optimizer in self._players:
            moved = {id(each) for group in optimizer.param_groups for each in group["params"] if each.requires_grad}
            if moved != {id(parameter) for parameter in network.parameters() if parameter.requires_grad}:
                raise InputError(f"the {player}'s optimizer does not hold exactly the {player}'s trained parameters")
        reading = terms_on_single_samples(self.objective)
        if critic_has_batch_norm and reading:
            names = ", ".join(reading)
            raise InputError(
                f"the critic has batch norm and a penalty ({names}) that says something of each sample on its own: "
                "batch norm makes every score depend on the whole batch"
            )


def _margins(boundary: float | None, side: CriticSide) -> Tensor:
    """Return how clearly each real sample was taken for one, ``[B]``: positive where it was."""
    real = per_sample(side.real_scores)
    if boundary is not None:
        return real - boundary
    return real - per_sample(side.fake_scores)  # only differences of scores mean something
