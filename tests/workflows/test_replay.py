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
from tests.workflows.cases import FAMILIES
from tests.workflows.fingerprints import BASELINE, all_fingerprints
from workers.temporal_worker import WORKFLOWS

FOLDER = Path(__file__).parent / "histories"
HISTORIES = sorted(FOLDER.glob("*/*.json"))
by_family = pytest.mark.parametrize("path", HISTORIES, ids=lambda path: f"{path.parent.name}/{path.stem}")


@pytest.mark.parametrize("family", FAMILIES)
def test_histories_cover_every_path_when_counted(family: str) -> None:
    assert {path.stem for path in (FOLDER / family).glob("*.json")} >= FAMILIES[family].keys()


def test_every_workflow_has_histories_when_counted() -> None:
    starts = [json.loads(path.read_text())["events"][0] for path in HISTORIES]
    kinds = {start["workflowExecutionStartedEventAttributes"]["workflowType"]["name"] for start in starts}
    assert kinds == {kind.__name__.removesuffix("Workflow") for kind in WORKFLOWS}


@by_family
async def test_workflow_replays_when_its_history_was_recorded_before(path: Path) -> None:
    history = _history(path)
    assert len(history.events) > 5
    await Replayer(workflows=WORKFLOWS, data_converter=DATA_CONVERTER).replay_workflow(history)


@by_family
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
    return WorkflowHistory.from_json(f"{path.parent.name}:{path.stem}", path.read_text())


def _decoded_payloads(node: object) -> str:
    """Every payload of a history as text: they are base64 in its JSON."""
    if isinstance(node, dict):
        own = base64.b64decode(node["data"]).decode() if isinstance(node.get("data"), str) else ""
        return own + "".join(_decoded_payloads(value) for value in node.values())
    if isinstance(node, list):
        return "".join(_decoded_payloads(value) for value in node)
    return ""
