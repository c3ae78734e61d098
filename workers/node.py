"""`iris node`: the cameras of this host, the relay of their outboxes, and the worker of the host's own queue.

Cameras are started from the node's own last known copy before Temporal or the database are even imported, so that
after a kill of everything they record at once. One event loop on the main thread; whatever blocks runs on threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import Awaitable, Callable, Iterator

from iris.adapters.clock import SystemClock
from iris.adapters.id_source import Uuid7Source
from iris.adapters.media_files import make_dir
from iris.adapters.node_cameras import NodeCameras
from iris.adapters.once_file import create_once
from iris.adapters.process import hold_lock, leave, prefer_as_oom_victim
from iris.adapters.store_mark import check_one_file_system, check_sqlite_pair
from iris.adapters.vault import open_vault
from iris.base.backoff import backoff_delay_s
from iris.base.errors import ConfigError, ConflictError, StorageError, StoreError, StoreMismatchError
from iris.base.ids import CameraId, NodeId, parse_id
from iris.base.log import configure_logging, get_logger
from iris.config import Settings, load_settings
from iris.outbox.marks import RelayMarks
from workers.node_cameras import CameraKeeper
from workers.supervisor import CameraSupervisor, SupervisorEvents

HEARTBEAT_S = 5.0
# What follows takes a core for a second and a half: cameras that are connecting come first.
_CAMERAS_FIRST_S = 2.5
# A node that was just killed may still be dying.
_LOCK_PATIENCE_S = 5.0


def run_node() -> int:
    """Run until SIGTERM or Ctrl-C; camera processes are stopped in order."""
    loaded = load_settings()
    configure_logging("node", level=loaded.settings.log_level, json=loaded.settings.log_json)
    for warning in loaded.warnings:
        get_logger().warning("setting", reason=warning)
    prefer_as_oom_victim(-500)
    asyncio.run(_Node(loaded.settings).run())
    leave(0)


class _Node:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = asyncio.Event()
        self._log = get_logger()
        self._relay_bell: Callable[[], None] | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sig, self._stop.set)
        data_dir, clock = self._settings.data_path, SystemClock()
        check_sqlite_pair(data_dir, self._settings.main_database_file)
        check_one_file_system(data_dir)
        make_dir(data_dir / "node")
        node_id = NodeId(parse_id(create_once(data_dir / "node" / "id", Uuid7Source().new_id)[0], field="node/id"))
        try:
            hold_lock(data_dir / "node" / "lock", patience_s=_LOCK_PATIENCE_S)
        except ConflictError as error:
            raise ConfigError(f"another node runs on {data_dir}; stop it first or set DATA_DIR") from error
        self._marks = RelayMarks(data_dir / "node" / "relay.db")
        events = SupervisorEvents(self._outbox_changed, self._forgotten, self._camera_started)
        self._supervisor = CameraSupervisor(data_dir, node_id, self._settings.camera_tuning(), clock, events)
        self._keeper = CameraKeeper(
            NodeCameras(data_dir / "node" / "cameras.db"), self._supervisor, open_vault(data_dir).open
        )
        await self._keeper.start_last_known()
        await self._supervisor.all_told(_CAMERAS_FIRST_S)
        try:
            if not self._stop.is_set():
                await self._run_services(clock, node_id)
        finally:
            await self._supervisor.stop()
        self._log.info("stopped")

    def _outbox_changed(self, _camera_id: CameraId) -> None:
        if self._relay_bell is not None:
            self._relay_bell()

    def _forgotten(self, _camera_id: CameraId, event_ids: object) -> None:
        assert isinstance(event_ids, list)
        with self._marks_may_fail():
            self._marks.forget(event_ids)

    def _camera_started(self, camera_id: CameraId) -> None:
        with self._marks_may_fail():
            self._supervisor.forget(camera_id, self._marks.terminal_events(camera_id))

    @contextlib.contextmanager
    def _marks_may_fail(self) -> Iterator[None]:
        """A full disk keeps the node from writing its marks, never from watching over a camera."""
        try:
            yield
        except StorageError as error:
            self._log.error("relay marks cannot be used now", error=error)

    async def _run_services(self, clock: SystemClock, node_id: NodeId) -> None:
        # Imported here: a second and a half of imports that recording does not wait for.
        from iris.adapters.purge_starter import purge_after_start
        from iris.pipeline.space_guard import LOOK_EVERY_S
        from web.api.node_app import create_node_app
        from web.api.serving import serve_unix
        from workers.temporal_worker import keep_worker_running, node_worker
        from workers.wiring.node import NodeCore, NodeServices

        core = NodeCore(self._settings, node_id, clock, Uuid7Source(), self._supervisor, self._keeper, self._marks)
        services = NodeServices(core)
        self._relay_bell = services.relay.notify
        socket_path = self._settings.data_path / "run" / "node.sock"

        async def follow_cameras() -> None:
            await asyncio.to_thread(services.prepare_store)
            await self._keeper.follow(services.read_cameras, self._settings.worker_reconcile_seconds)

        async def tell_alive() -> None:
            while True:
                await asyncio.to_thread(services.write_heartbeat)
                await asyncio.sleep(HEARTBEAT_S)

        async def guard_space() -> None:
            while True:
                await asyncio.to_thread(services.retention.guard.look)
                await asyncio.sleep(LOOK_EVERY_S)

        async def work() -> None:
            await keep_worker_running(
                services.link, lambda client: node_worker(client, node_id, services.families), self._stop
            )

        async def door() -> None:
            await serve_unix(create_node_app(services), socket_path, self._stop)

        jobs = {
            "door": door, "cameras": follow_cameras, "relay": services.relay.run, "worker": work,
            "heartbeat": tell_alive, "space": guard_space, "watch": services.keep_watched,
            "orphans": lambda: purge_after_start(services.link, node_id, clock, self._settings.orphan_purge_hours),
            "detector": lambda: asyncio.to_thread(services.learn_detector),
        }  # fmt: skip
        tasks = [asyncio.create_task(self._keep(name, job), name=name) for name, job in jobs.items()]
        stopped = asyncio.create_task(self._stop.wait())
        try:
            running = {*tasks, stopped}
            while stopped in running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # only what no restart can mend: a database that belongs to another folder
        finally:
            self._stop.set()
            stopping = [task for task in tasks if task.get_name() in ("worker", "door")]
            for task in tasks:
                if task not in stopping:
                    task.cancel()
            cameras = asyncio.create_task(self._supervisor.stop())
            await asyncio.gather(*tasks, stopped, cameras, return_exceptions=True)
            services.store.close()

    async def _keep(self, name: str, job: Callable[[], Awaitable[None]]) -> None:
        """Run a job; when it fails, again with back-off. A folder that is no pair with its database ends the node."""
        attempt = 0
        while not self._stop.is_set():
            try:
                await job()
            except StoreMismatchError:
                raise
            except StoreError as error:
                self._log.warning("the database does not answer", job=name, reason=str(error))
            except Exception as error:  # noqa: BLE001 - the boundary of a job: recording must outlive its mistakes
                self._log.error("a job of the node failed, starting it again", job=name, error=error, exc_info=True)
            else:
                return
            attempt += 1
            delay_s = backoff_delay_s(attempt, most_s=10.0, jitter=random.random())  # noqa: S311 - spread only
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), delay_s)
