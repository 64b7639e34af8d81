"""A checkpoint is complete and true, or it is not believed."""

import errno
import json
import os
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from adversarium import files
from adversarium.errors import InputError
from adversarium.train import checkpoint

COUNTERS = {"step": 3, "critic_steps": 15, "images": 960, "seconds": 1.5}


def some_tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "generator.0.weight": torch.randn(4, 3),
        "generator.0.half": torch.randn(5).bfloat16(),
        "generator.1.counter": torch.tensor(7),
        "rng.torch": torch.get_rng_state(),
        "ema.0.weight": torch.randn(3, 2, 4, 4).to(memory_format=torch.channels_last),
    }


def saved(folder: Path, step: int = 3, keep: int = 9) -> Path:
    return checkpoint.save(folder, some_tensors(), {**COUNTERS, "step": step}, keep=keep)


def test_round_trip(tmp_path: Path) -> None:
    found = checkpoint.load(saved(tmp_path))
    tensors = some_tensors()
    assert found.tensors.keys() == tensors.keys()
    for name, value in tensors.items():
        assert torch.equal(found.tensors[name], value)
        assert found.tensors[name].dtype == value.dtype
    assert {name: found.counters[name] for name in COUNTERS} == COUNTERS
    assert set(found.part("generator")) == {"0.weight", "0.half", "1.counter"}


def test_the_newest_few_are_kept(tmp_path: Path) -> None:
    for step in (1, 20, 300, 4000):
        saved(tmp_path, step, keep=2)
    assert [path.name for path in checkpoint.newest_first(tmp_path)] == [
        "step-00004000.safetensors",
        "step-00000300.safetensors",
    ]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_checkpoint_falls_back_and_says_so(tmp_path: Path, share: float) -> None:
    saved(tmp_path, 1)
    newest = saved(tmp_path, 2)
    data = newest.read_bytes()
    newest.write_bytes(data[: int(share * len(data))])
    found, problems = checkpoint.load_newest(tmp_path)
    assert found.counters["step"] == 1
    assert len(problems) == 1
    assert newest.name in problems[0]


def test_a_flipped_bit_is_noticed_wherever_it_is(tmp_path: Path) -> None:
    path = saved(tmp_path)
    data = path.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    rng = torch.Generator().manual_seed(1)
    in_header = torch.randint(0, header, (60,), generator=rng).tolist()
    in_tensors = torch.randint(header, len(data), (20,), generator=rng).tolist()
    for position in in_header + in_tensors:
        damaged = bytearray(data)
        damaged[position] ^= 1 << (position % 7)
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="checksum" if position >= header else "damaged|not a checkpoint|format"):
            checkpoint.load(path)


def test_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    newer = tmp_path / "step-00000002.safetensors"
    record = {"format": checkpoint.FORMAT + 1, "sha256": "", "step": 2}
    safetensors.torch.save_file({"a": torch.zeros(2)}, newer, {"adversarium": json.dumps(record)})
    with pytest.raises(checkpoint.VersionError):
        checkpoint.load_newest(tmp_path)
    assert newer.exists()


def test_no_usable_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no usable checkpoint"):
        checkpoint.load_newest(tmp_path)
    saved(tmp_path).write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"(?s)no usable checkpoint.*damaged"):
        checkpoint.load_newest(tmp_path)


class Bomb:
    exploded = False

    def __reduce__(self) -> tuple:
        return (setattr, (Bomb, "exploded", True))


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_pickle_is_never_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "step-00000001.safetensors"
    if kind == "torch":
        torch.save({"weight": torch.zeros(2), "bomb": Bomb()}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match="pickle"):
        checkpoint.load(path)
    assert not Bomb.exploded


def test_foreign_files_and_other_versions(tmp_path: Path) -> None:
    path = tmp_path / "step-00000001.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="not a checkpoint of adversarium"):
        checkpoint.load(path)
    record = {"format": checkpoint.FORMAT + 1, "sha256": "", "step": 1}
    safetensors.torch.save_file({"a": torch.zeros(2)}, path, {"adversarium": json.dumps(record)})
    with pytest.raises(InputError, match=f"format {checkpoint.FORMAT + 1}"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4)), "'1.bias' is not in the checkpoint"),
        (nn.Sequential(), "'0.bias' is not in the network"),
        (nn.Sequential(nn.Linear(4, 4)), r"'0.weight' has shape \[4, 3\], and the network's has \[4, 4\]"),
    ],
)
def test_other_networks_are_named(tmp_path: Path, network: nn.Module, words: str) -> None:
    tensors = {f"critic.{name}": value for name, value in nn.Sequential(nn.Linear(3, 4)).state_dict().items()}
    found = checkpoint.load(checkpoint.save(tmp_path, tensors, COUNTERS, keep=1))
    with pytest.raises(InputError, match=words):
        checkpoint.restore_module(network, found.part("critic"), "critic", found.path)


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = saved(tmp_path, 1, keep=1)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        saved(tmp_path, 2, keep=1)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == [good.name]
    assert checkpoint.load(good).counters["step"] == 1


def test_a_header_of_any_length_is_read(tmp_path: Path) -> None:
    """The file begins with its header's length, which may look like the first byte of a pickle."""
    first_bytes = set()
    for length in range(0, 256, 8):
        path = checkpoint.save(tmp_path, {"a" * (1 + length): torch.zeros(1)}, COUNTERS, keep=1)
        first_bytes.add(path.read_bytes()[0])
        assert checkpoint.load(path).counters["step"] == 3
    assert 0x80 in first_bytes
