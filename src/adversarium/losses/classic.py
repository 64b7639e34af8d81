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
        It saturates: its gradient by the score is -σ(s), which vanishes when the critic rejects a sample with
        confidence. At the optimal critic log(p/q) the critic's value is log 4 - 2·JS(p, q).
    Elsewhere:
        Equal: NVlabs/stylegan2 ``G_logistic``; torchgan ``minimax_generator_loss(nonsaturating=False)``.
        tensorflow/gan ``minimax_generator_loss`` has this gradient (its value is softplus(-1) lower), but its critic
        smooths the real labels by default (``label_smoothing=0.25``). torch-mimicry's ``minimax_loss_gen`` and
        torchgan's ``MinimaxGeneratorLoss()`` are ``nonsaturating``.
    Use when:
        To study why GANs fail to start. Take ``nonsaturating`` to train one.
    Paper:
        Goodfellow et al. 2014, "Generative Adversarial Networks", arXiv:1406.2661.
    """
    return additive(
        "minimax",
        real=lambda r: -logsigmoid(r),
        fake=lambda s: -logsigmoid(-s),
        generator=lambda s: logsigmoid(-s),
        boundary=0.0,
    )


def nonsaturating() -> Loss:
    """The GAN loss that is used in practice: the generator maximises the log-probability of being real.

    Formula:
        critic:    -log σ(r) - log(1 - σ(s))
        generator: -log σ(s)
    Convention:
        The gradient by the score is -σ(-s): close to -1 for a rejected sample, where the minimax loss has none.
    Elsewhere:
        Equal: NVlabs/stylegan3 ``StyleGAN2Loss``, PyTorch-StudioGAN ``d_logistic`` and ``d_vanilla``, BigGAN-PyTorch
        ``loss_dcgan_*``, google/compare_gan ``non_saturating``, torch-mimicry ``minimax_loss_*``, torchgan's default
        minimax. torch-mimicry's ``ns_loss_gen`` is -log(sigmoid(s) + 1e-8), which loses that gradient below s = -18
        (-9e-6 at s = -30). Half for the critic: taming-transformers ``vanilla_d_loss`` (its generator's side is -s,
        the hinge's).
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
        boundary=0.0,
    )


def least_squares(fake: float = 0.0, real: float = 1.0, target: float = 1.0, scale: float = 1.0) -> Loss:
    """Regress the scores on a code for fake (a) and one for real (b); the generator aims at a target (c).

    Formula:
        critic:    scale/2 · ((r - b)² + (s - a)²)
        generator: scale/2 · (s - c)²
    Convention:
        The paper's ½ is kept; ``scale=2`` drops it. The coding (a, b, c) = (0, 1, 1) is the common one. The optimal
        critic is (b·p + a·q)/(p + q); with (-1, 1, 0) the generator's value there, plus the same term on real data,
        which has no gradient for it, is half the Pearson χ² divergence of p + q from 2q.
    Elsewhere:
        Equal: torchgan and tensorflow/gan ``least_squares_*``, PyTorch-StudioGAN ``d_ls``. ``scale=2``: BasicSR
        (lsgan). PyTorch-GAN ``lsgan.py`` halves the critic only: twice our generator. google/compare_gan takes
        sigmoid(score) first. google/lecam-gan ``loss_ls_*``: codes 1 for fake, -1 for real, target 0 (up = fake),
        without the ½. The author's code (xudonmao/LSGAN) has the ½, sums over the batch, and comes in both codings.
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
        boundary=(fake + real) / 2,
    )


def hinge() -> Loss:
    """The margin loss of SAGAN, SNGAN and BigGAN: scores beyond ±1 on the right side cost the critic nothing.

    Formula:
        critic:    max(0, 1 - r) + max(0, 1 + s)
        generator: -s
    Convention:
        The optimal critic is sign(p - q), and the critic's minimum 2 - 2·TV(p, q), TV = ½Σ|p - q|.
    Elsewhere:
        Equal: pfnet-research/sngan_projection ``loss_hinge_*`` (the authors'), BigGAN-PyTorch, PyTorch-StudioGAN,
        google/compare_gan, torch-mimicry, tensorflow/gan ``wasserstein_hinge_*``. Half for the critic, equal for the
        generator: taming-transformers ``hinge_d_loss``. With the score's sign turned (up = fake):
        lucidrains/stylegan2-pytorch ``hinge_loss``, ``gen_hinge_loss``.
    Use when:
        The critic is spectrally normalised, or large and easily too strong.
    Paper:
        Lim and Ye 2017, "Geometric GAN", arXiv:1705.02894; Miyato et al. 2018, "Spectral Normalization for
        Generative Adversarial Networks", arXiv:1802.05957.
    """
    return additive(
        "hinge", real=lambda r: relu(1 - r), fake=lambda s: relu(1 + s), generator=lambda s: -s, boundary=0.0
    )
