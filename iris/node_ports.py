"""Ports about nodes: what the Node workflow and the api ask of them, beside `iris.ports.NodeLink`.

Values that cross are of `iris.domain` or `iris.contracts`; errors are of `iris.base.errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iris.contracts.node import NodeLife, NodeReport
    from iris.domain.dead_letter import DeadLetter
    from iris.ports import ProgressSink


class CameraAudit(Protocol):
    """The cameras of one node, as the Node workflow sees them."""

    def reconcile(self, progress: ProgressSink) -> NodeReport:
        """Compare those that should run with those that do, and repair; blocks for seconds, idempotent."""
        ...


class NodeRecords(Protocol):
    """The nodes of the main database (implemented by `iris.store`)."""

    def life(self, node_id: str) -> NodeLife:
        """Whether it gave a sign of life lately, and what depends on it."""
        ...


class DeadLetterDesk(Protocol):
    """Messages of a node that Temporal refused for good, as the api shows them."""

    async def dead_letters(self) -> Sequence[DeadLetter]:
        """All of them, oldest first.

        Raises:
            UnavailableError: The node does not answer, or cannot read its marks.
        """
        ...

    async def retry_dead_letters(self) -> int:
        """Have all of them handed over again; answers how many.

        Raises:
            UnavailableError: The node does not answer, or cannot write its marks.
        """
        ...
