"""Timeouts and retry policies of activities; long ones are computed from short ones."""

from __future__ import annotations

from datetime import timedelta

from temporalio.common import RetryPolicy

RECORD_TIMEOUT = timedelta(seconds=15)
HEARTBEAT_TIMEOUT = timedelta(seconds=20)
# Assembly waits for the segment that holds the window's end, copies, verifies; 10 minutes of 4 Mbit/s take seconds.
ASSEMBLE_TIMEOUT = timedelta(minutes=10)
# A node that is down is waited for: as long as pinned segments are kept. Never a schedule-to-start timeout.
NODE_PATIENCE = timedelta(hours=24)

# Asking, releasing and publishing a thumbnail touch a few small files.
NODE_STEP_TIMEOUT = timedelta(seconds=30)
# The clip is finished and its row written; only the pins and outbox rows still wait for their host.
RELEASE_PATIENCE = 7 * NODE_PATIENCE
# How long after the window's end assembly waits for a segment that is still being written.
SEGMENT_PATIENCE = timedelta(seconds=15)

RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=0.5),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=30),
)
