"""How exact is `slope(method="finite")`? The parameter gradient of a penalty, float32 against exact float64.

    python benchmarks/finite_slopes.py [--seeds 4] [--batch 32]

The penalty is WGAN-GP's at noise, on convolutional critics of 3×32×32 that differ in their activation and on an MLP;
weights only (a bias of a piecewise linear critic has no gradient of its own). One JSON line per critic: the relative
errors over the seeds, smallest and largest. Smooth critics have to stay below 1e-3; the others have no bar.
"""

import argparse
import json
import sys

import torch
from torch import Tensor, nn

from adversarium.penalties import slope

SMOOTH = {"tanh": nn.Tanh, "SiLU": nn.SiLU, "softplus": nn.Softplus, "GELU": nn.GELU}
KINKED = {"ReLU": nn.ReLU, "leaky ReLU": nn.LeakyReLU}


def convolutional(activation: type[nn.Module]) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 32, 4, 2, 1), activation(), nn.Conv2d(32, 64, 4, 2, 1), activation(), nn.Flatten(),
        nn.Linear(4096, 1), nn.Flatten(0),
    )  # fmt: skip


def connected(activation: type[nn.Module]) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(3072, 256), activation(), nn.Linear(256, 256), activation(), nn.Linear(256, 1),
        nn.Flatten(0),
    )  # fmt: skip


def error(build: object, activation: type[nn.Module], batch: int, seed: int) -> float:
    torch.manual_seed(seed)
    critic, samples = build(activation), torch.randn(batch, 3, 32, 32)

    def gradient(method: str, dtype: torch.dtype) -> Tensor:
        critic.to(dtype).zero_grad()
        (slope(critic, samples.to(dtype), method) - 1).square().mean().backward()
        return torch.cat([each.grad.double().flatten() for each in critic.parameters() if each.ndim > 1])

    exact = gradient("exact", torch.float64)
    return float((gradient("finite", torch.float32) - exact).norm() / exact.norm())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--batch", type=int, default=32)
    options = parser.parse_args()
    good = True
    for name, activation in (SMOOTH | KINKED).items():
        for build in (convolutional, connected):
            errors = [error(build, activation, options.batch, seed) for seed in range(options.seeds)]
            good &= name in KINKED or max(errors) < 1e-3
            shown = {"critic": f"{build.__name__}, {name}", "errors": [f"{min(errors):.1e}", f"{max(errors):.1e}"]}
            print(json.dumps(shown), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
