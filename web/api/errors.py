"""One shape for every error: RFC 9457 problem details, whoever found it (we, FastAPI, or a mistake of ours).

A problem never repeats what was sent: addresses with passwords would come back in answers and logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from iris.base import errors as e
from iris.base.redact import redact

PROBLEM_MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = "2"

# Every class of the tree by name; a test proves that none is missing and that each is documented.
STATUS_OF: Mapping[type[e.IrisError], int] = {
    e.IrisError: 500,
    e.ConfigError: 500,
    e.InputError: 422,
    e.NotFoundError: 404,
    e.ConflictError: 409,
    e.StoreError: 503,
    e.StoreMismatchError: 500,
    e.StorageError: 500,
    e.DiskFullError: 507,
    e.CorruptMediaError: 500,
    e.CameraError: 502,
    e.CameraAuthError: 502,
    e.CameraUnreachableError: 502,
    e.CameraStalledError: 502,
    e.CameraStreamError: 502,
    e.CameraAddressError: 422,
    e.InferenceError: 503,
    e.UnavailableError: 503,
}
_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    412: "Precondition Failed",
    413: "Content Too Large",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    507: "Insufficient Storage",
}
_FIELD_CHARS = 100
_MOST_FIELDS = 20


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong value: which, and what is allowed."""

    field: str
    message: str


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: list[FieldError] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem details answer.

    Args:
        status: HTTP status.
        code: Stable name of the error, as `docs/reference/errors.md` lists it.
        detail: One sentence for people, without anything that was sent.
        errors: Fields at fault, where there are any.
        headers: More headers.
    """
    body: dict[str, object] = {
        "type": f"urn:iris:problem:{code}",
        "title": title_of(status),
        "status": status,
        "code": code,
        "detail": detail,
    }
    if errors:
        body["errors"] = errors
    more = {"Retry-After": RETRY_AFTER_S} if status == 503 else {}
    return Response(orjson.dumps(body), status, {**more, **(headers or {})}, PROBLEM_MEDIA_TYPE)


def title_of(status: int) -> str:
    """The phrase of RFC 9110; those of `http.HTTPStatus` differ between the versions of Python."""
    return _TITLES.get(status, "Error")


def problem_of(error: e.IrisError) -> Response:
    """The answer for an error that Iris raised on purpose."""
    status = next(STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF)
    field = error.field if isinstance(error, e.InputError) else None
    detail = redact(str(error))
    return problem(status, error.code, detail, errors=[FieldError(field, detail)] if field else None)


def install_error_handlers(app: FastAPI) -> None:
    """Turn every error of the application and of the framework into a problem."""

    async def on_iris_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, e.IrisError)
        return problem_of(error)

    async def on_http_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        title = title_of(error.status_code)
        detail = _SENTENCES.get(error.status_code, title)
        return problem(error.status_code, title.lower().replace(" ", "_"), detail, headers=error.headers)

    async def on_invalid_request(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        errors = [FieldError(_field_name(item), _message(item)) for item in error.errors()[:_MOST_FIELDS]]
        detail = "; ".join(f"{item.field}: {item.message}" for item in errors)
        return problem(422, e.InputError.code, detail, errors=errors)

    app.add_exception_handler(e.IrisError, on_iris_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_invalid_request)


_SENTENCES = {
    400: "the request could not be read; a body must be one JSON object",
    404: "there is nothing at this address",
    405: "this address does not take this method",
    413: "the request is too large",
}


def _field_name(item: Mapping[str, Any]) -> str:
    """`name` or `trigger_classes.0`: where the value was, without "body" or "query", bounded and printable."""
    location = [str(part) for part in item["loc"]]
    if item["type"] == "json_invalid":  # the rest is where in the text the parser stopped
        return "body"
    parts = location[1:] or location
    name = ".".join(parts)[:_FIELD_CHARS]
    return "".join(c if c.isprintable() else "?" for c in name)


def _message(item: Mapping[str, Any]) -> str:
    """What is allowed; pydantic's messages name limits and types, never the value."""
    if item["type"] == "json_invalid":
        return "the body must be valid JSON"
    if item["type"] == "extra_forbidden":
        return "there is no such field"
    return str(item["msg"]).removeprefix("Value error, ")
