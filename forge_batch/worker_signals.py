"""Let a worker process end when it should: never by Ctrl-C, always with its parent."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends, however that ends (Linux; elsewhere the pipe does it)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        parent = multiprocessing.parent_process()
        if parent is not None and parent.pid != os.getppid():
            os._exit(1)  # it ended before it could be asked for
