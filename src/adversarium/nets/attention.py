"""Self-attention over an image's positions, and a critic with an attending and a plain head."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from adversarium.errors import require
from adversarium.nets._build import init_uniform, untouched_global_rng


class AttentionHead(nn.Module):
    """Let each position of a feature map look at all others: ``[B, F, h, w]`` to the same shape.

    o_i = x_i + γ·Σ_j softmax_j(q(x_i)·k(x_j))·v(x_j), with q, k and v linear maps of the features at a position
    (1×1 convolutions), q and k to F/8 of them, and a learned γ that starts at 0 (Zhang et al. 2018, "Self-Attention
    Generative Adversarial Networks", arXiv:1805.08318). As there, the scores are not divided by √(F/8). Written with
    matrix products and a softmax, so that it can be differentiated twice.

    Raises:
        InputError: no features.
    """

    def __init__(self, features: int, *, rng: torch.Generator) -> None:
        super().__init__()
        require(features >= 1, f"features is {features}: wanted at least 1")
        narrow = max(1, features // 8)
        with untouched_global_rng():
            self.query = nn.Linear(features, narrow, bias=False)
            self.key = nn.Linear(features, narrow, bias=False)
            self.value = nn.Linear(features, features, bias=False)
        self.gain = nn.Parameter(torch.zeros(()))
        init_uniform(self, rng)

    def forward(self, x: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch features h w"]:
        """Return the map with what each position saw added."""
        places = x.flatten(2).transpose(1, 2)  # [B, h·w, F]
        weights = (self.query(places) @ self.key(places).transpose(1, 2)).softmax(-1)
        seen = weights @ self.value(places)
        added: Tensor = self.gain * seen.transpose(1, 2).unflatten(2, x.shape[2:])
        return x + added


class AttentionRelativisticCritic(nn.Module):
    """A critic with two heads on one body, for ``losses.attention_relativistic``: scores ``[B, 2]``.

    Column 0 is a linear score of the features' mean over all positions, column 1 the same after self-attention. A
    body that treats positions alike makes both blind to their order.

    Args:
        body: ``[B, C, H, W]`` to ``[B, F, h, w]``.
        features: F.
        rng: draws the heads' weights.
    """

    def __init__(self, body: nn.Module, features: int, *, rng: torch.Generator) -> None:
        super().__init__()
        self.body = body
        self.attention = AttentionHead(features, rng=rng)
        with untouched_global_rng():
            self.plain_score = nn.Linear(features, 1)
            self.attended_score = nn.Linear(features, 1)
        for head in (self.plain_score, self.attended_score):
            init_uniform(head, rng)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch 2"]:
        """Return the plain and the attended score of each image."""
        features = self.body(x)
        plain = self.plain_score(features.mean((2, 3)))
        attended = self.attended_score(self.attention(features).mean((2, 3)))
        return torch.cat([plain, attended], dim=1)
