"""`iris up`: everything on one machine. Starts the parts, starts each again when it dies, stops all in order.

Owns the embedded Temporal server and the three children api, worker and node; camera processes are the node's.
Runs on one event loop on the main thread, to which the children's parent-death signals are tied.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

from iris.adapters.clock import SystemClock
from iris.adapters.id_source import Uuid7Source
from iris.adapters.process import hold_lock
from iris.adapters.store_mark import check_sqlite_pair
from iris.adapters.vault import ensure_api_key
from iris.base.errors import ConfigError, ConflictError, StoreError, StoreMismatchError
from iris.base.log import configure_logging, get_logger
from iris.config import Settings, load_settings
from workers.listening import bind_tcp
from workers.parts import Part
from workers.restart_book import RestartBook
from workers.temporal_binary import ensure_temporal
from workers.temporal_server import TemporalServer

# The whole stop takes under 20 s: parts together first (the worker still needs Temporal), the server last.
PART_PATIENCE_S = 12.0
TEMPORAL_PATIENCE_S = 5.0
_HEALTHY_EVERY_S = 0.2
# Scheduling priority of what recording does not need: about a third of the processor time of what it does.
BEHIND_RECORDING = 5


def run_up() -> int:
    """Run until Ctrl-C or SIGTERM."""
    loaded = load_settings()
    settings = loaded.settings
    configure_logging("up", level=settings.log_level, json=settings.log_json)
    for warning in loaded.warnings:
        get_logger().warning("setting", reason=warning)
    try:
        settings.data_path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = hold_lock(settings.data_path / "run" / "up.lock", patience_s=3.0)
    except ConflictError as error:
        raise ConfigError(f"another iris up runs on {settings.data_path}; stop it first or set DATA_DIR") from error
    except OSError as error:
        raise ConfigError(f"DATA_DIR {settings.data_path} cannot be written: {error.strerror}") from error
    try:
        # Before anything records, prunes or announces itself.
        check_sqlite_pair(settings.data_path, settings.main_database_file)
        bind_tcp(settings.bind_address, settings.port).close()
        return asyncio.run(_Up(settings).run())
    finally:
        os.close(lock)


class _Up:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = get_logger()
        self._stop = asyncio.Event()
        self._restarts = RestartBook(settings.data_path / "run" / "restarts.json")

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sig, self._stop.set)
        new_key = self._make_key()
        server = self._temporal_server()
        parts = self._parts(server)
        # The node first: it records with nothing but the disk, while the rest takes seconds, on a first start minutes.
        tasks = [asyncio.create_task(part.keep_running(), name=part.name) for part in parts]
        tasks.append(asyncio.create_task(asyncio.to_thread(self._pair), name="pair"))
        if server is not None:
            tasks.append(asyncio.create_task(server.keep_running(), name="temporal"))
        welcome = asyncio.create_task(self._welcome(server, new_key), name="welcome")
        stopped = asyncio.create_task(self._stop.wait(), name="stop")
        broken = await self._until_stopped([*tasks, stopped], stopped)
        welcome.cancel()
        self._log.info("stopping")
        await asyncio.gather(*(part.stop(PART_PATIENCE_S) for part in parts))
        if server is not None:
            await server.stop(TEMPORAL_PATIENCE_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if broken is not None:
            raise broken
        self._log.info("stopped")
        return 0

    async def _until_stopped(self, tasks: list[asyncio.Task[Any]], stopped: asyncio.Task[Any]) -> BaseException | None:
        """Wait for a stop; the error where a task failed with what no restart mends."""
        running = set(tasks)
        while stopped in running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if (error := task.exception()) is not None:
                    return error
        return None

    def _make_key(self) -> bool:
        if self._settings.api_key is not None or self._settings.sso_proxy_secret is not None:
            return False
        return ensure_api_key(self._settings.data_path)[1]

    def _pair(self) -> None:
        """Bring the database to this version and make sure that it belongs to this folder."""
        from iris.store.engine import open_store
        from workers.wiring.pairing import prepare_pair

        store = open_store(self._settings.main_database_url)
        try:
            prepare_pair(self._settings, store, Uuid7Source())
        except StoreMismatchError:
            raise
        except StoreError as error:
            self._log.warning("the database does not answer; cameras record all the same", reason=str(error))
        finally:
            store.close()

    def _temporal_server(self) -> TemporalServer | None:
        if self._settings.temporal_address is not None:
            return None
        server = TemporalServer(
            lambda: ensure_temporal(os.environ, lambda line: self._log.info("temporal", line=line)),
            self._settings.data_path, SystemClock(),
            ports=(self._settings.temporal_port, self._settings.temporal_ui_port), ended=self._restarts.note,
        )  # fmt: skip
        server.choose_ports()
        return server

    def _parts(self, server: TemporalServer | None) -> list[Part]:
        environment = {"DATA_DIR": str(self._settings.data_path), "MODELS_DIR": str(self._settings.models_path)}
        if server is not None:
            environment["TEMPORAL_ADDRESS"] = server.address
            environment["TEMPORAL_UI_PORT"] = server.ui_address.rpartition(":")[2]
        command = [sys.executable, "-m", "workers.cli"]
        # Recording comes first also where the processor is short, above all while everything starts.
        return [
            Part("node", [*command, "node"], environment, ended=self._restarts.note),
            *(
                Part(name, [*command, name], environment, nice=BEHIND_RECORDING, ended=self._restarts.note)
                for name in ("worker", "api")
            ),
        ]

    async def _welcome(self, server: TemporalServer | None, new_key: bool) -> None:  # noqa: FBT001 - private, one caller
        """Say where it is once the api answers."""
        import httpx  # a tenth of a second that recording need not wait for

        address = f"http://127.0.0.1:{self._settings.port}"
        async with httpx.AsyncClient(trust_env=False) as client:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"{address}/health")).status_code == 200:
                        break
                await asyncio.sleep(_HEALTHY_EVERY_S)
        lines = [f"Iris runs at {address}"]
        if server is not None:
            lines.append(f"Temporal's pages are at {server.ui_address}")
        key_path = self._settings.data_path / "secrets" / "api_key"
        if new_key:
            lines += [f"A key was made in {_short(key_path)}. Try it:"]
        if key_path.exists() and self._settings.api_key is None:
            lines += [f'  curl -H "Authorization: Bearer $(cat {shlex.quote(_short(key_path))})" {address}/api/system']
        if self._settings.detector_backend == "onnx" and not self._settings.detector_model_path.exists():
            lines += [
                f"There is no model file at {_short(self._settings.detector_model_path)}: cameras use motion detection."
            ]
        print("\n".join(lines), flush=True)  # noqa: T201 - what a person who typed `iris up` is waiting for


def _short(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)
