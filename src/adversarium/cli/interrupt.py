"""Ctrl-C that ends a command at once, also where compiled code does not look at it for minutes."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

GRACE = 1.0
"""Seconds in which Python may raise ``KeyboardInterrupt`` and leave by itself."""


@contextmanager
def ended_at_once(where: str, tidy: Callable[[], None] = lambda: None) -> Iterator[None]:
    """End what stands in it at the first Ctrl-C, with exit code 130 and a line that says where.

    Python looks at signals between two steps of its own, and one call of compiled code (a transport plan between
    thousands of points) is one step. A thread waits for the signal, and where the step goes on, it ends the process:
    nothing may be half written in it.

    Args:
        where: the rest of the line: ``before the end: nothing was written``.
        tidy: called before the process is ended so: it clears the terminal.

    Raises:
        KeyboardInterrupt: with ``where``, for ``main`` to say.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return
    left = threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def watch() -> None:
        while caught := os.read(reader, 1):  # nothing once the other end is closed
            if caught[0] == signal.SIGINT and not left.wait(GRACE):
                tidy()
                print(f"interrupted {where}", file=sys.stderr, flush=True)
                os._exit(130)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(where) from None
    finally:
        left.set()
        signal.set_wakeup_fd(before)
        os.close(writer)
        thread.join()
        os.close(reader)
