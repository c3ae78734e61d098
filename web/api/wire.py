"""Rows and live values as the wire has them: plain dictionaries, written by orjson without another check.

Fifty events through pydantic cost 0.36 ms more than this (measured), which is a third of the page's budget.
"""

from __future__ import annotations

import orjson
from starlette.responses import Response

from iris.base.timebase import US_PER_S, format_rfc3339
from iris.contracts.events import ClipFile
from iris.contracts.names import event_workflow_id
from iris.domain.camera import CameraState
from iris.domain.event import EventState
from iris.domain.recording import ManualRecording
from iris.domain.status import CameraStatus
from iris.domain.storage import StorageReport
from iris.store.cameras import CameraRow
from iris.store.events import EventRow
from iris.store.operations import PROGRESS_CURSOR, OperationRow
from web.api.node_vitals import NodeVitals

WireObject = dict[str, object]
_WITH_CLIP = (EventState.READY, EventState.PARTIAL)


def json_answer(body: WireObject, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(body), status, media_type="application/json")


def page_answer(items: list[WireObject], next_cursor: str | None) -> Response:
    """A list: one page and where the next one begins."""
    return json_answer({"items": items, "next_cursor": next_cursor})


def wire_time(wall_us: int | None) -> str | None:
    """RFC 3339, or None."""
    return None if wall_us is None else format_rfc3339(wall_us)


def wire_camera(row: CameraRow, operation: OperationRow | None = None) -> WireObject:
    """A camera without its secrets, and the operation that removes what its old address showed."""
    return {
        "id": row.camera_id,
        "name": row.name,
        "rtsp_url": row.rtsp_url_masked,
        "detect_url": row.detect_url_masked,
        "enabled": row.enabled,
        "recording_mode": row.recording_mode,
        "trigger_classes": row.trigger_classes,
        "detect_conf": row.detect_conf,
        "detect_fps": row.detect_fps,
        "pre_seconds": row.pre_seconds,
        "post_seconds": row.post_seconds,
        "trigger_cooldown": row.trigger_cooldown,
        "detector_backend": row.detector_backend,
        "created_at": format_rfc3339(row.created_us),
        "updated_at": format_rfc3339(row.updated_us),
        "version": row.version,
        "operation_id": None if operation is None else operation.operation_id,
    }


def status_of(
    row: CameraRow, live: CameraStatus | None, *, node_up: bool, gone: NodeVitals | None = None
) -> CameraStatus:
    """What to say of a camera: what the database wants beats what a node said a moment ago.

    `gone` is the node that should run it, where the database has not heard of that.
    """
    if not row.enabled:
        return CameraStatus(row.camera_id, CameraState.DISABLED, "the camera is switched off")
    if row.purging_us is not None:
        sentence = "footage of the old address is being removed; the camera starts on the new one afterwards"
        return CameraStatus(row.camera_id, CameraState.CONNECTING, sentence)
    if live is None and gone is not None:
        heard = format_rfc3339(gone.heartbeat_us)
        sentence = f"the node {gone.node_id} has not been heard of since {heard}; is `iris node` running on its host?"
        return CameraStatus(row.camera_id, CameraState.OFFLINE, sentence, error_code="node_gone")
    if not node_up:
        return CameraStatus(row.camera_id, CameraState.OFFLINE, "the node does not answer; is `iris node` running?")
    if live is None or live.state is CameraState.DISABLED:
        return CameraStatus(row.camera_id, CameraState.CONNECTING, "the node is about to start it")
    return live


def wire_status(status: CameraStatus, now_us: int) -> WireObject:
    """A camera's live status."""
    end_us = status.last_segment_end_us
    return {
        "camera_id": status.camera_id,
        "state": status.state,
        "sentence": status.sentence,
        "error_code": status.error_code,
        "heartbeat_at": wire_time(status.heartbeat_us or None),
        "connected_since": wire_time(status.connected_since_us),
        "last_packet_at": wire_time(status.last_packet_us),
        "last_segment_end": wire_time(end_us),
        "last_segment_age_seconds": None if end_us is None else max(0, now_us - end_us) / US_PER_S,
        "fps": status.fps,
        "detect_fps": status.detect_fps,
        "width": status.width_px,
        "height": status.height_px,
        "video_codec": status.video_codec,
        "audio_codec": status.audio_codec,
        "detector": detector_words(status.backend),
        "device": status.device,
        "onnx_providers": status.onnx_providers,
        "in_view": status.in_view,
        "event_id": status.event_id,
        "recording": _running_recording(status),
        "restart_count": status.restart_count,
        "counters": status.counters,
    }


