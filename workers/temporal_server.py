"""The embedded Temporal server of one machine: the dev server with a database file, as a child of `iris up`.

It is for one machine and a few cameras; set TEMPORAL_ADDRESS to use another server, then nothing here runs. Its
file can be made again from the outbox of the cameras, so a lost one costs no event. Belongs to one event loop on
the main thread (the kernel ties the parent-death signal to the thread that started the child).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from iris.adapters.process import die_with_parent, hold_lock
from iris.base.backoff import backoff_delay_s
from iris.base.errors import ConfigError, UnavailableError
from iris.base.log import get_logger
from iris.base.sqlite import WAL_MOST_BYTES
from iris.contracts.names import SEARCH_ATTRIBUTES
from iris.ports import Clock
from workers.temporal_binary import ensure_temporal

# Closed workflows stay known for a week: that long a second delivery of an old event is seen to be one.
RETENTION: Final = "168h"
# A first start makes the schema; on a busy small machine that takes its time.
_HEALTHY_WITHIN_S: Final = 60.0
_LOG_MOST_BYTES: Final = 20_000_000
_PORTS_TRIED: Final = 50
_NO_CONFIG: Final = ("--disable-config-env", "--disable-config-file")


class TemporalServer:
    """Starts, watches, restarts and stops the server; `address` is fixed from the first start on."""

    def __init__(
        self,
        find_binary: Callable[[], Path],
        data_dir: Path,
        clock: Clock,
        *,
        ports: tuple[int, int],
        ended: Callable[[str, int], None] = lambda _name, _code: None,
    ) -> None:
        """Nothing is started yet.

        Args:
            find_binary: Finds the program, or gets or builds it (minutes); called on a thread at the first start.
            data_dir: DATA_DIR.
            clock: For names of files that are moved aside.
            ports: Wanted ports of the frontend and of the web interface.
            ended: Called with `temporal` and the exit code when it ended although nobody asked it to.
        """
        self._find_binary = find_binary
        self._binary = Path()
        self._folder = data_dir / "temporal"
        self._clock = clock
        self._wanted = ports
        self._ended = ended
        self._ports: tuple[int, int] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._stop_asked = asyncio.Event()
        self._log = get_logger(part="temporal")

    @property
    def address(self) -> str:
        """host:port of the frontend; known after `start` was called."""
        return f"127.0.0.1:{self._chosen()[0]}"

    @property
    def ui_address(self) -> str:
        """Address of the web interface for a browser on this machine."""
        return f"http://127.0.0.1:{self._chosen()[1]}"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def choose_ports(self) -> None:
        """Fix the ports, so that the address is known before the server runs; taken ones are passed over."""
        if self._ports is None:
            port = self._free_port(self._wanted[0], "TEMPORAL_PORT", taken=())
            self._ports = (port, self._free_port(self._wanted[1], "TEMPORAL_UI_PORT", taken=(port,)))

    async def start(self) -> None:
        """Start the server and return when it answers.

        Raises:
            UnavailableError: It ended or did not answer in time; its log says why.
            ConfigError: No port is free.
        """
        self._binary = await asyncio.to_thread(self._find_binary)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The child inherits the lock, so that no second server opens the file while the first still dies.
        lock = await asyncio.to_thread(hold_lock, self._folder / "lock", patience_s=10.0)
        try:
            self.choose_ports()
            self._move_unfinished_aside()
            self._process = await self._spawn(lock)
        finally:
            os.close(lock)
        if self._stop_asked.is_set():  # while it was being started
            await self._end(self._process, patience_s=2.0)
            return
        try:
            await asyncio.wait_for(self._until_healthy(), _HEALTHY_WITHIN_S)
        except TimeoutError as error:
            await self._end(self._process, patience_s=2.0)
            raise UnavailableError(
                f"The Temporal server did not answer within {_HEALTHY_WITHIN_S:.0f} s; see {self._log_path}"
            ) from error
        self._mark.write_text("this file was healthy once\n", encoding="utf-8")
        self._log.info("temporal server runs", address=self.address, ui=self.ui_address, pid=self.pid)

    async def keep_running(self) -> None:
        """Start it, and again on the same ports whenever it ends, until `stop`."""
        attempt = 0
        while not self._stop_asked.is_set():
            try:
                if self.pid is None:
                    await self.start()
                attempt = 0
                if self._process is not None:
                    code = await self._process.wait()
                    if not self._stop_asked.is_set():
                        self._ended("temporal", code)
                self._log.warning("temporal server ended", stopping=self._stop_asked.is_set())
            except (UnavailableError, OSError) as error:
                self._log.error("temporal server does not start", error=error)
            attempt += 1
            delay_s = backoff_delay_s(attempt, first_s=0.3, jitter=random.random())  # noqa: S311 - spread only
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop_asked.wait(), delay_s)

    async def stop(self, patience_s: float = 10.0) -> None:
        """SIGTERM, then SIGKILL after `patience_s`."""
        self._stop_asked.set()
        if self._process is not None:
            await self._end(self._process, patience_s)

    @property
    def _mark(self) -> Path:
        return self._folder / "iris.db.healthy"

    @property
    def _log_path(self) -> Path:
        return self._folder / "server.log"

    def _chosen(self) -> tuple[int, int]:
        if self._ports is None:
            raise UnavailableError("The Temporal server was not started yet.")
        return self._ports

    def _free_port(self, wanted: int, setting: str, taken: tuple[int, ...]) -> int:
        for port in range(wanted, min(wanted + _PORTS_TRIED, 65536)):
            if port not in taken and _is_free(port):
                if port != wanted:
                    self._log.warning(
                        "port is taken, using the next free one", setting=setting, wanted=wanted, port=port
                    )
                return port
        raise ConfigError(f"{setting}: no free port from {wanted} on; name another one")

    def _move_unfinished_aside(self) -> None:
        """A first start that was killed half-way leaves a schema that nobody ever completes."""
        database = self._folder / "iris.db"
        if not database.exists():
            # Somebody removed the file: what comes is a first start again, and may be killed half-way too.
            self._mark.unlink(missing_ok=True)
            return
        if self._mark.exists():
            return
        suffix = f".unfinished-{self._clock.wall_us()}"
        for name in ("iris.db", "iris.db-wal", "iris.db-shm"):
            path = self._folder / name
            if path.exists():
                path.replace(path.with_name(name + suffix))
        self._log.warning("the first start did not finish; its file was moved aside", kept=f"iris.db{suffix}")

    async def _spawn(self, lock: int) -> asyncio.subprocess.Process:
        port, ui_port = self._chosen()
        if self._log_path.exists() and self._log_path.stat().st_size > _LOG_MOST_BYTES:
            self._log_path.replace(self._log_path.with_suffix(".log.1"))
        arguments = [
            "server", "start-dev", "--ip", "127.0.0.1", "--port", str(port), "--ui-port", str(ui_port),
            "--db-filename", str(self._folder / "iris.db"),
            # Three times the throughput of the defaults, and no acknowledged start is lost (measured).
            "--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=full",
            "--sqlite-pragma", f"journal_size_limit={WAL_MOST_BYTES}",
            "--ui-disable-news-fetch", "--log-level", "warn", "--log-format", "json",
            *_NO_CONFIG,
        ]  # fmt: skip
        for name, kind in SEARCH_ATTRIBUTES.items():
            arguments += ["--search-attribute", f"{name}={kind}"]
        parent = os.getpid()
        with self._log_path.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                self._binary, *arguments, env=_clean_environment(os.environ), stdin=asyncio.subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True, pass_fds=(lock,),
                # At once, not politely: a new `iris up` may follow, and the file stands a kill (measured).
                preexec_fn=lambda: die_with_parent(parent, signal.SIGKILL),
            )  # fmt: skip

    async def _until_healthy(self) -> None:
        """Return once the server listens and took the retention, which only a whole server can."""
        while True:
            if self.pid is None:
                raise UnavailableError(f"The Temporal server ended while it was starting; see {self._log_path}")
            if await _listens(self._chosen()[0]) and await self._set_retention():
                return
            await asyncio.sleep(0.05)

    async def _set_retention(self) -> bool:
        """The dev server's own retention is a day and cannot be given at its start."""
        process = await asyncio.create_subprocess_exec(
            self._binary, "operator", "namespace", "update", "--namespace", "default", "--retention", RETENTION,
            "--address", self.address, *_NO_CONFIG, env=_clean_environment(os.environ), start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            return await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()

    async def _end(self, process: asyncio.subprocess.Process, patience_s: float) -> None:
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), patience_s)
        except TimeoutError:
            self._log.warning("temporal server did not stop in time and was killed")
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Nothing of ours reaches the server: no secret, and no TEMPORAL_ variable meant for clients."""
    return {name: value for name, value in environment.items() if name in ("PATH", "HOME", "TMPDIR", "TZ", "LANG")}


def main() -> int:
    """`python -m workers.temporal_server --ensure`: have the program ready, for the Makefile."""
    parser = argparse.ArgumentParser(description="The embedded Temporal server of Iris.")
    parser.add_argument("--ensure", action="store_true", required=True, help="find the program, or get or build it")
    parser.parse_args()
    if os.environ.get("TEMPORAL_ADDRESS"):
        sys.stderr.write("TEMPORAL_ADDRESS is set: that server is used, none is installed\n")
        return 0
    try:
        binary = ensure_temporal(os.environ, lambda line: print(line, file=sys.stderr, flush=True))  # noqa: T201 - a command for people
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{binary}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
