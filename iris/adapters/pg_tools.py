"""Runs PostgreSQL's own `pg_dump` and `pg_restore`: the only reader and writer of its dumps that its makers stand for.

The password never is an argument: the tools get it from their environment. Their version must be that of the server or
newer; they say so themselves, and their last line comes back as the sentence.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from iris.base.errors import ConfigError, StoreError
from iris.base.redact import redact

# Schemas that a restore moved aside; they are no part of the store.
ASIDE_PREFIX: Final = "before_restore_"


def find_tool(name: str) -> str:
    """Path of a PostgreSQL program: on the PATH, else the newest of Debian's folders.

    Raises:
        ConfigError: It is not installed.
    """
    found = shutil.which(name)
    if found is None:
        versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: _number(path.parts[-3]))
        found = str(versions[-1]) if versions else None
    if found is None:
        raise ConfigError(f"{name} is needed for a PostgreSQL database; install the PostgreSQL client programs")
    return found


def dump_database(url: str, snapshot_id: str, target: Path) -> None:
    """Dump a database as one exported snapshot shows it, into a file of mode 0600.

    Raises:
        ConfigError: `pg_dump` is not installed.
        StoreError: It failed.
    """
    target.unlink(missing_ok=True)
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    options = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot_id}"]
    _run("pg_dump", url, [*options, f"--exclude-schema={ASIDE_PREFIX}*", f"--file={target}"])


def load_database(url: str, source: Path) -> None:
    """Load a dump into an empty database, all of it or nothing.

    Raises:
        ConfigError: `pg_restore` is not installed.
        StoreError: It failed; the database is as it was.
    """
    options = ["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]
    _run("pg_restore", url, [*options, str(source)])


def _run(tool: str, url: str, arguments: list[str]) -> None:
    parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    password = parsed.password or parsed.query.get("password")
    address = parsed.set(drivername="postgresql", password=None).difference_update_query(["password"])
    known = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    if isinstance(password, str):
        known["PGPASSWORD"] = password
    command = [
        find_tool(tool),
        "--no-password",
        f"--dbname={address.render_as_string(hide_password=False)}",
        *arguments,
    ]
    result = subprocess.run(command, env=known, capture_output=True, text=True, errors="replace", check=False)
    if result.returncode != 0:
        lines = [line for line in result.stderr.splitlines() if line.strip()] or [f"exit code {result.returncode}"]
        raise StoreError(f"{tool} failed: {redact(lines[-1])}")


def _number(version: str) -> int:
    return int(version) if version.isdigit() else 0
