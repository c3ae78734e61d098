"""Failpoints: named places where a test can have the process die, as a power cut or a kill would.

`IRIS_FAILPOINT=name` kills at the first pass of that place, `name:3` at the third. Without the variable a failpoint
costs one comparison. The names are in the code where they are passed; there is no list to keep in step.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Final

_ASKED: Final = os.environ.get("IRIS_FAILPOINT", "")
_lock = threading.Lock()
_passes = 0


def failpoint(name: str) -> None:
    """Die here by SIGKILL if a test asked for it."""
    if not _ASKED:
        return
    wanted, _, count = _ASKED.partition(":")
    if name != wanted:
        return
    global _passes  # noqa: PLW0603 - one counter per process is the point of it
    with _lock:
        _passes += 1
        if _passes >= int(count or 1):
            os.kill(os.getpid(), signal.SIGKILL)
