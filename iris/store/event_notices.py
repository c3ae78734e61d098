"""What a notification says of a finished event: ids, state, labels, times, addresses below the api, the camera's name.

The name of a camera is in the body, since the receiver is the operator's own and "somebody at the gate" is what people
want to read; it is in no log line and never reaches Temporal. Pictures, addresses and people are not in it.
"""

from __future__ import annotations

import json
from typing import Final

from iris.base.timebase import format_rfc3339
from iris.domain.event import EventState
from iris.store.events import EventRow

KIND_EVENT_FINISHED: Final = "event.finished"


def event_notice(row: EventRow, camera_name: str | None) -> str:
    """The JSON body about a terminal event; the same row always gives the same text.

    Args:
        row: The event with its clip files.
        camera_name: None where the camera is not known any more.
    """
    url = f"/api/events/{row.event_id}"
    has_clip = row.state in (EventState.READY, EventState.PARTIAL) and bool(row.clip_files)
    body = {
        "type": KIND_EVENT_FINISHED,
        "event_id": row.event_id,
        "camera_id": row.camera_id,
        "camera_name": camera_name,
        "state": row.state.value,
        "labels": list(row.labels),
        "started_at": format_rfc3339(row.started_us),
        "ended_at": _time(row.ended_us),
        "window_start": format_rfc3339(row.window_start_us),
        "window_end": _time(row.window_end_us),
        "event_url": url,
        "clip_url": f"{url}/clip" if has_clip else None,
        "thumbnail_url": f"{url}/thumbnail" if row.thumbnail_path else None,
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _time(wall_us: int | None) -> str | None:
    return None if wall_us is None else format_rfc3339(wall_us)
