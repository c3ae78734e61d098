"""The one-writer lock: exclusive, and bound to its name."""

from __future__ import annotations

import os
import threading
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


def test_lock_is_of_the_file_that_has_the_name_when_it_was_removed_while_somebody_waited(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    held = hold_lock(path, patience_s=0)
    got: list[int] = []
    waiting = threading.Thread(target=lambda: got.append(hold_lock(path, patience_s=10)))
    waiting.start()
    path.unlink()
    os.close(held)
    waiting.join(10)
    assert os.fstat(got[0]).st_ino == path.stat().st_ino, "a lock that nobody else can see locks nobody out"
    with pytest.raises(ConflictError):
        hold_lock(path, patience_s=0)
    os.close(got[0])
