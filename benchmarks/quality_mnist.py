"""Does a run make readable digits of all ten kinds? A classifier trained apart answers.

    python benchmarks/quality_mnist.py --mnist FOLDER RUN [RUN ...]

FOLDER holds MNIST's four IDX files. The classifier learns the 60,000 training digits (a few minutes, kept beside
the first run as classifier.safetensors) and must reach 98.5 % on the 10,000 test digits. For each run it then reads
10,000 samples of the averaged generator and reports the smallest share of a class, the share of samples that it is
more than 0.9 sure of, and the entropy of the classes (log 10 = 2.303 is the most).
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from adversarium.data.idx import open_idx
from adversarium.train import load_generator, sample_run


def classifier() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 49, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


def train_classifier(folder: Path, epochs: int = 3) -> nn.Module:
    torch.manual_seed(0)
    train = open_idx(folder)
    images, labels = torch.from_numpy(train.samples[:]), torch.from_numpy(train.labels[:])
    model = classifier()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, fused=True)
    batches = len(images) // 128
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=epochs * batches)
    for epoch in range(epochs):
        for batch in torch.randperm(len(images))[: batches * 128].split(128):
            # shifted by up to two pixels: a little augmentation
            dx, dy = torch.randint(-2, 3, (2,)).tolist()
            shifted = torch.roll(train.codec.encode(images[batch]), (dx, dy), (2, 3))
            loss = cross_entropy(model(shifted), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}", file=sys.stderr)
    return model.eval()


@torch.no_grad()
def probabilities(model: nn.Module, images: Tensor) -> Tensor:
    seen = images.float().div(127.5).sub(1)
    return torch.cat([model(part).softmax(1) for part in seen.split(500)])


def test_accuracy(model: nn.Module) -> float:
    # the embedded digits are MNIST's test set
    from adversarium.data import open_data

    test = open_data("mnist")
    found = probabilities(model, torch.from_numpy(test.samples)).argmax(1)
    return float((found == torch.from_numpy(test.labels)).double().mean())


def judge(folder: Path, kept: Path) -> nn.Module:
    """Return the classifier: the one kept in a file, or trained now and kept there."""
    model = classifier().eval()
    if kept.exists():
        model.load_state_dict(safetensors.torch.load_file(kept))
    else:
        model = train_classifier(folder)
        safetensors.torch.save_file(model.state_dict(), kept)
    accuracy = test_accuracy(model)
    print(json.dumps({"classifier_test_accuracy": accuracy}), file=sys.stderr)
    assert accuracy >= 0.985, "the classifier is not good enough to judge"
    return model


def class_shares(found: Tensor) -> Tensor:
    """Return the share of each class, from probabilities ``[N, 10]``."""
    return torch.bincount(found.argmax(1), minlength=10).double() / len(found)


def sure_share(found: Tensor) -> float:
    """Return the share of samples that the classifier is more than 0.9 sure of, from probabilities ``[N, 10]``."""
    return float((found.max(1).values > 0.9).double().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--classifier", type=Path, help="where to keep the trained classifier")
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    model = judge(options.mnist, options.classifier or Path("classifier.safetensors"))
    for run in options.runs:
        found = probabilities(model, torch.from_numpy(sample_run(load_generator(run), options.n, options.seed)))
        shares = class_shares(found)
        result: dict[str, Any] = {
            "run": str(run),
            "smallest_class_share": round(float(shares.min()), 4),
            "sure_share": round(sure_share(found), 4),
            "class_entropy": round(float(-(shares.clamp_min(1e-12).log() * shares).sum()), 4),
            "shares": [round(share, 3) for share in shares.tolist()],
        }
        print(json.dumps(result))


if __name__ == "__main__":
    main()
