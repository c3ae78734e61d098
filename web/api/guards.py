"""Around the whole application: access, cross-site requests, body size, security headers, and the last catch.

Pure ASGI, so that it costs microseconds and sees every answer, also those that no route gave. A HEAD request is
run as GET and its body dropped here, so that every GET answers HEAD too.
"""

from __future__ import annotations

import time
from typing import cast
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from iris.base.errors import InputError
from iris.base.log import get_logger
from web.api.auth import Access, check_access
from web.api.errors import problem
from web.api.metrics import ApiMetrics

# A camera with every field at its bound is far below.
MOST_BODY_BYTES = 64 * 1024
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Mark in the scope that the body of this answer is not wanted.
HEAD_KEY = "iris.head"
_SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"cache-control", b"no-store, private"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
RawHeaders = list[tuple[bytes, bytes]]


class Guard:
    """The outermost middleware of the application."""

    def __init__(self, app: ASGIApp, *, access: Access, metrics: ApiMetrics) -> None:
        self._app, self._access, self._metrics = app, access, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:  # nothing here speaks WebSocket yet, so it is refused before any code sees it
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_s = time.perf_counter()
        method: str = scope["method"]
        reply = _Reply(send, drop_body=method == "HEAD")
        refusal = self._refusal(scope)
        try:
            if refusal is not None:
                await refusal(scope, receive, reply.send)
            else:
                if method == "HEAD":
                    scope = {**scope, "method": "GET", HEAD_KEY: True}
                await self._app(scope, _bounded(receive), reply.send)
        except Exception as error:  # noqa: BLE001 - the boundary of a request
            get_logger().exception("request failed", method=method, route=_route(scope), error=error)
            if not reply.started:
                answer = problem(500, "internal_error", "Iris failed to answer; its log says why")
                await answer(scope, receive, reply.send)
        route = _route(scope)
        self._metrics.requests.labels(method if method in _METHODS else "other", route, str(reply.status)).inc()
        self._metrics.request_seconds.labels(route).observe(time.perf_counter() - started_s)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = cast("RawHeaders", scope["headers"])
        client = scope.get("client")
        denied = check_access(self._access, scope["path"], headers, client[0] if client else None)
        if denied is not None:
            self._metrics.auth_denied.labels(denied.reason).inc()
            return problem(401, "unauthorized", denied.sentence, headers={"WWW-Authenticate": 'Bearer realm="iris"'})
        if scope["method"] not in SAFE_METHODS and _is_cross_site(headers):
            self._metrics.auth_denied.labels("cross_site").inc()
            return problem(403, "cross_site", "a page of another site may not change anything here")
        repeated = _repeated(scope["query_string"])
        if repeated is not None:
            return problem(422, InputError.code, f"{repeated} is given more than once; which one counts is not guessed")
        length = _first(headers, b"content-length")
        if length is not None and (not length.isdigit() or int(length) > MOST_BODY_BYTES):
            return problem(413, "content_too_large", f"a body may hold {MOST_BODY_BYTES} bytes at most")
        return None


def _repeated(query: bytes) -> str | None:
    """A query parameter that stands there twice; no route takes a list."""
    seen = set()
    for name, _value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name in seen:
            return name[:100]
        seen.add(name)
    return None


_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})


class _Reply:
    """Adds the security headers, remembers the status, drops the body where HEAD asked."""

    def __init__(self, send: Send, *, drop_body: bool) -> None:
        self._send, self._drop_body = send, drop_body
        self.started = False
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            headers = cast("RawHeaders", list(message.get("headers", [])))
            present = {name.lower() for name, _ in headers}
            headers += [pair for pair in _SECURITY_HEADERS if pair[0] not in present]
            message = {**message, "headers": headers}
        elif self._drop_body:
            message = {**message, "body": b""}
        await self._send(message)


def _bounded(receive: Receive) -> Receive:
    """Counts a body without a length, and refuses it when it grows too large."""
    seen_bytes = 0

    async def counted() -> Message:
        nonlocal seen_bytes
        message = await receive()
        seen_bytes += len(message.get("body", b""))
        if seen_bytes > MOST_BODY_BYTES:
            raise HTTPException(413)
        return message

    return counted


def _is_cross_site(headers: RawHeaders) -> bool:
    """Whether a browser says that a page of another site sent it; programs send neither header."""
    site = _first(headers, b"sec-fetch-site")
    if site is not None:
        return site not in (b"same-origin", b"none")
    origin = _first(headers, b"origin")
    if origin is None:
        return False
    return origin.partition(b"://")[2].lower() != (_first(headers, b"host") or b"").lower()


def _first(headers: RawHeaders, name: bytes) -> bytes | None:
    return next((value for key, value in headers if key == name), None)


def _route(scope: Scope) -> str:
    """The template of the route, so that no id becomes a label."""
    return str(getattr(scope.get("route"), "path", "none"))
