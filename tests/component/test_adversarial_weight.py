"""The adversarial weight against gradients known by hand."""

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from adversarium.component import AdversarialWeight
from adversarium.errors import InputError


class Linear(nn.Module):
    """A decoder whose gradients fit on a line: y = Wz."""

    def __init__(self, rng: torch.Generator, codes: int = 4, outputs: int = 5) -> None:
        super().__init__()
        self.decoder = nn.Module()
        self.decoder.conv_out = nn.Linear(codes, outputs, bias=False)
        nn.init.normal_(self.decoder.conv_out.weight, generator=rng)
        self.unused = nn.Linear(2, 2)

    def forward(self, codes: Tensor) -> Tensor:
        return self.decoder.conv_out(codes)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def losses_of(network: nn.Module, codes: Tensor, wanted: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    made = network(codes)
    return (made - wanted).square().sum(1).mean(), -(made @ direction).mean()


def problem(rng: torch.Generator, batch: int = 6) -> tuple[Linear, Tensor, Tensor, Tensor]:
    draw = [torch.randn(shape, generator=rng) for shape in ((batch, 4), (batch, 5), (5,))]
    return Linear(rng), draw[0], draw[1], draw[2]


def by_hand(network: Linear, codes: Tensor, wanted: Tensor, direction: Tensor) -> float:
    """‖2/B·Σ(Wz - x)zᵀ‖ / (‖a‖·‖mean z‖ + ε)."""
    matrix = network.decoder.conv_out.weight.detach().double()
    codes, wanted, direction = codes.double(), wanted.double(), direction.double()
    error = codes @ matrix.T - wanted
    reconstruction = 2 / len(codes) * (error.T @ codes)
    return (reconstruction.norm() / (direction.norm() * codes.mean(0).norm() + 1e-4)).item()


@pytest.mark.parametrize("seed", range(5))
def test_weight_is_the_ratio_of_the_gradients_at_the_layer(seed: int):
    network, *batch = problem(seeded(seed))
    weight = AdversarialWeight(network)(*losses_of(network, *batch), 0)
    assert weight.dtype == torch.float32
    assert weight.shape == ()
    assert not weight.requires_grad
    assert weight.item() == pytest.approx(by_hand(network, *batch), rel=1e-5)


def test_floor_ceiling_and_scale():
    network, *batch = problem(seeded())
    ratio = by_hand(network, *batch)
    for floor, ceiling, wanted in ((0, ratio / 2, ratio / 2), (2 * ratio, 9 * ratio, 2 * ratio), (0, 1e4, ratio)):
        weight = AdversarialWeight(network, floor=floor, ceiling=ceiling, scale=0.3)
        assert weight(*losses_of(network, *batch), 0).item() == pytest.approx(0.3 * wanted, rel=1e-5)


def test_start_and_warm_up():
    network, *batch = problem(seeded())
    ratio = by_hand(network, *batch)
    weight = AdversarialWeight(network, start_step=3, warmup_steps=4)
    ramps = [weight(*losses_of(network, *batch), step).item() / ratio for step in range(10)]
    assert ramps == pytest.approx([0, 0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1], rel=1e-5)
    sudden = AdversarialWeight(network, start_step=2)
    ramps = [sudden(*losses_of(network, *batch), step).item() / ratio for step in range(4)]
    assert ramps == pytest.approx([0, 0, 1, 1], rel=1e-5)
    assert sudden.updates == 2


def test_before_the_start_only_the_first_call_differentiates():
    network, *batch = problem(seeded())
    weight = AdversarialWeight(network, "unused", start_step=100)
    with pytest.raises(InputError, match="reconstruction_loss does not reach layer 'unused.weight'"):
        weight(*losses_of(network, *batch), 0)
    weight = AdversarialWeight(network, start_step=100)
    weight(*losses_of(network, *batch), 0)
    assert weight(torch.zeros(()), torch.zeros(()), 1) == 0  # no graph is asked for


def test_momentum_is_a_moving_average_from_the_first_ratio_on():
    network, *_ = problem(seeded())
    weight, average = AdversarialWeight(network, momentum=0.9), None
    for seed in range(5):
        _, *batch = problem(seeded(seed))
        ratio = by_hand(network, *batch)
        average = ratio if average is None else 0.9 * average + 0.1 * ratio
        assert weight(*losses_of(network, *batch), seed).item() == pytest.approx(average, rel=1e-5)


def test_it_keeps_the_graph_and_fills_no_gradient():
    network, *batch = problem(seeded())
    reconstruction, adversarial = losses_of(network, *batch)
    weight = AdversarialWeight(network)(reconstruction, adversarial, 0)
    assert all(each.grad is None for each in network.parameters())
    (reconstruction + weight * adversarial).backward()
    error = batch[0] @ network.decoder.conv_out.weight.detach().T - batch[1]
    wanted = 2 / 6 * error.T @ batch[0] - weight * batch[2][:, None] * batch[0].mean(0)
    torch.testing.assert_close(network.decoder.conv_out.weight.grad, wanted, rtol=1e-4, atol=1e-5)


class Poison(torch.autograd.Function):
    """The identity, whose gradient is whatever is asked for."""

    @staticmethod
    def forward(ctx, x: Tensor, value: float) -> Tensor:
        ctx.value = value
        return x.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return torch.full_like(gradient, ctx.value), None


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("value", [float("inf"), float("nan"), -float("inf")])
def test_a_gradient_that_is_not_finite_is_not_used(side: int, value: float):
    network, *batch = problem(seeded())
    weight = AdversarialWeight(network, floor=0.5)

    def poisoned(step: int) -> Tensor:
        both = list(losses_of(network, *batch))
        # at the layer itself: on the way to it infinities of both signs would add up to NaN
        both[side] = both[side] + Poison.apply(network.decoder.conv_out.weight, value).sum()
        return weight(*both, step)

    with pytest.warns(RuntimeWarning, match="decoder.conv_out.weight' were not finite"):
        assert poisoned(0) == 0  # there is none before
    good = weight(*losses_of(network, *batch), 1)
    assert good.item() == pytest.approx(max(by_hand(network, *batch), 0.5), rel=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert poisoned(2) == good
    assert (weight.non_finite, weight.updates) == (2, 1)


def test_state_round_trip():
    network, *batch = problem(seeded())
    first = AdversarialWeight(network, momentum=0.9)
    first(*losses_of(network, *batch), 0)
    state = first.state_dict()
    assert set(state) == {"ratio", "updates", "non_finite"}  # and not the network's weights
    second = AdversarialWeight(network, momentum=0.9)
    second.load_state_dict(state)
    _, *batch = problem(seeded(9))
    assert first(*losses_of(network, *batch), 1) == second(*losses_of(network, *batch), 1)
    assert list(first.parameters()) == []


def test_validation_moves_nothing():
    network, *batch = problem(seeded())
    weight = AdversarialWeight(network)
    last = weight(*losses_of(network, *batch), 0)
    _, *other = problem(seeded(1))
    with torch.no_grad():
        assert weight(*losses_of(network, *other), 1) == last
    weight.eval()
    assert weight(*losses_of(network, *other), 1) == last
    assert weight.updates == 1


def test_a_result_does_not_change_afterwards():
    network, *batch = problem(seeded())
    weight = AdversarialWeight(network)
    first = weight(*losses_of(network, *batch), 0)
    before = first.clone()
    _, *other = problem(seeded(1))
    assert weight(*losses_of(network, *other), 1) != before
    assert first == before


def test_a_factor_common_to_both_losses_cancels():
    network, *batch = problem(seeded())
    scaler = 2.0**12
    reconstruction, adversarial = losses_of(network, *batch)
    plain = AdversarialWeight(network, epsilon=1e-8)(reconstruction, adversarial, 0)
    scaled = AdversarialWeight(network, epsilon=1e-8)(scaler * reconstruction, scaler * adversarial, 0)
    torch.testing.assert_close(scaled, plain)


def test_under_autocast():
    network, *batch = problem(seeded(), batch=64)
    with torch.autocast("cpu", torch.bfloat16):
        made = network(batch[0])
        assert made.dtype == torch.bfloat16
        made = made.float()
        weight = AdversarialWeight(network)(
            (made - batch[1]).square().sum(1).mean(), -(made * batch[2]).sum(1).mean(), 0
        )
    assert weight.dtype == torch.float32
    assert weight.item() == pytest.approx(by_hand(network, *batch), rel=0.02)


def test_networks_in_double_and_half_precision():
    for dtype, tolerance in ((torch.float64, 1e-6), (torch.bfloat16, 0.05)):
        network, *batch = problem(seeded(), batch=16)
        network, batch = network.to(dtype), [each.to(dtype) for each in batch]
        weight = AdversarialWeight(network)(*losses_of(network, *batch), 0)
        assert weight.dtype == torch.float32
        assert weight.item() == pytest.approx(by_hand(network, *batch), rel=tolerance)


def test_a_layer_is_named_by_its_parameter_or_its_module():
    network, *batch = problem(seeded())
    names = ("decoder.conv_out", "decoder.conv_out.weight")
    found = [AdversarialWeight(network, name)(*losses_of(network, *batch), 0) for name in names]
    assert found[0] == found[1]


def test_layers_that_cannot_be_meant():
    network, *batch = problem(seeded())
    with pytest.raises(InputError, match="no layer 'decoder.convout' .did you mean 'decoder.conv_out'"):
        AdversarialWeight(network, "decoder.convout")
    with pytest.raises(InputError, match="last matrix or filter is 'unused.weight'"):
        AdversarialWeight(network, "zzz")
    with pytest.raises(InputError, match="without parameters"):
        AdversarialWeight(nn.ReLU())
    normed = nn.Sequential(weight_norm(nn.Linear(2, 2)))
    with pytest.raises(InputError, match=r"0.parametrizations.weight.original0.*: wanted one of them"):
        AdversarialWeight(normed, "0")
    frozen = AdversarialWeight(network)
    network.requires_grad_(False)
    with pytest.raises(InputError, match="is frozen"):
        frozen(*losses_of(network, *batch), 0)


def test_losses_that_cannot_be_meant():
    network, *batch = problem(seeded())
    reconstruction, adversarial = losses_of(network, *batch)
    weight = AdversarialWeight(network)
    with pytest.raises(InputError, match="adversarial_loss does not reach"):
        weight(reconstruction, adversarial.detach(), 0)
    with pytest.raises(InputError, match=r"reconstruction_loss has shape \[2\]"):
        weight(reconstruction.expand(2), adversarial, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"floor": 2.0, "ceiling": 1.0}, "floor is 2.0 and ceiling 1.0"),
        ({"floor": -1.0}, "floor is -1.0"),
        ({"scale": float("nan")}, "scale is nan"),
        ({"epsilon": 0.0}, "epsilon is 0.0"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"start_step": -1}, "start_step is -1"),
        ({"warmup_steps": -1}, "warmup_steps is -1"),
    ],
)
def test_numbers_that_cannot_be_meant(options: dict[str, float], message: str):
    with pytest.raises(InputError, match=message):
        AdversarialWeight(Linear(seeded()), **options)


