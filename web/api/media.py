"""Files of DATA_DIR over HTTP: whole, or one range, from a descriptor opened once.

The path comes from the database and is still checked (realpath, then commonpath) to lie in the folder that such
files live in. A file that was opened is served to its end, also when it is deleted meanwhile.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from iris.base.errors import CorruptMediaError, NotFoundError
from web.api.errors import problem
from web.api.guards import HEAD_KEY
from web.api.ranges import ByteSpan, UnsatisfiableRangeError, names_version, parse_range, range_applies

# One thread hop per piece: large enough that hops do not count, small enough for many viewers at once.
PIECE_BYTES = 512 * 1024


def resolve_media(data_dir: Path, folder: str, relative: str) -> Path:
    """The file of a database row.

    Raises:
        NotFoundError: It does not lie in `folder` of the data directory.
    """
    root = os.path.realpath(data_dir / folder)
    path = os.path.realpath(data_dir / relative)
    if "\x00" in relative or os.path.commonpath((root, path)) != root or path == root:
        raise NotFoundError("the file of this event lies outside the data directory")
    return Path(path)


class MediaFile(Response):
    """Answers GET and HEAD of one immutable file, with a single range and conditions (RFC 9110, 13 and 14).

    Args:
        path: As `resolve_media` gave it.
        etag: Strong entity tag with its quotes.
        media_type: Type of the content.
        size_bytes: Size by the database; None where it does not say.
        name: File name for a download.
    """

    def __init__(self, path: Path, *, etag: str, media_type: str, size_bytes: int | None, name: str) -> None:
        self._path, self._etag, self._type, self._size_bytes, self._name = path, etag, media_type, size_bytes, name
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Open, decide, send."""
        descriptor, size_bytes = await run_in_threadpool(self._open)
        try:
            answer = self._answer(scope, descriptor, size_bytes)
            await answer(scope, receive, send)
        finally:
            os.close(descriptor)

    def _open(self) -> tuple[int, int]:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise NotFoundError("the file is not there any more; `iris check` tells what is missing") from error
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and self._size_bytes in (None, found.st_size):
            return descriptor, found.st_size
        os.close(descriptor)
        raise CorruptMediaError("the file is not as the database has it; `iris check` tells more")

    def _answer(self, scope: Scope, descriptor: int, size_bytes: int) -> Response:
        headers = Headers(scope=scope)
        base = {"ETag": self._etag, "Accept-Ranges": "bytes"}
        if (match := headers.get("if-match")) is not None and not names_version(match, self._etag, weak=False):
            return problem(412, "precondition_failed", "the file is not of that version", headers=base)
        if (none := headers.get("if-none-match")) is not None and names_version(none, self._etag, weak=True):
            return Response(None, 304, base)
        try:
            wanted = headers.get("range") if range_applies(headers.get("if-range"), self._etag) else None
            span = parse_range(wanted, size_bytes)
        except UnsatisfiableRangeError:
            sentence = f"the file holds {size_bytes} bytes"
            more = {**base, "Content-Range": f"bytes */{size_bytes}"}
            return problem(416, "range_not_satisfiable", sentence, headers=more)
        base["Content-Disposition"] = f'inline; filename="{self._name}"'
        if span is None:
            whole = ByteSpan(0, size_bytes - 1)
            return self._stream(scope, descriptor, whole, 200, base)
        base["Content-Range"] = f"bytes {span.first}-{span.last}/{size_bytes}"
        return self._stream(scope, descriptor, span, 206, base)

    def _stream(self, scope: Scope, descriptor: int, span: ByteSpan, status: int, headers: dict[str, str]) -> Response:
        headers["Content-Length"] = str(span.length_bytes)
        if cast("bool", scope.get(HEAD_KEY, False)):
            return Response(None, status, headers, self._type)
        return StreamingResponse(_pieces(descriptor, span), status, headers, self._type)


async def _pieces(descriptor: int, span: ByteSpan) -> AsyncIterator[bytes]:
    position = span.first
    while position <= span.last:
        count = min(PIECE_BYTES, span.last - position + 1)
        piece = await run_in_threadpool(os.pread, descriptor, count, position)
        if not piece:  # cut off while it was served: the length promised cannot be kept, so the connection breaks
            raise OSError("the file became shorter while it was served")
        position += len(piece)
        yield piece
