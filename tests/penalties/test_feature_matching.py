"""Feature matching: means of linear features in closed form, lists of layers by loops, and whose gradient it is."""

import pytest
import torch
from torch import Tensor, nn

from adversarium.errors import InputError
from adversarium.penalties import SAMPLE_PENALTIES, attached, feature_matching, match_features

every_seed = pytest.mark.parametrize("seed", range(3))


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Linear(nn.Module):
    """A critic whose features are a linear map of a sample, as rows or as maps."""

    def __init__(self, matrix: Tensor, *shape: int) -> None:
        super().__init__()
        self.matrix, self.shape = nn.Parameter(matrix), shape

    def features(self, samples: Tensor) -> Tensor:
        return (samples.flatten(1) @ self.matrix).unflatten(1, self.shape or (-1,))

    def forward(self, samples: Tensor) -> Tensor:
        return self.features(samples).flatten(1).sum(1)


@pytest.mark.parametrize("shape", [(), (2, 3, 1)])
@every_seed
def test_linear_features_give_the_mean_difference(seed: int, shape: tuple[int, ...]):
    matrix, real, fake = normal(4, 6, seed=seed), normal(5, 2, 2, seed=seed + 10), normal(7, 2, 2, seed=seed + 20)
    critic = Linear(matrix, *shape)
    gap = (fake.mean(0) - real.mean(0)).flatten() @ matrix
    for norm, distance in (("squared", (gap**2).sum()), ("absolute", gap.abs().sum())):
        values = feature_matching(0.7, norm)(critic, real, fake, None)
        torch.testing.assert_close(values, (0.7 * distance).expand(7))
        double = feature_matching(1.4, norm)(critic, real, fake, None)
        torch.testing.assert_close(double, 2 * values)


@every_seed
def test_batch_norm_before_the_features_leaves_no_means_to_match(seed: int):
    class Normed(Linear):
        def features(self, samples: Tensor) -> Tensor:
            return nn.functional.batch_norm(super().features(samples), None, None, training=True)

    matrix, real, fake = normal(4, 6, seed=seed), normal(9, 4, seed=seed + 10), 3 + normal(7, 4, seed=seed + 20)
    assert feature_matching()(Linear(matrix), real, fake, None).min() > 1
    assert feature_matching()(Normed(matrix), real, fake, None).max() < 1e-20


@every_seed
def test_its_gradient_is_that_of_the_fake_features_alone(seed: int):
    matrix, real, fake = normal(4, 6, seed=seed), normal(5, 4, seed=seed + 10), normal(7, 4, seed=seed + 20)
    real.requires_grad_()
    fake.requires_grad_()
    gap = fake.mean(0) - real.mean(0)
    # ∂/∂y of ‖(mean y - mean x)A‖² is 2AAᵀ(mean y - mean x)/B; by A through the fake ones it is 2·mean y ⊗ gap·A
    by_fake = (2 / 7 * (matrix @ matrix.T @ gap)).expand(7, 4).detach()
    by_weights = 2 * torch.outer(fake.mean(0), gap @ matrix).detach()
    whole = 2 * torch.outer(gap, gap @ matrix).detach()
    for penalty, expected in ((feature_matching(), by_weights), (attached(feature_matching()), whole)):
        critic = Linear(matrix)
        values = penalty(critic, real, fake, None)
        found = torch.autograd.grad(values.mean(), [fake, critic.matrix, real], allow_unused=True)
        torch.testing.assert_close(found[0], by_fake)
        torch.testing.assert_close(found[1], expected)
        assert found[2] is None


