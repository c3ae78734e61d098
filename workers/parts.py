"""The parts that `iris up` runs as its children: each is restarted with back-off when it dies, all stop in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence

from iris.base.backoff import backoff_delay_s
from iris.base.log import get_logger
from workers.children import product_environment

# The first restart is at once; a part that ran this long starts its back-off anew.
FIRST_RESTART_S = 0.3
HEALTHY_S = 30.0


class Part:
    """One child process. Owned by the event loop's main thread, to which its parent-death signal is tied."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        nice: int = 0,
        ended: Callable[[str, int], None] = lambda _name, _code: None,
    ) -> None:
        self.name = name
        self._nice = nice
        self._ended = ended
        self._arguments = list(arguments)
        self._environment = product_environment({**os.environ, **environment, "IRIS_PARENT_PID": str(os.getpid())})
        self._process: asyncio.subprocess.Process | None = None
        self._stop_asked = asyncio.Event()
        self._log = get_logger(part=name)

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def keep_running(self) -> None:
        """Run it, and again whenever it ends, until `stop`."""
        attempt = 0
        while not self._stop_asked.is_set():
            started = time.monotonic()
            # A session of its own: Ctrl-C at the terminal reaches `iris up` alone, which then stops all in order.
            self._process = await asyncio.create_subprocess_exec(
                *self._arguments, env=self._environment, start_new_session=True, stdin=asyncio.subprocess.DEVNULL
            )
            if self._stop_asked.is_set():  # while it was being started
                await self._end(self._process, 0.5)
                return
            if self._nice:
                with contextlib.suppress(ProcessLookupError):
                    os.setpriority(os.PRIO_PROCESS, self._process.pid, self._nice)
            code = await self._process.wait()
            if self._stop_asked.is_set():
                return
            attempt = 1 if time.monotonic() - started > HEALTHY_S else attempt + 1
            delay_s = backoff_delay_s(attempt, first_s=FIRST_RESTART_S, jitter=random.random())  # noqa: S311 - spread only
            self._ended(self.name, code)
            self._log.error("part ended, starting it again", code=code, restart_in_s=round(delay_s, 1))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop_asked.wait(), delay_s)

    async def stop(self, patience_s: float) -> None:
        """SIGTERM, then SIGKILL after `patience_s`."""
        self._stop_asked.set()
        if self._process is not None:
            await self._end(self._process, patience_s)

    async def _end(self, process: asyncio.subprocess.Process, patience_s: float) -> None:
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), patience_s)
        except TimeoutError:
            self._log.error("part did not stop in time and was killed")
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
