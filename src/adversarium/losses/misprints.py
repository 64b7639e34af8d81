"""Formulas that tutorials print in place of the published ones: faithful to the print, for study and comparison."""

from dataclasses import replace

from torch import Tensor
from torch.nn.functional import logsigmoid

from adversarium.errors import require
from adversarium.losses._additive import additive
from adversarium.losses._check import check_scores
from adversarium.losses.classic import least_squares, minimax
from adversarium.losses.relativistic import relativistic
from adversarium.types import Loss


def minimax_l1_gap(weight: float = 1.0) -> Loss:
    """What tutorials print as "WGAN": the minimax loss with an L1 term between the two probabilities.

    Formula:
        value:     log D(x) + log(1 - D(G)) - λ·|D(x) - D(G)|,  D = σ(score)
        critic:    minus the value
        generator: log(1 - σ(s)) - λ·|σ(r) - σ(s)|
    Convention:
        The defect: it is no Wasserstein loss. The score is squashed, there is no Lipschitz bound, and the extra term
        makes the critic pull D(x) and D(G) *together*: its gap shrinks as λ = ``weight`` grows, and from λ = 2 on
        the constant critic D = ½ is a local minimum whatever the data. The generator is paid for a wide gap.
        λ = 0 is ``minimax``.
    Use when:
        Never to train. Take ``wasserstein`` with a constraint or a gradient penalty.
    Paper:
        Deviates from Arjovsky, Chintala and Bottou 2017, "Wasserstein GAN", arXiv:1701.07875.

    Raises:
        InputError: a negative weight.
    """
    require(weight >= 0, f"weight is {weight}: wanted a number that is not negative")
    right = minimax()

    def gap(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        return weight * (real_scores.sigmoid() - fake_scores.sigmoid()).abs()

    def critic(real_scores: Tensor | None, fake_scores: Tensor) -> Tensor:
        real_scores = check_scores(real_scores, fake_scores)
        return right.critic(real_scores, fake_scores) + gap(real_scores, fake_scores)

    def generator(real_scores: Tensor | None, fake_scores: Tensor) -> Tensor:
        real_scores = check_scores(real_scores, fake_scores)
        return right.generator(None, fake_scores) - gap(real_scores, fake_scores)

    return Loss(
        name="minimax_l1_gap",
        critic=critic,
        generator=generator,
        generator_needs_real=True,
        coupling="paired",
        arguments={"weight": weight},
    )


def flipped_critic() -> Loss:
    """The critic's loss with the sign of its fake term flipped.

    Formula:
        critic:    -log D(x) + log(1 - D(G)),  D = σ(score)
        generator: log(1 - D(G))
    Convention:
        The defect: both terms ask for a higher score, whatever the sample. The critic's loss falls without bound as
        its scores rise, about as -s. The real term stops asking once D(x) is near 1 and the fake term never does, so
        fakes end up *above* real data. The real term and the generator are ``minimax``'s; the fake term is the
        negative of its.
    Use when:
        Never to train. Take ``minimax`` or ``nonsaturating``.
    Paper:
        Deviates from Goodfellow et al. 2014, "Generative Adversarial Networks", arXiv:1406.2661.
    """
    return additive(
        "flipped_critic",
        real=lambda r: -logsigmoid(r),
        fake=lambda s: logsigmoid(-s),
        generator=lambda s: logsigmoid(-s),
    )


def minimax_with_real_term() -> Loss:
    """The minimax loss with the real term left in the generator's side.

    Formula:
        critic:    -log D(x) - log(1 - D(G)),  D = σ(score)
        generator: -log D(x) + log(1 - D(G))
    Convention:
        The defect: log D(x) does not depend on the generator, so its gradient is ``minimax``'s, for the price of
        scoring a real batch. Its sign is wrong as well: the game's value has +log D(x).
    Use when:
        Never to train. Take ``minimax``.
    Paper:
        Deviates from Goodfellow et al. 2014, "Generative Adversarial Networks", arXiv:1406.2661.
    """
    right = minimax()

    def generator(real_scores: Tensor | None, fake_scores: Tensor) -> Tensor:
        real_scores = check_scores(real_scores, fake_scores)
        return -logsigmoid(real_scores) + right.generator(None, fake_scores)

    return replace(right, name="minimax_with_real_term", generator=generator, generator_needs_real=True)


def half_average() -> Loss:
    """What tutorials print as "RSGAN": the relativistic average loss with half of its generator's side.

    Formula:
        critic:    -log σ(r - E s) - log(1 - σ(s - E r))
        generator: -log σ(s - E r)
    Convention:
        The defect is in the name and in the half that is missing: published RSGAN is paired, -log σ(s - r), and the
        published average loss (RaSGAN) has -log(1 - σ(r - E s)) in its generator's side too, which reaches the
        generator through E s. It equals ``relativistic(pairing="average", generator_real_term=False)``.
    Use when:
        To compare with a tutorial. Take ``relativistic`` to train.
    Paper:
        Deviates from Jolicoeur-Martineau 2018, "The relativistic discriminator: a key element missing from standard
        GAN", arXiv:1807.00734.
    """
    return replace(relativistic(pairing="average", generator_real_term=False), name="half_average", arguments={})


def unscaled_least_squares() -> Loss:
    """The least squares loss as tutorials print it: codes 0 and 1, without the published ½.

    Formula:
        critic:    (r - 1)² + s²
        generator: (s - 1)²
    Convention:
        The defect is small: twice the published loss, so twice the learning rate where the optimizer notices. It
        equals ``least_squares(fake=0, real=1, target=1, scale=2)``.
    Use when:
        To compare with a tutorial. Take ``least_squares`` to train.
    Paper:
        Deviates from Mao et al. 2017, "Least Squares Generative Adversarial Networks", arXiv:1611.04076.
    """
    return replace(least_squares(fake=0, real=1, target=1, scale=2), name="unscaled_least_squares", arguments={})


def epsilon_log(eps: float = 1e-8) -> Loss:
    """The non-saturating loss with an ε inside its logarithms, "for stability".

    Formula:
        critic:    -log(σ(r) + ε) - log(1 - σ(s) + ε)
        generator: -log(σ(s) + ε)
    Convention:
        The defect: at a score where σ is below ε = ``eps`` the logarithm is flat. The generator's gradient at s = -30
        is -9e-6 instead of -1: the samples that need it most get none. In float32 1 - σ(s) is moreover 0 from
        s = 17 on. As ε goes to 0 it is ``nonsaturating``.
    Elsewhere:
        torch-mimicry's ``ns_loss_gen`` is its generator's side.
    Use when:
        Never to train. Take ``nonsaturating``, which is exact at any score.
    Paper:
        Deviates from Goodfellow et al. 2014, "Generative Adversarial Networks", arXiv:1406.2661.

    Raises:
        InputError: an ε that is not positive.
    """
    require(eps > 0, f"eps is {eps}: wanted a positive number")
    return additive(
        "epsilon_log",
        real=lambda r: -(r.sigmoid() + eps).log(),
        fake=lambda s: -(1 - s.sigmoid() + eps).log(),
        generator=lambda s: -(s.sigmoid() + eps).log(),
        arguments={"eps": eps},
    )
