"""How often `iris up` had to start each of its parts again: kept in a small file that the api reads for its metrics.

Counts begin at 0 with `iris up`. Nothing depends on the file; where it cannot be written, the log has the restarts.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from pathlib import Path


class RestartBook:
    """Written by the event loop of `iris up` alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts: dict[str, Counter[str]] = {}
        self._write()

    def note(self, role: str, code: int) -> None:
        """A part ended that should run; a negative code is the number of a signal."""
        self._counts.setdefault(role, Counter())["signal" if code < 0 else "exit"] += 1
        self._write()

    def _write(self) -> None:
        temporary = self._path.with_suffix(".part")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self._counts), encoding="utf-8")
            temporary.replace(self._path)
