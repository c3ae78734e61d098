"""Activities of queue `iris` that every operation's workflow reports with. Idempotent because the repository is."""

from __future__ import annotations

from temporalio import activity

from activities.heartbeat import errors_told
from iris.contracts import names
from iris.contracts.operations import OperationEnd, OperationProgress
from iris.ports import OperationRecords


class OperationActivities:
    """Over the operations of the main database; threads share one instance."""

    def __init__(self, records: OperationRecords) -> None:
        self._records = records

    @activity.defn(name=names.ACTIVITY_OPERATION_PROGRESS, no_thread_cancel_exception=True)
    def operation_progress(self, report: OperationProgress) -> None:
        """How far it is."""
        with errors_told():
            self._records.progress(report)

    @activity.defn(name=names.ACTIVITY_OPERATION_FINISH, no_thread_cancel_exception=True)
    def operation_finish(self, end: OperationEnd) -> None:
        """How it ended."""
        with errors_told():
            self._records.finish(end)
