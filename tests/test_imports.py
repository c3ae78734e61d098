"""Importing a module creates nothing, and each process loads only what it runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tree import PACKAGES, ROOT, modules

# Imports every module of argv[1] and reports what they did to the world, by the interpreter's own audit events.
_WATCH_IMPORTS = """
import json, sys
seen, current = [], ""
def watch(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and any(c in arguments[1] for c in "wax+")
    if writes or event in ("socket.__new__", "socket.connect", "socket.bind", "sqlite3.connect", "subprocess.Popen",
                           "os.mkdir", "os.remove", "os.rename", "os.putenv", "_thread.start_new_thread"):
        seen.append([current, event, str(arguments[0])[:100]])
sys.dont_write_bytecode = True
names = json.loads(sys.argv[1])
for library in ("numpy", "av", "cv2", "onnxruntime", "sqlalchemy", "psycopg", "fastapi", "temporalio.client"):
    __import__(library)  # what a library does when it is loaded is its own affair
sys.addaudithook(watch)
for current in names:
    __import__(current)
print(json.dumps(seen))
"""
_LIST_LOADED = (
    "import json, sys\nfor name in json.loads(sys.argv[1]): __import__(name)\nprint(json.dumps(sorted(sys.modules)))"
)


def _run(program: str, names: list[str], folder: Path = ROOT) -> list[object]:
    command = [sys.executable, "-c", program, json.dumps(names)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result: list[object] = json.loads(done.stdout)
    return result


def _loaded(names: list[str]) -> set[str]:
    """Libraries in memory after the import of `names`."""
    return {str(name).partition(".")[0] for name in _run(_LIST_LOADED, names)}


def _of(*packages: str) -> list[str]:
    return [name for name in modules() if any(f"{name}.".startswith(f"{package}.") for package in packages)]


def test_importing_creates_nothing() -> None:
    assert _run(_WATCH_IMPORTS, _of(*PACKAGES)) == []


def test_watch_sees_a_module_that_creates_something(tmp_path: Path) -> None:
    (tmp_path / "greedy.py").write_text("import socket\nopen('left-behind', 'w').close()\nS = socket.socket()\n")
    assert [entry[1] for entry in _run(_WATCH_IMPORTS, ["greedy"], tmp_path)] == ["open", "socket.__new__"]  # type: ignore[index]  # JSON


def test_workflows_load_no_heavy_library() -> None:
    heavy = {"numpy", "av", "onnxruntime", "cv2", "sqlalchemy", "fastapi", "pydantic_settings"}
    assert _loaded(_of("workflows", "iris.contracts")) & heavy == set()


def test_camera_process_loads_neither_temporal_nor_database() -> None:
    foreign = {"temporalio", "sqlalchemy", "psycopg", "fastapi", "uvicorn", "web", "workflows", "activities"}
    assert _loaded(["workers.camera", "workers.wiring.camera"]) & foreign == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_package_has_modules(package: str) -> None:
    assert len(_of(package)) > 1
