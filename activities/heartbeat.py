"""What every activity shares: errors told to Temporal, progress as heartbeats, and a way out when it is stopped.

Activities run as plain functions in threads. Cancellation is looked for where progress is told, never thrown into
the thread: an exception in the middle of a file being published would be worse than a second more.
Heartbeats without a heartbeat timeout are sent all the same and harm nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from temporalio import activity
from temporalio.exceptions import ApplicationError, CancelledError

from iris.base.errors import IrisError, UnavailableError
from iris.base.redact import redact


@contextmanager
def errors_told() -> Iterator[None]:
    """Translate errors of Iris into failures: type is the error's code, and its class says whether to try again.

    Raises:
        ApplicationError: In place of any `IrisError`; the chain is cut, since a cause's text may hold an address.
    """
    try:
        yield
    except IrisError as error:
        raise ApplicationError(redact(str(error)), type=error.code, non_retryable=not error.retryable) from None


def tell_progress(step: str, done: int, total: int) -> None:
    """A heartbeat that says how far the work is; the `ProgressSink` of activities.

    Raises:
        CancelledError: Temporal no longer wants the result; whoever works cleans up and lets it pass.
    """
    activity.heartbeat(step, done, total)
    if activity.is_cancelled():
        raise CancelledError("cancelled")


def pause(seconds: float) -> None:
    """Wait inside an activity; a worker that stops ends the wait at once.

    Raises:
        UnavailableError: The worker is stopping; the next one takes the activity up again.
    """
    activity.wait_for_worker_shutdown_sync(seconds)
    if activity.is_worker_shutdown():
        raise UnavailableError("The worker is being stopped; the step is taken up again by the next one.")
