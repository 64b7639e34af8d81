"""A gradient penalty's time, forward to weight gradients: `penalties.wgan_gp` against torch's own second derivatives.

    python benchmarks/bench_slope.py [--rounds 15] [--threads N] [--clock wall|cpu]

The critic is a DCGAN's, 32×32×3, width 64, batch 64, channels_last as the trainer keeps it and contiguous as builders
mostly do. The ratio is torch's time / ours; the parameter gradients are compared first.
"""

import argparse
import sys
from collections.abc import Callable

import torch
from _measure import CLOCKS, in_turn, milliseconds, ratios, report
from torch import Tensor, nn

from adversarium.nets import dcgan
from adversarium.penalties import wgan_gp
from adversarium.train.precision import autocast, has_native_bf16

CPU = torch.device("cpu")


def plain(critic: Callable[[Tensor], Tensor], samples: Tensor) -> Tensor:
    """Return WGAN-GP's penalty at the samples as tutorials write it."""
    samples = samples.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(samples).float().sum(), samples, create_graph=True)
    return 10 * (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    samples = torch.randn(64, 3, 32, 32)
    for layout in (torch.contiguous_format, torch.channels_last):
        for precision in ("fp32", "bf16") if has_native_bf16(CPU) else ("fp32",):
            network = dcgan.critic((3, 32, 32), width=64, batch_norm=False, rng=torch.Generator().manual_seed(0))
            network.to(memory_format=layout)

            def critic(x: Tensor, network: nn.Module = network, precision: str = precision) -> Tensor:
                with autocast(precision, CPU):
                    return network(x)

            def ours(critic: Callable[[Tensor], Tensor] = critic) -> None:
                # real = fake: every interpolated point is the sample itself, as in the plain penalty
                wgan_gp()(critic, samples, samples).mean().backward()

            def theirs(critic: Callable[[Tensor], Tensor] = critic) -> None:
                plain(critic, samples).backward()

            gradients = []
            for compute in (ours, theirs):
                network.zero_grad()
                compute()
                gradients.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.ndim > 1]))
            error = float((gradients[0] - gradients[1]).norm() / gradients[1].norm())
            assert error < (1e-5 if precision == "fp32" else 2e-2), f"the gradients differ by {error}"
            times = in_turn({"ours": ours, "torch": theirs}, rounds=options.rounds, warm_up=3, clock=options.clock)
            report(
                f"penalty/wgan_gp/dcgan-3x32x32/batch64/{precision}/{str(layout).removeprefix('torch.')}",
                ratios(times, "torch", "ours"),
                clock=options.clock,
                threads=torch.get_num_threads(),
                torch_ms=milliseconds(times["torch"]),
                ours_ms=milliseconds(times["ours"]),
                gradient_error=error,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
