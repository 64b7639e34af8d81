"""Extragradient: look ahead, and move by the gradients found there. With a fresh look, or with the last gradients."""

from torch import Tensor
from torch.optim import Optimizer

from adversarium.games._weights import copies, moving, put, recall, remember
from adversarium.types import Closure, GameRule

_PAST = "extrapolation_from_the_past.gradient"


def extragradient() -> GameRule:
    """Look one step ahead, then move from the start by the gradients found there.

    Formula:
        z' = z - step(G(z));  z <- z - step(G(z')), with z = (ψ, θ) and G = (∇_ψ L_C, ∇_θ L_G)
    Convention:
        Both players look ahead together, each evaluation sees a fresh batch, and the optimizer's state moves at both:
        around Adam this is the published ExtraAdam (Algorithm 4 of the paper, option 1), whose t-th look is the
        moments' step 2t - 1 and whose t-th move is step 2t. Twice the gradients of a plain step.
        On the bilinear game the spectral radius is √(1 - h² + h⁴): it converges for h < 1.
    Elsewhere:
        ``ExtraSGD`` and ``ExtraAdam`` of GauthierGidel/Variational-Inequality-GAN are this around ``SGD`` and
        ``Adam``, with the same count of steps; their ``ExtraAdam`` adds ε before it corrects the second moment's
        bias. LAGAN-Lookahead_Minimax looks ahead with optimizers of their own, and its look for the generator sees
        the critic where it stands.
    Use when:
        The players circle, and two gradients per step are affordable.
    Paper:
        Korpelevich 1976, "The extragradient method for finding saddle points and other problems"; for GANs Gidel,
        Berard, Vignoud, Vincent and Lacoste-Julien 2019, "A Variational Inequality Perspective on Generative
        Adversarial Networks", arXiv:1802.10551.
    """

    def play(critic: Closure, generator: Closure, critic_optimizer: Optimizer, generator_optimizer: Optimizer) -> None:
        critic()
        generator()
        moved = moving(critic_optimizer) + moving(generator_optimizer)
        start = copies(moved)
        critic_optimizer.step()
        generator_optimizer.step()
        critic()
        generator()
        put(moved, start)
        critic_optimizer.step()
        generator_optimizer.step()

    return GameRule(
        name="extragradient", play=play, critic_evaluations=2, generator_evaluations=2, evaluations_per_move=2
    )


def extrapolation_from_the_past() -> GameRule:
    """Look ahead along the last gradients, then move from the start by the gradients found there.

    Formula:
        z' = z - step(G(z'₋));  z <- z - step(G(z')), with z'₋ where the last step looked; the first step looks
        nowhere: z' = z
    Convention:
        One gradient of each player per step. The optimizer's state moves twice per step, and once in the first:
        around Adam this is Algorithm 4 of the paper with option 2, which does not say what the first step loads.
        Under plain gradient descent the points z' are exactly those of ``optimistic``: the same eigenvalues, and on
        the bilinear game h < 1/√3 converges.
    Elsewhere:
        ``train_pastextraadam.py`` of GauthierGidel/Variational-Inequality-GAN is this, the first step included, up to
        where ε is added (see ``extragradient``).
    Use when:
        In place of extragradient, where two gradients per step are too dear.
    Paper:
        Popov 1980, "A modification of the Arrow-Hurwicz method for search of saddle points"; for GANs Gidel, Berard,
        Vignoud, Vincent and Lacoste-Julien 2019, "A Variational Inequality Perspective on Generative Adversarial
        Networks", arXiv:1802.10551.
    """

    def play(critic: Closure, generator: Closure, critic_optimizer: Optimizer, generator_optimizer: Optimizer) -> None:
        optimizers = (critic_optimizer, generator_optimizer)
        looks = [_look_ahead(optimizer) for optimizer in optimizers]
        critic()
        generator()
        for optimizer, (moved, start) in zip(optimizers, looks, strict=True):
            put(moved, start)
            optimizer.step()
            # copies: closures may reuse the gradients' memory
            remember(optimizer, _PAST, copies([each.grad for each in moving(optimizer) if each.grad is not None]))

    return GameRule(name="extrapolation_from_the_past", play=play)


def _look_ahead(optimizer: Optimizer) -> tuple[list[Tensor], list[Tensor]]:
    """Step along the last gradients; return the weights that this moved, and where they were."""
    weights = [each for group in optimizer.param_groups for each in group["params"]]
    found = [each.grad for each in weights]  # the closures' own memory, which they get back
    for each in weights:
        each.grad = recall(optimizer, each, _PAST)
    moved = moving(optimizer)
    start = copies(moved)
    if moved:
        optimizer.step()
    for each, gradient in zip(weights, found, strict=True):
        each.grad = gradient
    return moved, start
