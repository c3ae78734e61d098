"""Backups that are broken or mean harm: refused, and nothing is written."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from iris.base.errors import InputError, IrisError, StorageError
from iris.pipeline.backup.layout import MANIFEST
from tests.builders.events import NODE_ID, uuid_of
from tests.workers.backup.place import (
    NAME,
    READY,
    backed_up,
    restored,
)
from tests.workers.test_check_command import CAMERA, Copy
from workers.backup_command import backup_command, restore_command


@dataclass(frozen=True)
class Broken:
    """A way to break a backup, and a word of the refusal."""

    word: str
    how: str
    value: str = ""


BROKEN = [
    Broken("no backup of Iris has", "path", "../../escaped.mp4"),
    Broken("no backup of Iris has", "path", "/etc/passwd"),
    Broken("no backup of Iris has", "path", "recordings/../../../x.mp4"),
    Broken("no backup of Iris has", "path", "secrets/credentials.key"),
    Broken("no backup of Iris has", "path", f"segments/{CAMERA}/seg_1.mp4\x00.txt"),
    Broken("no backup of Iris has", "same_as", "../x"),
    Broken("no regular file", "symlink"),
    Broken("no regular file", "fifo"),
    Broken(f"^{READY}.mp4 is gone from the backup at .*/backups/{NAME}; restore another backup$", "missing"),
    Broken("is a link", "symlinked folder"),
    Broken("bytes, its list says", "truncated"),
    Broken("not as its manifest says", "list changed"),
    Broken("not as its manifest says", "database changed"),
    Broken("other bytes", "one byte"),
    Broken("manifest of the backup cannot be read", "manifest"),
    Broken("no finished backup", "no manifest"),
    Broken("twice", "twice"),
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: f"{broken.how} {broken.value!r}")
def test_restore_refuses_and_writes_nothing_when_the_backup_is(place: Copy, tmp_path: Path, broken: Broken) -> None:
    backed_up(place, tmp_path / "backups")
    backup = tmp_path / "backups" / NAME
    break_it(backup, broken)
    with pytest.raises(IrisError, match=broken.word):
        restored(backup, tmp_path / "new" / "data", verify=True)
    assert [path for path in (tmp_path / "new").rglob("*") if path.name != "data"] == []
    assert not (tmp_path / "escaped.mp4").exists()
    (tmp_path / "new").mkdir(exist_ok=True)
    assert not (tmp_path / "new" / "data" / "store.json").exists()


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ("", "TARGET is empty"), (" ", "TARGET is empty"), ("{data}", "is in DATA_DIR; name a folder outside it"),
        ("{data}/recordings/x", "recordings/x is in DATA_DIR"), ("{data}/backups/../run", "run is in DATA_DIR"),
    ],
)  # fmt: skip
def test_backup_refuses_a_target_that_is_none_or_among_the_footage(
    place: Copy, monkeypatch: pytest.MonkeyPatch, named: str, sentence: str
) -> None:
    monkeypatch.setenv("DATA_DIR", str(place.data_dir))
    before = sorted(place.data_dir.rglob("*"))
    with pytest.raises(InputError, match=sentence):
        backup_command(argparse.Namespace(target=named.format(data=place.data_dir)))
    assert sorted(place.data_dir.rglob("*")) == before


def test_backup_names_the_whole_path_and_the_cause_when_its_folder_cannot_be_made(place: Copy, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = {}
    for target in (tmp_path / "file" / "x" / "y", tmp_path / "file", Path("/proc/x"), Path("/proc")):
        with pytest.raises(StorageError) as refused:
            backed_up(place, target)
        said[target] = str(refused.value)
    assert list(said.values()) == [
        f"{tmp_path}/file/x/y cannot be made: {tmp_path}/file is a file, no folder",
        f"{tmp_path}/file cannot be made: {tmp_path}/file is a file, no folder",
        "/proc/x cannot be written: /proc is no place for folders",
        "/proc cannot be written: /proc is no place for folders",
    ]


@pytest.mark.parametrize("how", ["missing", "twice"])
def test_command_leaves_nothing_behind_when_it_refuses_a_backup(
    place: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    backed_up(place, tmp_path / "backups")
    break_it(tmp_path / "backups" / NAME, Broken("", how))
    monkeypatch.chdir(tmp_path)
    arguments = argparse.Namespace(
        backup=str(tmp_path / "backups" / NAME), data_dir=str(tmp_path / "new" / "data"), force=False, verify=False
    )
    with pytest.raises(IrisError):
        restore_command(arguments)
    assert not (tmp_path / "new").exists()
    (tmp_path / "new" / "data").mkdir(parents=True)
    with pytest.raises(IrisError):
        restore_command(arguments)
    assert list((tmp_path / "new" / "data").iterdir()) == []


def break_it(backup: Path, broken: Broken) -> None:
    node = backup / "nodes" / NODE_ID
    clips, clip = node / "lists" / "clips.jsonl", node / "recordings" / CAMERA / f"{READY}.mp4"
    lines = [json.loads(line) for line in clips.read_text().splitlines()]
    first = next(number for number, line in enumerate(lines) if READY in line["path"] and ".mp4" in line["path"])
    match broken.how:
        case "path" | "same_as":
            lines[first][broken.how] = broken.value
            relist(backup, clips, lines)
        case "twice":
            relist(backup, clips, [*lines, lines[first]])
        case "symlink":
            shutil.move(clip, backup.parent / "elsewhere.mp4")
            clip.symlink_to(backup.parent / "elsewhere.mp4")
        case "fifo":
            clip.unlink()
            os.mkfifo(clip)
        case "missing":
            clip.unlink()
        case "symlinked folder":
            shutil.move(clip.parent, backup.parent / "elsewhere")
            clip.parent.symlink_to(backup.parent / "elsewhere")
        case "truncated":
            data = clip.read_bytes()
            clip.unlink()  # it shares its bytes with the store
            clip.write_bytes(data[:-1])
        case "one byte":
            data = clip.read_bytes()
            clip.unlink()
            clip.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        case "list changed":
            clips.write_text(clips.read_text().replace(READY, uuid_of(77)))
        case "database changed":
            with (backup / "database.sqlite").open("r+b") as file:
                file.seek(100)
                file.write(b"\xff")
        case "manifest":
            (backup / MANIFEST).write_text("{}")
        case "no manifest":
            (backup / MANIFEST).unlink()


def relist(backup: Path, path: Path, lines: list[dict[str, object]]) -> None:
    """Write a list and make the manifest agree with it, as somebody would who means harm."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    path.write_text(text)
    manifest = json.loads((backup / MANIFEST).read_text())
    for part in manifest["nodes"][0]["lists"]:
        if part["name"] == path.name:
            part["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (backup / MANIFEST).write_text(json.dumps(manifest))
