"""What a backup looks like on disk: names, the manifest, and the lists of its files with the only paths they may hold.

A backup is a folder `<stamp>-<8 hex digits>` with `manifest.json`, which is written last. While it is made the folder
is called `<name>.part`, and nothing takes that for a backup. Paths in its lists are those of DATA_DIR; a list may come
from anywhere, so what is read from one passes `check_path` before it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from iris.adapters.media_files import translated
from iris.base.errors import InputError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
PART_SUFFIX: Final = ".part"
REMOVING_SUFFIX: Final = ".removing"
NAME: Final = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")

_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
# Every file that a backup may hold of a node. Nothing else is ever written by a restore, so that no list can lead
# outside the folder, to a link, or over a file of another kind.
_PATHS: Final = re.compile(
    rf"node/({_ID}|relay)\.db|segments/{_ID}/seg_\d{{1,19}}\.mp4|pending/{_ID}/(seg_\d{{1,19}}\.mp4|thumbnail\.jpg)"
    rf"|recordings/{_ID}/{_ID}(\.\d{{1,4}})?\.mp4|thumbnails/{_ID}\.jpg"
)
_NODE_ID: Final = re.compile(_ID)
_LIST_NAME: Final = re.compile(rf"(node|clips|{_ID})\.jsonl")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_MOST_LINE_CHARS: Final = 2000
_MOST_MANIFEST_BYTES: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a node; `path` is relative to DATA_DIR. `same_as` is the path of which this one is another name."""

    path: str
    size_bytes: int
    sha256: str
    same_as: str | None = None


@dataclass(frozen=True, slots=True)
class ListPart:
    """One list of files, relative to the folder of its node; its own hash guards every entry."""

    name: str
    sha256: str
    file_count: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class NodePart:
    """What a node wrote."""

    node_id: str
    lists: tuple[ListPart, ...]


@dataclass(frozen=True, slots=True)
class DatabasePart:
    """The snapshot of the main database; `kind` is sqlite or postgresql, `schema` its revision."""

    kind: str
    name: str
    schema: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup holds, and what a restore of it has to end with.

    Attributes:
        name: Of the backup.
        iris_version: That made it.
        store_id: Of the store it is of.
        generation: Of the store when it was made; a restore raises it.
        created_us: Moment of the database's snapshot, wall time.
        database: The main database.
        counts: Rows of each table after a restore.
        nodes: The files of each node.
        deleted_since: Events that were removed while the backup was made; a restore removes their rows, too.
        began_since: Unfinished events of which no footage is in it; a restore ends them as failed.
        damaged: Files that rows name and that were not there, or not as recorded, when the backup was made.
        left_out: What of DATA_DIR is not in it, as sentences.
    """

    name: str
    iris_version: str
    store_id: str
    generation: int
    created_us: int
    database: DatabasePart
    counts: Mapping[str, int]
    nodes: tuple[NodePart, ...]
    deleted_since: tuple[str, ...] = ()
    began_since: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    format: int = FORMAT

    @property
    def file_count(self) -> int:
        """How many files the lists name."""
        return sum(part.file_count for node in self.nodes for part in node.lists)

    @property
    def total_bytes(self) -> int:
        """Bytes of all files and the database."""
        return self.database.size_bytes + sum(part.total_bytes for node in self.nodes for part in node.lists)

    def as_json(self) -> str:
        """The text of `manifest.json`."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The manifest of a text; only its form is looked at here.

        Raises:
            InputError: It is no manifest of this format.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            if values["format"] != FORMAT:
                raise InputError(f"the backup has format {values['format']}; this Iris reads format {FORMAT}")
            values["database"] = DatabasePart(**values["database"])
            values["nodes"] = tuple(
                NodePart(_matching(_NODE_ID, node["node_id"]), tuple(ListPart(**part) for part in node["lists"]))
                for node in values["nodes"]
            )
            for name in ("deleted_since", "began_since", "damaged", "left_out"):
                values[name] = tuple(str(item) for item in values[name])
            manifest = cls(**values)
            for node in manifest.nodes:
                for part in node.lists:
                    _matching(_LIST_NAME, part.name)
            if manifest.database.name not in ("database.sqlite", "database.pgdump"):
                raise InputError("the manifest of the backup names a database file that no backup has")
            _matching(NAME, manifest.name)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError("the manifest of the backup cannot be read: it is damaged, or none of Iris") from error
        return manifest


