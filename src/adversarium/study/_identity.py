"""Who a worker is: which process on which machine, so that one whose process is gone is recognised at once."""

import os
import re
import secrets
import socket
import sys
from pathlib import Path


def worker_name() -> str:
    """Return a name that no other worker has: machine, process, when the process began, and something random."""
    process = os.getpid()
    return f"{_machine()}/{process}/{_began(process)}/{secrets.token_hex(4)}"


def is_gone(worker: str) -> bool | None:
    """Return whether a worker's process has ended; ``None`` where that cannot be seen from here."""
    match = re.fullmatch(r"(.*)/(\d+)/(\d*)/[0-9a-f]+", worker)
    if match is None or match[1] != _machine() or os.name != "posix":
        return None
    if sys.platform == "linux":
        return _began(int(match[2])) != match[3]
    try:
        os.kill(int(match[2]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return None  # the number may be another process's by now


def process_of(worker: str) -> int | None:
    """Return the number of a worker's process, where it is one of this machine."""
    match = re.fullmatch(r"(.*)/(\d+)/(\d*)/[0-9a-f]+", worker)
    return int(match[2]) if match is not None and match[1] == _machine() else None


def _machine() -> str:
    """Name the processes that can be seen from here: containers have their own, and so may users."""
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    parts = [socket.gethostname().replace("/", "-")]
    if sys.platform == "linux":
        parts += [boot.read_text().strip() if boot.exists() else "", str(namespace.stat().st_ino), str(os.getuid())]
    return ":".join(parts)


def _began(process: int) -> str:
    """Return when a process began, in ticks since the machine did; empty where there is none, or nobody can tell."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]  # killed, and its parent has not looked yet
