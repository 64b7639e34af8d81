"""The vocabulary: what a loss, a penalty, a constraint, a game rule and a preset are.

Conventions that hold everywhere:

* a **score** is what a critic returns for a sample, of shape ``[B]`` or ``[B, ...]`` (patch and multi-scale
  critics). *Up means more real*, for every loss. A critic ends without a sigmoid;
* losses are unreduced: one value per score, to be minimised; the caller takes the mean;
* randomness comes from an explicit ``torch.Generator``;
* progress is counted in images: the real samples that the critic has been shown.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeVar, get_args, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from adversarium.errors import require

Scores = Float[Tensor, "batch *rest"]
"""A critic's scores, ``[B]`` or ``[B, ...]``."""

Samples = Float[Tensor, "batch *sample"]
"""Samples, ``[B, ...]``."""

PerSample = Float[Tensor, " batch"]
"""One value per sample, ``[B]``."""

Critic = Callable[[Tensor], Tensor]
"""Samples ``[B, ...]`` to scores ``[B]`` or ``[B, ...]``: an ``nn.Module`` or any callable."""


@runtime_checkable
class ScoreFunction(Protocol):
    """One player's side of a loss."""

    def __call__(self, real_scores: Tensor | None, fake_scores: Tensor) -> Tensor:
        """Return one value per score, to be minimised, in the scores' shape and dtype."""
        ...


Coupling = Literal["none", "paired", "all_pairs", "batch_mean"]
"""How a loss couples the elements of a batch.

``none``: each value depends on one score of either side; ``paired``: on the i-th real and the i-th fake score;
``all_pairs``: on one score and on all of the other side's, whose mean is unbiased at any batch size;
``batch_mean``: also on the mean over the local batch, so the value changes with the batch size and, in
distributed training, with the share of the batch that a process holds.
"""

CriticKind = Literal["score", "autoencoder"]
"""What a critic is: a network that ends in a score, or an autoencoder whose score is minus its error."""

Cost = Callable[[Tensor], Tensor]
"""Scores to what each costs, in the same shape."""


