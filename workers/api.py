"""The api process: one application on one port, on one event loop. SIGTERM or Ctrl-C ends it."""

from __future__ import annotations

import asyncio
import signal

from iris.adapters.process import leave
from iris.base.errors import StoreError, StoreMismatchError
from iris.base.log import configure_logging, get_logger
from iris.config import Settings, load_settings
from web.api.app import create_app
from web.api.services import Services
from web.api.serving import serve_socket
from workers.listening import bind_tcp
from workers.wiring.api import build_services
from workers.wiring.pairing import prepare_pair

# Requests in progress at the end; a player that holds a clip open is cut off.
PATIENCE_S = 5
# How often a database that was away at the start is tried again.
_STORE_RETRY_S = 5.0


def run_api() -> int:
    """Run until SIGTERM or Ctrl-C."""
    loaded = load_settings()
    settings = loaded.settings
    configure_logging("api", level=settings.log_level, json=settings.log_json)
    for warning in loaded.warnings:
        get_logger().warning("setting", reason=warning)
    asyncio.run(_run(settings))
    leave(0)


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sig, stop.set)
    settings.data_path.mkdir(mode=0o700, parents=True, exist_ok=True)
    bound = bind_tcp(settings.bind_address, settings.port)
    services = build_services(settings)
    serving = asyncio.create_task(serve_socket(create_app(services), bound, stop, patience_s=PATIENCE_S))
    preparing = asyncio.create_task(_prepare_store(settings, services))
    try:
        # The api answers /health while the database is away; a database that is not ours ends it.
        await asyncio.wait((serving, preparing), return_when=asyncio.FIRST_COMPLETED)
        if preparing.done():
            preparing.result()
            get_logger().info("api listening", address=f"{settings.bind_address}:{bound.getsockname()[1]}")
        await serving
    finally:
        stop.set()
        preparing.cancel()
        await asyncio.gather(serving, preparing, return_exceptions=True)
        services.store.close()


async def _prepare_store(settings: Settings, services: Services) -> None:
    """Bring the database to this version and prove that it belongs to DATA_DIR, once it answers."""
    warned = False
    while True:
        try:
            await asyncio.to_thread(_prepare_once, settings, services)
        except StoreMismatchError:
            raise
        except StoreError as error:
            if not warned:
                get_logger().warning("the database does not answer; trying again", reason=str(error))
            warned = True
            await asyncio.sleep(_STORE_RETRY_S)
        else:
            return


def _prepare_once(settings: Settings, services: Services) -> None:
    prepare_pair(settings, services.store, services.ids)
