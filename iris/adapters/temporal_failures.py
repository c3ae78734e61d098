"""How errors look in Temporal: one redacted sentence. Histories are plain text and shown in a browser for days."""

from __future__ import annotations

from dataclasses import replace

from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter, DefaultFailureConverter, PayloadConverter

from iris.base.redact import redact


class PlainFailureConverter(DefaultFailureConverter):
    """Takes credentials out of messages, and drops stack traces: they hold folder names, so names of people.

    The process in which an error happened has its trace in its own log.
    """

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        """See the base class."""
        super().to_failure(exception, payload_converter, failure)
        _clean(failure)


def _clean(failure: Failure) -> None:
    failure.message = redact(failure.message)
    failure.stack_trace = ""
    if failure.HasField("cause"):
        _clean(failure.cause)


DATA_CONVERTER = replace(DataConverter.default, failure_converter_class=PlainFailureConverter)
