"""Temporal for tests: the real server on free ports, one for a whole session, and clients of it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from temporalio.client import Client

from iris.adapters.temporal import TemporalLink
from iris.base.errors import UnavailableError
from iris.contracts.names import SEARCH_ATTRIBUTES
from workers.temporal_binary import ensure_temporal


@functools.cache
def temporal_binary() -> Path:
    """The program, found or made as `iris up` would."""
    return ensure_temporal(os.environ, print)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that are free now."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


async def connect(address: str) -> Client:
    """A client once the server answers."""
    link = TemporalLink(address, identity="iris-test")
    deadline = time.monotonic() + 30
    while True:
        try:
            return await link.client()
        except UnavailableError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


def _is_healthy(port: int) -> bool:
    """Whether the server answers; one that is being started listens before it does."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) != 0:
            return False
    command = [str(temporal_binary()), "operator", "cluster", "health", "--address", f"127.0.0.1:{port}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def running_server(port: int | None = None) -> Iterator[str]:
    """A server that keeps nothing; its address. Synchronous, so that any event loop may use it."""
    port = port or free_ports(1)[0]
    arguments = ["server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port), "--log-level", "error"]
    for name, kind in SEARCH_ATTRIBUTES.items():
        arguments += ["--search-attribute", f"{name}={kind}"]
    process = subprocess.Popen([temporal_binary(), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            if _is_healthy(port):
                break
            assert process.poll() is None, "the Temporal server ended while it was starting"
            assert time.monotonic() < deadline, "the Temporal server did not start"
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
