"""The contract of every member of GENERATOR_PENALTIES: one value per code, its mathematics, who gets gradients."""

import copy
import functools
import inspect
import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from adversarium.errors import InputError
from adversarium.penalties import BATCH_STATISTICS, GENERATOR_PENALTIES, GeneratorHistoricalAveraging, PathLength
from adversarium.types import GeneratorPenalty

VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "path_length(decay)": ("path_length", {"weight": 0.7, "decay": 1.0}),
    "mode_seeking(weight)": ("mode_seeking", {"weight": 0.7, "epsilon": 0.1}),
    "zcr_generator(weight)": ("zcr_generator", {"weight": 2.0, "std": 0.5}),
    "zcr_critic(weight)": ("zcr_critic", {"weight": 2.0, "std": 0.5}),
}
DEFAULTS: dict[str, dict[str, object]] = {"information": {"categories": 0, "continuous": 4}}  # all that codes have
CASES = {name: (name, DEFAULTS.get(name, {})) for name in GENERATOR_PENALTIES} | VARIANTS
ALONE = [name for name in CASES if CASES[name][0] not in BATCH_STATISTICS]
FOR_THE_CRITIC = {"zcr_critic"}
PAIRED = ("mode_seeking", "pulling_away")  # they compare samples

every_penalty = pytest.mark.parametrize("name", CASES)
every_seed = pytest.mark.parametrize("seed", range(3))


@functools.cache  # under the import hook a factory compiles its type checks at each call
def _made(member: str, **arguments: object) -> GeneratorPenalty:
    return GENERATOR_PENALTIES[member](**arguments)


def make(name: str, **arguments: object) -> GeneratorPenalty:
    """Return a member or a case, with its state as new."""
    member, given = CASES[name]
    penalty = copy.deepcopy(_made(member, **given, **arguments))
    if isinstance(penalty, GeneratorHistoricalAveraging):  # without a past its value is 0
        generator, _ = players(5)
        penalty.past.mean = torch.cat([each.detach().flatten() for each in generator.parameters()])
    return penalty


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=stream(seed), dtype=torch.float64)


class Critic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Tanh())
        self.head = nn.Linear(5, 1)

    def encode(self, samples: Tensor) -> Tensor:
        return self.encoder(samples)

    def forward(self, samples: Tensor) -> Tensor:
        return self.head(self.encode(samples))

    def recognise(self, samples: Tensor) -> Tensor:
        return self.forward(samples) * torch.arange(1, 5)


def players(seed: int) -> tuple[nn.Sequential, Critic]:
    """Return a generator of [B, 3, 2, 2] from codes [B, 4], and a critic of them."""
    torch.manual_seed(seed)
    generator = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 12), nn.Unflatten(1, (3, 2, 2)))
    return generator.double(), Critic().double()


def call(name: str, seed: int = 0, batch: int = 6) -> Tensor:
    generator, critic = players(seed)
    codes = normal(batch, 4, seed=seed)
    return make(name)(generator, critic, codes, generator(codes), stream(seed))


# --- the contract ----------------------------------------------------------------------------------


@every_penalty
@every_seed
def test_one_finite_value_per_code_again_and_again(name: str, seed: int):
    values = call(name, seed)
    assert values.shape == (6,)
    assert values.dtype == torch.float64
    assert values.isfinite().all()
    assert ((values <= 0) if name.startswith("zcr_generator") else (values >= 0)).all()
    torch.testing.assert_close(values, call(name, seed), rtol=0, atol=0)


@pytest.mark.parametrize("name", ALONE)
@every_seed
def test_a_value_does_not_depend_on_the_other_codes(name: str, seed: int):
    generator, critic = players(seed)
    codes, others = normal(6, 4, seed=seed), normal(6, 4, seed=seed + 1)
    others[:3] = codes[:3]
    values, changed = (make(name)(generator, critic, z, generator(z), stream(seed)) for z in (codes, others))
    torch.testing.assert_close(values[:3], changed[:3], rtol=1e-6, atol=1e-12)


@every_penalty
def test_a_batch_of_one_is_evaluated_or_refused(name: str):
    if CASES[name][0] in PAIRED:
        with pytest.raises(InputError, match="a batch of 1"):
            call(name, batch=1)
    else:
        assert call(name, batch=1).isfinite().all()


