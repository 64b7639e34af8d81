"""Does a study find what is known? Mode loss on a grid of Gaussians, clipping on the swiss roll.

    python benchmarks/known_answers.py [--seeds 10] [--out DIR] [--only grid]

grid (WGAN-GP's 25 Gaussians): the plain GAN loses modes; packs of two samples (PacGAN, arXiv:1712.04086) and R1 + R2
(arXiv:2501.05441) keep more. All on 8,000 gradients, networks of three hidden layers of 64 units, Adam at 3e-3
(0, 0.95), decayed to 0; ranked by the modes among 2,500 samples.

swiss_roll: weight clipping (WGAN, arXiv:1701.07875) is worse than the gradient penalty (WGAN-GP, arXiv:1704.00028).
Each at its published settings, lambda 0.1 as in WGAN-GP's own toys, on 12,000 gradients; ranked by the sliced
Wasserstein distance.

Each is an ordinary study, by the package's own command, with a report in its folder; one that was stopped goes on.
Prints the medians and the corrected p of the pairs; ends with code 1 where an answer was not found at p < 0.01.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from adversarium.cli import main as adversarium
from adversarium.study.conduct import Study

LEVEL = 0.01

_ADAM = "--critic-learning-rate 3e-3 --generator-learning-rate 3e-3 --beta1 0 --beta2 0.95 --decay cosine"

STUDIES = {
    "grid": [
        *("gaussians25", "--budget", "8000gradients", "--width", "64", "--latent-dim", "2"),
        *("--protocol", "modes2500_raw_test", "--others", "high_quality2500_raw_test,reverse_kl2500_raw_test"),
        *("--method", f"gan: --preset nsgan --batch-size 96 {_ADAM} --decay-kimg 384"),
        *("--method", f"packs of 2: --preset nsgan --batch-size 192 --packing 2 {_ADAM} --decay-kimg 768"),
        "--method",
        "R1 + R2: --preset nsgan --loss relativistic --penalties 'r1(gamma=0.1), r2(gamma=0.1)' "
        f"--batch-size 96 {_ADAM} --decay-kimg 384",
    ],
    "swiss_roll": [
        *("swiss_roll", "--budget", "12000gradients", "--width", "128", "--batch-size", "256"),
        *(
            "--method",
            "clipping: --preset wgan",
            "--method",
            "gradient penalty: --preset wgan-gp --penalty-scale 0.01",
        ),
    ],
}

KNOWN = {
    "grid": [("packs of 2", "gan"), ("R1 + R2", "gan")],
    "swiss_roll": [("gradient penalty", "clipping")],
}
"""Which method is better than which."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "known_answers")
    parser.add_argument("--only", choices=list(STUDIES))
    arguments = parser.parse_args()
    missed = 0
    for name in [arguments.only] if arguments.only else STUDIES:
        folder = arguments.out / name
        code = adversarium(["study", *STUDIES[name], "--seeds", str(arguments.seeds), "--out", str(folder)])
        if code:
            return code
        found = Study.open(folder).compared()
        print(
            f"\n{name}: {found.protocol}, {found.seeds} seeds\n\n"
            "| method | median [interval] | values |\n|---|---|---|"
        )
        for each in found.standings:
            low, high = each.interval
            print(f"| {each.method} | {each.median} [{low}, {high}] | {', '.join(map(str, each.values))} |")
        for better, worse in KNOWN[name]:
            pair = next(each for each in found.pairs if {each.better, each.worse} == {better, worse})
            right = pair.better == better and pair.adjusted < LEVEL
            missed += not right
            print(f"{better} better than {worse}: corrected p {pair.adjusted:.4f}{'' if right else '  NOT FOUND'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
