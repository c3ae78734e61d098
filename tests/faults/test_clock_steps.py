"""The wall clock is set while Iris runs, by two hours both ways, and is 1970 when it starts: nothing is lost of it.

Reliability case R23, with real processes under a clock of their own. A step begins a new run; recording has no hole,
no segments overlap in the index, no footage goes for it, and every event has a window that somebody could have seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from iris.base.sqlite import connect_readonly
from iris.base.timebase import US_PER_S, parse_rfc3339
from tests.e2e.running_iris import RunningIris, wait_until
from tests.faults.clock_shim import SteppedClock
from tests.faults.ledger import Ledger, rounds
from tests.faults.stage import SETTINGS, FaultStage, wall_us
from tests.faults.verdict import all_events

HOURS_US = 3600 * US_PER_S
# The scene is in view for 2.5 s; with pre-roll, post-roll, hold time and a segment's doubt.
LONGEST_WINDOW_US = 12 * US_PER_S


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[SteppedClock]:
    made = SteppedClock(tmp_path)
    yield made
    made.close()


def stage_of(tmp_path: Path, clock: SteppedClock) -> FaultStage:
    return FaultStage(RunningIris(tmp_path / "data", **SETTINGS, **clock.environment))


def segments(stage: FaultStage) -> list[tuple[int, int, int]]:
    """(id, start, end) of the durable segments, in the order in which they were recorded."""
    [camera_id] = stage.cameras
    connection = connect_readonly(stage.iris.data_dir / "node" / f"{camera_id}.db")
    try:
        return connection.execute(
            "SELECT segment_id, start_us, end_us FROM segments WHERE state = 'durable' ORDER BY segment_id"
        ).fetchall()
    finally:
        connection.close()


def until_ended(stage: FaultStage, event_ids: set[str]) -> None:
    wait_until(
        lambda: not event_ids - set(stage.witness.ended), 60, f"events {event_ids} end; {stage.iris.log()[-2000:]}"
    )


def wrong_segments(stage: FaultStage) -> list[str]:
    """Durations that are none, and wall time that is there twice."""
    rows = segments(stage)
    found = [f"segment {number} lasts {end_us - start_us} us" for number, start_us, end_us in rows
             if not 0 < end_us - start_us < 10 * US_PER_S]  # fmt: skip
    rows.sort(key=lambda row: row[1])
    return found + [
        f"segment {after[0]} begins {before[2] - after[1]} us before segment {before[0]} ends"
        for before, after in pairwise(rows)
        if after[1] < before[2] - 1000
    ]


def wrong_events(events: list[dict[str, Any]]) -> list[str]:
    """Times that cannot be."""
    found = []
    for event in events:
        started, ended, last_seen = (parse_rfc3339(event[name]) for name in ("started_at", "ended_at", "last_seen_at"))
        start, end = (parse_rfc3339(event["window"][name]) for name in ("start", "end"))
        if not start <= started <= last_seen <= ended <= end or end - start > LONGEST_WINDOW_US:
            found.append(f"event {event['id']}: window {event['window']}, {event['started_at']} to {event['ended_at']}")
        lengths = [file["duration_seconds"] for file in event["clip_files"]]
        if not all(0 < length <= LONGEST_WINDOW_US / US_PER_S for length in lengths):
            found.append(f"event {event['id']}: clips of {lengths} s")
    return found


def judged(stage: FaultStage, ledger: Ledger, kept: set[int]) -> list[str]:
    """The verdict, and what else is wrong; `kept` are segments that were there and have no reason to be gone."""
    found = stage.verdict(ledger)
    left = {row[0] for row in segments(stage)}
    problems = wrong_segments(stage) + wrong_events(all_events(stage.iris))
    problems += [f"{len(kept - left)} of {len(kept)} segments went for a step of the clock"] if kept - left else []
    ledger.failed(violations=len(problems))
    return [*found.lost, *found.duplicates, *found.violations, *problems]


@pytest.mark.e2e
@pytest.mark.timeout(1800)
def test_nothing_is_lost_when_iris_starts_in_1970_and_the_wall_clock_steps_by_two_hours(
    tmp_path: Path, clock: SteppedClock
) -> None:
    clock.set(-wall_us() + 10 * US_PER_S)
    with (
        Ledger("R23", "1970 at boot, set right, two hours forth and back", "steps") as ledger,
        stage_of(tmp_path, clock) as stage,
    ):
        began_us = wall_us()
        until_ended(stage, stage.until_accepted(1))
        kept: set[int] = set()
        # Each step comes in the middle of the next event.
        for shift_us in (0, *(2 * HOURS_US, 0, -2 * HOURS_US, 0) * rounds(1, 5)):
            accepted = stage.until_accepted(1)
            kept |= {row[0] for row in segments(stage)}
            clock.set(shift_us)
            until_ended(stage, accepted | stage.until_accepted(1))
            ledger.rounds += 1
        ended_us = wall_us()
        problems = judged(stage, ledger, kept)
        stage.assert_recorded_without_a_hole(began_us, ended_us)
        ledger.facts["states"] = dict(Counter(stage.witness.ended.values()))
    assert not problems, "\n".join(problems)