@every_penalty
def test_gradients_reach_the_player_whose_term_it_is(name: str):
    generator, critic = players(0)
    codes = normal(6, 4, seed=0)
    make(name)(generator, critic, codes, generator(codes), stream(0)).mean().backward()
    # it is the trainer that keeps a generator's term from the critic's weights
    owner, other = (critic, generator) if CASES[name][0] in FOR_THE_CRITIC else (generator, None)
    weights = [parameter for parameter in owner.parameters() if parameter.ndim > 1]
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in weights)
    assert any(weight.grad.abs().max() > 0 for weight in weights)
    if other is not None:
        assert all(parameter.grad is None for parameter in other.parameters())
    assert codes.grad is None


@every_penalty
def test_no_grad_callers_get_a_finite_value(name: str):
    with torch.no_grad():
        values = call(name)
    assert not values.requires_grad
    assert values.isfinite().all()
    if not name.startswith("path_length"):  # whose mean length moves with gradients only
        torch.testing.assert_close(values, call(name).detach())


@every_penalty
@pytest.mark.parametrize("zeroed", ["generator", "critic", "both"])
def test_players_that_are_zero_give_finite_values_and_gradients(name: str, zeroed: str):
    generator, critic = players(0)
    for player in (generator, critic):
        if zeroed in ("both", "generator" if player is generator else "critic"):
            for parameter in player.parameters():
                nn.init.zeros_(parameter)
    codes = normal(6, 4, seed=0)
    values = make(name)(generator, critic, codes, generator(codes), stream(0))
    assert values.isfinite().all()
    values.mean().backward()
    for parameter in [*generator.parameters(), *critic.parameters()]:
        assert parameter.grad is None or parameter.grad.isfinite().all()


@every_penalty
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_huge_samples_and_scores_give_finite_values_and_gradients(name: str, size: float):
    generator, critic = (player.float() for player in players(0))
    with torch.no_grad():
        generator[2].weight.mul_(size)
        critic.head.weight.mul_(size)
    codes = normal(6, 4, seed=0).float()
    values = make(name)(generator, critic, codes, generator(codes), stream(0))
    assert values.isfinite().all()
    values.mean().backward()
    for parameter in [*generator.parameters(), *critic.parameters()]:
        assert parameter.grad is None or parameter.grad.isfinite().all()


@every_penalty
def test_under_autocast_values_are_float32(name: str):
    generator, critic = (player.float() for player in players(0))
    codes = normal(6, 4, seed=0).float()
    with torch.autocast("cpu", torch.bfloat16):
        fake = generator(codes)
        assert fake.dtype == torch.bfloat16
        values = make(name)(generator, critic, codes, fake, stream(0))
    assert values.dtype == torch.float32
    assert values.isfinite().all()
    assert values.abs().max() > 0


@pytest.mark.parametrize("member", GENERATOR_PENALTIES)
@pytest.mark.parametrize("number", [-0.1, float("nan")])
def test_numbers_that_make_no_sense_are_refused(member: str, number: float):
    for argument in inspect.signature(GENERATOR_PENALTIES[member]).parameters:
        if argument in ("method", "categories", "continuous"):
            continue
        with pytest.raises(InputError, match=f"{argument} is {number}"):
            GENERATOR_PENALTIES[member](**{argument: number})


# --- path length -----------------------------------------------------------------------------------


@every_seed
def test_path_lengths_of_a_linear_generator(seed: int):
    """G(z) = s·Qz with orthonormal columns: ‖Jᵀy‖ = s·‖u‖/√pixels, u ~ N(0, I) in as many dimensions as codes have.

    With E‖u‖² = d and E‖u‖ = √2·Γ((d+1)/2)/Γ(d/2) the penalty's mean follows for any a.
    """
    columns, scale, mean, dimensions, pixels = torch.linalg.qr(normal(12, 3, seed=seed))[0], 1.7, 0.9, 3, 4
    matrix = scale * columns
    codes = normal(60_000, 3, seed=seed + 1)
    penalty = make("path_length", weight=1.3, decay=0.0).double()
    assert isinstance(penalty, PathLength)
    penalty.mean_length.fill_(mean)

    def generator(codes: Tensor) -> Tensor:
        return (codes @ matrix.T).view(-1, 3, 2, 2)

    values = penalty(generator, generator, codes, generator(codes), stream(seed))
    chi = math.sqrt(2) * math.gamma((dimensions + 1) / 2) / math.gamma(dimensions / 2)
    first, second = scale * chi / math.sqrt(pixels), scale**2 * dimensions / pixels
    expected = 1.3 * (second - 2 * mean * first + mean**2)
    assert abs(values.mean() - expected) < 4 * values.std() / len(values) ** 0.5


