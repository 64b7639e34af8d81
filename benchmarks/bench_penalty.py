"""What a penalty costs: a critic step with it over the same step without one.

    python benchmarks/bench_penalty.py [--rounds 11] [--all] [--compiled] [--precision fp32|bf16] [--threads N]
        [--clock wall|cpu]

DCGAN's critic on 32×32×3, width 64, batch 64, channels_last as the trainer keeps it; loss, penalty, backward and
Adam's step, at the precision that the trainer would choose unless told. `--all` adds every other member of PENALTIES
and the other ways to take a slope, `--compiled` compiled steps over the eager ones; these have no bar.
"""

import argparse
import sys
from collections.abc import Callable

import torch
from _measure import CLOCKS, in_turn, milliseconds, ratios, report

from adversarium import losses
from adversarium.nets import dcgan
from adversarium.penalties import PENALTIES
from adversarium.train import CriticSide, compiled_critic_side, critic_side
from adversarium.train.precision import autocast, resolve_precision
from adversarium.types import Objective, Term

CPU = torch.device("cpu")
BATCH = 64
PAIRED, WASSERSTEIN = losses.relativistic(), losses.wasserstein()


def terms(*names: str, fraction: float = 1.0, **arguments: object) -> tuple[Term, ...]:
    return tuple(Term(name=name, penalty=PENALTIES[name](**arguments), fraction=fraction) for name in names)


# name: the objective, the same without its penalties, the bar
BARS = {
    "r1 + r2": (Objective(loss=PAIRED, critic_terms=terms("r1", "r2")), "paired", 2.4),
    "r1 + r2, fraction 0.5": (Objective(loss=PAIRED, critic_terms=terms("r1", "r2", fraction=0.5)), "paired", 1.75),
    "wgan_gp": (Objective(loss=WASSERSTEIN, critic_terms=terms("wgan_gp")), "wasserstein", 2.4),
    "wgan_gp, fraction 0.5": (
        Objective(loss=WASSERSTEIN, critic_terms=terms("wgan_gp", fraction=0.5)),
        "wasserstein",
        1.75,
    ),
}
COMPILED = ("wgan_gp", "r1 + r2")
OTHERS = {
    **{
        name: (Objective(loss=WASSERSTEIN, critic_terms=terms(name)), "wasserstein", None)
        for name in PENALTIES
        if name != "wgan_gp"
    },
    **{
        f"wgan_gp, {method}": (
            Objective(loss=WASSERSTEIN, critic_terms=terms("wgan_gp", method=method)),
            "wasserstein",
            None,
        )
        for method in ("functional", "finite")
    },
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--all", action="store_true", help="every penalty, and every way to take a slope")
    parser.add_argument("--compiled", action="store_true", help="compiled steps over eager ones, without a bar")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--threads", type=int, help="torch's threads (default: torch's own choice)")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: where others keep the machine busy")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    precision = resolve_precision(options.precision, CPU, is_image=True)
    rng = torch.Generator().manual_seed(0)
    critic = dcgan.critic((3, 32, 32), width=64, batch_norm=False, rng=rng).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-4, fused=True)
    real, fake = torch.randn(2, BATCH, 3, 32, 32, generator=rng).unbind()

    class Score(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.critic = critic

        def forward(self, samples: torch.Tensor) -> torch.Tensor:
            with autocast(precision, CPU):
                return self.critic(samples)

    score = Score()

    def step(objective: Objective, side: Callable[..., CriticSide] = critic_side) -> Callable[[], None]:
        def run() -> None:
            optimizer.zero_grad(set_to_none=True)
            parts = side(objective, score, real, fake, rng).parts
            torch.stack(list(parts.values())).sum().backward()
            optimizer.step()

        return run

    cases, timed = BARS | (OTHERS if options.all else {}), {}
    candidates = {"paired": step(Objective(loss=PAIRED)), "wasserstein": step(Objective(loss=WASSERSTEIN))}
    candidates |= {name: step(objective) for name, (objective, _, _) in cases.items()}
    if options.compiled:
        for name in COMPILED:
            candidates[f"{name}, compiled"] = step(cases[name][0], compiled_critic_side())
            cases[f"{name}, compiled over eager"] = (cases[name][0], name, None)
            timed[f"{name}, compiled over eager"] = f"{name}, compiled"
    times = in_turn(candidates, rounds=options.rounds, warm_up=2, clock=options.clock)
    results = [
        report(
            f"penalty/{name}/dcgan-3x32x32/batch{BATCH}/{precision}",
            ratios(times, timed.get(name, name), without),
            at_most=bar,
            clock=options.clock,
            threads=torch.get_num_threads(),
            with_ms=milliseconds(times[timed.get(name, name)]),
            without_ms=milliseconds(times[without]),
        )
        for name, (_, without, bar) in cases.items()
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
