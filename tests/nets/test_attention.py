"""The attending head against its formula, and the two-headed critic."""

import pytest
import torch
from torch import nn

from adversarium.errors import InputError
from adversarium.losses import attention_relativistic
from adversarium.nets.attention import AttentionHead, AttentionRelativisticCritic


def head(features: int = 16, *, gain: float = 0.7, seed: int = 0) -> AttentionHead:
    attention = AttentionHead(features, rng=torch.Generator().manual_seed(seed)).double()
    attention.gain.data.fill_(gain)
    return attention


def maps(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_published_formula_in_loops():
    attention, x = head(), maps(2, 16, 3, 2)
    query, key, value = (layer.weight for layer in (attention.query, attention.key, attention.value))
    assert query.shape == key.shape == (2, 16)
    expected = x.clone()
    for b in range(2):
        places = [(i, j) for i in range(3) for j in range(2)]
        for i, j in places:
            energies = torch.stack([(query @ x[b, :, i, j]) @ (key @ x[b, :, k, n]) for k, n in places])
            shares = energies.exp() / energies.exp().sum()
            for share, (k, n) in zip(shares, places, strict=True):
                expected[b, :, i, j] += attention.gain * share * (value @ x[b, :, k, n])
    torch.testing.assert_close(attention(x), expected)


def test_without_gain_nothing_is_added():
    x = maps(2, 16, 4, 4)
    assert torch.equal(head(gain=0.0)(x), x)
    assert AttentionHead(8, rng=torch.Generator()).gain.item() == 0  # as published at the start


def test_positions_can_be_permuted():
    attention, x = head(), maps(2, 16, 3, 4)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(2))

    def permute(y: torch.Tensor) -> torch.Tensor:
        return y.flatten(2)[..., order].view_as(y)

    torch.testing.assert_close(attention(permute(x)), permute(attention(x)))
    critic = AttentionRelativisticCritic(nn.Identity(), 16, rng=torch.Generator().manual_seed(0)).double()
    critic.attention.gain.data.fill_(0.7)
    torch.testing.assert_close(critic(permute(x)), critic(x))


def test_a_critic_for_images_with_two_columns_of_scores():
    body = nn.Sequential(nn.Conv2d(3, 16, 4, 2, 1), nn.LeakyReLU(0.2))
    state = torch.random.get_rng_state()
    critic = AttentionRelativisticCritic(body, 16, rng=torch.Generator().manual_seed(0))
    assert torch.equal(torch.random.get_rng_state(), state)
    again = AttentionRelativisticCritic(body, 16, rng=torch.Generator().manual_seed(0))
    for ours, theirs in zip(critic.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    for size in (8, 12):
        assert critic(torch.randn(5, 3, size, size)).shape == (5, 2)
    loss = attention_relativistic()
    values = loss.critic(critic(torch.randn(5, 3, 8, 8)), critic(torch.randn(5, 3, 8, 8)))
    values.mean().backward()
    assert all(parameter.grad is not None for parameter in critic.parameters())


def test_it_can_be_differentiated_twice():
    attention, x = head(8), maps(1, 8, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(attention, x)
    assert torch.autograd.gradgradcheck(attention, x)


def test_features_are_needed():
    with pytest.raises(InputError, match="features is 0"):
        AttentionHead(0, rng=torch.Generator())
