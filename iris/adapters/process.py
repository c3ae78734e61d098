"""What a process asks of the kernel about itself: parent death, one writer, limits, core dumps. Linux only.

Owns no state. Every call is cheap and safe to repeat.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from iris.base.errors import ConflictError

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4


def on_signals(act: Callable[[], None], *signals: signal.Signals) -> None:
    """Have `act` called when one of the signals comes, in a thread of its own; call this in the main thread.

    A handler runs between any two steps of the main thread, whatever lock that holds then: one that sets an event
    while the main thread is about to wait on it waits for itself, and the process never ends.
    """
    readable, writable = socket.socketpair()
    writable.setblocking(False)  # noqa: FBT003 - the library's own signature
    signal.set_wakeup_fd(writable.fileno(), warn_on_full_buffer=False)

    def listen() -> None:
        with readable, writable:
            while number := readable.recv(1):
                if number[0] in signals:
                    act()

    for sig in signals:
        signal.signal(sig, lambda _signum, _frame: None)
    threading.Thread(target=listen, name="signals", daemon=True).start()


def die_with_parent(parent_pid: int, sig: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send `sig` to this process when its parent dies.

    Args:
        parent_pid: Pid of the parent as it knew it when it started us; closes the race in which it died before.
        sig: Signal to get.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), sig)


def forbid_core_dumps() -> None:
    """No core file and no ptrace by others: memory holds a camera's password."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def cap_memory(most_bytes: int) -> None:
    """Bound the private writable memory of this process; beyond it allocations fail and the process ends."""
    resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, most_bytes))


def prefer_as_oom_victim(adjustment: int) -> None:
    """Tell the kernel whom to end first when memory runs out (-1000..1000, higher goes first)."""
    try:
        Path("/proc/self/oom_score_adj").write_text(str(adjustment), encoding="ascii")
    except OSError:
        return  # a lower value than now needs a privilege; the default order is acceptable then


def hold_lock(path: Path, *, patience_s: float) -> int:
    """Take an exclusive lock that lives as long as this process; the descriptor is returned and must stay open.

    Raises:
        ConflictError: Another process held it for the whole of `patience_s`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience_s
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(path, descriptor):
                return descriptor
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise ConflictError(f"another process holds {path.name}") from error
            time.sleep(0.05)
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the name still leads to the locked file: one that was removed meanwhile locks nobody out."""
    try:
        there, mine = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


def leave(code: int) -> NoReturn:
    """End this process at once, past the interpreter's own end.

    The Temporal client was seen to crash there (SIGSEGV in 4 of 26 runs), and a thread of an activity that hears
    nothing would be waited for. Everything that must last has been written and synced before.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
