"""The probe's numbers against closed forms of tiny networks, and that it leaves no trace."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from adversarium import losses
from adversarium.config import TrainConfig
from adversarium.data import open_data, ring, swiss_roll
from adversarium.diagnostics import PROBED, UpdateSizes, probe
from adversarium.errors import InputError
from adversarium.train.build import build
from adversarium.train.resolve import resolve


class Linear(nn.Module):
    """D(x) = w·x + b over all numbers of a sample."""

    def __init__(self, weight: Tensor, bias: float = 0.0) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), bias

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight + self.bias


class Shift(nn.Module):
    """G(z) = z + c."""

    def __init__(self, by: Tensor) -> None:
        super().__init__()
        self.by = nn.Parameter(by)

    def forward(self, z: Tensor) -> Tensor:
        return z + self.by


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def looked_at(rng, *, dim=3, loss=None, weight=None, shift=0.7, n=50, held_out=True, bias=0.0):
    weight = torch.randn(dim, generator=rng) if weight is None else weight
    critic, generator = Linear(weight, bias), Shift(torch.full((dim,), shift))
    real, codes = torch.randn(n, dim, generator=rng), torch.randn(n, dim, generator=rng)
    other = torch.randn(n, dim, generator=rng) if held_out else None
    found = probe(generator, critic, loss or losses.nonsaturating(), real, other, codes, rng=rng)
    return found, critic, real, generator(codes).detach(), other


def test_every_number_is_listed_and_finite(rng):
    found = looked_at(rng, weight=-torch.ones(3))[0]
    density = ring()
    found |= probe(
        nn.Identity(), Linear(torch.ones(2)), losses.hinge(), density.sample(9, rng), None, density.sample(9, rng),
        rng=rng, density=density,
    )  # fmt: skip
    images = torch.rand(6, 1, 4, 4, generator=rng)
    found |= probe(nn.Identity(), Linear(torch.ones(16)), losses.hinge(), images, None, images - 1, rng=rng)
    assert set(found) | {"probe_critic_update", "probe_generator_update"} == set(PROBED)
    assert all(type(value) is float and math.isfinite(value) for value in found.values())


def test_slopes_of_a_linear_critic_are_its_weights_norm(rng):
    found, critic, *_ = looked_at(rng)
    for name in ("real", "fake", "between", "max"):
        assert found[f"probe_slope_{name}"] == pytest.approx(float(critic.weight.detach().norm()), rel=1e-5)


def test_slopes_of_a_quadratic_critic_are_the_samples_norms(rng):
    real, codes = torch.randn(20, 4, generator=rng), torch.randn(30, 4, generator=rng)
    found = probe(
        nn.Identity(), lambda x: x.square().sum(1) / 2, losses.wasserstein(), real, None, codes, rng=rng
    )  # fmt: skip
    assert found["probe_slope_real"] == pytest.approx(float(real.norm(dim=1).mean()), rel=1e-5)
    assert found["probe_slope_fake"] == pytest.approx(float(codes.norm(dim=1).mean()), rel=1e-5)
    largest = torch.cat([real, codes]).norm(dim=1).max()  # a point between two is no farther than both
    assert found["probe_slope_max"] == pytest.approx(float(largest), rel=1e-5)


def test_slopes_are_of_a_patch_critics_mean_score(rng):
    real, codes = torch.randn(8, 6, generator=rng), torch.randn(8, 6, generator=rng)
    found = probe(nn.Identity(), lambda x: x[:, :, None], losses.nonsaturating(), real, None, codes, rng=rng)
    assert found["probe_slope_real"] == pytest.approx(math.sqrt(1 / 6), rel=1e-5)


def test_auc_counts_pairs_and_halves_ties(rng):
    scores = {"real": [3.0, 1.0, 1.0], "held": [0.0, 1.0, 2.0], "fake": [1.0, 0.0, 2.0]}
    tables = {name: torch.tensor(values)[:, None] for name, values in scores.items()}
    found = probe(
        nn.Identity(), lambda x: x[:, 0], losses.hinge(), tables["real"], tables["held"], tables["fake"], rng=rng
    )

    def by_hand(one: str, other: str) -> float:
        pairs = [(a, b) for a in scores[one] for b in scores[other]]
        return sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)

    assert found["probe_auc"] == pytest.approx(by_hand("real", "fake"))
    assert found["probe_auc_held_out"] == pytest.approx(by_hand("held", "fake"))
    assert found["probe_auc_memory"] == pytest.approx(by_hand("real", "held"))
    means = {name: sum(values) / 3 for name, values in scores.items()}
    wanted = (means["real"] - means["held"]) / (means["real"] - means["fake"])
    assert found["probe_overfitting"] == pytest.approx(wanted)


def test_no_overfitting_is_stated_where_the_critic_sees_no_difference(rng):
    x = torch.randn(40, 2, generator=rng)
    found = probe(nn.Identity(), lambda x: x[:, 0], losses.hinge(), x, x.flip(0) + 1, x, rng=rng)
    assert "probe_overfitting" not in found


@pytest.mark.parametrize("shift", [-20.0, -1.0, 0.5, 4.0])
def test_signals_are_the_losses_gradients(rng, shift):
    def at(loss):
        found, critic, real, fake, _ = looked_at(torch.Generator().manual_seed(8), loss=loss, bias=shift)
        return found, critic(real).detach().double(), critic(fake).detach().double()

    # minimax: |dL_G/ds| = σ(s), at an undecided critic (s = 0) ½
    found, r, s = at(losses.minimax())
    assert found["probe_generator_signal"] == pytest.approx(float(torch.sigmoid(s).mean() / 0.5), rel=1e-4)
    # -log σ(s): σ(-s); and the critic's two halves: σ(-r) and σ(s)
    found, r, s = at(losses.nonsaturating())
    assert found["probe_generator_signal"] == pytest.approx(float(torch.sigmoid(-s).mean() / 0.5), rel=1e-4)
    critic = torch.sigmoid(-r).mean() + torch.sigmoid(s).mean()
    assert found["probe_critic_signal"] == pytest.approx(float(critic), rel=1e-4)
    value = torch.nn.functional.softplus(-r).mean() + torch.nn.functional.softplus(s).mean()
    assert found["probe_critic_gain"] == pytest.approx(1 - float(value) / math.log(4), rel=1e-4, abs=1e-5)
    # least squares, coding (0, 1, 1): undecided is ½, the loss there ¼
    found, r, s = at(losses.least_squares())
    assert found["probe_generator_signal"] == pytest.approx(float((s - 1).abs().mean() / 0.5), rel=1e-4)
    value = ((r - 1).square().mean() + s.square().mean()) / 2
    assert found["probe_critic_gain"] == pytest.approx(1 - float(value) / 0.25, rel=1e-4)
    # hinge: the critic's gradient is the share of samples inside the margin
    found, r, s = at(losses.hinge())
    inside = ((r < 1).double().mean() + (s > -1).double().mean()) / 2
    assert found["probe_critic_signal"] == pytest.approx(float(inside), abs=1e-6)
    assert found["probe_generator_signal"] == pytest.approx(1.0)
    # relativistic paired: σ(s - r)... of the generator σ(r - s)
    found, r, s = at(losses.relativistic(pairing="paired"))
    assert found["probe_generator_signal"] == pytest.approx(float(torch.sigmoid(r - s).mean() / 0.5), rel=1e-4)


def test_wasserstein_has_constant_signals_and_no_gain(rng):
    found, critic, real, *_ = looked_at(rng, loss=losses.wasserstein(), bias=30.0)
    assert found["probe_generator_signal"] == found["probe_critic_signal"] == 1.0
    assert "probe_critic_gain" not in found
    spread = torch.pdist(real).mean()
    assert found["probe_sample_gradient"] == pytest.approx(float(critic.weight.detach().norm() * spread), rel=1e-4)


@pytest.mark.parametrize("name", sorted(losses.LOSSES))
def test_every_loss_can_be_probed(name, rng):
    loss = losses.LOSSES[name]()
    if not isinstance(loss, losses.Loss):
        pytest.skip("its critic's scores are of another kind")
    width = loss.score_width
    critic = nn.Sequential(nn.Linear(2, width or 1), *([] if width else [nn.Flatten(0)]))
    if loss.critic_kind == "autoencoder":
        critic = Error()
    x = torch.randn(16, 2, generator=rng)
    parts = [copy.deepcopy(each.state_dict()) for each in (loss.critic, loss.generator) if isinstance(each, nn.Module)]
    found = probe(nn.Identity(), critic, loss, x, x + 1, x - 1, rng=rng)
    assert found["probe_generator_signal"] > 0
    assert ("probe_auc" in found) == (width is None)
    again = [each.state_dict() for each in (loss.critic, loss.generator) if isinstance(each, nn.Module)]
    for before, after in zip(parts, again, strict=True):
        assert all(torch.equal(before[key], after[key]) for key in before)


class Error(nn.Module):
    """Minus the error of an autoencoder."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return -(self.net(x) - x).square().mean(1)


