"""The set-up scripts, on folders of their own and without a network."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.tree import ROOT

NO_PROGRAMS = {**os.environ, "PATH": os.devnull}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with an empty environment in which everything pinned is installed, as its stamp says."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "requirements").mkdir()
    shutil.copy(ROOT / "scripts" / "bootstrap.py", tmp_path / "scripts")
    venv.create(tmp_path / ".venv", symlinks=True)
    for name in ("runtime", "dev", "bootstrap"):
        (tmp_path / "requirements" / f"{name}.txt").write_text(f"# {name}\n")
    digests = {
        name: hashlib.sha256(f"{sys.version_info[:2]}# {name}\n".encode()).hexdigest() for name in ("runtime", "dev")
    }
    (tmp_path / ".venv" / "iris-bootstrap.json").write_text(json.dumps(digests))
    return tmp_path


def _bootstrap(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(checkout / "scripts" / "bootstrap.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=NO_PROGRAMS)


@pytest.mark.parametrize("wanted", ["runtime", "dev"])
def test_bootstrap_does_nothing_when_everything_is_there(checkout: Path, wanted: str) -> None:
    done = _bootstrap(checkout, wanted)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_bootstrap_installs_when_a_pin_changed(checkout: Path) -> None:
    (checkout / "requirements" / "runtime.txt").write_text("no requirement at all !\n")
    done = _bootstrap(checkout)
    assert "installing requirements/runtime.txt" in done.stderr
    assert "requirements/runtime.txt could not be installed" in done.stderr
    assert done.returncode == 1


def test_bootstrap_says_what_it_takes_when_asked_for_another_set() -> None:
    done = _bootstrap(ROOT, "everything")
    assert (done.returncode, done.stderr) == (1, "set-up: usage: bootstrap.py [runtime | dev]\n")


def test_missing_program_is_named_in_the_one_line_that_installs_it() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "system_packages.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=NO_PROGRAMS)
    assert done.returncode == 0
    assert "apt-get install -y --no-install-recommends" in done.stderr
    assert "ffmpeg" in done.stderr


def test_continuous_integration_runs_make_test_and_nothing_else() -> None:
    script = ROOT / ".ci" / "run"
    lines = [line for line in script.read_text().splitlines() if line and not line.startswith("#")]
    assert lines == ["set -euo pipefail", 'cd "$(dirname "$0")/.."', "exec make test"]
    assert os.access(script, os.X_OK)
