"""Rules of what is not finished: events, operations and notifications reach their end, or something says why not."""

from __future__ import annotations

from iris.base.timebase import US_PER_S
from workers.check.view import CheckTask, View
from workers.check_report import Findings

# A row may wait this long for its first sign in the outbox and the other way round.
_HANDOVER_US = 60 * US_PER_S
# A node that is down is waited for as long as footage is kept for it; what needs the worker or Temporal, too.
PATIENCE_US = 24 * 3600 * US_PER_S


def deadlines(task: CheckTask, view: View, found: Findings) -> None:
    """Rule 5."""
    found.rule("deadline", "each event reaches its end in time, unless the outbox says why not")
    now_us = task.now_us()
    for event_id, event in view.known.items():
        found.looked("deadline")
        if view.being_removed(event.camera_id):
            continue
        here = view.node_id is None or event.node_id == view.node_id
        if here and not view.in_outbox(event_id) and now_us - event.created_us > _HANDOVER_US:
            found.problem("deadline", f"event {event_id} is {event.state}, and the outbox does not know it any more")
            continue
        due_us = (event.window_end_us or event.window_start_us + task.event_max_us) + PATIENCE_US
        if now_us > due_us and not _undelivered(view, event_id):
            found.problem("deadline", f"event {event_id} is still {event.state}, long after its end")
    for event_id in view.relay.terminal:
        row = view.known.get(event_id)
        # A removal of a camera releases its events before their rows go.
        if row is not None and not view.being_removed(row.camera_id):
            found.problem("deadline", f"event {event_id} was released, but its row is {row.state}")
    for event_id, reason in view.relay.dead:
        found.problem("deadline", f"a message of event {event_id} was refused for good: {reason}")


def _undelivered(view: View, event_id: str) -> bool:
    newest = max((camera.outbox.get(event_id, 0) for camera in view.cameras), default=0)
    return newest > view.relay.delivered.get(event_id, 0)


def operations(task: CheckTask, view: View, found: Findings) -> None:
    """What a person asked for makes progress; every workflow writes some at least once a day."""
    found.rule("operation", "each operation reaches its end, or makes progress")
    for row in view.removals.operations:
        found.looked("operation")
        if task.now_us() - row.updated_us > PATIENCE_US:
            found.problem(
                "operation",
                f"{row.kind} {row.operation_id} is {row.state} and has made no progress for more than a day; "
                f"look at workflow {row.workflow_id}",
            )


def notifications(task: CheckTask, view: View, found: Findings) -> None:
    """A notification that was given up says so in its row; one that waits has a next try."""
    found.rule("notification", "each notification is delivered or given up in time")
    found.looked("notification", view.removals.notification_count)
    for row in view.removals.waiting:
        if task.now_us() - row.due_us > PATIENCE_US:
            found.problem(
                "notification",
                f"notification {row.notification_id} of event {row.event_id} was due more than a day ago",
            )
