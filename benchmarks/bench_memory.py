"""How much memory training takes: on mnist, on a folder of 60,000 images, and on data larger than memory.

    python benchmarks/bench_memory.py [--only mnist|folder|larger] [--images 60000] [--gigabytes 30] [--steps 60]

Each run is `adversarium train` in a process of its own. Peak resident memory is what the kernel says of the ended
process; it includes pages of mapped files, which the kernel takes back when it needs them. `anonymous` is the part
that only this process holds, seen every 20 ms. Linux only.
"""

import argparse
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from _measure import report

GB = 1e9


def train(data: str, steps: int, folder: Path, name: str) -> dict[str, Any]:
    """Train in a child; return its peak memory in GB and its seconds."""
    cache = {"ADVERSARIUM_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "adversarium", "train", data, "--steps", str(steps), "--out", str(folder / name)]
    begun, anonymous = time.monotonic(), 0
    # this process imports nothing heavy: a child's peak is never below what its parent held when it was started
    child = subprocess.Popen(command, env={**os.environ, **cache}, stdout=subprocess.DEVNULL)
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            break
        anonymous = max(anonymous, kilobytes(child.pid, "RssAnon"))
        time.sleep(0.02)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    return {
        "peak_gb": round(usage.ru_maxrss * 1024 / GB, 3),
        "anonymous_gb": round(anonymous * 1024 / GB, 3),
        "seconds": round(time.monotonic() - begun, 1),
    }


def kilobytes(pid: int, field: str) -> int:
    try:
        found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def write_noise(folder: Path, first: int, last: int) -> None:
    """Write random 32×32 RGB images as PNG."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(first)
    for index in range(first, last):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / f"{index:06}.png", compress_level=1)


def on_mnist(options: argparse.Namespace, folder: Path) -> bool:
    found = train("mnist", options.steps, folder, "mnist")
    return report("peak memory, mnist, GB", [found["peak_gb"]], at_most=1.2, steps=options.steps, **found)


def on_folder(options: argparse.Namespace, folder: Path) -> bool:
    images = folder / "images"
    images.mkdir()
    share = -(-options.images // 8)
    with ProcessPoolExecutor(2) as pool:
        starts = range(0, options.images, share)
        list(pool.map(write_noise, *zip(*[(images, s, min(s + share, options.images)) for s in starts], strict=True)))
    cold = train(str(images), options.steps, folder, "cold")  # decodes the images into the cache
    warm = train(str(images), options.steps, folder, "warm")  # reads the cache
    decode = {"decode_seconds": round(cold["seconds"] - warm["seconds"], 1), "peak_gb_when_cached": warm["peak_gb"]}
    label = f"peak memory, folder of {options.images:,} images of 32x32, GB"
    return report(label, [cold["peak_gb"]], at_most=1.5, steps=options.steps, **cold, **decode)


def on_larger(options: argparse.Namespace, folder: Path) -> bool:
    path = folder / "larger.npy"
    samples = int(options.gigabytes * GB) // (32 * 32 * 3)
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({samples}, 32, 32, 3), }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    with path.open("wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        file.truncate(file.tell() + samples * 32 * 32 * 3)  # a hole: it has a length and takes no space
    allocated = path.stat().st_blocks * 512
    assert allocated < 1e7, f"{path} takes {allocated} bytes: this file system has no sparse files"
    found = train(str(path), options.steps, folder, "larger")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GB
    facts = {"file_gb": options.gigabytes, "machine_gb": round(memory, 1), "samples": samples, "steps": options.steps}
    return report(
        "anonymous memory, data larger than memory, GB", [found["anonymous_gb"]], at_most=1.5, **facts, **found
    )


CASES = {"mnist": on_mnist, "folder": on_folder, "larger": on_larger}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=CASES)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--gigabytes", type=float, default=30.0)
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    results = []
    for name, case in CASES.items():
        if options.only in (None, name):
            folder = Path(tempfile.mkdtemp(prefix="adversarium-bench-"))
            try:
                results.append(case(options, folder))
            finally:
                shutil.rmtree(folder)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
