"""The published methods, one entry each: objective, game, optimizers, and what their networks must not contain."""

from adversarium import losses, penalties
from adversarium.constraints import clip, spectral_norm
from adversarium.games import alternating, extragradient
from adversarium.types import Anneal, Objective, OptimizerSettings, Part, Preset, Term

_DCGAN_ADAM = OptimizerSettings(kind="adam", learning_rate=2e-4, beta1=0.5, beta2=0.999)
_SNGAN_ADAM = OptimizerSettings(kind="adam", learning_rate=2e-4, beta1=0.0, beta2=0.9)
_WGAN_RMSPROP = OptimizerSettings(kind="rmsprop", learning_rate=5e-5, beta2=0.99)
_WGAN_GP_ADAM = OptimizerSettings(kind="adam", learning_rate=1e-4, beta1=0.0, beta2=0.9)
_EXTRA_ADAM = OptimizerSettings(kind="adam", learning_rate=5e-4, beta1=0.5, beta2=0.9)
# R3GAN anneals over the first 20 million images (CIFAR-10)
_R3GAN_IMAGES = 20e6
_R3GAN_ADAM = OptimizerSettings(
    kind="adam",
    learning_rate=Anneal(2e-4, 5e-5, over_images=_R3GAN_IMAGES),
    beta1=0.0,
    beta2=Anneal(0.9, 0.99, over_images=_R3GAN_IMAGES),
)
_R3GAN_GAMMA = Anneal(0.05, 0.005, over_images=_R3GAN_IMAGES)

_NO_BATCH_NORM: frozenset[Part] = frozenset({"batch_norm"})
_PENALISED = (
    "a gradient penalty is a statement about each sample on its own, and batch norm makes every score depend on the "
    "whole batch"
)