@pytest.mark.parametrize("shift", [0.3, 0.8, 1.3])
def test_diversity_distance_and_coverage_by_slow_loops(rng, shift):
    found, _, real, fake, _ = looked_at(rng, n=25, shift=shift)
    rows = {"real": real.double(), "fake": fake.double()}

    def mean_distance(a: Tensor, b: Tensor, skip: bool) -> float:
        numbers = [float((x - y).norm()) for i, x in enumerate(a) for j, y in enumerate(b) if not (skip and i == j)]
        return sum(numbers) / len(numbers)

    within = {name: mean_distance(x, x, True) for name, x in rows.items()}
    across = mean_distance(rows["real"], rows["fake"], False)
    assert found["probe_diversity"] == pytest.approx(within["fake"] / within["real"])
    energy = 2 * across - within["real"] - within["fake"]
    assert found["probe_distance"] == pytest.approx(energy / (2 * across))
    covered, precise = 0, set()
    for i, x in enumerate(rows["real"]):
        radius = sorted(float((x - y).norm()) for j, y in enumerate(rows["real"]) if j != i)[4]
        near = [j for j, y in enumerate(rows["fake"]) if float((x - y).norm()) <= radius]
        covered += bool(near)
        precise |= set(near)
    assert found["probe_coverage"] == pytest.approx(covered / 25)
    assert found["probe_precision"] == pytest.approx(len(precise) / 25)


