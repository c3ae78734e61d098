"""Timeouts and retry policies of activities; long ones are computed from short ones."""

from __future__ import annotations

from datetime import timedelta

from temporalio.common import RetryPolicy

RECORD_TIMEOUT = timedelta(seconds=15)
HEARTBEAT_TIMEOUT = timedelta(seconds=20)
# Assembly waits for the segment that holds the window's end, copies, verifies; 10 minutes of 4 Mbit/s take seconds.
ASSEMBLE_TIMEOUT = timedelta(minutes=10)
# A walk over 100,000 files takes seconds, over a slow network disk minutes. A folder is read between two heartbeats.
WALK_TIMEOUT = timedelta(hours=1)
WALK_HEARTBEAT = timedelta(minutes=2)
# Nobody waits for an orphan: a host that is away, or a database that stays away, is met again by the next run.
WALK_PATIENCE = timedelta(hours=2)
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

# Tries for about a minute and a half; then the run says what stopped it.
WALK_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=3.0,
    maximum_interval=timedelta(minutes=1),
    maximum_attempts=6,
)

# A page of rows in one transaction; others that write are waited for up to 10 s. A worker that was killed in the middle
# is noticed by this alone.
PAGE_TIMEOUT = timedelta(seconds=20)
# A page of files: unlinked in a second, forced to a disk that is busy recording in some more.
PURGE_TIMEOUT = timedelta(minutes=5)
# Pages of one run of a workflow; at 20 kB for 200 events its history stays far below the size that Temporal warns of.
PAGES_PER_RUN = 25

# Stopping a camera takes 8 s at worst, and the lock of a process that is just dying some more.
CAMERA_STEP_TIMEOUT = timedelta(minutes=1)
# What is refused for good is looked at by a person; until then it is tried again now and then.
REFUSED_PAUSE = timedelta(minutes=1)

# Stopping a camera in order takes up to 8 s, and so does ending a stray process; both run while it heartbeats.
RECONCILE_TIMEOUT = timedelta(minutes=1)
# What the database knows of a node is for people: not worth waiting for while that is away too.
LOOK_AFTER_PATIENCE = timedelta(minutes=1)

# Terabytes to another disk take hours; between two signs of life lies one file at most, or a whole database.
BACKUP_STEP_TIMEOUT = timedelta(hours=12)
BACKUP_HEARTBEAT = timedelta(minutes=10)
# Longer than this a backup of the night is worth less than the next one.
BACKUP_PATIENCE = timedelta(hours=20)
