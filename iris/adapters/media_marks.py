"""`.iris-store` in each media folder: whose files lie there, and whether the right disk is mounted.

An empty mount point looks like an empty folder, and to whoever compares files with rows like a store that lost
everything. Each media folder therefore holds a small file with the store's id, and `store.json` says which folders
have one. A folder of v0.1.0 has none until its first start with a database that fits.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterable
from pathlib import Path

from iris.adapters.media_files import make_dir, publish, translated
from iris.adapters.once_file import read_text_once
from iris.base.errors import StoreMismatchError

MEDIA_FOLDERS = ("recordings", "thumbnails", "segments", "pending")
MEDIA_MARK = ".iris-store"
# Fewer clips without a file say nothing: somebody may have removed them by hand.
_CLIPS_THAT_TELL = 5


def check_media_marks(data_dir: Path, store_id: str, marked: Collection[str]) -> None:
    """Refuse media folders that belong to another store, or that lost their mark.

    Args:
        data_dir: DATA_DIR.
        store_id: The store that they must belong to.
        marked: The folders that had a mark once (from `store.json`).

    Raises:
        StoreMismatchError: The sentence names the folder and says what to do; nothing was changed.
        StorageError: A mark cannot be read.
    """
    for name in MEDIA_FOLDERS:
        found = read_text_once(data_dir / name / MEDIA_MARK)
        if found is None and name in marked:
            raise StoreMismatchError(
                f"{data_dir / name} has lost its mark {MEDIA_MARK}: is its disk not mounted? Mount it and start again; "
                f"if its files are gone for good, run `iris check --repair --accept-empty {name}`"
            )
        if found is not None and found != store_id:
            raise StoreMismatchError(
                f"{data_dir / name} belongs to store {found or '(unreadable)'}, not to {store_id}; "
                "mount the folder that belongs to this DATA_DIR"
            )


def make_media_marks(data_dir: Path, store_id: str, folders: Iterable[str] = MEDIA_FOLDERS) -> None:
    """Mark folders as this store's, durably; what mark they had is replaced. Idempotent.

    Raises:
        StorageError: A mark cannot be written.
    """
    for name in folders:
        make_dir(data_dir / name)
        if read_text_once(data_dir / name / MEDIA_MARK) != store_id:
            _write(data_dir / name / MEDIA_MARK, store_id + "\n")
    mark = data_dir / "store.json"
    with translated(f"read {mark}"):
        values = json.loads(mark.read_text("utf-8"))
    known = sorted({*values.get("folders", ()), *folders})
    if values.get("folders") != known:
        _write(mark, json.dumps(values | {"folders": known}) + "\n")


def check_footage_is_there(data_dir: Path, newest_clips: Collection[str]) -> None:
    """Refuse folders without a mark where the newest recorded clips have no file at all: a disk is missing.

    Args:
        data_dir: DATA_DIR.
        newest_clips: Paths, relative to DATA_DIR, of the newest clips of this host.

    Raises:
        StoreMismatchError: Nothing was changed.
    """
    if len(newest_clips) < _CLIPS_THAT_TELL or any((data_dir / path).exists() for path in newest_clips):
        return
    raise StoreMismatchError(
        f"none of the newest {len(newest_clips)} clips of the database lies in {data_dir / 'recordings'}: is its disk "
        "not mounted? Mount it and start again; if its files are gone for good, run "
        "`iris check --repair --accept-empty recordings`"
    )


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name.lstrip('.')}.{secrets.token_hex(8)}.part")
    try:
        with translated(f"write {path}"):
            temporary.write_text(text, encoding="utf-8")
            temporary.chmod(0o600)
        publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
