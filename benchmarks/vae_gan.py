"""Is the VAE-GAN of examples/vae_gan.py sharper than the VAE alone? Three seeds, the same steps.

    python benchmarks/vae_gan.py [--steps 800] [--seeds 0 1 2] [--jobs 1] [--out build/vae_gan]

Trains both from the same weights on the same digits, and measures on 1,000 held-out digits: the sharpness of
reconstructions and of samples (the mean gradient magnitude of an image, by differences of neighbouring pixels), how
far its distribution over images is from that of the digits (Wasserstein-1), and the reconstruction error per pixel in
[-1, 1]. It exits with 1 unless in every seed the VAE-GAN is nearer to the digits in all four numbers of sharpness, and
every adversarial weight is finite. The pictures (digits, reconstructions, samples, a row each) are kept in OUT.
"""

import argparse
import json
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import torch

from adversarium.metrics import wasserstein_line

SCALES = {"vae": 0.0, "vae-gan": 1.0}


def measure(name: str, seed: int, steps: int, out: Path) -> dict[str, object]:
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    import vae_gan as example

    torch.set_num_threads(1)
    vae, _, history = example.main(steps, seed, SCALES[name], str(out / f"{name}-{seed}.png"))
    held_out = example.digits()[1]
    torch.manual_seed(seed)
    with torch.no_grad():
        made, sampled, _ = vae(held_out)
    truth, sharp = example.sharpness(held_out), {"reconstructions": made, "samples": sampled}
    result: dict[str, object] = {"model": name, "seed": seed, "steps": steps}
    for what, images in sharp.items():
        found = example.sharpness(images)
        result[f"{what}: sharpness, digits = 1"] = float(found.mean() / truth.mean())
        result[f"{what}: W1 of sharpness"] = float(wasserstein_line(found, truth))
    result["squared error per pixel"] = float((made - held_out).square().mean())
    weights = history[:, 2]
    result["weights finite"] = bool(weights.isfinite().all())
    result["weight, median"], result["weight, largest"] = float(weights.median()), float(weights.max())
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build/vae_gan"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        waiting = [
            pool.submit(measure, name, seed, options.steps, options.out)
            for seed, name in product(options.seeds, SCALES)
        ]
        results = [each.result() for each in waiting]
    for result in results:
        print(json.dumps(result))
    return judge(results)


def judge(results: list[dict[str, object]]) -> int:
    numbers = [name for name, value in results[0].items() if isinstance(value, float)]
    print("| " + " | ".join(["", *SCALES]) + " |")
    for name in numbers:
        cells = []
        for model in SCALES:
            values = [float(str(each[name])) for each in results if each["model"] == model]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{statistics.mean(values):.4f} ± {spread:.4f}")
        print("| " + " | ".join([name, *cells]) + " |")
    ok = all(result["weights finite"] for result in results)
    for alone, with_critic in zip(results[::2], results[1::2], strict=True):
        for name in numbers[:4]:
            # nearer to the digits: a ratio to 1, a distance to 0
            goal = 0.0 if "W1" in name else 1.0
            ok &= abs(float(str(with_critic[name])) - goal) < abs(float(str(alone[name])) - goal)
    print(json.dumps({"ok": ok}))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