@dataclass(frozen=True, kw_only=True)
class Halves:
    """The two halves of a critic's side that reads each score on its own: ``real(r) + fake(s)``."""

    real: Cost
    fake: Cost


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A two-player loss: what the critic and what the generator minimise, given the same scores.

    Attributes:
        name: its factory's name in ``LOSSES``.
        critic: ``(real_scores, fake_scores) -> values``, the critic's side.
        generator: ``(real_scores, fake_scores) -> values``, the generator's side. ``real_scores`` may be ``None``
            unless ``generator_needs_real``.
        generator_needs_real: whether the generator's side reads the real scores (the relativistic losses do).
        coupling: how the elements of a batch are coupled.
        arguments: what its factory was called with, for people to read.
        halves: the critic's side as a sum over scores, where it is one. Wrappers such as one-sided label smoothing
            need it.
        score_width: ``None`` where a score is a number. K where a critic returns K numbers for each score on its
            last axis; the values have no such axis.
        critic_kind: what kind of critic the scores have to come from.
        boundary: the best critic's score where data and fakes are equally likely: above it a sample counts as real.
            ``None`` where only differences of scores mean something (Wasserstein, the relativistic losses), or where
            it is not known.

    A side with state (BEGAN's equilibrium) is an ``nn.Module`` with its state in buffers.
    """

    name: str
    critic: ScoreFunction
    generator: ScoreFunction
    generator_needs_real: bool
    coupling: Coupling
    arguments: Mapping[str, object] = field(default_factory=dict)
    halves: Halves | None = None
    score_width: int | None = None
    critic_kind: CriticKind = "score"
    boundary: float | None = None


@runtime_checkable
class ClassScoreFunction(Protocol):
    """One player's side of a loss of class scores."""

    def __call__(
        self, real_scores: Tensor | None, fake_scores: Tensor, real_labels: Tensor | None, fake_labels: Tensor
    ) -> Tensor:
        """Return one value per sample, ``[B]``, to be minimised, from scores ``[B, K + 1]`` and labels ``[B]``."""
        ...


@dataclass(frozen=True, kw_only=True)
class ClassLoss:
    """A loss of a critic that scores K classes and, in the last column, "fake": ``[B, K + 1]``.

    Labels are integers from 0 to K - 1, ``[B]``. The rest is as in :class:`Loss`.
    """

    name: str
    critic: ClassScoreFunction
    generator: ClassScoreFunction
    generator_needs_real: bool
    arguments: Mapping[str, object] = field(default_factory=dict)


@runtime_checkable
class Distance(Protocol):
    """A loss without a critic: a distance between two sets of samples (or of their features), for the generator."""

    def __call__(self, real: Tensor, fake: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """Return a number (shape ``[]``), differentiable by both sets: ``[N, ...]`` and ``[M, ...]``."""
        ...


@runtime_checkable
class Penalty(Protocol):
    """Something added to the critic's loss that looks at the critic as a function."""

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator | None) -> Tensor:
        """Return one value per sample, ``[B]``, with the penalty's weight in it."""
        ...


@runtime_checkable
class GeneratorPenalty(Protocol):
    """Something added to a player's loss that looks at the generator as a function of its codes."""

    def __call__(
        self,
        generator: Callable[[Tensor], Tensor],
        critic: Critic,
        codes: Tensor,
        fake: Tensor,
        rng: torch.Generator | None,
    ) -> Tensor:
        """Return one value per code, ``[B]``, weight included.

        ``fake`` is ``generator(codes)``: with its graph in the generator's step, without in the critic's.
        """
        ...


Shape = Literal["cosine", "linear"]
"""How a value moves from one end to the other."""


@dataclass(frozen=True)
class Anneal:
    """A value that moves from ``start`` to ``stop`` over ``over_images`` images, and is constant before and after.

    With t = min(max((n - after_images) / over_images, 0), 1), it is after n images ``start + (stop - start) * t``
    (``linear``), or ``stop + (start - stop) * (1 + cos(pi * t)) / 2`` (``cosine``: half of one). It depends on the
    images seen, not on the budget: a run that is given a longer one goes on as if it had had it from the start.
    """

    start: float
    stop: float
    over_images: float
    shape: Shape = "cosine"
    after_images: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a duration that is none, a beginning before the run's, and another shape."""
        require(self.over_images > 0, f"over_images is {self.over_images}: wanted a positive number")
        require(self.after_images >= 0, f"after_images is {self.after_images}: wanted a number that is not negative")
        require(self.shape in get_args(Shape), f"shape is {self.shape!r}: wanted cosine or linear")

    def __call__(self, images: float) -> float:
        """Return the value after ``images`` images."""
        done = min(max((images - self.after_images) / self.over_images, 0.0), 1.0)
        if self.shape == "linear":
            return self.start + (self.stop - self.start) * done
        return self.stop + (self.start - self.stop) * (1 + math.cos(math.pi * done)) / 2


Scheduled = float | Anneal
"""A constant, or a value that moves with the images seen."""


def at(value: Scheduled, images: float) -> float:
    """Return a constant as it is, and an annealed value as it is after ``images`` images."""
    return value(images) if isinstance(value, Anneal) else value


ConditionKind = Literal["label", "vector"]
"""What a condition is: a class, or a vector (a text's embedding, say)."""


@dataclass(frozen=True)
class Condition:
    """What conditional networks are asked for: one of ``size`` classes, or a vector of ``size`` numbers.

    Its values travel beside the samples. Labels are int64 ``[B]`` from 0 to size - 1, and ``size`` itself asks for
    nothing; vectors are float ``[B, size]``, and all zeros ask for nothing.
    """

    kind: ConditionKind
    size: int

    def __post_init__(self) -> None:
        """Refuse another kind, and nothing to ask for."""
        kinds = get_args(ConditionKind)
        require(self.kind in kinds, f"kind is {self.kind!r}: wanted one of {', '.join(kinds)}")
        require(self.size >= 1, f"size is {self.size}: wanted at least 1")

    def nothing(self, count: int, device: torch.device | None = None) -> Tensor:
        """Return the values that ask for nothing, ``count`` of them."""
        if self.kind == "label":
            return torch.full((count,), self.size, dtype=torch.int64, device=device)
        return torch.zeros(count, self.size, device=device)

    def check(self, values: Tensor) -> None:
        """Refuse values that are none of this condition.

        Raises:
            InputError: another type or shape; a label below 0 or above ``size``.
        """
        got = f"{values.dtype} of shape {list(values.shape)}"
        if self.kind == "label":
            require(values.dtype == torch.int64 and values.ndim == 1, f"labels are {got}: wanted int64 [B]")
            if values.numel() and values.device.type == "cpu":  # on a GPU, embedding asserts it without waiting
                low, high = int(values.min()), int(values.max())
                require(
                    low >= 0 and high <= self.size,
                    f"labels reach from {low} to {high}: wanted 0 to {self.size - 1}, or {self.size} for none",
                )
        else:
            fits = values.is_floating_point() and values.ndim == 2 and values.shape[1] == self.size
            require(fits, f"condition is {got}: wanted float [B, {self.size}]")


AnyPenalty = TypeVar("AnyPenalty", bound=Penalty | GeneratorPenalty, covariant=True)


@dataclass(frozen=True, kw_only=True)
class Term(Generic[AnyPenalty]):
    """A penalty with its name (in ``PENALTIES``, and in the logs), a weight, an interval and a fraction.

    With ``every=k`` it is evaluated at each k-th of its player's steps and weighted k times as much, so that its mean
    gradient is unchanged (lazy regularisation, Karras et al. 2020, arXiv:1912.04958). With ``fraction=f`` it is
    evaluated at each step, on a random share f of the batch: its gradient is unbiased at every step, unless the
    penalty is a statistic of the batch (``penalties.BATCH_STATISTICS``).
    """

    name: str
    penalty: AnyPenalty
    weight: Scheduled = 1.0
    every: int = 1
    fraction: float = 1.0

    def __post_init__(self) -> None:
        """Refuse an interval that never comes, a weight that rewards, and the loss's own name."""
        whole = isinstance(self.every, int) and self.every >= 1
        require(whole, f"every is {self.every}: wanted a whole number, at least 1")
        require(0 < self.fraction <= 1, f"fraction is {self.fraction}: wanted a number above 0 and at most 1")
        lowest = min(self.weight.start, self.weight.stop) if isinstance(self.weight, Anneal) else self.weight
        require(lowest >= 0, f"weight is {self.weight}: wanted a number that is not negative")
        taken = ("loss", "gradient_norm")
        require(self.name not in taken, f"a term cannot be named {self.name!r}: another number is logged so")


SLOTS = ("critic_terms", "critic_latent_terms", "generator_terms", "generator_sample_terms")
"""Where an objective has its terms, the critic's first."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What the two players minimise: a loss, and the named terms of either.

    Attributes:
        loss: the loss of both.
        critic_terms: penalties added to the critic's loss.
        critic_latent_terms: penalties added to the critic's loss that need the generator and the codes too.
        generator_terms: penalties added to the generator's loss that look at it as a function of its codes.
        generator_sample_terms: penalties added to the generator's loss that look at its samples through the critic
            (feature matching): called as the critic's are, with the graph of the fake samples.
    """

    loss: Loss
    critic_terms: tuple[Term[Penalty], ...] = ()
    critic_latent_terms: tuple[Term[GeneratorPenalty], ...] = ()
    generator_terms: tuple[Term[GeneratorPenalty], ...] = ()
    generator_sample_terms: tuple[Term[Penalty], ...] = ()

    def __post_init__(self) -> None:
        """Refuse two terms of one name, of which only one would be kept."""
        require(
            isinstance(self.loss, Loss),
            f"loss is {self.loss!r}: wanted a Loss, which the factories in losses.LOSSES return when called",
        )
        for slot in SLOTS:
            terms = getattr(self, slot)
            fits = isinstance(terms, tuple) and all(isinstance(term, Term) for term in terms)
            require(fits, f"{slot} is {terms!r}: wanted a tuple of Term")
        critic_names = [each.name for each in self.critic_terms] + [each.name for each in self.critic_latent_terms]
        generator_names = [each.name for each in self.generator_terms]
        generator_names += [each.name for each in self.generator_sample_terms]
        for player, names in (("critic", critic_names), ("generator", generator_names)):
            require(len(set(names)) == len(names), f"two {player} terms have one name: {', '.join(names)}")


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """Something done to a critic's weights, or to its scores.

    ``when="build"``: once, before training (spectral norm); ``when="step"``: after each of the critic's optimizer
    steps (clipping). ``name`` is its factory's in ``CONSTRAINTS``, ``arguments`` what that was called with.
    """

    name: str
    when: Literal["build", "step"]
    apply: Callable[[torch.nn.Module], None]
    arguments: Mapping[str, object] = field(default_factory=dict)


Closure = Callable[[], Tensor | None]
"""Evaluate one player's objective at the weights of the moment, on a fresh batch.

For most rules it fills the ``.grad`` of that player's parameters and leaves the other's alone; what it returns is not
read. For a rule with ``second_order`` it returns the player's loss, a number with its graph to *both* players'
weights, and fills nothing; such rules differentiate by ``torch.autograd.grad``, which ``DistributedDataParallel`` does
not see, and play in one process.
"""

Play = Callable[[Closure, Closure, torch.optim.Optimizer, torch.optim.Optimizer], None]
"""``(critic, generator, critic_optimizer, generator_optimizer)``: move both players once."""


@dataclass(frozen=True, kw_only=True)
class GameRule:
    """How the two players move in one step. It knows nothing of images, networks or losses.

    It wraps whatever optimizers it is given: a rule says where gradients are taken and what becomes of the steps. What
    it remembers from step to step (a past gradient, slow weights) lies in ``optimizer.state``, under the rule's name,
    so that saving the optimizers saves it.

    Attributes:
        name: its factory's name in ``GAMES``.
        play: moves both players once; calling the rule calls it. The critic's closure always comes first.
        critic_evaluations: how often a step calls the critic's closure.
        generator_evaluations: how often it calls the generator's.
        evaluations_per_move: how many of the critic's calls in a row belong to one of its moves (extragradient: 2).
        second_order: whether the closures return losses to differentiate twice, see :data:`Closure`.
        plain_descent: whether it replaces the optimizers' own arithmetic, and wants ``SGD`` without momentum.
        fixed_batch: whether all its evaluations in a step have to be of the same function.
        period: after how many steps it does the same again.
        arguments: what its factory was called with, for people to read.
    """

    name: str
    play: Play
    critic_evaluations: int = 1
    generator_evaluations: int = 1
    evaluations_per_move: int = 1
    second_order: bool = False
    plain_descent: bool = False
    fixed_batch: bool = False
    period: int = 1
    arguments: Mapping[str, object] = field(default_factory=dict)

    def __call__(
        self,
        critic: Closure,
        generator: Closure,
        critic_optimizer: torch.optim.Optimizer,
        generator_optimizer: torch.optim.Optimizer,
    ) -> None:
        """Move both players once.

        Raises:
            InputError: the rule does not fit the optimizers, or a closure does not do what the rule wants.
        """
        if not self.second_order:
            critic = self._filling("critic", critic, critic_optimizer)
            generator = self._filling("generator", generator, generator_optimizer)
        self.play(critic, generator, critic_optimizer, generator_optimizer)

    def _filling(self, player: str, closure: Closure, optimizer: torch.optim.Optimizer) -> Closure:
        def fill() -> Tensor | None:
            returned = closure()
            if isinstance(returned, Tensor) and returned.requires_grad:
                filled = any(each.grad is not None for group in optimizer.param_groups for each in group["params"])
                require(
                    filled,
                    f"the {player}'s closure returned a loss and filled no gradient: {self.name} wants it to call "
                    "backward(), as only second-order rules do without",
                )
            return returned

        return fill


OptimizerKind = Literal["sgd", "adam", "amsgrad", "rmsprop"]
"""An optimizer of ``torch.optim``; ``amsgrad`` is Adam with that variant (Reddi et al. 2018, arXiv:1904.09237)."""


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """A published optimizer setting. ``beta2`` and the learning rate may be annealed over the run.

    ``beta1`` is the first moment's constant in Adam and AMSGrad, and the momentum in SGD. It may be negative: in games
    that circle, negative momentum converges where none and positive do not (Gidel et al. 2019, arXiv:1807.04740).
    ``beta2`` is the second moment's constant, in ``rmsprop`` the smoothing constant. ``rmsprop`` has no ``beta1`` (it
    must be 0), and ``sgd`` reads no ``beta2``.
    """

    kind: OptimizerKind
    learning_rate: Scheduled
    beta1: float = 0.0
    beta2: Scheduled = 0.999

    def __post_init__(self) -> None:
        """Refuse a momentum that would be ignored, and constants of no average."""
        kinds = get_args(OptimizerKind)
        require(self.kind in kinds, f"kind is {self.kind!r}: wanted one of {', '.join(kinds)}")
        require(self.kind != "rmsprop" or self.beta1 == 0, f"beta1 is {self.beta1}: rmsprop has none, wanted 0")
        require(-1 < self.beta1 < 1, f"beta1 is {self.beta1}: wanted a number above -1 and below 1")
        ends = (self.beta2.start, self.beta2.stop) if isinstance(self.beta2, Anneal) else (self.beta2,)
        require(all(0 <= end < 1 for end in ends), f"beta2 is {self.beta2}: wanted a number from 0 to below 1")


Part = Literal["batch_norm"]
"""A part that a published method excludes from a network."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A published method as one value.

    Attributes:
        summary: the method in one line.
        objective: its loss and its critic terms.
        rule: how the two players move.
        critic_optimizer: the critic's published setting.
        generator_optimizer: the generator's published setting.
        constraints: what is done to the critic's weights.
        critic_without: parts that its critic must not contain.
        generator_without: parts that its generator must not contain.
        why_without: the reason for both.
        use_when: advice in a sentence or two.
        paper: authors, year, arXiv number.
    """

    summary: str
    objective: Objective
    rule: GameRule
    critic_optimizer: OptimizerSettings
    generator_optimizer: OptimizerSettings
    use_when: str
    paper: str
    constraints: tuple[Constraint, ...] = ()
    critic_without: frozenset[Part] = field(default_factory=frozenset)
    generator_without: frozenset[Part] = field(default_factory=frozenset)
    why_without: str = ""
