"""What was said to the outside, beyond every disk that is struck: promises, and what Temporal would remember."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Said:
    """Lines, oldest first; each is on record before `say` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def say(self, what: str, **values: Any) -> None:
        """Put one line on record."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([what, values]) + "\n")

    def all(self, what: str) -> list[dict[str, Any]]:
        """Everything of one kind that was said so far."""
        if not self._path.exists():
            return []
        lines = [json.loads(line) for line in self._path.read_text("utf-8").splitlines()]
        return [values for name, values in lines if name == what]
