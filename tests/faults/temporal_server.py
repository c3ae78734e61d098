"""A Temporal server of the test's own beside Iris, that can be stopped, frozen and robbed of its database."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from iris.contracts.names import SEARCH_ATTRIBUTES
from tests.temporal_env import connect, free_ports, temporal_binary


class OwnTemporal:
    """Keeps its database in `folder`; a context manager that starts it and ends it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it serves."""
        self._folder.mkdir(parents=True, exist_ok=True)
        arguments = [
            "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(self.port), "--log-level", "error",
            "--db-filename", str(self._folder / "temporal.db"),
            "--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=full",
        ]  # fmt: skip
        for name, kind in SEARCH_ATTRIBUTES.items():
            arguments += ["--search-attribute", f"{name}={kind}"]
        self._process = subprocess.Popen(
            [temporal_binary(), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        asyncio.run(self._serves())

    async def _serves(self) -> None:
        assert await (await connect(self.address)).service_client.check_health()

    def stop(self, *, kill: bool = False) -> None:
        """End it; its address refuses connections from then on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        self._process.wait(20)

    def freeze(self) -> None:
        """It keeps its connections and answers nothing."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Frozen for the length of a block."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def lose_database(self) -> None:
        """Delete its files; it must be stopped."""
        assert self._process is not None
        assert self._process.poll() is not None
        files = list(self._folder.glob("temporal.db*"))
        assert files, "it had no database"
        for path in files:
            path.unlink()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop(kill=True)
