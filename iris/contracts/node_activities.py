"""Typed stubs of the activities of the Node workflow. The implementations live in `activities/nodes.py`."""

from __future__ import annotations

from temporalio import activity

from iris.contracts import names
from iris.contracts.node import LookAfterNode, NodeLife, NodeReport, ReconcileNode


@activity.defn(name=names.ACTIVITY_RECONCILE_NODE)
def reconcile_node(request: ReconcileNode) -> NodeReport:
    """Queue of the node: compare wanted and running cameras, repair; idempotent, heartbeats."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_LOOK_AFTER_NODE)
def look_after_node(request: LookAfterNode) -> NodeLife:
    """Queue `iris`: what the database knows of the node; says in the log that it is gone or back."""
    raise NotImplementedError
