"""Names that Temporal stores: queues, workflow ids, activities, search attributes. In one place, never renamed."""

from __future__ import annotations

QUEUE_IRIS = "iris"

WORKFLOW_EVENT = "Event"
WORKFLOW_CAMERA_DELETION = "CameraDeletion"
WORKFLOW_CAMERA_REPOINT = "CameraRepoint"
WORKFLOW_EVENT_DELETION = "EventDeletion"
WORKFLOW_NODE = "Node"
WORKFLOW_ORPHAN_PURGE = "OrphanPurge"
WORKFLOW_RETENTION = "Retention"
WORKFLOW_BACKUP = "Backup"
SIGNAL_EVENT_MESSAGE = "message"
SIGNAL_NODE_CHANGED = "changed"

# Schedules; their workflows get these ids with the scheduled time behind.
SCHEDULE_ORPHAN_PURGE = "orphan-purge"
SCHEDULE_RETENTION = "retention"
SCHEDULE_BACKUP = "backup"

ACTIVITY_BEGIN_PURGE = "begin_orphan_purge"
ACTIVITY_SURVEY_ORPHANS = "survey_orphans"
ACTIVITY_SWEEP_ORPHANS = "sweep_orphans"

ACTIVITY_RECORD_EVENT = "record_event"
ACTIVITY_CLOSE_ABANDONED = "close_abandoned_event"
ACTIVITY_ASSEMBLE_CLIP = "assemble_clip"
ACTIVITY_PUBLISH_THUMBNAIL = "publish_thumbnail"
ACTIVITY_FINALISE_EVENT = "finalise_event"
ACTIVITY_RELEASE_EVENT = "release_event"
ACTIVITY_DISCARD_EVENT = "discard_event"

ACTIVITY_OPERATION_PROGRESS = "operation_progress"
ACTIVITY_OPERATION_FINISH = "operation_finish"

ACTIVITY_ENTOMB_EVENTS = "entomb_events"
ACTIVITY_WAITING_NODES = "waiting_nodes"
ACTIVITY_WAITING_FILES = "waiting_files"
ACTIVITY_PURGE_EVENT_FILES = "purge_event_files"
ACTIVITY_BURY_EVENTS = "bury_events"

ACTIVITY_BEGIN_CAMERA_REMOVAL = "begin_camera_removal"
ACTIVITY_NOTE_CAMERA_SURVEY = "note_camera_survey"
ACTIVITY_ENTOMB_KNOWN_EVENTS = "entomb_known_events"
ACTIVITY_ENTOMB_CAMERA_EVENTS = "entomb_camera_events"
ACTIVITY_FINISH_CAMERA_REMOVAL = "finish_camera_removal"
ACTIVITY_STOP_CAMERA = "stop_camera"
ACTIVITY_SURVEY_CAMERA = "survey_camera"
ACTIVITY_LIST_CAMERA_EVENTS = "list_camera_events"
ACTIVITY_PURGE_CAMERA = "purge_camera"
ACTIVITY_LOOK_FOR_REMAINS = "look_for_remains"
ACTIVITY_RESUME_CAMERA = "resume_camera"

ACTIVITY_RECONCILE_NODE = "reconcile_node"
ACTIVITY_LOOK_AFTER_NODE = "look_after_node"

ACTIVITY_PLAN_RETENTION = "plan_retention"
ACTIVITY_EVICT_EVENTS = "evict_events"

ACTIVITY_PLAN_BACKUP = "plan_backup"
ACTIVITY_BACKUP_FOOTAGE = "backup_footage"
ACTIVITY_BACKUP_DATABASE = "backup_database"
ACTIVITY_BACKUP_CLIPS = "backup_clips"
ACTIVITY_FINISH_BACKUP = "finish_backup"

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


def camera_deletion_workflow_id(camera_id: str) -> str:
    """Workflow id of the deletion of a camera; there is one."""
    return f"camera-delete:{camera_id}"


def camera_repoint_workflow_id(camera_id: str, address_count: int) -> str:
    """Workflow id of the purge that follows the n-th address of a camera."""
    return f"camera-repoint:{camera_id}:{address_count}"


def event_deletion_workflow_id(operation_id: str) -> str:
    """Workflow id of one request to delete events."""
    return f"events-delete:{operation_id}"


def node_workflow_id(node_id: str) -> str:
    """Workflow id of a node's reconcile."""
    return f"node:{node_id}"


def orphan_purge_at_boot_id(node_id: str, hour: str) -> str:
    """Workflow id of the purge that follows the start of a node: one an hour, however often it starts."""
    return f"orphan-purge-boot:{node_id}:{hour}"


def operation_workflow_id(kind: str, operation_id: str) -> str:
    """Workflow id of an orphan purge, retention or backup run that somebody asked for by hand."""
    return f"{kind}:{operation_id}"
