"""Names that Temporal stores: queues, workflow ids, activities, search attributes. In one place, never renamed."""

from __future__ import annotations

QUEUE_IRIS = "iris"

WORKFLOW_EVENT = "Event"
SIGNAL_EVENT_MESSAGE = "message"

ACTIVITY_RECORD_EVENT = "record_event"
ACTIVITY_CLOSE_ABANDONED = "close_abandoned_event"
ACTIVITY_ASSEMBLE_CLIP = "assemble_clip"
ACTIVITY_PUBLISH_THUMBNAIL = "publish_thumbnail"
ACTIVITY_FINALISE_EVENT = "finalise_event"
ACTIVITY_RELEASE_EVENT = "release_event"

# name -> Temporal type; `iris worker` registers them at its start. No names of people or addresses in any.
SEARCH_ATTRIBUTES = {
    "IrisCameraId": "Keyword",
    "IrisNodeId": "Keyword",
    "IrisKind": "Keyword",
    "IrisState": "Keyword",
    "IrisEventStart": "Datetime",
}


def node_queue(node_id: str) -> str:
    """Task queue of the host that holds the files; stable over restarts."""
    return f"iris-node-{node_id}"


def event_workflow_id(event_id: str) -> str:
    """Workflow id of an event."""
    return f"event:{event_id}"
