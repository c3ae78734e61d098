"""What `iris check` is told on its command line."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from workers.check_command import check_command


def test_check_refuses_to_accept_an_empty_folder_without_repair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    arguments = argparse.Namespace(full=False, json=False, repair=False, accept_empty=["recordings"])
    assert check_command(arguments) == 2
    assert "--repair" in capsys.readouterr().err
