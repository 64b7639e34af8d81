"""``adversarium sample``."""

import sys
from collections.abc import Sequence
from pathlib import Path

from adversarium.cli.parser import Parser
from adversarium.errors import InputError


def run(arguments: Sequence[str]) -> int:
    """Draw samples of a run's generator into a file."""
    parser = Parser("sample", "Draw samples of a trained generator.")
    parser.add_argument("run", metavar="RUN", help="the run's folder")
    parser.add_argument("-n", type=int, default=64, metavar="N", help="how many (default: 64)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the latent codes (default: 0)")
    parser.add_argument("--out", required=True, metavar="F", help="a .png (a grid) or a .npz (an array)")
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument(
        "--label",
        metavar="L,...",
        help="of a conditional run, by turns: names of classes, or where none is named by a number also their numbers "
        "from 0; infogan's categories (default: all labels)",
    )
    asked.add_argument("--no-label", action="store_true", help="ask for no label (a run with --drop-condition)")
    asked.add_argument(
        "--conditions", metavar="FILE", help="a .npy of vectors [N, E], of a run that generates by them"
    )
    parser.add_argument(
        "--guidance",
        type=float,
        default=1.0,
        metavar="S",
        help="go beyond the label that is asked for (a run with --drop-condition; 1: not at all, 2: twice as far)",
    )
    parser.add_argument("--raw", action="store_true", help="the generator as trained, not its average (EMA)")
    parser.add_argument(
        "--checkpoint", metavar="FILE", help="this checkpoint, or the word best (default: the newest whole one)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: auto)")
    parser.add_argument("--force", action="store_true", help="replace F if it exists")
    options = parser.parse(arguments)
    out = Path(options.out)
    if not 0 <= options.seed < 2**63:
        raise InputError(f"--seed {options.seed}: wanted a number from 0 to 2^63 - 1")

    from adversarium.train.sample import check_writable, conditions_asked, load_generator, sample_run, write_samples

    check_writable(out, force=options.force)
    trained = load_generator(
        Path(options.run),
        average=not options.raw,
        checkpoint=Path(options.checkpoint) if options.checkpoint else None,
        device=options.device,
    )
    for problem in trained.problems:
        print(f"warning: {problem}", file=sys.stderr)
    condition = conditions_asked(
        trained,
        options.n,
        labels=options.label,
        nothing=options.no_label,
        vectors=Path(options.conditions) if options.conditions else None,
        guidance=options.guidance,
    )
    samples = sample_run(trained, options.n, options.seed, condition=condition, guidance=options.guidance)
    # what was asked for nothing is of nothing
    write_samples(out, samples, condition=None if options.no_label else condition, force=options.force)
    print(f"{out}: {options.n} samples")
    return 0
