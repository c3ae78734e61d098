"""Numbers carry their unit in their name: a time in seconds and one in microseconds are never mixed up."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.tree import PACKAGES, ROOT, project_files

UNITS = (
    *("us", "s", "ms", "px", "bytes", "fps", "hz", "bps", "norm", "count", "mb", "seconds", "days", "ticks", "id"),
    "index",
)
# Words of a name that say it holds a time or a size; such a number needs a unit.
QUANTITIES = (
    *("age", "after", "at", "before", "begin", "cooldown", "deadline", "delay", "duration", "elapsed", "end", "ended"),
    *("grace", "interval", "late", "period", "post", "pre", "retention", "since", "start", "started", "stop", "time"),
    *("timeout", "until", "wait", "byte", "height", "length", "limit", "rate", "size", "width"),
)
# Names that hold such a word and need no suffix, and why.
ALLOWED = {
    "trigger_cooldown": "the name of a setting, in seconds, fixed by the design",
    "pin_budget_share": "a share of the disk, 0 to 1",
    "duration": "media time, in the time base beside it",
    "rtp_start": "media time, in the clock of the stream",
}


def _is_number(annotation: ast.expr) -> bool:
    """Whether the annotation is a plain number, or one that may be absent."""
    return {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)} & {
        "int",
        "float",
    } != set() and not any(isinstance(node, ast.Subscript) for node in ast.walk(annotation))


def _dataclass_fields() -> Iterator[tuple[str, str]]:
    """(where, name) of every number in a dataclass of the packages."""
    for path in project_files("*.py"):
        where = path.relative_to(ROOT)
        if where.parts[0] not in PACKAGES:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ClassDef) or not any(
                "dataclass" in ast.unparse(d) for d in node.decorator_list
            ):
                continue
            for field in node.body:
                if (
                    isinstance(field, ast.AnnAssign)
                    and isinstance(field.target, ast.Name)
                    and _is_number(field.annotation)
                ):
                    yield f"{where}:{node.name}", field.target.id


def _needs_unit(name: str) -> bool:
    words = name.strip("_").split("_")
    return not set(words).isdisjoint(QUANTITIES) and words[-1] not in UNITS


def test_times_and_sizes_carry_their_unit() -> None:
    without = {f"{where}.{name}" for where, name in _dataclass_fields() if _needs_unit(name) and name not in ALLOWED}
    assert without == set()


def test_allowed_names_are_still_used() -> None:
    assert set(ALLOWED) <= {name for _, name in _dataclass_fields()}


def test_rule_sees_a_time_without_unit() -> None:
    assert [_needs_unit(name) for name in ("started_at", "timeout", "timeout_s", "port")] == [True, True, False, False]