PRESETS: dict[str, Preset] = {
    "gan": Preset(
        summary="The original GAN: minimax loss, saturating generator.",
        objective=Objective(loss=losses.minimax()),
        rule=alternating(),
        critic_optimizer=_DCGAN_ADAM,
        generator_optimizer=_DCGAN_ADAM,
        use_when="To see the original, and why its generator stalls when the critic is ahead.",
        paper="Goodfellow et al. 2014, arXiv:1406.2661; optimizers of Radford et al. 2016 (DCGAN), arXiv:1511.06434",
    ),
    "nsgan": Preset(
        summary="The GAN loss as it is used: the generator maximises log σ(s).",
        objective=Objective(loss=losses.nonsaturating()),
        rule=alternating(),
        critic_optimizer=_DCGAN_ADAM,
        generator_optimizer=_DCGAN_ADAM,
        use_when="A simple baseline that trains fast on easy data.",
        paper="Goodfellow et al. 2014, arXiv:1406.2661; optimizers of DCGAN, arXiv:1511.06434",
    ),
    "lsgan": Preset(
        summary="Least squares on the scores, coding (0, 1, 1).",
        objective=Objective(loss=losses.least_squares(fake=0.0, real=1.0, target=1.0)),
        rule=alternating(),
        critic_optimizer=_DCGAN_ADAM,
        generator_optimizer=_DCGAN_ADAM,
        use_when="Smoother gradients than the log loss; common in translation and speech.",
        paper="Mao et al. 2017, arXiv:1611.04076; it has no single published optimizer: DCGAN's, the common practice",
    ),
    "wgan": Preset(
        summary="Wasserstein loss with weight clipping.",
        objective=Objective(loss=losses.wasserstein()),
        rule=alternating(n_critic=5),
        critic_optimizer=_WGAN_RMSPROP,
        generator_optimizer=_WGAN_RMSPROP,
        constraints=(clip(0.01),),
        use_when="For comparison: slow, and better replaced by wgan-gp.",
        paper=(
            "Arjovsky, Chintala and Bottou 2017, arXiv:1701.07875; their code also gives the critic 100 steps for the "
            "first 25 generator steps and at every 500th, which this preset leaves out"
        ),
    ),
    "wgan-gp": Preset(
        summary="Wasserstein loss with a gradient penalty between real and fake samples.",
        objective=Objective(
            loss=losses.wasserstein(),
            critic_terms=(Term(name="wgan_gp", penalty=penalties.wgan_gp(1.0), weight=10.0),),
        ),
        rule=alternating(n_critic=5),
        critic_optimizer=_WGAN_GP_ADAM,
        generator_optimizer=_WGAN_GP_ADAM,
        critic_without=_NO_BATCH_NORM,
        why_without=_PENALISED,
        use_when="A loss that tracks quality, stable on many networks, at five critic steps per generator step.",
        paper="Gulrajani et al. 2017, arXiv:1704.00028",
    ),
    "wgan-gp-extraadam": Preset(
        summary="wgan-gp by ExtraAdam: both players look one step ahead, and move by the gradients found there.",
        objective=Objective(
            loss=losses.wasserstein(),
            critic_terms=(Term(name="wgan_gp", penalty=penalties.wgan_gp(1.0), weight=10.0),),
        ),
        rule=extragradient(),
        critic_optimizer=_EXTRA_ADAM,
        generator_optimizer=_EXTRA_ADAM,
        critic_without=_NO_BATCH_NORM,
        why_without=_PENALISED,
        use_when="To compare with wgan-gp: two gradients of each player per step, instead of five of the critic.",
        paper=(
            "Gidel et al. 2019, arXiv:1802.10551; optimizers of the authors' CIFAR-10 configuration for DCGAN (for "
            "their ResNet: a generator's rate of 5e-5). They take both players' gradients on one batch, here each has "
            "its own"
        ),
    ),
    "rsgan": Preset(
        summary="Relativistic paired: real scores above fake ones, sample by sample.",
        objective=Objective(loss=losses.relativistic(pairing="paired")),
        rule=alternating(),
        critic_optimizer=_DCGAN_ADAM,
        generator_optimizer=_DCGAN_ADAM,
        use_when="The default: a first run; one more critic forward in the generator's step than nsgan.",
        paper="Jolicoeur-Martineau 2018, arXiv:1807.00734; optimizers of DCGAN",
    ),
    "rasgan": Preset(
        summary="Relativistic average: each score against the mean of the other side.",
        objective=Objective(loss=losses.relativistic(pairing="average")),
        rule=alternating(),
        critic_optimizer=_DCGAN_ADAM,
        generator_optimizer=_DCGAN_ADAM,
        use_when="Super-resolution and restoration, where it is the common choice.",
        paper="Jolicoeur-Martineau 2018, arXiv:1807.00734; optimizers of DCGAN",
    ),
    "hinge": Preset(
        summary="Hinge loss on an unconstrained critic.",
        objective=Objective(loss=losses.hinge()),
        rule=alternating(),
        critic_optimizer=_DCGAN_ADAM,
        generator_optimizer=_DCGAN_ADAM,
        use_when="To compare with sngan, which adds the spectral norm that the hinge loss is usually paired with.",
        paper=(
            "Lim and Ye 2017 (Geometric GAN), arXiv:1705.02894; optimizers of DCGAN, the common practice (the "
            "authors' own code: RMSProp 2e-4 and ten generator steps per critic step)"
        ),
    ),
    "sngan": Preset(
        summary="Hinge loss on a spectrally normalised critic.",
        objective=Objective(loss=losses.hinge()),
        rule=alternating(n_critic=5),
        critic_optimizer=_SNGAN_ADAM,
        generator_optimizer=_SNGAN_ADAM,
        constraints=(spectral_norm(),),
        critic_without=_NO_BATCH_NORM,
        why_without="batch norm rescales what spectral normalisation has just bounded",
        use_when="A bounded critic without second derivatives.",
        paper="Miyato et al. 2018, arXiv:1802.05957",
    ),
    "r3gan": Preset(
        summary="Relativistic paired loss with R1 and R2, gamma and Adam's beta2 annealed.",
        objective=Objective(
            loss=losses.relativistic(pairing="paired"),
            critic_terms=(
                Term(name="r1", penalty=penalties.r1(1.0), weight=_R3GAN_GAMMA),
                Term(name="r2", penalty=penalties.r2(1.0), weight=_R3GAN_GAMMA),
            ),
        ),
        rule=alternating(),
        critic_optimizer=_R3GAN_ADAM,
        generator_optimizer=_R3GAN_ADAM,
        critic_without=_NO_BATCH_NORM,
        generator_without=_NO_BATCH_NORM,
        why_without=_PENALISED + "; the authors' networks have no normalisation at all",
        use_when="The modern baseline: converges locally, keeps modes. gamma is CIFAR-10's; scale it with the images.",
        paper="Huang et al. 2025, arXiv:2501.05441; annealing as in the authors' CIFAR-10 configuration",
    ),
    "wgan-div": Preset(
        summary="Wasserstein divergence: a power of the slope in place of the Lipschitz bound.",
        objective=Objective(
            loss=losses.wasserstein(),
            critic_terms=(Term(name="wgan_div", penalty=penalties.wgan_div(1.0, 6.0), weight=2.0),),
        ),
        rule=alternating(n_critic=5),
        critic_optimizer=_WGAN_GP_ADAM,
        generator_optimizer=_WGAN_GP_ADAM,
        critic_without=_NO_BATCH_NORM,
        why_without=_PENALISED,
        use_when="To compare with wgan-gp: gentle slopes are free, steep ones very dear.",
        paper="Wu et al. 2018, arXiv:1712.01026; optimizers and critic steps of wgan-gp",
    ),
    "ebgan": Preset(
        summary="Energies of an autoencoder: low on the data, at least a margin on the fakes.",
        objective=Objective(loss=losses.ebgan(margin=0.2)),
        rule=alternating(),
        critic_optimizer=_DCGAN_ADAM,
        generator_optimizer=_DCGAN_ADAM,
        use_when="The critic is to be an autoencoder. The margin is in units of its error: choose it for the data.",
        paper=(
            "Zhao, Mathieu and LeCun 2017, arXiv:1609.03126; optimizers of DCGAN; the margin is ours, for errors "
            "averaged over pixels from -1 to 1"
        ),
    ),
}
"""Name to published method."""
