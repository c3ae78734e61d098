"""The CameraRepoint workflow: a camera got another address, so what the old one showed goes before it runs again."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from iris.contracts import camera_removal_activities as activities
    from iris.contracts import names
    from iris.contracts.camera_removal import CameraRemovalStart, RemovalEnd

from workflows.camera_removal import CameraRemoval


@workflow.defn(name=names.WORKFLOW_CAMERA_REPOINT)
class CameraRepointWorkflow:
    """The camera does not run while its row says `purging`; the newest repoint of a camera ends that."""

    @workflow.run
    async def run(self, start: CameraRemovalStart) -> RemovalEnd:
        """Remove everything but the camera itself, then have it started."""
        removal = CameraRemoval(start, "camera_repoint")
        end = await removal.run()
        for node_id in removal.node_ids:
            await removal.on_node(node_id, activities.resume_camera, "Start the camera on its new address")
        return end
