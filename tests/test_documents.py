"""Documents and set-up files say what is so, and nothing about the machine they were written on."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from iris.config import setting_fields
from iris.domain.camera import CameraState
from iris.domain.event import EndReason, EventState
from iris.domain.segment import GapReason
from tests.tree import ROOT, project_files
from workers.camera_sim.faults import SCRIPTED_FAULTS

# Written apart, so that this file passes its own test.
REGISTRY_HOSTS = ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "proxy.golang" + ".org", "npmjs" + ".com")
DEVELOPER_PATH = re.compile(r"(?<![\w.$}])/(?:root|home/\w+|Users/\w+|work)/")
LOCKS = ("requirements/*.txt", "**/go.sum", "*.lock", "package-lock.json")


def _text(name: str) -> str:
    return (ROOT / name).read_text()


def _readable() -> list[tuple[Path, str]]:
    """Every text file of the project."""
    found = []
    for path in project_files():
        try:
            found.append((path.relative_to(ROOT), path.read_text()))
        except UnicodeDecodeError:
            continue  # A picture or a database, which names no host in words.
    return found


def test_package_files_are_empty() -> None:
    assert [path for path in project_files("__init__.py", "**/__init__.py") if path.read_bytes()] == []


def test_every_command_is_documented() -> None:
    command = [sys.executable, "-m", "workers.cli", "--help"]
    usage = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = re.findall(r"^    ([a-z-]+)(?:  |$)", usage, re.MULTILINE)
    assert len(names) >= 7
    assert [name for name in names if f"`iris {name}`" not in _text("docs/reference/commands.md")] == []


def test_every_make_target_is_documented() -> None:
    targets = re.findall(r"^([a-z]+):.*## ", _text("Makefile"), re.MULTILINE)
    assert "up" in targets
    assert [t for t in targets if t != "help" and f"`make {t}`" not in _text("docs/reference/commands.md")] == []


def test_every_setting_is_documented() -> None:
    assert [name for name in setting_fields() if f"`{name}`" not in _text("docs/reference/settings.md")] == []


@pytest.mark.parametrize("words", [EventState, EndReason, GapReason, CameraState])
def test_every_state_and_reason_is_documented(
    words: type[EventState | EndReason | GapReason | CameraState],
) -> None:
    assert [word.value for word in words if f"| `{word.value}` |" not in _text("docs/reference/glossary.md")] == []


def test_every_scripted_fault_is_documented() -> None:
    assert [name for name in SCRIPTED_FAULTS if f"| `{name}` |" not in _text("docs/reference/commands.md")] == []


def test_no_file_names_a_registry_or_a_developers_folder() -> None:
    named = {
        (str(path), found)
        for path, text in _readable()
        for found in [*(host for host in REGISTRY_HOSTS if host in text), *DEVELOPER_PATH.findall(text)]
    }
    assert named == set()


def test_no_lock_holds_an_address() -> None:
    locks = project_files(*LOCKS)
    assert ROOT / "requirements" / "runtime.txt" in locks
    assert [path.relative_to(ROOT) for path in locks if "://" in path.read_text()] == []


def test_links_between_documents_lead_somewhere() -> None:
    linked = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
    links = [(path, target) for path in project_files("*.md") for target in linked.findall(path.read_text())]
    assert [str(path.relative_to(ROOT)) for path, target in links if not (path.parent / target).exists()] == []
