"""Structured logs: a constant event name, fields as keywords, context bound once.

JSON lines when `json` is asked for, else aligned text. Every text field passes `redact`. Never `print`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from iris.base.redact import redact


def _redact_fields(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> Mapping[str, Any]:
    for name, value in fields.items():
        if isinstance(value, str):
            fields[name] = redact(value)
        elif isinstance(value, BaseException):
            fields[name] = redact(f"{type(value).__name__}: {value}")
    return fields


class _RedactingFormatter(logging.Formatter):
    """For the lines of libraries, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def configure_logging(process: str, *, level: str = "info", json: bool = False) -> None:
    """Set up logging of this process, once, at its start.

    Args:
        process: Short name of the process, bound to every line.
        level: debug, info, warning or error.
        json: One JSON object per line instead of text for people.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_RedactingFormatter("%(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _redact_fields,
            structlog.processors.JSONRenderer()
            if json
            else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(process=process)


def get_logger(**bound: object) -> structlog.typing.FilteringBoundLogger:
    """A logger with fields bound; call at use, never at import."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(**bound)
    return logger
