"""`iris up` says in one sentence why it does not start, before it records, prunes, makes a key or announces itself."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.running_iris import RunningIris

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]


def refusal(data_dir: Path, **settings: str) -> str:
    """What it says; it must end by itself, unsuccessfully, with one line."""
    iris = RunningIris(data_dir, **settings)
    done = subprocess.run(
        [sys.executable, "-m", "workers.cli", "up"],
        env=iris.environment, capture_output=True, text=True, timeout=40, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_up_names_the_port_when_another_program_has_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert f"PORT {port} is in use" in refusal(tmp_path / "data", PORT=port)
    assert not (tmp_path / "data" / "secrets").exists()


def test_up_names_the_folder_when_it_is_none(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    assert "DATA_DIR" in refusal(tmp_path / "data")


def test_up_touches_nothing_when_footage_lies_there_without_its_database(tmp_path: Path) -> None:
    footage = tmp_path / "data" / "segments" / "camera" / "seg_1.mp4"
    footage.parent.mkdir(parents=True)
    footage.write_bytes(b"footage")
    assert "holds footage" in refusal(tmp_path / "data")
    assert footage.read_bytes() == b"footage"
    assert not (tmp_path / "data" / "vms.db").exists()
