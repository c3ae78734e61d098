"""The calls of a workflow's source that issue commands, in the order they are written: what replay depends on."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
BASELINE = Path(__file__).with_name("fingerprints.json")
_COMMANDS = {
    "execute_activity", "start_activity", "execute_local_activity", "start_local_activity", "execute_child_workflow",
    "start_child_workflow", "sleep", "wait_condition", "upsert_search_attributes", "upsert_memo", "continue_as_new",
    "get_external_workflow_handle", "patched", "deprecate_patch", "uuid4", "random", "gather", "wait",
}  # fmt: skip


def fingerprint(source: str) -> list[str]:
    """One line per call: the function it is in, the call, and what it calls or which queue it names.

    Also of calls that hand an activity on to a function which issues the command.
    """
    lines: list[str] = []
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and _is_command(node)]
            calls.sort(key=lambda call: (call.lineno, call.col_offset))
            lines += [f"{function.name}: {_describe(call)}" for call in calls]
    return lines


def all_fingerprints() -> dict[str, list[str]]:
    """Fingerprints of every workflow file by its name."""
    files = sorted((ROOT / "workflows").glob("*.py"))
    return {path.stem: fingerprint(path.read_text()) for path in files if path.stem != "__init__"}


def _is_command(call: ast.Call) -> bool:
    return (isinstance(call.func, ast.Attribute) and call.func.attr in _COMMANDS) or _hands_on(call)


def _hands_on(call: ast.Call) -> bool:
    return any(
        isinstance(arg, ast.Attribute) and isinstance(arg.value, ast.Name) and arg.value.id.endswith("activities")
        for arg in call.args
    )


def _describe(call: ast.Call) -> str:
    if not (isinstance(call.func, ast.Attribute) and call.func.attr in _COMMANDS):
        what = [ast.unparse(arg) for arg in call.args if not isinstance(arg, ast.Constant)]
        return f"{ast.unparse(call.func)} {', '.join(what)}"
    named = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg == "task_queue"}
    called = ast.unparse(call.args[0]) if call.args and "activity" in call.func.attr else ""
    return " ".join(part for part in (call.func.attr, called, *(f"on {queue}" for queue in named.values())) if part)
