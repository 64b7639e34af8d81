"""Which number formats a run computes in."""

from contextlib import AbstractContextManager

import torch

from adversarium.errors import InputError


def resolve_device(name: str) -> torch.device:
    """Return the device that ``auto`` or a name means.

    Raises:
        InputError: no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device is {name!r}: wanted auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device is {name!r}: wanted auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device is {name!r}, but torch sees {torch.cuda.device_count()} CUDA devices here")
    return device


def resolve_precision(name: str, device: torch.device, *, is_image: bool) -> str:
    """Return ``bf16`` or ``fp32``.

    ``auto`` is bf16 where the processor computes it natively, and fp32 elsewhere. Vectors stay in fp32: bf16 has 8
    significant bits, so a coordinate near 1 would move in steps of 0.004 to 0.008, as wide as a narrow mode.
    """
    if name != "auto":
        return name
    return "bf16" if is_image and has_native_bf16(device) else "fp32"


def has_native_bf16(device: torch.device) -> bool:
    """Return whether the device multiplies bf16 matrices in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # torch 2.6 has the two checks below; neither has a public name yet
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def autocast(precision: str, device: torch.device) -> AbstractContextManager[None]:
    """Return the context in which networks are evaluated: bf16 autocast, or nothing."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
