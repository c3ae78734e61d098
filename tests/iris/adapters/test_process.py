"""The one-writer lock: exclusive, and bound to its name. Signals: heard whatever the main thread is about to do."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from iris.adapters.process import hold_lock
from iris.base.errors import ConflictError


def test_lock_is_refused_when_another_holds_it(tmp_path: Path) -> None:
    held = hold_lock(tmp_path / "a.lock", patience_s=0)
    with pytest.raises(ConflictError, match=r"a\.lock"):
        hold_lock(tmp_path / "a.lock", patience_s=0.1)
    os.close(held)
    os.close(hold_lock(tmp_path / "a.lock", patience_s=0))


def test_lock_is_of_the_file_that_has_the_name_when_it_was_removed_between_opening_and_locking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.lock"
    flock = fcntl.flock
    removed: list[Path] = []

    def late(descriptor: int, operation: int) -> None:
        if not removed:
            path.unlink()  # by its holder, whose lock ended with it
            removed.append(path)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    held = hold_lock(path, patience_s=0)
    assert os.fstat(held).st_ino == path.stat().st_ino, "a lock that nobody else can see locks nobody out"
    with pytest.raises(ConflictError):
        hold_lock(path, patience_s=0)
    os.close(held)


def test_signal_is_heard_when_it_comes_while_the_main_thread_holds_a_lock() -> None:
    """An event is such a lock: its `set` in a handler was seen to hang one process in some hundred."""
    script = """
import os, signal, threading
from iris.adapters.process import on_signals
lock, heard = threading.Lock(), threading.Event()
def act():
    with lock:
        heard.set()
on_signals(act, signal.SIGTERM)
with lock:
    os.kill(os.getpid(), signal.SIGTERM)
    assert not heard.wait(0.1)
assert heard.wait(10)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=20)
