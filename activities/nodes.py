"""Activities of the Node workflow: one on the node's own queue that compares and repairs, one on queue `iris`."""

from __future__ import annotations

from temporalio import activity

from activities.heartbeat import errors_told, tell_progress
from iris.base.log import get_logger
from iris.base.timebase import format_rfc3339
from iris.contracts import names
from iris.contracts.node import NODE_UP, LookAfterNode, NodeLife, NodeReport, ReconcileNode
from iris.node_ports import CameraAudit, NodeRecords


class NodeAuditActivities:
    """Over the cameras of this node; idempotent: what is as it should be is left alone."""

    def __init__(self, audit: CameraAudit) -> None:
        self._audit = audit

    @activity.defn(name=names.ACTIVITY_RECONCILE_NODE, no_thread_cancel_exception=True)
    def reconcile_node(self, request: ReconcileNode) -> NodeReport:  # noqa: ARG002 - the queue names the node; its id is for people
        """Compare wanted and running cameras, repair, and tell."""
        with errors_told():
            report = self._audit.reconcile(tell_progress)
        for repair in report.repairs:
            get_logger(part="audit").warning(
                "camera repaired", camera_id=repair.camera_id, action=repair.action, reason=repair.reason
            )
        return report


class NodeLifeActivities:
    """Over the rows of nodes in the main database."""

    def __init__(self, records: NodeRecords) -> None:
        self._records = records

    @activity.defn(name=names.ACTIVITY_LOOK_AFTER_NODE, no_thread_cancel_exception=True)
    def look_after_node(self, request: LookAfterNode) -> NodeLife:
        """What the database knows of the node; whoever reads the log learns that it is gone or back."""
        with errors_told():
            life = self._records.life(request.node_id)
        log = get_logger(part="nodes", node_id=request.node_id)
        heard = None if life.heartbeat_us is None else format_rfc3339(life.heartbeat_us)
        if request.answers:
            log.info("node answers again")
        elif life.state == NODE_UP:
            log.warning("node lives but takes no work from temporal", heard=heard)
        else:
            log.error("node is gone", heard=heard, cameras=life.camera_count)
        return life
