"""What crosses Temporal about an operation: how far it is and how it ended.

New fields get defaults; nothing is renamed in place (recorded histories must go on decoding).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# What a page shows of an operation: numbers and short texts by name, lists of them; nothing secret, nothing large.
JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OperationRef:
    """Names one operation."""

    operation_id: str


@dataclass(frozen=True, slots=True)
class OperationProgress:
    """How far an operation is; each report replaces the one before."""

    operation_id: str
    progress: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OperationEnd:
    """The end of an operation: done with this result, or failed with a sentence and what was done until then."""

    operation_id: str
    result: JsonObject = field(default_factory=dict)
    failure: str | None = None