def test_distance_is_about_0_of_one_distribution_and_1_of_two_points(rng):
    x = torch.randn(400, 2, generator=rng)
    same = probe(nn.Identity(), Linear(torch.ones(2)), losses.hinge(), x[:200], None, x[200:], rng=rng)
    assert abs(same["probe_distance"]) < 0.02
    assert same["probe_coverage"] > 0.9
    far = probe(nn.Identity(), Linear(torch.ones(2)), losses.hinge(), x, None, 1e6 + x, rng=rng)
    assert far["probe_distance"] > 0.99
    assert far["probe_far"] == 1.0
    assert far["probe_coverage"] == far["probe_precision"] == 0.0
    one = probe(nn.Identity(), Linear(torch.ones(2)), losses.hinge(), x, None, torch.zeros(50, 2), rng=rng)
    assert one["probe_diversity"] == 0.0


def test_features_replace_the_samples_in_distances(rng):
    x = torch.randn(30, 4, generator=rng)
    found = probe(
        nn.Identity(), Linear(torch.ones(4)), losses.hinge(), x, None, x * 2, rng=rng, features=lambda x: x[:, :1]
    )
    assert found["probe_diversity"] == pytest.approx(2.0, rel=1e-6)
    doubled = probe(
        nn.Identity(), Linear(torch.ones(4)), losses.hinge(), x, None, x, rng=rng, features=lambda x: x[:, :1] * 7
    )
    assert doubled["probe_diversity"] == pytest.approx(1.0)


def test_modes_are_counted_where_they_are_known(rng):
    density = ring()
    some = density.modes.float()[[0, 0, 3, 5]]
    real = density.sample(20, rng)
    found = probe(nn.Identity(), Linear(torch.ones(2)), losses.hinge(), real, None, some, rng=rng, density=density)
    assert found["probe_modes"] == pytest.approx(3 / 8)
    assert found["probe_high_quality"] == 1.0
    wide = probe(
        nn.Identity(), Linear(torch.ones(2)), losses.hinge(), real, None, some * 1.1, rng=rng, density=density
    )
    assert wide["probe_modes"] == pytest.approx(3 / 8)  # within a quarter of the distance between two modes
    assert wide["probe_high_quality"] == 0.0


def test_of_a_density_without_modes_none_are_counted(rng):
    density = swiss_roll()
    x = density.sample(20, rng)
    one, other = (
        probe(nn.Identity(), Linear(torch.ones(2)), losses.hinge(), x, None, x + 1, density=each,
              rng=torch.Generator().manual_seed(0))
        for each in (density, None)
    )  # fmt: skip
    assert one == other
    assert "probe_modes" not in one


def test_edges_are_those_of_images(rng):
    images = torch.zeros(4, 1, 2, 2)
    images[:, :, 0, 0] = 1.0
    black = torch.full((4, 1, 2, 2), -1.0)
    found = probe(nn.Identity(), Linear(torch.ones(4)), losses.hinge(), images + 0.01, None, black, rng=rng)
    assert found["probe_edge"] == 1.0
    assert found["probe_edge_real"] == 0.25


