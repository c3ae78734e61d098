"""Event delete: tombstone, files, folders forced to the disk, tombstone closed (P4)."""

from __future__ import annotations

from pathlib import Path

from iris.contracts.removal import EventDeletionStart
from iris.domain.operation import OperationKind
from iris.store.check import walk_events
from iris.store.operations import OperationDraft
from iris.store.removals import EventSelection
from tests.faults.steps import clip_finish
from tests.faults.steps.said import Said
from tests.faults.steps.site import S, Site, T
from workflows.event_deletion import EventDeletionWorkflow

NAME = "event delete"
DELETED, KEPT = clip_finish.EVENTS
OPERATION = "0190a0a0-0000-7000-8000-00000000000f"


def prepare(data_dir: Path, said: Said) -> None:
    """Two finished events."""
    clip_finish.prepare_events(data_dir, said, clip_finish.EVENTS)
    clip_finish.run(data_dir, said)


def run(data_dir: Path, said: Said) -> None:
    """One of them is deleted: its operation is asked for, and its workflow goes to the end."""
    site = Site(data_dir, said, T + 40 * S)
    site.patiently("request", lambda: _ask(site))
    site.patiently("workflow", lambda: _delete(site))


def _ask(site: Site) -> None:
    draft = OperationDraft(
        operation_id=OPERATION, kind=OperationKind.EVENT_DELETION, workflow_id="event-deletion",
        request=EventSelection(event_ids=(DELETED,)).request(),
    )  # fmt: skip
    with site.node() as node, node.store.writing() as work:
        work.operations.ask(draft, site.clock.wall_us())
    site.said.say("asked")


def _delete(site: Site) -> None:
    with site.node() as node:
        result = node.temporal.run(OPERATION, lambda: EventDeletionWorkflow().run(EventDeletionStart(OPERATION)))
        site.said.say("deleted", events=result.events, files=result.files)


def recover(data_dir: Path, said: Said) -> None:
    """What was asked for goes on; what was not asked for never was."""
    site = Site(data_dir, said, T + 50 * S)
    with site.node() as node, node.store.reading() as work:
        unfinished = work.operations.unfinished()
    if unfinished:
        _delete(site)


def problems(data_dir: Path, said: Said, *, recovered: bool) -> list[str]:
    """The event is whole, or nothing of it is there once the deletion is done; the other one is untouched."""
    site = Site(data_dir, said)
    found = site.empty_files() + site.problems(at_rest=recovered)
    with site.node() as node:
        states: dict[str, str] = {event.event_id: event.state.value for event in walk_events(node.store)}
        with node.store.reading() as work:
            asked = bool(work.operations.page()[0])
    left = list(data_dir.glob(f"*/**/{DELETED}*"))
    done = said.all("deleted")
    if states.get(KEPT) != "ready":
        found.append(f"the other event is {states.get(KEPT)}")
    if DELETED in states and len(left) != 2:
        found.append(f"the event has its row and the files {sorted(path.name for path in left)}")
    if DELETED not in states and not asked:
        found.append("the event is gone though nobody asked for it durably")
    if said.all("asked") and not asked:
        found.append("what was asked for is forgotten")
    if done or (recovered and asked):
        found += [f"{path.relative_to(data_dir)} is left" for path in left]
        found += ["the event is there"] if DELETED in states else []
        found += [f"the result is {done[0]}"] if done and done[0] != {"events": 1, "files": 2} else []
    return found
