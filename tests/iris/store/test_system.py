from __future__ import annotations

from iris.base.ids import NodeId
from iris.store.engine import Store
from iris.store.system import NodeRow, StoreIdentity, WorkerRow
from tests.builders.events import event_message, uuid_of

NODE = NodeId(uuid_of(1, "d"))


def test_store_keeps_its_first_identity(store: Store) -> None:
    first = StoreIdentity(uuid_of(1, "a"), 1)
    with store.writing() as work:
        assert work.system.identity() is None
        assert work.system.pair(first) == first
    with store.writing() as work:
        assert work.system.pair(StoreIdentity(uuid_of(2, "a"), 5)) == first
        assert work.system.identity() == first


def test_store_is_empty_until_it_knows_something(store: Store) -> None:
    with store.writing() as work:
        assert work.system.is_empty()
        work.events.record(event_message(), 7)
        assert not work.system.is_empty()


def test_nodes_show_their_newest_sign_of_life(store: Store) -> None:
    with store.writing() as work:
        work.system.node_seen(NODE, 5, {"backend": "motion"})
        work.system.node_seen(NODE, 9, {"backend": "onnx", "providers": ["CPU"]})
        assert work.system.nodes() == [NodeRow(NODE, 9, {"backend": "onnx", "providers": ["CPU"]})]


def test_workers_are_forgotten_when_silent(store: Store) -> None:
    with store.writing() as work:
        work.system.worker_seen("worker:1", "worker", 5)
        work.system.worker_seen("node:2", "node", 8)
        work.system.worker_seen("worker:1", "worker", 6)
        assert work.system.workers() == [WorkerRow("node:2", "node", 8), WorkerRow("worker:1", "worker", 6)]
        assert work.system.forget_workers(silent_since_us=8) == 1
        assert [row.worker_id for row in work.system.workers()] == ["node:2"]
