"""Typed stubs of the activities that every operation's workflow reports with."""

from __future__ import annotations

from temporalio import activity

from iris.contracts import names
from iris.contracts.operations import OperationEnd, OperationProgress


@activity.defn(name=names.ACTIVITY_OPERATION_PROGRESS)
def operation_progress(report: OperationProgress) -> None:
    """Queue `iris`: it runs, and so far did this; each report replaces the one before."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_OPERATION_FINISH)
def operation_finish(end: OperationEnd) -> None:
    """Queue `iris`: its end, once; a second call changes nothing."""
    raise NotImplementedError
