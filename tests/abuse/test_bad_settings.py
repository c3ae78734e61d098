"""`iris up` with settings that cannot be meant: one sentence, exit code 2, nothing started and nothing made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("PORT=99999", "iris: PORT must be a port from 1 to 65535; it is '99999'"),
        ("DETECTOR_BACKEND=gpu", "iris: DETECTOR_BACKEND must be onnx, cpu, motion or none; it is 'gpu'"),
        ("DETECTR_MODEL=x.onnx", "iris: DETECTR_MODEL in .env is no setting of Iris; did you mean DETECTOR_MODEL?"),
        ("API_KEY=CANARY KEY", "iris: API_KEY must be printable ASCII without spaces"),
        ("DATABASE_URL=mysql://u:CANARY@h/x", "iris: DATABASE_URL must be"),
    ],
)
def test_up_stops_with_one_sentence_when_a_setting_is_wrong(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / ".env").write_text(f"DATA_DIR={tmp_path / 'data'}\n{line}\n")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-m", "workers.cli", "up"], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=50, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(says)
    assert result.stderr.count("\n") == 1, "one sentence"
    assert "CANARY" not in result.stderr
    assert not (tmp_path / "data").exists()
