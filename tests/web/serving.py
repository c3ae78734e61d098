"""The application on a real port, for tests where sockets matter."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from starlette.types import ASGIApp

from web.api.serving import serve_socket
from workers.listening import bind_tcp

DEADLINE_S = 20.0


@contextlib.asynccontextmanager
async def on_a_port(app: ASGIApp) -> AsyncIterator[int]:
    """Serve on a free port of 127.0.0.1 while the block runs."""
    bound = bind_tcp("127.0.0.1", 0)
    bound.listen()  # connections wait here until the server takes them
    port = bound.getsockname()[1]
    stop = asyncio.Event()
    serving = asyncio.create_task(serve_socket(app, bound, stop, patience_s=1))
    try:
        yield port
    finally:
        stop.set()
        await asyncio.wait_for(serving, DEADLINE_S)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.01)