@every_seed
def test_it_moves_the_generator_until_the_means_are_equal(seed: int):
    """A generator of a shift, against a critic that has an inverse: descent ends at the data's mean."""
    matrix = torch.linalg.qr(normal(3, 3, seed=seed))[0]  # ‖(m + shift)Q‖² = ‖m + shift‖², whose Hessian is 2
    real, noise = normal(50, 3, seed=seed + 1) + 2, normal(50, 3, seed=seed + 2)
    shift = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    for _ in range(30):
        values = feature_matching()(Linear(matrix), real, noise + shift, None)
        (gradient,) = torch.autograd.grad(values.mean(), shift)
        shift.data -= 0.25 * gradient
    torch.testing.assert_close(shift.detach(), real.mean(0) - noise.mean(0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("norm", ["squared", "absolute"])
def test_under_autocast_it_is_float32(norm: str):
    critic, (real, fake) = Linear(normal(4, 6, seed=0).float()).float(), normal(2, 5, 4, seed=1).float()
    with torch.autocast("cpu", torch.bfloat16):
        assert critic.features(fake).dtype == torch.bfloat16
        values = feature_matching(norm=norm)(critic, real, fake, None)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, feature_matching(norm=norm)(critic, real, fake, None), rtol=0.1, atol=0.1)


def test_without_gradients_it_has_the_same_value():
    critic, (real, fake) = Linear(normal(4, 6, seed=0)), normal(2, 5, 4, seed=1)
    with torch.no_grad():
        values = feature_matching()(critic, real, fake, None)
    assert not values.requires_grad
    torch.testing.assert_close(values, feature_matching()(critic, real, fake, None).detach())


def test_wrong_input_is_named():
    real, fake = normal(2, 5, 4, seed=1)
    with pytest.raises(InputError, match=r"Linear without features\(samples\), which feature_matching wants"):
        feature_matching()(nn.Linear(4, 1).double(), real, fake, None)
    odd = Linear(normal(4, 6, seed=0))
    for features, message in (
        (lambda x: x[:, : 3 if x is fake else 2], r"real features have shape \[5, 2\] for 5 samples: wanted one row"),
        (lambda x: x.sum(), r"real features have shape \[\] for 5 samples"),
        (lambda x: x[:4] if x is fake else x, r"fake features have shape \[4, 4\] for 5 samples"),
    ):
        odd.features = features
        with pytest.raises(InputError, match=message):
            feature_matching()(odd, real, fake, None)
    for number in (-0.1, float("nan")):
        with pytest.raises(InputError, match=f"weight is {number}"):
            SAMPLE_PENALTIES["feature_matching"](weight=number)


# --- lists of layers -------------------------------------------------------------------------------


def layers(seed: int, counts: tuple[int, ...] = (4, 4, 4)) -> list[Tensor]:
    shapes = [(3, 6), (2, 5, 5), (7,)]
    return [normal(count, *shape, seed=seed + k) for k, (count, shape) in enumerate(zip(counts, shapes, strict=True))]


@pytest.mark.parametrize("norm", ["absolute", "squared"])
@every_seed
def test_lists_by_loops(seed: int, norm: str):
    real, fake = layers(seed), layers(seed + 50)
    values = match_features(real, fake, norm=norm)
    for i in range(4):
        total = 0.0
        for x, y in zip(real, fake, strict=True):
            gaps = [abs(float(a - b)) for a, b in zip(x[i].flatten(), y[i].flatten(), strict=True)]
            total += sum(gap if norm == "absolute" else gap * gap for gap in gaps) / len(gaps)
        assert values[i].item() == pytest.approx(total / 3)


@every_seed
def test_the_factors_to_what_others_descend_by(seed: int):
    """pix2pixHD: two critics of n_layers_D = 3, so four layers each, and λ = 10. HiFi-GAN: twice the sum."""
    real = [[normal(4, 2 + layer, 3, seed=seed + 10 * critic + layer) for layer in range(4)] for critic in range(2)]
    fake = [[each + normal(*each.shape, seed=seed + 7) for each in layers] for layers in real]
    sums = [sum((x - y).abs().mean() for x, y in zip(a, b, strict=True)) for a, b in zip(real, fake, strict=True)]
    ours = match_features([*real[0], *real[1]], [*fake[0], *fake[1]]).mean()
    torch.testing.assert_close(10 * sum(sums) * (1 / 2) * (4 / (3 + 1)), 40 * ours)
    torch.testing.assert_close(2 * sum(sums), 2 * 8 * ours)


def test_no_gradient_reaches_the_real_layers():
    real, fake = ([each.requires_grad_() for each in layers(seed)] for seed in (0, 50))
    match_features(real, fake).sum().backward()
    assert all(each.grad is None for each in real)
    for x, y in zip(real, fake, strict=True):
        torch.testing.assert_close(y.grad, (y - x).sign().detach() / (3 * x[0].numel()))


def test_half_precision_layers_give_float32():
    real, fake = ([each.bfloat16() for each in layers(seed)] for seed in (0, 50))
    values = match_features(real, fake)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, match_features(layers(0), layers(50)).float(), rtol=0.02, atol=0)


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        ([], [], "0 real and 0 fake layers"),
        (layers(0), layers(1)[:2], "3 real and 2 fake layers"),
        (layers(0), layers(1, (4, 5, 4)), r"layer 1: real features have shape \[4, 2, 5, 5\] and fake ones \[5, 2"),
        (layers(0, (4, 5, 4)), layers(1, (4, 5, 4)), "layer 1 has 5 samples and layer 0 has 4"),
        ([torch.zeros(4)], [torch.zeros(4)], r"wanted the same, \[B, \.\.\.\]"),
    ],
)
def test_lists_that_do_not_match_are_refused(real: list[Tensor], fake: list[Tensor], message: str):
    with pytest.raises(InputError, match=message):
        match_features(real, fake)
