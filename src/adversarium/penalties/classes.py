"""Terms of a conditional critic that names a sample's class (AC-GAN), or holds it near its class (2C)."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from adversarium.errors import InputError, require
from adversarium.penalties._check import method_of, not_negative, positive
from adversarium.penalties._values import wide
from adversarium.penalties.scores import Scored, ScorePenalty
from adversarium.penalties.slope import check_samples
from adversarium.types import Condition, Critic, Penalty, PerSample


def condition_of(critic: object, wanted_by: str) -> Tensor:
    """Return what a batch's samples are of, as the critic that is bound to it says: labels ``[B]`` or rows ``[B, n]``.

    Raises:
        InputError: the critic is bound to nothing.
    """
    values = getattr(critic, "condition", None)
    if not isinstance(values, Tensor):
        raise InputError(
            f"critic is a {type(critic).__name__} without a condition: {wanted_by} wants "
            "nets.Conditioned(critic, labels)"
        )
    return values


def _repeated(condition: Tensor, samples: Tensor) -> Tensor:
    """Return one condition for each sample: repeated for k times as many, as the bound critic does."""
    count = len(condition)
    fits = count > 0 and len(samples) % count == 0
    require(fits, f"{len(samples)} samples, and the condition has {count} rows: wanted as many, or a multiple")
    return condition.repeat(len(samples) // count, *[1] * (condition.ndim - 1))


def _asks_for(critic: object, condition: Tensor) -> Tensor:
    """Return which rows of a condition ask for something, ``[B]``.

    The label that asks for nothing is the one after the last class, which the critic's ``Condition`` knows.
    """
    if condition.is_floating_point():
        return condition.ne(0).flatten(1).any(1)
    for module in critic.modules() if isinstance(critic, nn.Module) else ():
        known = getattr(module, "condition", None)
        if isinstance(known, Condition):
            return condition.ne(known.size)
    return torch.ones_like(condition, dtype=torch.bool)


def _misnamed(critic: Critic, samples: Tensor, name: str) -> PerSample:
    """Return -log P(class | sample) by the critic, ``[B]``; 0 for samples of no class."""
    condition = _repeated(condition_of(critic, name), samples)
    logits: Tensor = wide(method_of(critic, "classify", name)(samples))
    fits = logits.ndim == 2 and len(logits) == len(samples)
    require(fits, f"critic.classify returned {list(logits.shape)} for {len(samples)} samples: wanted [B, classes]")
    classes = logits.shape[1]
    Condition("label", classes).check(condition)
    return functional.cross_entropy(logits, condition.to(logits.device), ignore_index=classes, reduction="none")


def _contrasted(critic: Critic, samples: Tensor, temperature: float, positives: bool, name: str) -> PerSample:
    """Return the conditional contrastive loss of each sample, ``[B]``; 0 for samples of which nothing is asked."""
    condition = _repeated(condition_of(critic, name), samples)
    embeddings, proxies = cast(tuple[Tensor, Tensor], method_of(critic, "contrast", name)(samples))
    fits = embeddings.ndim == 2 and embeddings.shape == proxies.shape and len(embeddings) == len(samples)
    shapes = f"{list(embeddings.shape)} and {list(proxies.shape)}"
    require(fits, f"critic.contrast returned {shapes} for {len(samples)} samples: wanted [B, E] twice")
    condition = condition.to(embeddings.device)
    asked = _asks_for(critic, condition)
    near, proxy = (functional.normalize(wide(rows), dim=1) for rows in (embeddings, proxies))
    with torch.autocast(near.device.type, enabled=False):
        between = near @ near.T / temperature
    to_proxy = (near * proxy).sum(1, keepdim=True) / temperature
    others = asked & ~torch.eye(len(samples), dtype=torch.bool, device=asked.device)
    # equal vectors are two samples' own conditions, and equal labels one class
    alike = condition[:, None] == condition if positives and condition.ndim == 1 else torch.zeros_like(others)
    every, positive_ones = (
        torch.cat([to_proxy, between.masked_fill(~mask, -torch.inf)], 1).logsumexp(1)
        for mask in (others, others & alike)
    )
    return torch.where(asked, every - positive_ones, 0.0)


def acgan_critic(weight: float = 1.0, fake: bool = True) -> ScorePenalty:
    """Ask the critic to name the classes of real samples, and those that the fake ones were asked to be of.

    Formula:
        λ·[-log P(c | x) - log P(c | G(z, c))], P(· | x) = softmax(critic.classify(x)); without ``fake`` only the first
    Convention:
        λ = ``weight`` = 1. The i-th real and the i-th fake sample are of the i-th class of ``critic.condition``, in
        one value. Samples of no class (label K of K classes) count 0, in a mean over all. Labels only.
    Elsewhere:
        PyTorch-StudioGAN's AC-GAN (``d_cond_mtd="AC"``) is ``fake=False``, with λ = 1 on CIFAR-10.
    Use when:
        There are few classes, told apart easily. With many, samples become typical of their class and lose variety.
    Paper:
        Odena, Olah and Shlens 2017, "Conditional Image Synthesis with Auxiliary Classifier GANs", arXiv:1610.09585.

    Raises:
        InputError: a negative weight; when called, a critic that is bound to no labels or has no ``classify``.
    """
    not_negative(weight=weight)

    def value(batch: Scored) -> Tensor:
        costs = _misnamed(batch.critic, batch.real, "acgan_critic")
        if fake:
            costs = costs + _misnamed(batch.critic, batch.fake, "acgan_critic")
        return weight * costs

    return ScorePenalty(reads=(), value=value)


def acgan_generator(weight: float = 1.0) -> Penalty:
    """Ask for samples that the critic names as the classes that they were asked to be of.

    Formula:
        λ·(-log P(c | G(z, c))), P(· | x) = softmax(critic.classify(x))
    Convention:
        λ = ``weight`` = 1. On the *generator's* side, with ``acgan_critic`` on the critic's. Samples of no class
        (label K of K classes) count 0, in a mean over all. Labels only. The real samples are not looked at.
    Elsewhere:
        PyTorch-StudioGAN's AC-GAN (``d_cond_mtd="AC"``): the same, with λ = 1 on CIFAR-10.
    Use when:
        The critic's side has ``acgan_critic``.
    Paper:
        Odena, Olah and Shlens 2017, "Conditional Image Synthesis with Auxiliary Classifier GANs", arXiv:1610.09585.

    Raises:
        InputError: a negative weight; when called, a critic that is bound to no labels or has no ``classify``.
    """
    not_negative(weight=weight)

    def penalty(critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator | None = None) -> PerSample:
        check_samples(fake, "fake")
        return weight * _misnamed(critic, fake, "acgan_generator")

    return penalty


def contrastive_critic(weight: float = 1.0, temperature: float = 1.0, positives: bool = True) -> ScorePenalty:
    """Ask the critic to embed real samples near those of their class and near its proxy, and far from all others (2C).

    Formula:
        -λ·log[(exp(l_i·e_i/t) + Σ over k ≠ i with c_k = c_i of exp(l_i·l_k/t))
               / (exp(l_i·e_i/t) + Σ over k ≠ i of exp(l_i·l_k/t))]
        (l, e) = critic.contrast(x), each row divided by its length: a sample's embedding, and its condition's proxy
        without ``positives``: no sum above the line
    Convention:
        λ = ``weight`` = 1, t = ``temperature`` = 1. Not negative, and 0 in a batch of one, or of one class (that only
        with ``positives``): the samples are coupled, in distributed training those of a process. Where conditions are
        vectors, each sample's own proxy is its only positive. Samples of which nothing is asked (label K of K classes,
        a vector of zeros) count 0, in a mean over all, and are no one's negatives. Which label that is says the
        ``Condition`` that one of the critic's modules holds as ``condition``; where none does, every label is a class.
    Elsewhere:
        The authors' PyTorch-StudioGAN ``ConditionalContrastiveLoss``: the same, but the sums run over all processes'
        samples. Its CIFAR-10 run has λ = 1 and t = 1. Its ``D2DCE`` is another loss (ReACGAN's). Its early
        versions can leave the sum above the line out too (``pos_collected_numerator``).
    Use when:
        There are many classes, or conditions that are vectors.
    Paper:
        Kang and Park 2020, "ContraGAN: Contrastive Learning for Conditional Image Generation", arXiv:2006.12681.

    Raises:
        InputError: a negative weight, or a temperature that is not positive; when called, a critic that is bound to no
            condition or has no ``contrast``.
    """
    not_negative(weight=weight)
    positive(temperature=temperature)

    def value(batch: Scored) -> Tensor:
        return weight * _contrasted(batch.critic, batch.real, temperature, positives, "contrastive_critic")

    return ScorePenalty(reads=(), value=value)


def contrastive_generator(weight: float = 1.0, temperature: float = 1.0, positives: bool = True) -> Penalty:
    """Ask for samples that the critic embeds near those of their class and near its proxy, far from all others (2C).

    Formula:
        -λ·log[(exp(l_i·e_i/t) + Σ over k ≠ i with c_k = c_i of exp(l_i·l_k/t))
               / (exp(l_i·e_i/t) + Σ over k ≠ i of exp(l_i·l_k/t))], the samples all fake
        (l, e) = critic.contrast(G(z, c)), each row divided by its length
        without ``positives``: no sum above the line
    Convention:
        As in ``contrastive_critic``, on the *generator's* side and on fake samples. λ = ``weight`` = 1,
        t = ``temperature`` = 1. The real samples are not looked at. With ``positives`` it counts for little that all
        samples of a class are of another, if they agree: with 64 samples of ten classes and cosines of 1 and 0 the
        value is 1.41 where each is at its own proxy and 1.49 where all are at another's; without, 3.34 and 4.31.
    Elsewhere:
        The authors' PyTorch-StudioGAN ``ConditionalContrastiveLoss``: the same, but the sums run over all processes'
        samples.
    Use when:
        The critic's side has ``contrastive_critic``.
    Paper:
        Kang and Park 2020, "ContraGAN: Contrastive Learning for Conditional Image Generation", arXiv:2006.12681.

    Raises:
        InputError: a negative weight, or a temperature that is not positive; when called, a critic that is bound to no
            condition or has no ``contrast``.
    """
    not_negative(weight=weight)
    positive(temperature=temperature)

    def penalty(critic: Critic, real: Tensor, fake: Tensor, rng: torch.Generator | None = None) -> PerSample:
        check_samples(fake, "fake")
        return weight * _contrasted(critic, fake, temperature, positives, "contrastive_generator")

    return penalty