@every_seed
def test_path_length_equals_a_slow_twin(seed: int):
    """The Jacobian of each code by itself, the noise drawn apart; the mean moves before it is used."""
    generator, critic = players(seed)
    penalty, mean, draws, apart = make("path_length", weight=1.3, decay=0.2).double(), 0.0, stream(seed), stream(seed)
    for step in range(4):
        codes = normal(5, 4, seed=10 * seed + step)
        noise = torch.randn(5, 3, 2, 2, generator=apart, dtype=torch.float64) / 2  # √(2·2 pixels)
        lengths = []
        for code, y in zip(codes, noise, strict=True):
            jacobian = torch.autograd.functional.jacobian(lambda z: generator(z[None])[0].flatten(), code)
            lengths.append(float((jacobian.T @ y.flatten()).square().sum().sqrt()))
        mean = mean + 0.2 * (sum(lengths) / 5 - mean)
        values = penalty(generator, critic, codes, generator(codes), draws)
        expected = torch.tensor([1.3 * (length - mean) ** 2 for length in lengths], dtype=torch.float64)
        torch.testing.assert_close(values, expected)
        assert penalty.mean_length.item() == pytest.approx(mean)
    resumed = make("path_length", weight=1.3, decay=0.2).double()
    resumed.load_state_dict(penalty.state_dict())
    resumed.eval()(generator, critic, codes, generator(codes), stream(0))
    assert resumed.mean_length.item() == pytest.approx(mean)


def test_path_length_takes_the_graph_at_hand_and_the_mean_over_layers():
    generator, critic = players(0)
    codes = normal(5, 4, seed=0).requires_grad_()
    fake, calls = generator(codes), []
    handle = generator.register_forward_hook(lambda *_: calls.append(1))
    at_hand = make("path_length")(generator, critic, codes, fake, stream(0))
    assert not calls
    handle.remove()
    torch.testing.assert_close(at_hand, make("path_length")(generator, critic, codes.detach(), fake, stream(0)))

    def layered(codes: Tensor) -> Tensor:  # one code per layer, each with half a say
        return generator(codes.mean(1))

    both = make("path_length", decay=0.0)
    one = both(generator, critic, codes, fake, stream(0))
    two = both(layered, critic, torch.stack([codes, codes], 1).detach(), fake, stream(0))
    torch.testing.assert_close(two, one / 4)  # each layer's gradient is half, their mean square a quarter


@pytest.mark.parametrize(("method", "tolerance"), [("functional", 1e-9), ("finite", 1e-6)])
@pytest.mark.parametrize("shape", [(5, 4), (5, 2, 2)])
def test_path_length_takes_its_gradient_in_any_way(method: str, tolerance: float, shape: tuple[int, ...]):
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 12), nn.Unflatten(1, (3, 2, 2)))
    generator.double()
    codes = torch.randn(*shape, dtype=torch.float64)
    found = []
    for way in ("exact", method):
        values = make("path_length", decay=0.5, method=way).double()(
            generator, abs, codes, generator(codes), stream(3)
        )
        (gradient,) = torch.autograd.grad(values.mean(), generator[1].weight)
        found.append((values.detach(), gradient))
    for other, exact in zip(found[1], found[0], strict=True):
        assert (other - exact).norm() < tolerance * exact.norm()
    assert found[0][1].norm() > 0


def test_samples_that_ignore_their_codes_have_no_path_length():
    with pytest.raises(InputError, match="do not depend on its codes"):
        make("path_length")(lambda z: torch.ones(len(z), 2), abs, torch.zeros(3, 2), torch.ones(3, 2), None)


# --- mode seeking and pulling away -----------------------------------------------------------------


