"""The paths of the CameraDeletion and CameraRepoint workflows that are recorded: one history each."""

from __future__ import annotations

from iris.base.errors import UnavailableError
from tests.workflows.camera_removal_stage import CameraRemovalStage
from tests.workflows.recording import recorded
from tests.workflows.removal_stage import until


async def normal(stage: CameraRemovalStage) -> None:
    """Events that are finished, one that only the node knows, and the workflow of that one."""
    for number in (1, 2):
        stage.finished_event(number)
    message = stage.accepted_event(3)
    async with stage.everything():
        await stage.deliver(message)
        stage.ask()
        await stage.start()
        await stage.result()


async def nothing(stage: CameraRemovalStage) -> None:
    """A camera that never saw anything."""
    stage.ask()
    async with stage.everything():
        await stage.start()
        await stage.result()


async def node_down(stage: CameraRemovalStage) -> None:
    """The host is away when the camera is deleted; then its process takes its time to end."""
    stage.finished_event(1)
    stage.ask()
    stage.switch.errors = [UnavailableError("A process of this camera has not ended yet.")]
    async with stage.iris():
        await stage.start()
        await until(lambda: "started_at" in stage.operation.progress, "it has begun")
        async with stage.node():
            await stage.result()


async def continued(stage: CameraRemovalStage) -> None:
    """More pages than one run holds: the last run of several."""
    for number in range(1, 402):
        stage.finished_event(number)
    stage.ask()
    async with stage.everything():
        await stage.start(pages_per_run=2)
        await stage.result(60)


async def repoint(stage: CameraRemovalStage) -> None:
    """Another address: everything goes, the camera stays and is started."""
    stage.finished_event(1)
    stage.accepted_event(2)
    stage.ask_repoint()
    async with stage.everything():
        await stage.start()
        await stage.result()


async def repoint_in_turn(stage: CameraRemovalStage) -> None:
    """A second address while the first purge has not begun: it waits for it."""
    stage.finished_event(1)
    first = stage.ask_repoint()
    second = stage.ask_repoint()
    async with stage.everything():
        await stage.start()
        await until(lambda: stage.operation.state == "requested", "it waits")
        stage.operation_id = first.operation_id
        await stage.start()
        await stage.result()
        stage.operation_id = second.operation_id
        await stage.result()


DELETION = {case.__name__: recorded(CameraRemovalStage, case) for case in (normal, nothing, node_down, continued)}
REPOINT = {case.__name__: recorded(CameraRemovalStage, case) for case in (repoint, repoint_in_turn)}
