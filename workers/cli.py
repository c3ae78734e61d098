"""The command line: `iris COMMAND`. Imports happen inside each command, so that a process loads only what it runs."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable

from iris.base.errors import ConfigError, IrisError

_EPILOG = """\
first steps:
  iris up                         run everything on this machine; prints the address and, once, a key
  iris camera-sim --password pw   a camera of ours to try it with; prints its rtsp:// address
  iris check                      prove that rows, files and pins agree

Settings come from the environment or from a file .env in the current folder; docs/reference/settings.md lists them.
"""


def _up(_arguments: argparse.Namespace) -> int:
    from workers.up import run_up

    return run_up()


def _api(_arguments: argparse.Namespace) -> int:
    from workers.api import run_api

    return run_api()


def _worker(_arguments: argparse.Namespace) -> int:
    from workers.worker import run_worker

    return run_worker()


def _node(_arguments: argparse.Namespace) -> int:
    from workers.node import run_node

    return run_node()


def _check(arguments: argparse.Namespace) -> int:
    from workers.check_command import check_command

    return check_command(arguments)


def _backup(arguments: argparse.Namespace) -> int:
    from workers.backup_command import backup_command

    return backup_command(arguments)


def _restore(arguments: argparse.Namespace) -> int:
    from workers.backup_command import restore_command

    return restore_command(arguments)


def _camera_sim(arguments: argparse.Namespace) -> int:
    from workers.camera_sim.cli import run

    return run(arguments)


def _version(_arguments: argparse.Namespace) -> int:
    from workers.version import VERSION

    print("iris", VERSION)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="iris", description="Iris watches RTSP cameras and keeps the footage that matters.",
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str, more: str = "") -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, help=text, description=f"{text}. {more}", formatter_class=argparse.RawDescriptionHelpFormatter
        )
        command.set_defaults(run=run)
        return command

    add("up", _up, "Run everything on this machine", "Starts the Temporal server (unless TEMPORAL_ADDRESS names one), "
        "the api, the worker and the node, and starts each again when it dies. Ctrl-C stops all.")  # fmt: skip
    add("api", _api, "Run the HTTP api alone")
    add("worker", _worker, "Run the Temporal worker of queue iris alone", "All workflows and database activities.")
    add("node", _node, "Run the node of this host alone", "Supervises its cameras, relays their events, makes clips.")
    check = add("check", _check, "Check rows against files", "Exit code 0 if every rule holds, 1 if one does not, "
        "2 if Iris cannot look.")  # fmt: skip
    check.add_argument("--full", action="store_true", help="decode every clip from first to last frame (slow)")
    check.add_argument("--json", action="store_true", help="print the report as JSON")
    check.add_argument("--repair", action="store_true", help="first do what is safe, and say what was done")
    check.add_argument("--accept-empty", metavar="FOLDER", action="append", default=[],
        help="with --repair: FOLDER lost its mark because its files are gone for good")  # fmt: skip
    backup = add("backup", _backup, "Make a backup, while Iris runs or not",
                 "Database, clips, pictures, footage of unfinished events; no keys of DATA_DIR/secrets.")  # fmt: skip
    backup.add_argument("target", nargs="?", metavar="TARGET", help="folder of backups (default: BACKUP_DIR)")
    restore = add("restore", _restore, "Restore a backup, and check the result", "Iris must be stopped.")
    restore.add_argument("backup", metavar="BACKUP", help="its folder, its name in BACKUP_DIR, or: newest")
    restore.add_argument("--data-dir", metavar="NEW", help="folder to restore into (default: DATA_DIR)")
    restore.add_argument("--force", action="store_true", help="move aside what is in the folder and the database")
    restore.add_argument("--verify", action="store_true", help="compare the hash of every file before anything is done")
    _add_camera_sim(commands)
    add("version", _version, "Print the version")
    return parser


def _add_camera_sim(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    simulator = commands.add_parser("camera-sim", help="Run a demonstration and test camera over real RTSP")
    simulator.set_defaults(run=_camera_sim)
    if "camera-sim" in sys.argv[1:2]:  # its options need the media library; other commands need not load it
        from workers.camera_sim.cli import add_arguments

        add_arguments(simulator)


def main() -> int:
    """Entry point of `iris`; an error made on purpose is one sentence, not a traceback."""
    if sys.argv[1:2] in (["up"], ["api"], ["worker"], ["node"]):
        # Until the command's own handler is there nothing needs an orderly end, and a traceback helps nobody.
        signal.signal(signal.SIGINT, lambda _signum, _frame: os._exit(130))
    arguments = _parser().parse_args()
    parent_pid = os.environ.pop("IRIS_PARENT_PID", "")
    if parent_pid:  # a part of `iris up`: it ends with its parent, also when that is killed
        from iris.adapters.process import die_with_parent

        die_with_parent(int(parent_pid), signal.SIGTERM)
    try:
        code: int = arguments.run(arguments)
    except ConfigError as error:
        print(f"iris: {error}", file=sys.stderr)
        return 2
    except IrisError as error:
        print(f"iris: {error}", file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
