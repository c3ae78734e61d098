"""The end of a fault test: accepted against ended, files against rows, Temporal's runs, and `iris check`."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from iris.contracts.names import WORKFLOW_EVENT, event_workflow_id
from tests.e2e.running_iris import RunningIris
from tests.faults.witness import TERMINAL, Witness
from tests.temporal_env import connect

_VISIBLE_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found; every entry is a sentence. `states` counts the ends."""

    events: int
    lost: tuple[str, ...]
    duplicates: tuple[str, ...]
    violations: tuple[str, ...]
    states: dict[str, int]

    def expect_clean(self) -> None:
        """Fail with everything that is wrong."""
        wrong = [*self.lost, *self.duplicates, *self.violations]
        assert not wrong, "\n".join(wrong)


def judge(
    iris: RunningIris, witness: Witness, *, ended_within_s: float, runs: bool, may_fail: bool,
    removed: Collection[str] = (),
) -> Verdict:  # fmt: skip
    """Wait until all accepted events ended, or until it takes too long, and look at everything.

    Args:
        iris: Running; its cameras make no further events.
        witness: Still watching.
        ended_within_s: A longer wait means that what has not ended is lost.
        runs: Whether one completed run of each event's workflow is required.
        may_fail: Whether `failed` is an acceptable end.
        removed: Events that were deleted on purpose: they have no row.
    """
    deadline = time.monotonic() + ended_within_s
    while True:
        witness.look()
        rows = all_events(iris)
        states = {row["id"]: row["state"] for row in rows}
        expected = set(witness.accepted) - set(removed)
        unended = sorted(event_id for event_id in expected if states.get(event_id) not in TERMINAL)
        if not unended or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    lost = [f"event {event_id} was accepted and is {states.get(event_id, 'unknown')}" for event_id in unended]
    counts = Counter(row["id"] for row in rows)
    duplicates = [f"event {event_id} has {count} rows" for event_id, count in counts.items() if count > 1]
    violations = sorted(witness.broken)
    violations += [f"event {event_id} was never accepted" for event_id in sorted(set(states) - set(witness.accepted))]
    violations += [f"event {event_id} was deleted and is there" for event_id in sorted(set(states) & set(removed))]
    violations += _clip_problems(iris, states, expected)
    if not may_fail:
        violations += [f"event {row['id']} failed: {row.get('failure')}" for row in rows if row["state"] == "failed"]
    if runs:
        duplicates += asyncio.run(_run_problems(iris, expected - set(unended)))
    check = iris.check()
    if check.returncode != 0:
        violations.append(f"iris check: {check.stdout}{check.stderr}")
    return Verdict(len(expected), tuple(lost), tuple(duplicates), tuple(violations), dict(Counter(states.values())))


def all_events(iris: RunningIris) -> list[dict[str, Any]]:
    """Every event that the api shows, over all its pages."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        answer = iris.call("GET", "/api/events", params={"limit": 500, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def _clip_problems(iris: RunningIris, states: dict[str, str], expected: set[str]) -> list[str]:
    """Each event that is ready or partial has its clip, and no clip is of anything else."""
    clips = {path.name.partition(".")[0] for path in (iris.data_dir / "recordings").glob("*/*.mp4")}
    with_clip = {event_id for event_id in expected if states.get(event_id) in ("ready", "partial")}
    return [
        *(f"event {event_id} is {states[event_id]} and has no clip" for event_id in sorted(with_clip - clips)),
        *(f"there is a clip of event {event_id}, which is {states.get(event_id, 'unknown')}"
          for event_id in sorted(clips - with_clip)),
    ]  # fmt: skip


async def _run_problems(iris: RunningIris, expected: set[str]) -> list[str]:
    """Events without exactly one run of their workflow, completed; Temporal's list lags a little."""
    client = await connect(f"127.0.0.1:{iris.temporal_port}")
    deadline = time.monotonic() + _VISIBLE_WITHIN_S
    while True:
        seen: dict[str, list[str]] = {}
        async for run in client.list_workflows(f"WorkflowType = '{WORKFLOW_EVENT}'"):
            seen.setdefault(run.id, []).append(run.status.name if run.status else "none")
        wrong = [
            f"event {event_id} has runs {seen.get(event_workflow_id(event_id), [])}"
            for event_id in sorted(expected)
            if seen.get(event_workflow_id(event_id)) != ["COMPLETED"]
        ]
        if not wrong or time.monotonic() > deadline:
            return wrong
        await asyncio.sleep(0.2)