@every_seed
def test_mode_seeking_by_a_double_loop(seed: int):
    codes, fake = normal(5, 4, seed=seed), normal(5, 3, 2, 2, seed=seed + 1)
    values = make("mode_seeking", weight=1.3, epsilon=0.01)(abs, abs, codes, fake, None)
    for i in range(5):
        j = (i + 1) % 5
        apart = [abs(float(a - b)) for a, b in zip(fake[i].flatten(), fake[j].flatten(), strict=True)]
        codes_apart = [abs(float(a - b)) for a, b in zip(codes[i], codes[j], strict=True)]
        ratio = (sum(apart) / 12) / (sum(codes_apart) / 4)
        assert values[i].item() == pytest.approx(1.3 / (ratio + 0.01))


def test_mode_seeking_of_a_linear_generator_is_its_scale():
    codes = normal(6, 4, seed=0)
    values = make("mode_seeking")(abs, abs, codes, -2.5 * codes, None)
    torch.testing.assert_close(values, torch.full((6,), 1 / (2.5 + 1e-5), dtype=torch.float64))


def test_mode_seeking_survives_equal_codes():
    codes = torch.ones(4, 2, dtype=torch.float64)
    fake = torch.ones(4, 3, dtype=torch.float64, requires_grad=True)
    values = make("mode_seeking")(abs, abs, codes, fake, None)
    values.sum().backward()
    assert (values == 0).all()
    assert fake.grad.isfinite().all()


@every_seed
def test_pulling_away_by_a_double_loop(seed: int):
    generator, critic = players(seed)
    fake = generator(normal(5, 4, seed=seed))
    values = make("pulling_away", weight=0.7)(generator, critic, fake, fake, None)
    features, total = critic.encode(fake).detach(), 0.0
    for i, j in itertools.permutations(range(5), 2):
        total += float(features[i] @ features[j] / (features[i].norm() * features[j].norm())) ** 2
    assert values.mean().item() == pytest.approx(0.7 * total / (5 * 4))


def test_orthogonal_features_cost_nothing_and_equal_ones_all():
    _, critic = players(0)
    critic.encoder = nn.Identity()
    penalty = make("pulling_away", weight=0.7)
    basis = torch.eye(4, dtype=torch.float64)
    assert (penalty(abs, critic, basis, 3 * basis, None) == 0).all()
    torch.testing.assert_close(
        penalty(abs, critic, basis, torch.ones_like(basis), None), torch.full((4,), 0.7, dtype=torch.float64)
    )


def test_pulling_away_wants_an_encoder():
    with pytest.raises(InputError, match="Linear without encode"):
        make("pulling_away")(abs, nn.Linear(2, 1), torch.zeros(3, 2), torch.zeros(3, 2), None)


# --- latent consistency ----------------------------------------------------------------------------


@every_seed
def test_latent_consistency_of_linear_players(seed: int):
    """G(z) = Az, D(x) = w·x: λσ²·(wᵀAε)² with mean λσ²‖Aᵀw‖², and -λσ²‖Aε‖²/n with mean -λσ²‖A‖²/n."""
    matrix, weight = normal(6, 3, seed=seed), normal(6, seed=seed + 1)
    codes = normal(40_000, 3, seed=seed + 2)

    def generator(codes: Tensor) -> Tensor:
        return codes @ matrix.T

    def critic(samples: Tensor) -> Tensor:
        return samples @ weight

    expected = {
        "zcr_critic": 1.3 * 0.04 * (matrix.T @ weight).square().sum(),
        "zcr_generator": -1.3 * 0.04 * matrix.square().sum() / 6,
    }
    for name, mean in expected.items():
        values = make(name, weight=1.3, std=0.2)(generator, critic, codes, generator(codes), stream(seed))
        assert abs(values.mean() - mean) < 4 * values.std() / len(values) ** 0.5


@every_seed
def test_latent_consistency_uses_the_noise_of_its_stream(seed: int):
    generator, critic = players(seed)
    codes = normal(5, 4, seed=seed)
    noise = torch.randn(5, 4, generator=stream(seed), dtype=torch.float64)
    fake, near = generator(codes), generator(codes + 0.3 * noise)
    ours = make("zcr_critic", weight=2.0, std=0.3)(generator, critic, codes, fake, stream(seed))
    torch.testing.assert_close(ours, 2 * (critic(fake) - critic(near)).flatten().square())
    ours = make("zcr_generator", weight=2.0, std=0.3)(generator, critic, codes, fake, stream(seed))
    torch.testing.assert_close(ours, -2 * (fake - near).flatten(1).square().mean(1))
