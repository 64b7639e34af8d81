"""Losses that read each score on its own: minimax, non-saturating, least squares, hinge."""

from torch.nn.functional import logsigmoid, relu

from adversarium.losses._additive import additive
from adversarium.types import Loss

# logsigmoid is exact at any score; softplus drops its exponential above 20 (2e-9 in float64). 1 - σ(s) = σ(-s)


def minimax() -> Loss:
    """The original GAN loss, in which the generator minimises what the critic maximises: it saturates.

    Formula:
        critic:    -log σ(r) - log(1 - σ(s))
        generator: log(1 - σ(s))
    Convention:
        Libraries often call the non-saturating loss "minimax". This one saturates: its gradient by the score is
        -σ(s), which vanishes when the critic rejects a sample with confidence. At the optimal critic
        log(p/q) the critic's value is log 4 - 2·JS(p, q).
    Use when:
        To study why GANs fail to start. Take ``nonsaturating`` to train one.
    Paper:
        Goodfellow et al. 2014, "Generative Adversarial Networks", arXiv:1406.2661.
    """
    return additive(
        "minimax", real=lambda r: -logsigmoid(r), fake=lambda s: -logsigmoid(-s), generator=lambda s: logsigmoid(-s)
    )


def nonsaturating() -> Loss:
    """The GAN loss that is used in practice: the generator maximises the log-probability of being real.

    Formula:
        critic:    -log σ(r) - log(1 - σ(s))
        generator: -log σ(s)
    Convention:
        The gradient by the score is -σ(-s): close to -1 for a rejected sample, where the minimax loss has none.
        Code that writes -log(sigmoid(s) + 1e-8) loses that gradient (-9e-6 at s = -30); this does not.
    Use when:
        A plain, robust default; with the ``r1`` penalty it trains most image GANs.
    Paper:
        Goodfellow et al. 2014, "Generative Adversarial Networks", arXiv:1406.2661.
    """
    return additive(
        "nonsaturating",
        real=lambda r: -logsigmoid(r),
        fake=lambda s: -logsigmoid(-s),
        generator=lambda s: -logsigmoid(s),
    )


def least_squares(fake: float = 0.0, real: float = 1.0, target: float = 1.0, scale: float = 1.0) -> Loss:
    """Regress the scores on a code for fake (a) and one for real (b); the generator aims at a target (c).

    Formula:
        critic:    scale/2 · ((r - b)² + (s - a)²)
        generator: scale/2 · (s - c)²
    Convention:
        The paper's ½ is kept; ``scale=2`` drops it, as many tutorials do. The coding (a, b, c) = (0, 1, 1) is the
        common one. The optimal critic is (b·p + a·q)/(p + q); with (-1, 1, 0) the generator's value there, plus the
        same term on real data, which has no gradient for it, is half the Pearson χ² divergence of p + q from 2q.
    Use when:
        Scores should stay bounded and the gradient should grow with the error: image translation, vocoders.
    Paper:
        Mao et al. 2017, "Least Squares Generative Adversarial Networks", arXiv:1611.04076.
    """
    return additive(
        "least_squares",
        real=lambda r: 0.5 * scale * (r - real).square(),
        fake=lambda s: 0.5 * scale * (s - fake).square(),
        generator=lambda s: 0.5 * scale * (s - target).square(),
        arguments={"fake": fake, "real": real, "target": target, "scale": scale},
    )


def hinge() -> Loss:
    """The margin loss of SAGAN, SNGAN and BigGAN: scores beyond ±1 on the right side cost the critic nothing.

    Formula:
        critic:    max(0, 1 - r) + max(0, 1 + s)
        generator: -s
    Convention:
        The optimal critic is sign(p - q), and the critic's minimum 2 - 2·TV(p, q), TV = ½Σ|p - q|.
    Use when:
        The critic is spectrally normalised, or large and easily too strong.
    Paper:
        Lim and Ye 2017, "Geometric GAN", arXiv:1705.02894; Miyato et al. 2018, "Spectral Normalization for
        Generative Adversarial Networks", arXiv:1802.05957.
    """
    return additive("hinge", real=lambda r: relu(1 - r), fake=lambda s: relu(1 + s), generator=lambda s: -s)
