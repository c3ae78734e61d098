"""A node's audit and the rows of nodes, in memory: they answer what a test sets."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from iris.base.errors import IrisError
from iris.contracts.node import NODE_GONE, NodeLife, NodeReport, Repair
from iris.ports import ProgressSink

T_US = 1_700_000_000_000_000


class FakeCameraAudit:
    """Implements `iris.node_ports.CameraAudit`; `repairs` are done in the next round, `errors` raised one per call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.rounds = 0
        self.repairs: Sequence[Repair] = ()
        self.errors: list[IrisError] = []
        self.store_answered = True

    def reconcile(self, progress: ProgressSink) -> NodeReport:
        progress("compare cameras", 1, 1)
        with self._lock:
            self.rounds += 1
            if self.errors:
                raise self.errors.pop(0)
            repairs, self.repairs = tuple(self.repairs), ()
        return NodeReport(T_US + self.rounds, 3, 2, repairs, len(repairs), self.store_answered)


class FakeNodeRecords:
    """Implements `iris.node_ports.NodeRecords`."""

    def __init__(self) -> None:
        self.answer = NodeLife(NODE_GONE, T_US, 3)
        self.error: IrisError | None = None
        self.asked: list[str] = []

    def life(self, node_id: str) -> NodeLife:
        self.asked.append(node_id)
        if self.error is not None:
            raise self.error
        return self.answer
