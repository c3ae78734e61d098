"""What a workflow makes of an activity that failed for good."""

from __future__ import annotations

from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception


def raise_if_cancelled(error: ActivityError) -> None:
    """Go on only where the activity itself failed: the end of a cancelled workflow is no answer of an activity.

    Raises:
        ActivityError: `error` itself, when the workflow is cancelled.
    """
    if is_cancelled_exception(error):
        raise error


def reason_of(error: ActivityError, otherwise: str) -> str:
    """What a person should read: the activity's own sentence, or `otherwise` where it has none to say.

    Raises:
        ActivityError: See `raise_if_cancelled`.
    """
    raise_if_cancelled(error)
    return error.cause.message if isinstance(error.cause, ApplicationError) else otherwise
