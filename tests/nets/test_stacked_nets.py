"""Stacked networks: each network's rows get what it makes of them, with all derivatives, wherever the rows lie."""

import copy

import pytest
import torch
from torch import Tensor, nn

from adversarium.errors import InputError
from adversarium.nets import NETWORKS
from adversarium.nets.stacked import StackedNetwork
from adversarium.penalties import slope


class Residual(nn.Module):
    """What no sequence of known layers is."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.LayerNorm(width))
        self.last = nn.Linear(width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(x + nn.functional.relu(self.inner(x))).flatten()
        return found


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def networks(kind: str, count: int = 3) -> list[nn.Module]:
    shape = (2, 3, 2) if kind == "mlp" else (4,)
    made = []
    for seed in range(count):
        if kind == "residual":
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                made.append(Residual(4))
        elif kind == "generator":
            made.append(NETWORKS["vector-mlp"].generator((4,), 4, width=7, rng=rng(seed)))
        else:
            made.append(NETWORKS[kind].critic(shape, width=5, batch_norm=False, rng=rng(seed)))
    return [each.double() for each in made]


KINDS = ["vector-mlp", "mlp", "vector-autoencoder", "generator", "residual"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_network_answers_for_its_own_rows(kind: str) -> None:
    alone = networks(kind)
    stacked = StackedNetwork(alone)
    x = torch.randn(15, *((2, 3, 2) if kind == "mlp" else (4,)), generator=rng(9), dtype=torch.float64)
    found = stacked(x)
    for index, network in enumerate(alone):
        torch.testing.assert_close(found[index::3], network(x[index::3]))
        torch.testing.assert_close(stacked.network(index)(x[index::3]), network(x[index::3]))
    # batches may be joined and cut at whole rounds
    torch.testing.assert_close(stacked(torch.cat([x[:6], x[6:]])), torch.cat([stacked(x[:6]), stacked(x[6:])]))


@pytest.mark.parametrize("kind", ["vector-mlp", "mlp", "residual"])
@pytest.mark.parametrize("method", ["exact", "functional"])
def test_gradients_of_slopes_are_each_networks_own(kind: str, method: str) -> None:
    alone = networks(kind)
    stacked = StackedNetwork(alone)
    x = torch.randn(12, *((2, 3, 2) if kind == "mlp" else (4,)), generator=rng(8), dtype=torch.float64)
    slope(stacked, x, method).square().sum().backward()
    for index, network in enumerate(alone):
        slope(network, x[index::3], method).square().sum().backward()
        for parameter, weight in zip(network.parameters(), stacked.weights, strict=True):
            if parameter.grad is not None:
                torch.testing.assert_close(weight.grad[index], parameter.grad)


def test_shared_networks_are_views() -> None:
    alone = networks("vector-mlp")
    stacked = StackedNetwork(alone)
    stacked.share(alone)
    with torch.no_grad():
        stacked.weights[0].mul_(2)
        next(alone[1].parameters())[0, 0] = 7.0
    assert torch.equal(next(alone[2].parameters()), stacked.weights[0][2])
    assert stacked.weights[0][1, 0, 0] == 7
    assert len(stacked.state_dict()) == len(alone[0].state_dict())


def test_what_cannot_be_stacked_is_named() -> None:
    normalised = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with pytest.raises(InputError, match=r"1 \(BatchNorm1d\) has a buffer"):
        StackedNetwork([normalised, copy.deepcopy(normalised)])
    hooked = nn.Sequential(nn.Linear(2, 2))
    hooked.register_forward_hook(lambda *_: None)
    with pytest.raises(InputError, match="hooks"):
        StackedNetwork([hooked])
    with pytest.raises(InputError, match="differ"):
        StackedNetwork([nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.Sequential(nn.Linear(2, 2), nn.Tanh())])
    with pytest.raises(InputError, match="at least one"):
        StackedNetwork([])
