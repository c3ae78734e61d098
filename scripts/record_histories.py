"""Records the histories that replay tests run over, from a real Temporal server; rewrites the fingerprints too.

    python -m scripts.record_histories            record only the cases that have no file yet
    python -m scripts.record_histories --all      record every case anew

Old histories prove that running events survive an update: keep them, and add new cases beside them. Record anew only
when a change was guarded by `workflow.patched()` and nothing of the old kind can still run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from iris.base.errors import CorruptMediaError, StorageError
from iris.contracts.events import TimeRange
from tests.builders.event_messages import US, closed, updated
from tests.temporal_env import connect, running_server
from tests.workflows.event_stage import EventStage, until_asked, until_details, until_recorded
from tests.workflows.fingerprints import BASELINE, ROOT, all_fingerprints

HISTORIES = ROOT / "tests" / "workflows" / "histories" / "event"


async def normal(stage: EventStage) -> None:
    """Opened, updated, closed, with a post-roll to wait for."""
    first = stage.opened()
    async with stage.everything():
        await stage.send(first)
        await until_recorded(stage, "opened")
        await stage.send(updated(first, seen_after_s=0))
        await until_recorded(stage, "updated")
        await stage.send(closed(updated(first, seen_after_s=0), post_s=1.5))
        await stage.outcome()


async def partial(stage: EventStage) -> None:
    """A gap in the window."""
    first = stage.opened(ago_s=3)
    stage.workshop.gap = TimeRange(first.last_seen_us, first.last_seen_us + US, "camera_offline")
    async with stage.everything():
        await stage.send(first, closed(first, post_s=1))
        await stage.outcome()


async def closed_first(stage: EventStage) -> None:
    """The last message arrives first, then the others, late and twice."""
    first = stage.opened(ago_s=3)
    last = closed(first)
    async with stage.node():
        await stage.send(last, first, last)
        async with stage.iris():
            await stage.outcome()


async def abandoned(stage: EventStage) -> None:
    """Nobody closes it: the host is asked, first in vain."""
    first = stage.opened(ago_s=3)
    async with stage.everything():
        await stage.send(first)
        await until_asked(stage, 1)
        stage.workshop.abandoned = closed(first, end_reason="abandoned")
        await stage.outcome()


async def failed(stage: EventStage) -> None:
    """Neither clip nor picture can be made."""
    stage.workshop.errors = [CorruptMediaError("No segment of the event can be read.")]
    stage.workshop.thumbnail_error = CorruptMediaError("no picture")
    async with stage.everything():
        await stage.send(closed(stage.opened(ago_s=3)))
        await stage.outcome()


async def node_down(stage: EventStage) -> None:
    """The host is away when the clip is due; then the disk fails once."""
    stage.workshop.errors = [StorageError("the disk is full")]
    async with stage.iris():
        await stage.send(closed(stage.opened(ago_s=3)))
        await until_details(stage, "waits while its host is down")
        async with stage.node():
            await stage.outcome()


async def finished_before(stage: EventStage) -> None:
    """The database knows it as terminal already."""
    stage.records.states[stage.event_id] = "ready"
    async with stage.everything():
        await stage.send(stage.opened(ago_s=3))
        await stage.outcome()


CASES: dict[Callable[[EventStage], Awaitable[None]], float] = {
    normal: 900.0, partial: 900.0, closed_first: 900.0, abandoned: 0.3, failed: 900.0, node_down: 900.0,
    finished_before: 900.0,
}  # fmt: skip


async def _record(address: str, *, everything: bool) -> None:
    client = await connect(address)
    for case, max_open_s in CASES.items():
        path = HISTORIES / f"{case.__name__}.json"
        if path.exists() and not everything:
            continue
        stage = EventStage(client, address, max_open_s=max_open_s)
        await case(stage)
        history = await stage.handle.fetch_history()
        path.write_text(history.to_json() + "\n")
        print(f"{path.relative_to(ROOT)}: {len(history.events)} events")


def main() -> None:
    """Record, then write the fingerprints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="record every case anew")
    arguments = parser.parse_args()
    Path(HISTORIES).mkdir(parents=True, exist_ok=True)
    with running_server() as address:
        asyncio.run(_record(address, everything=arguments.all))
    BASELINE.write_text(json.dumps(all_fingerprints(), indent=2) + "\n")


if __name__ == "__main__":
    main()
