"""R1 and R2 without a derivative by the input: how much a little noise changes the score."""

from torch import Tensor

from adversarium.penalties import _draw
from adversarium.penalties._check import not_negative, positive
from adversarium.penalties._values import per_sample
from adversarium.penalties.scores import Scored, ScorePenalty, Side


def _noise(gamma: float, std: float, side: Side) -> ScorePenalty:
    not_negative(gamma=gamma)
    positive(std=std)

    def value(batch: Scored) -> Tensor:
        samples, scores = batch.side(side)
        noisy = batch.critic(samples + std * _draw.normal(samples, batch.rng))
        slope = (per_sample(noisy) - per_sample(scores)) / std
        return 0.5 * gamma * slope.square()

    return ScorePenalty(reads=(side,), value=value)


def noise_r1(gamma: float = 1.0, std: float = 0.01) -> ScorePenalty:
    """Flatten the critic on real data, by its answer to noise.

    Formula:
        γ/2·((D(x + σε) - D(x))/σ)² at the real samples, ε ~ N(0, I)
    Convention:
        Its mean over ε tends to ``r1`` as σ -> 0, and equals it at any σ for a linear critic: the noise estimates
        ‖∇D‖², with a variance that one pass does not remove. σ = ``std`` is in the units of the samples. The
        difference of two scores is lost to rounding if they are bfloat16: use float32, or a larger σ.
    Elsewhere:
        Lin et al. 2025 write ‖D(x) - D(x + σε)‖² with a weight λ and no 1/σ²: γ = 2λσ².
    Use when:
        The critic has no second derivative, or sharded or fused layers that have none: this asks for a second forward
        pass and nothing more.
    Paper:
        Lin et al. 2025, "Diffusion Adversarial Post-Training for One-Step Video Generation", arXiv:2501.08316.

    Raises:
        InputError: a negative gamma, or an std that is not positive.
    """
    return _noise(gamma, std, "real")


def noise_r2(gamma: float = 1.0, std: float = 0.01) -> ScorePenalty:
    """Flatten the critic on generated data, by its answer to noise.

    Formula:
        γ/2·((D(x + σε) - D(x))/σ)² at the fake samples, ε ~ N(0, I)
    Convention:
        As ``noise_r1``; tends to ``r2`` as σ -> 0. No gradient reaches the generator.
    Use when:
        Together with ``noise_r1`` and a relativistic loss, where ``r1`` and ``r2`` cannot be had.
    Paper:
        The form of Lin et al. 2025, "Diffusion Adversarial Post-Training for One-Step Video Generation",
        arXiv:2501.08316, at the points of R2 (Mescheder, Geiger and Nowozin 2018, arXiv:1801.04406).

    Raises:
        InputError: a negative gamma, or an std that is not positive.
    """
    return _noise(gamma, std, "fake")