@dataclass(slots=True)
class ListWriter:
    """Writes one list; `finish` makes it durable and answers what the manifest says of it."""

    path: Path
    file_count: int = 0
    total_bytes: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)
    _file: Any = None

    def add(self, entry: FileEntry) -> None:
        """One more file."""
        if self._file is None:
            self._file = open_private(self.path)
        values: dict[str, object] = {"path": entry.path, "size_bytes": entry.size_bytes, "sha256": entry.sha256}
        if entry.same_as is not None:
            values["same_as"] = entry.same_as
        line = json.dumps(values) + "\n"
        with translated("write the list of a backup"):
            self._file.write(line.encode())
        self._digest.update(line.encode())
        self.file_count += 1
        self.total_bytes += 0 if entry.same_as else entry.size_bytes

    def finish(self) -> ListPart:
        """Force it to the disk."""
        if self._file is None:
            self._file = open_private(self.path)
        with translated("write the list of a backup"):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        return ListPart(self.path.name, self._digest.hexdigest(), self.file_count, self.total_bytes)


def open_private(path: Path) -> Any:
    """A new file (0600) to write bytes into; one that is there is replaced.

    Raises:
        StorageError: It cannot be made.
    """
    with translated(f"make {path.name}"):
        path.unlink(missing_ok=True)
        return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb")


def read_list(path: Path) -> Iterator[FileEntry]:
    """The entries of a list, each checked, a line at a time.

    Raises:
        InputError: A line is no entry, or names a path that no backup has.
        StorageError: It cannot be read.
    """
    with translated(f"read {path.name}"), path.open("r", encoding="utf-8") as file:
        while line := file.readline(_MOST_LINE_CHARS):
            yield _entry(line)


def check_path(path: object) -> str:
    """A path of a list, as it is.

    Raises:
        InputError: No backup has such a file.
    """
    return _matching(_PATHS, path)


def read_manifest(backup: Path) -> Manifest:
    """The manifest of a finished backup.

    Raises:
        InputError: The folder is no finished backup.
        StorageError: It cannot be read.
    """
    path = backup / MANIFEST
    if backup.name.endswith((PART_SUFFIX, REMOVING_SUFFIX)) or path.is_symlink() or not path.is_file():
        raise InputError(f"{backup} is no finished backup: it has no {MANIFEST}")
    with translated(f"read {path}"):
        if path.stat().st_size > _MOST_MANIFEST_BYTES:
            raise InputError(f"{path} is too large for a manifest")
        return Manifest.from_json(path.read_text("utf-8", errors="replace"))


def node_folder(backup: Path, node_id: str) -> Path:
    """Where the files of a node are inside a backup, as below its DATA_DIR."""
    return backup / "nodes" / _matching(_NODE_ID, node_id)


def lists_of(backup: Path, node: NodePart) -> Iterable[tuple[ListPart, Path]]:
    """The lists of a node with their files."""
    return [(part, node_folder(backup, node.node_id) / "lists" / part.name) for part in node.lists]


def _entry(line: str) -> FileEntry:
    try:
        entry = FileEntry(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise InputError("a list of the backup has a line that is no entry") from error
    check_path(entry.path)
    _matching(_SHA256, entry.sha256)
    if entry.same_as is not None:
        check_path(entry.same_as)
    if not isinstance(entry.size_bytes, int) or entry.size_bytes < 0:
        raise InputError("a list of the backup has a size that is none")
    return entry


def _matching(pattern: re.Pattern[str], text: object) -> str:
    if not isinstance(text, str) or pattern.fullmatch(text) is None:
        raise InputError("the backup names a file that no backup of Iris has")
    return text