def _one_of_two(rank: int, file: str) -> None:
    from torch import distributed
    from torch.nn.parallel import DistributedDataParallel

    distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    network, *batch = problem(seeded())
    wrapped = DistributedDataParallel(network.decoder.conv_out)
    half = [*(each[3 * rank : 3 * rank + 3] for each in batch[:2]), batch[2]]
    whole = AdversarialWeight(network, group=distributed.group.WORLD)
    local = AdversarialWeight(network)
    reconstruction, adversarial = losses_of(wrapped, *half)
    weights = whole(reconstruction, adversarial, 0), local(reconstruction, adversarial, 0)
    assert weights[0].item() == pytest.approx(by_hand(network, *batch), rel=1e-5)
    assert weights[1].item() == pytest.approx(by_hand(network, *half), rel=1e-5)
    (reconstruction + weights[0] * adversarial).backward()  # DDP still averages what it should
    error = batch[0] @ network.decoder.conv_out.weight.detach().T - batch[1]
    wanted = 2 / 6 * error.T @ batch[0] - weights[0] * batch[2][:, None] * batch[0].mean(0)
    torch.testing.assert_close(network.decoder.conv_out.weight.grad, wanted, rtol=1e-4, atol=1e-5)
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_find_the_weight_of_the_whole_batch(tmp_path):
    torch.multiprocessing.spawn(_one_of_two, (str(tmp_path / "store"),), nprocs=2)
