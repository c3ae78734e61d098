"""`iris check`: proves that rows, files and pins agree; the oracle of every fault test.

Without `--repair` it only looks.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Collection

from iris.adapters.clock import SystemClock
from iris.base.errors import InputError, IrisError, StoreError
from iris.base.timebase import seconds_to_us
from iris.config import Settings, load_settings
from iris.store.engine import Store, open_store, sqlite_file
from workers.check.look import look
from workers.check.repair import run_repair
from workers.check.repair_log import RepairLog
from workers.check.view import CheckTask
from workers.check_report import CheckReport, lasting

# Longer than any step between a file and its row takes on a slow disk; each further look doubles it.
_FIRST_PAUSE_S = 1.0
_LOOKS = 4

HOLDS, PROBLEMS, CANNOT_LOOK = 0, 1, 2


def check_command(arguments: argparse.Namespace) -> int:
    """Print the report. Answers 0 if every rule holds, 1 if one does not, 2 if Iris cannot look, and says why."""
    log = None
    try:
        settings = load_settings().settings
        if arguments.accept_empty and not arguments.repair:
            raise InputError("--accept-empty repairs something: give --repair with it")
        if arguments.repair:
            log = repair(settings, full=arguments.full, accept_empty=arguments.accept_empty)
        report = run_check(settings, full=arguments.full)
    except IrisError as error:
        return _cannot_look(error, as_json=arguments.json)
    if arguments.json:
        sys.stdout.write(
            json.dumps(report.as_object() | ({} if log is None else {"repair": log.as_object()}), indent=2)
        )
    else:
        sys.stdout.write(("" if log is None else log.as_text() + "\n\n") + report.as_text(hints=log is not None))
    sys.stdout.write("\n")
    return HOLDS if report.holds else PROBLEMS


def _cannot_look(error: IrisError, *, as_json: bool) -> int:
    if as_json:
        sys.stdout.write(json.dumps({"holds": None, "cannot_look": str(error), "rules": []}, indent=2) + "\n")
    sys.stderr.write(f"iris: {error}\n")
    return CANNOT_LOOK


def repair(settings: Settings, *, full: bool = False, accept_empty: Collection[str] = ()) -> RepairLog:
    """Repair what can be repaired; see `workers.check.repair`.

    Raises:
        StoreMismatchError: Database and data directory are no pair; nothing was changed.
        StoreError: The database is unreachable, or does not exist yet.
    """
    _expect_database(settings.main_database_url)
    store = open_store(settings.main_database_url)
    try:
        return run_repair(settings, _task(settings, store, full=full), accept_empty)
    finally:
        store.close()


def _task(settings: Settings, store: Store, *, full: bool) -> CheckTask:
    event_max_us = seconds_to_us(settings.event_max_seconds)
    return CheckTask(store, settings.data_path, event_max_us, SystemClock().wall_us, full=full)


def run_check(settings: Settings, *, full: bool = False, pause: Callable[[float], None] = time.sleep) -> CheckReport:
    """Check the data directory and the database of the settings, stopped or at work.

    A problem counts only if it is there at every look: a system at work is always between two steps of something.

    Raises:
        StoreError: The database is unreachable, or does not exist yet.
    """
    _expect_database(settings.main_database_url)
    store = open_store(settings.main_database_url)
    task = _task(settings, store, full=full)
    try:
        report = look(task)
        pause_s = _FIRST_PAUSE_S
        for _again in range(_LOOKS - 1):
            if report.holds:
                break
            pause(pause_s)
            pause_s *= 2
            report = lasting(report, look(task))
        return report
    finally:
        store.close()


def _expect_database(url: str) -> None:
    """Opening an SQLite file that is not there would make one."""
    path = sqlite_file(url)
    if path is not None and not path.is_file():
        raise StoreError(
            f"there is no database at {path}; set DATA_DIR or DATABASE_URL, restore it from a backup, "
            "or start Iris once where it is new"
        )
