"""Recorded histories replay without error, nothing secret is in them, and no command changed unseen."""

from __future__ import annotations

import base64
import json
import socket
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from iris.adapters.temporal_failures import DATA_CONVERTER
from tests.workflows.fingerprints import BASELINE, all_fingerprints
from workflows.event import EventWorkflow

HISTORIES = sorted((Path(__file__).parent / "histories" / "event").glob("*.json"))


def test_histories_cover_every_path_when_counted() -> None:
    names = {path.stem for path in HISTORIES}
    assert {"normal", "partial", "closed_first", "abandoned", "failed", "node_down", "finished_before"} <= names


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_event_replays_when_its_history_was_recorded_before(path: Path) -> None:
    history = _history(path)
    assert len(history.events) > 5
    await Replayer(workflows=[EventWorkflow], data_converter=DATA_CONVERTER).replay_workflow(history)


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_history_holds_no_address_or_host_name_when_recorded(path: Path) -> None:
    text = path.read_text()
    payloads = _decoded_payloads(json.loads(text))
    for forbidden in ("://", "password", "stackTrace", ".py", socket.gethostname()):
        assert forbidden not in text
        assert forbidden not in payloads


def test_workflow_commands_are_the_recorded_ones_when_compared() -> None:
    assert all_fingerprints() == json.loads(BASELINE.read_text()), (
        "The commands of a workflow changed. Events that are running now were started with the old ones: guard the "
        "change with workflow.patched('...'), keep the old branch, replay the recorded histories, then write the new "
        "fingerprints with `python -m scripts.record_histories`."
    )


def _history(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(f"event:{path.stem}", path.read_text())


def _decoded_payloads(node: object) -> str:
    """Every payload of a history as text: they are base64 in its JSON."""
    if isinstance(node, dict):
        own = base64.b64decode(node["data"]).decode() if isinstance(node.get("data"), str) else ""
        return own + "".join(_decoded_payloads(value) for value in node.values())
    if isinstance(node, list):
        return "".join(_decoded_payloads(value) for value in node)
    return ""
