"""Steps that the workflows of operations share: what they show, how they report, how files of removed events go."""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

with workflow.unsafe.imports_passed_through():
    from iris.contracts import names, operation_activities, policies, removal_activities
    from iris.contracts.operations import JsonObject, OperationEnd, OperationProgress, OperationRef
    from iris.contracts.removal import BurialPlace, BuriedEvents
    from workflows import attributes


def show_kind(kind: str, state: str, camera_id: str | None = None) -> None:
    """What people who list workflows find this one by."""
    updates: list[SearchAttributeUpdate[Any]] = [attributes.KIND.value_set(kind), attributes.STATE.value_set(state)]
    if camera_id is not None:
        updates.append(attributes.CAMERA.value_set(camera_id))
    workflow.upsert_search_attributes(updates)


def show_state(state: str) -> None:
    """Another state, for those who list workflows."""
    workflow.upsert_search_attributes([attributes.STATE.value_set(state)])


async def report_progress(operation_id: str, progress: JsonObject) -> None:
    """Show how far the operation is; values of other names stay."""
    await workflow.execute_activity(
        operation_activities.operation_progress,
        OperationProgress(operation_id, progress),
        task_queue=names.QUEUE_IRIS,
        start_to_close_timeout=policies.RECORD_TIMEOUT,
        retry_policy=policies.RETRY,
        summary="Note how far it is",
    )


async def finish_operation(operation_id: str, result: JsonObject, failure: str | None = None) -> None:
    """End the operation: done with its result, or failed with a sentence."""
    await workflow.execute_activity(
        operation_activities.operation_finish,
        OperationEnd(operation_id, result, failure),
        task_queue=names.QUEUE_IRIS,
        start_to_close_timeout=policies.RECORD_TIMEOUT,
        retry_policy=policies.RETRY,
        summary="Write the result" if failure is None else "Write why it failed",
    )
    show_state("done" if failure is None else "failed")


async def remove_files(operation_id: str, most_pages: int = policies.PAGES_PER_RUN) -> bool:
    """Have every node remove the files of the events that the operation entombed; a host that is down is waited for.

    Returns:
        Whether all are gone; False where pages are left for another run (continue as new).
    """
    nodes = await workflow.execute_activity(
        removal_activities.waiting_nodes,
        OperationRef(operation_id),
        task_queue=names.QUEUE_IRIS,
        start_to_close_timeout=policies.RECORD_TIMEOUT,
        retry_policy=policies.RETRY,
        summary="Which hosts have files of removed events?",
    )
    places = [BurialPlace(operation_id, node_id) for node_id in nodes.node_ids]
    return all(await asyncio.gather(*(_remove_on(place, most_pages) for place in places)))


async def _remove_on(place: BurialPlace, most_pages: int) -> bool:
    for _page in range(most_pages):
        waiting = await workflow.execute_activity(
            removal_activities.waiting_files,
            place,
            task_queue=names.QUEUE_IRIS,
            start_to_close_timeout=policies.PAGE_TIMEOUT,
            retry_policy=policies.RETRY,
            summary="Which files are next?",
        )
        if not waiting.events:
            return True
        await workflow.execute_activity(
            removal_activities.purge_event_files,
            waiting,
            task_queue=names.node_queue(place.node_id),
            start_to_close_timeout=policies.PURGE_TIMEOUT,
            heartbeat_timeout=policies.HEARTBEAT_TIMEOUT,
            retry_policy=policies.RETRY,
            summary=f"Remove the files of {len(waiting.events)} event(s); waits while their host is down",
        )
        await workflow.execute_activity(
            removal_activities.bury_events,
            BuriedEvents(place.operation_id, tuple(event.event_id for event in waiting.events)),
            task_queue=names.QUEUE_IRIS,
            start_to_close_timeout=policies.PAGE_TIMEOUT,
            retry_policy=policies.RETRY,
            summary=f"Note that the files of {len(waiting.events)} event(s) are gone",
        )
    return False
