"""What a repair did, and what it left alone, in sentences."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class RepairLog:
    """Filled step by step; printed before the report."""

    done_lines: list[str] = field(default_factory=list)
    left_lines: list[str] = field(default_factory=list)

    def done(self, sentence: str) -> None:
        """Something was changed."""
        self.done_lines.append(sentence)

    def left(self, sentence: str) -> None:
        """Something was seen and left alone."""
        self.left_lines.append(sentence)

    def as_text(self) -> str:
        """For people."""
        lines = [f"done   {line}" for line in self.done_lines] or ["done   nothing: there was nothing to repair"]
        return "\n".join([*lines, *(f"left   {line}" for line in self.left_lines)])

    def as_object(self) -> dict[str, list[str]]:
        """For programs."""
        return {"done": self.done_lines, "left": self.left_lines}
