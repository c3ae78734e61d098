"""Serves an application on a bound socket inside somebody else's event loop, until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from iris.base.unix_socket import private_socket


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the process that runs the loop."""
        yield


async def serve_socket(app: ASGIApp, bound: socket.socket, stop: asyncio.Event, *, patience_s: int) -> None:
    """Serve until `stop` is set or the task is cancelled; then finish what runs, for `patience_s` at most.

    Args:
        app: The application; its lifespan is run where it has one.
        bound: A bound stream socket; closed at the end.
        stop: Set by the owner of the loop.
        patience_s: Seconds for requests in progress.
    """
    # Forwarded headers are not believed: who asks is decided by the key and the true peer.
    config = uvicorn.Config(
        app, log_config=None, access_log=False, ws="none", proxy_headers=False, server_header=False,
        timeout_graceful_shutdown=patience_s,
    )  # fmt: skip
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        server.should_exit = True
        try:
            await asyncio.shield(serving)
        finally:
            bound.close()


async def serve_unix(app: ASGIApp, path: Path, stop: asyncio.Event) -> None:
    """Serve on a Unix socket (0600) until `stop` is set or the task is cancelled; then remove it.

    Args:
        app: The application.
        path: Of the socket; its folder is made (0700), a socket left by a killed process is replaced.
        stop: Set by the owner of the loop.

    Raises:
        ConflictError: Another process answers there.
        OSError: The socket cannot be made.
    """
    with private_socket(path) as bound:
        await serve_socket(app, bound, stop, patience_s=2)