def wire_recording(camera_id: str, recording: ManualRecording) -> WireObject:
    """A manual recording."""
    return {
        "id": recording.event_id,
        "camera_id": camera_id,
        "running": recording.ended_us is None,
        "started_at": format_rfc3339(recording.started_us),
        "stops_at": format_rfc3339(recording.stops_us),
        "ended_at": wire_time(recording.ended_us),
        "event_url": f"/api/events/{recording.event_id}",
    }


def _running_recording(status: CameraStatus) -> WireObject | None:
    event_id, since_us, stops_us = status.manual_event_id, status.manual_since_us, status.manual_stops_us
    if event_id is None or since_us is None or stops_us is None:
        return None
    return wire_recording(status.camera_id, ManualRecording(event_id, since_us, stops_us, None, fresh=False))


def wire_event(row: EventRow) -> WireObject:
    """An event."""
    url = f"/api/events/{row.event_id}"
    has_clip = row.state in _WITH_CLIP and bool(row.clip_files)
    return {
        "id": row.event_id,
        "camera_id": row.camera_id,
        "state": row.state,
        "labels": row.labels,
        "started_at": format_rfc3339(row.started_us),
        "ended_at": wire_time(row.ended_us),
        "last_seen_at": format_rfc3339(row.last_seen_us),
        "end_reason": row.end_reason,
        "window": {"start": format_rfc3339(row.window_start_us), "end": wire_time(row.window_end_us)},
        "gaps": [
            {"start": format_rfc3339(gap.start_us), "end": format_rfc3339(gap.end_us), "reason": gap.reason}
            for gap in row.missing
        ],
        "clip_url": f"{url}/clip" if has_clip else None,
        "clip_files": [_clip_file(url, part, file) for part, file in enumerate(row.clip_files)] if has_clip else [],
        "thumbnail_url": f"{url}/thumbnail" if row.thumbnail_path else None,
        "workflow_id": event_workflow_id(row.event_id),
        "continues": row.continues,
        "detector": detector_words(row.backend),
        "failure": row.failure,
        "hold": None if row.hold_us is None else {"since": format_rfc3339(row.hold_us), "note": row.hold_note},
    }


def _clip_file(url: str, part: int, file: ClipFile) -> WireObject:
    return {
        "part": part,
        "url": f"{url}/clip" if part == 0 else f"{url}/clip?part={part}",
        "start": format_rfc3339(file.start_us),
        "end": format_rfc3339(file.end_us),
        "duration_seconds": file.duration_us / US_PER_S,
        "size_bytes": file.size_bytes,
        "sha256": file.sha256,
        "video_codec": file.video_codec,
        "width": file.width_px,
        "height": file.height_px,
        "has_audio": file.audio_packet_count > 0,
    }


def operation_url(operation_id: str) -> str:
    """Where an operation is looked at."""
    return f"/api/operations/{operation_id}"


def wire_operation(row: OperationRow) -> WireObject:
    """An operation. Where a page of its work begins is its own affair."""
    return {
        "id": row.operation_id,
        "kind": row.kind,
        "state": row.state,
        "progress_url": operation_url(row.operation_id),
        "workflow_id": row.workflow_id,
        "camera_id": row.camera_id,
        "request": row.request,
        "progress": {name: value for name, value in row.progress.items() if name != PROGRESS_CURSOR},
        "result": row.result,
        "failure": row.failure,
        "created_at": format_rfc3339(row.created_us),
        "updated_at": format_rfc3339(row.updated_us),
        "finished_at": wire_time(row.finished_us),
    }


def wire_storage(report: StorageReport | None) -> WireObject | None:
    """What a node says of its disk; None while it says nothing."""
    if report is None:
        return None
    disk = report.disk
    return {
        "disk": {
            "used_bytes": disk.used_bytes,
            "free_bytes": disk.free_bytes,
            "used_share": round(disk.used_share, 4),
            "write_bytes_per_second": round(disk.write_bytes_per_s, 1),
        },
        "alarm": report.alarm,
        "age_suspended": report.age_suspended,
        "age_waits": report.age_waits,
        "evicted_by_age": report.evicted_counts.get("age", 0),
        "evicted_for_space": report.evicted_counts.get("space", 0),
        "evicted_bytes": report.evicted_bytes,
    }


def detector_words(backend: str) -> str:
    """A backend as people are told of it."""
    return {"motion": "motion detection", "none": "recording only", "": "unknown"}.get(backend, backend)
