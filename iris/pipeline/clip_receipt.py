"""What was made of an event's clip, kept beside its pins until the event is released.

An attempt whose answer was lost - with a worker, or with Temporal's whole database - is made again, perhaps when the
footage has gone beyond the pin budget. The clip that was published then is the event's clip all the same: the later
attempt answers what the receipt says, as long as the files are what it says.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from iris.adapters.media_files import make_dir, publish, sha256_of, translated
from iris.adapters.pins import pending_dir
from iris.contracts.events import AssembleClip, ClipFile, ClipResult, TimeRange

_NAME = "clip.json"


def keep_receipt(data_dir: Path, request: AssembleClip, result: ClipResult) -> None:
    """Write down what was published; durable when it returns.

    Raises:
        StorageError: The disk refuses.
    """
    folder = pending_dir(data_dir, request.event_id)
    make_dir(folder)
    temporary = folder / f"{_NAME}.part"
    with translated("write down what a clip holds"):
        temporary.write_text(json.dumps({"request": asdict(request), "result": asdict(result)}), encoding="utf-8")
    publish(temporary, folder / _NAME)


def read_receipt(data_dir: Path, request: AssembleClip) -> ClipResult | None:
    """The result of an earlier attempt of this very request whose files are still as they were; else None.

    Raises:
        StorageError: The disk refuses.
    """
    path = pending_dir(data_dir, request.event_id) / _NAME
    with translated("read what a clip holds"):
        if not path.is_file():
            return None
        text = path.read_text(encoding="utf-8")
    try:
        values = json.loads(text)
        if values["request"] != asdict(request):
            return None
        result = _result_of(values["result"])
    except (ValueError, KeyError, TypeError):
        return None  # of another version, or damaged: the clip is made anew
    return result if all(_is_as_written(data_dir, file) for file in result.files) else None


def _result_of(values: dict[str, Any]) -> ClipResult:
    return ClipResult(
        state=values["state"],
        files=tuple(ClipFile(**file) for file in values["files"]),
        covered=tuple(TimeRange(**span) for span in values["covered"]),
        missing=tuple(TimeRange(**span) for span in values["missing"]),
        summary=values["summary"],
    )


def _is_as_written(data_dir: Path, file: ClipFile) -> bool:
    path = data_dir / file.path
    with translated("read a published clip"):
        return path.is_file() and path.stat().st_size == file.size_bytes and sha256_of(path) == file.sha256
