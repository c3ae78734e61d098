"""Every command of the operators' page about workflows is run as it stands there, on a real server."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
from collections.abc import Iterator

import pytest
from temporalio.client import Client, ScheduleOverlapPolicy

from iris.adapters.temporal import TemporalLink
from iris.contracts import names
from iris.contracts.node import NodeWatch
from tests.builders.event_messages import closed
from tests.temporal_env import connect, running_server, temporal_binary
from tests.tree import ROOT
from tests.workflows.event_stage import EventStage, until_details
from workers.schedules import ScheduleKeeper, ScheduleLine
from workers.temporal_worker import WORKFLOWS

pytestmark = pytest.mark.e2e
PAGE = (ROOT / "docs" / "guide" / "workflows.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running_server() as running:
        yield running


def test_page_names_every_workflow_and_every_kind_and_schedule() -> None:
    listed = re.findall(r"^\| (\w+) \| `", PAGE, re.MULTILINE)
    assert set(listed) >= {kind.__name__.removesuffix("Workflow") for kind in WORKFLOWS}
    for schedule in (names.SCHEDULE_RETENTION, names.SCHEDULE_ORPHAN_PURGE, names.SCHEDULE_BACKUP):
        assert f"schedule `{schedule}`" in PAGE
    for attribute in names.SEARCH_ATTRIBUTES:
        assert f"`{attribute}`" in PAGE


async def waiting_activity(stage: EventStage) -> str:
    """The number of the activity that the event's workflow waits for."""
    await until_details(stage, "waits while its host is down")
    description = await stage.handle.describe()
    return str(description.raw_description.pending_activities[0].activity_id)


async def prepare(client: Client, address: str, stage: EventStage) -> None:
    """An event that waits for its host, a node, and a schedule that does nothing."""
    await stage.send(closed(stage.opened(ago_s=3)))
    await client.start_workflow(
        names.WORKFLOW_NODE, NodeWatch(stage.node_id), id=names.node_workflow_id(stage.node_id), task_queue="iris"
    )
    line = ScheduleLine(
        schedule_id=names.SCHEDULE_RETENTION, workflow="Nothing", every_s=86_400, note="a stand-in",
        overlap=ScheduleOverlapPolicy.SKIP,
    )  # fmt: skip
    await ScheduleKeeper(TemporalLink(address, identity="iris-test"), [line]).ensure()


async def test_every_command_works_as_it_is_written(address: str) -> None:
    assert len(COMMANDS) >= 15
    client = await connect(address)
    stage = EventStage(client, address)
    async with stage.iris():
        await prepare(client, address, stage)
        for command in COMMANDS:
            values = {"EVENT": stage.event_id, "NODE": stage.node_id, "CAMERA": stage.camera_id}
            if "ACTIVITY" in command:
                values["ACTIVITY"] = await waiting_activity(stage)
            for name, value in values.items():
                command = re.sub(rf"\b{name}\b", value, command)  # noqa: PLW2901 - the command as it is run
            words = shlex.split(command)
            assert words[0] == "temporal"
            ran = await asyncio.to_thread(
                subprocess.run, [str(temporal_binary()), *words[1:], "--address", address],
                capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
