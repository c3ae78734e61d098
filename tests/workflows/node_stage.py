"""Both workers of an installation around fakes, and a node's end that starts the Node workflow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from activities.nodes import NodeAuditActivities, NodeLifeActivities
from iris.adapters.id_source import Uuid7Source
from iris.adapters.temporal import TemporalLink
from iris.adapters.temporal_node import NodeWatchStarter
from iris.contracts.names import QUEUE_IRIS, node_workflow_id
from iris.contracts.node import NodeWatch
from iris.contracts.workflows import NodeWorkflow
from tests.fakes.node_audit import FakeCameraAudit, FakeNodeRecords
from workers.temporal_worker import iris_worker, node_worker


class NodeStage:
    """One node with an id of its own, so that tests share a server."""

    def __init__(self, client: Client, address: str, *, every_s: float = 60.0) -> None:
        self.client = client
        self.node_id = Uuid7Source().new_id()
        self.audit = FakeCameraAudit()
        self.records = FakeNodeRecords()
        self.every_s = every_s
        self.starter = NodeWatchStarter(TemporalLink(address, identity="iris-test"), self.node_id, every_s)

    @property
    def handle(self) -> WorkflowHandle[NodeWorkflow, None]:
        """The workflow of the node, whichever run it is in."""
        return self.client.get_workflow_handle_for(NodeWorkflow.run, node_workflow_id(self.node_id))

    async def start_short_runs(self, rounds_per_run: int) -> WorkflowHandle[NodeWorkflow, None]:
        """Start it as the node does, but with so many rounds to a run."""
        return await self.client.start_workflow(
            NodeWorkflow.run,
            NodeWatch(self.node_id, self.every_s, rounds_per_run=rounds_per_run),
            id=node_workflow_id(self.node_id),
            task_queue=QUEUE_IRIS,
        )

    async def details(self) -> str:
        """The text that the pages of Temporal show now; empty before there is one."""
        try:
            metadata = await self.handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        except RPCError:
            return ""
        return str(metadata.current_details)

    async def state(self) -> str:
        """The search attribute IrisState."""
        description = await self.handle.describe()
        attributes = {pair.key.name: pair.value for pair in description.typed_search_attributes}
        return str(attributes.get("IrisState"))

    @asynccontextmanager
    async def node(self) -> AsyncIterator[None]:
        """The node's worker."""
        async with node_worker(self.client, self.node_id, [NodeAuditActivities(self.audit)]):
            yield

    @asynccontextmanager
    async def iris(self) -> AsyncIterator[None]:
        """The worker of queue `iris`; at the end the workflow is ended, since it never ends by itself."""
        async with iris_worker(self.client, [NodeLifeActivities(self.records)]):
            yield

    async def end(self) -> None:
        """What a test does last: a Node workflow never ends by itself."""
        await self.handle.terminate("the test is over")


async def until(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Return once it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.01)


async def until_details(stage: NodeStage, text: str, seconds: float = 20.0) -> None:
    """Return once the workflow shows `text`."""
    deadline = time.monotonic() + seconds
    while text not in (shown := await stage.details()):
        assert time.monotonic() < deadline, f"{text!r} is not in {shown!r}"
        await asyncio.sleep(0.02)
