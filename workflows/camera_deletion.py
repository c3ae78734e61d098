"""The CameraDeletion workflow: a camera and everything of it goes; what went is written down."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from iris.contracts import names
    from iris.contracts.camera_removal import CameraRemovalStart, RemovalEnd

from workflows.camera_removal import CameraRemoval


@workflow.defn(name=names.WORKFLOW_CAMERA_DELETION)
class CameraDeletionWorkflow:
    """The camera is in no list since its row says `deleting`; at the end the row is gone, the operation stays."""

    @workflow.run
    async def run(self, start: CameraRemovalStart) -> RemovalEnd:
        """Remove everything; the certificate is the operation's result."""
        return await CameraRemoval(start, "camera_deletion").run()
