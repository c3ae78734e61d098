"""Starts the Node workflow of this node and tells it of changes; best effort, its caller comes again."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from iris.adapters.temporal import TemporalLink
from iris.contracts import names
from iris.contracts.node import NodeChanged, NodeWatch
from iris.contracts.workflows import NodeWorkflow

_RPC_TIMEOUT: Final = timedelta(seconds=3)


class NodeWatchStarter:
    """One per node process."""

    def __init__(self, link: TemporalLink, node_id: str, every_s: float) -> None:
        self._link = link
        self._node_id = node_id
        self._every_s = every_s

    async def tell(self, *, changed: bool) -> None:
        """Have the workflow run; with `changed`, have it look now. One that runs is left as it is.

        Raises:
            UnavailableError, InputError, ConfigError: As `TemporalLink.call`.
        """
        client = await self._link.client()
        await self._link.call(
            client.start_workflow(
                NodeWorkflow.run,
                NodeWatch(self._node_id, self._every_s),
                id=names.node_workflow_id(self._node_id),
                task_queue=names.QUEUE_IRIS,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                # Whoever ended it meant to: the next word of the node begins a new one all the same.
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                start_signal=names.SIGNAL_NODE_CHANGED if changed else None,
                start_signal_args=[NodeChanged(self._every_s)] if changed else [],
                static_summary="Audits the cameras of a node",
                rpc_timeout=_RPC_TIMEOUT,
            )
        )
