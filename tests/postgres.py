"""A real PostgreSQL of the tests' own: fresh data folder, Unix socket only, stopped at the end of the session.

PostgreSQL refuses to run as root, so root starts it under the user `postgres` or `nobody`.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from tests.assets import skip_or_fail

_INSTALL = "PostgreSQL is not installed: apt-get install postgresql"
_START_DEADLINE_S = 60.0
_PR_SET_PDEATHSIG = 1


class PostgresServer:
    """A running server; `new_database` answers the URL of an empty database."""

    def __init__(self, socket_dir: Path, program: str, user: str | None) -> None:
        self._socket_dir = socket_dir
        self._command = [
            program, "-D", str(socket_dir / "data"), "-k", str(socket_dir),
            "-c", "listen_addresses=", "-c", "fsync=off",
        ]  # fmt: skip
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0

    def start(self) -> None:
        """Start it, and again after `stop`; returns once it serves."""
        log_path = self._socket_dir / "log"
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._socket_dir, stdout=log, stderr=log, **_as(self._user),
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call, no lock, no allocation of ours
            )  # fmt: skip
        deadline = time.monotonic() + _START_DEADLINE_S
        while not self.ready():
            assert self._process.poll() is None, log_path.read_text()
            assert time.monotonic() < deadline, log_path.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """End it and every session; its data stays."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # "fast": ends sessions, writes a clean checkpoint
            self._process.wait(timeout=60)

    def new_database(self, copy_of: str | None = None) -> str:
        """Create a database of its own for one test: empty, or a copy of the one behind a URL."""
        self._count += 1
        name = f"iris_{self._count}"
        source = "template1" if copy_of is None else urlsplit(copy_of).path.lstrip("/")
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}"')
        return f"postgresql://iris@/{name}?host={self._socket_dir}"

    def ready(self) -> bool:
        try:
            psycopg.connect(self._conninfo("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def _conninfo(self, database: str) -> str:
        return f"host={self._socket_dir} user=iris dbname={database}"


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Start a server, stop it on leaving; skips the test where the machine has none."""
    initdb, postgres = _binary("initdb"), _binary("postgres")
    # Not pytest's own temporary folder: other users may not enter that one.
    root = Path(tempfile.mkdtemp(prefix="iris-pg-", dir="/tmp"))
    user = _unprivileged_user()
    try:
        if user is not None:
            account = pwd.getpwnam(user)
            os.chown(root, account.pw_uid, account.pw_gid)
        data = root / "data"
        made = subprocess.run(
            [initdb, "-D", data, "-U", "iris", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            cwd=root, capture_output=True, text=True, check=False, timeout=120, **_as(user),
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        server = PostgresServer(root, postgres, user)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _binary(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        candidates = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        found = str(candidates[-1]) if candidates else None
    if found is None:
        skip_or_fail(_INSTALL)
    return found


def _unprivileged_user() -> str | None:
    if os.geteuid() != 0:
        return None
    names = {account.pw_name for account in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _as(user: str | None) -> dict[str, Any]:
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _end_with_parent() -> None:
    """A killed test run leaves no server behind."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
