"""Size budgets: a file grows long by a second reason to change."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.tree import ROOT, project_files

MOST_FILE_LINES = 400
MOST_FUNCTION_LINES = 60
BANNED_NAMES = frozenset({"util", "utils", "helper", "helpers", "common", "misc"})
# Exceptions, with the reason; this list only ever shrinks.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS = {
    "iris/store/migrations/versions/v0001_initial.py:upgrade": "the first schema, one table after the other",
}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_files_stay_within_their_budget() -> None:
    lines = {_name(path): len(path.read_text().splitlines()) for path in project_files("*.py")}
    assert {name: count for name, count in lines.items() if count > MOST_FILE_LINES and name not in LONG_FILES} == {}


def test_functions_stay_within_their_budget() -> None:
    too_long = {}
    for path in project_files("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            count = (node.end_lineno or node.lineno) - node.lineno + 1
            name = f"{_name(path)}:{node.name}"
            if count > MOST_FUNCTION_LINES and name not in LONG_FUNCTIONS:
                too_long[name] = count
    assert too_long == {}


def test_no_module_is_named_after_nothing() -> None:
    named = {_name(path) for path in project_files("*.py") if {path.stem, *path.relative_to(ROOT).parts} & BANNED_NAMES}
    assert named == set()


def test_exceptions_are_still_needed_when_listed() -> None:
    names = {_name(path) for path in project_files("*.py")}
    assert {entry.partition(":")[0] for entry in (*LONG_FILES, *LONG_FUNCTIONS)} <= names