def test_a_step_of_sgd_has_the_size_of_its_gradient():
    critic, generator = Linear(torch.tensor([3.0, 4.0])), Shift(torch.tensor([0.0, 2.0]))
    sizes = UpdateSizes(critic=critic, generator=generator)
    assert sizes.measure() == {}
    sizes.remember()
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
    critic(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    found = sizes.measure()
    assert found["probe_critic_update"] == pytest.approx(0.1 * math.sqrt(2) / 5, rel=1e-5)
    assert found["probe_generator_update"] == 0.0
    assert sizes.measure() == {}


def everything(*networks: nn.Module) -> list[Tensor | bool | None]:
    """Return all that a network consists of."""
    found: list[Tensor | bool | None] = []
    for network in networks:
        found += [each.clone() for each in network.state_dict().values()]
        found += [None if each.grad is None else each.grad.clone() for each in network.parameters()]
        found += [module.training for module in network.modules()]
        found += [each.requires_grad for each in network.parameters()]
    return [*found, torch.get_rng_state()]


@pytest.mark.parametrize("preset", ["nsgan", "sngan", "wgan-gp", "r3gan", "ebgan"])
@pytest.mark.parametrize("data", ["ring", "mnist"])
def test_it_changes_nothing(preset, data):
    source = open_data(data)
    config = resolve(
        TrainConfig(data=data, preset=preset, width=8, steps=9, device="cpu", batch_size=16), source.codec
    )
    training = build(config, source)
    other = build(config, source)
    rng = torch.Generator().manual_seed(1)
    shape = (16, *source.codec.sample_shape)
    real, held = (torch.randn(shape, generator=rng).clamp(-1, 1) for _ in range(2))
    codes = torch.randn(16, config.latent_dim, generator=rng)
    for _ in range(3):
        training.move(0)
        step = training.step
        before = everything(step.generator, step.critic)
        buffers = [id(each) for network in (step.generator, step.critic) for each in network.buffers()]
        found = probe(step.generator, step.critic, step.objective.loss, real, held, codes, rng=rng)
        assert "probe_auc" in found
        for old, new in zip(before, everything(step.generator, step.critic), strict=True):
            assert torch.equal(old, new) if isinstance(old, Tensor) else old == new
        assert [id(each) for network in (step.generator, step.critic) for each in network.buffers()] == buffers
    for _ in range(3):
        other.move(0)
    for name, value in other.tensors().items():
        if name != "rng.torch":
            assert torch.equal(value, training.tensors()[name]), name


def test_it_changes_nothing_where_a_network_fails(rng):
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(2)
            self.layer = parametrizations.spectral_norm(nn.Linear(2, 1))

        def forward(self, x: Tensor) -> Tensor:
            self.layer(self.norm(x))
            raise RuntimeError("broken")

    critic = Broken()
    before = everything(critic)
    x = torch.randn(8, 2, generator=rng)
    with pytest.raises(RuntimeError, match="broken"):
        probe(nn.Identity(), critic, losses.hinge(), x, None, x, rng=rng)
    for old, new in zip(before, everything(critic), strict=True):
        assert torch.equal(old, new) if isinstance(old, Tensor) else old == new


def test_the_same_draws_give_the_same_numbers():
    class Dropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(2, 30), nn.Dropout(0.5), nn.Linear(30, 1), nn.Flatten(0))

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

    critic = Dropping()
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))

    def look() -> dict[str, float]:
        torch.rand(3)  # whatever the global stream does in between
        return probe(nn.Identity(), critic, losses.hinge(), x, None, x + 1, rng=torch.Generator().manual_seed(5))

    assert look() == look()


def test_numbers_that_are_not_finite_are_left_out(rng):
    x = torch.ones(8, 2)  # no spread: every ratio to it is undefined
    found = probe(nn.Identity(), lambda x: x[:, 0] * 1e30, losses.hinge(), x, None, x + 1, rng=rng)
    assert "probe_diversity" not in found
    assert all(math.isfinite(value) for value in found.values())


def test_too_few_samples_are_refused(rng):
    x = torch.randn(1, 2, generator=rng)
    with pytest.raises(InputError, match="1 real samples and 1 codes: wanted at least 2"):
        probe(nn.Identity(), Linear(torch.ones(2)), losses.hinge(), x, None, x, rng=rng)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu(rng):
    x = torch.randn(16, 2, generator=rng)
    on_cpu, on_gpu = (
        probe(
            nn.Identity(), Linear(torch.ones(2, device=device)), losses.hinge(), x.to(device), x.to(device) + 1,
            x.to(device) - 1, rng=torch.Generator().manual_seed(0), density=ring(),
        )
        for device in ("cpu", "cuda")
    )  # fmt: skip
    assert on_gpu.keys() == on_cpu.keys()
    assert all(on_gpu[name] == pytest.approx(value, rel=1e-4, abs=1e-6) for name, value in on_cpu.items())
