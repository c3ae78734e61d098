"""Files that belong to nothing, wherever in a media folder they lie: the check names each, a repair moves each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.test_check_command import CAMERA, Copy, failing, template
from workers.check_command import repair

assert template  # the fixture that builds the place once


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Iterator[Copy]:
    shutil.copytree(template, tmp_path / "data")
    copy = Copy(tmp_path / "data")
    yield copy
    copy.store.close()


def stray(place: Copy, path: str) -> None:
    file = place.data_dir / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("z")


@pytest.mark.parametrize(
    ("path", "rule", "said"),
    [
        ("recordings/stray.txt", "orphan", "belongs to no event"),
        ("recordings/odd/deep/f", "orphan", "belongs to no event"),
        (f"recordings/{CAMERA}/deep/f", "orphan", "belongs to no event"),
        ("thumbnails/odd/f", "orphan", "belongs to no event"),
        ("segments/stray.txt", "segment", "is in no index"),
        ("segments/odd/deep/f", "segment", "is in no index"),
        ("pending/stray.txt", "pending", "is kept, but its event is not known"),
    ],
)
def test_check_names_a_stray_file_and_holds_after_a_repair(place: Copy, path: str, rule: str, said: str) -> None:
    stray(place, path)
    assert failing(place.check()) == {rule: (f"{path} {said}",)}
    assert any("moved 1 thing(s)" in line for line in repair(place.settings).done_lines)
    assert failing(place.check()) == {}


def test_check_names_a_link_and_does_not_follow_it(place: Copy, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "f").touch()
    (place.data_dir / "recordings" / "link").symlink_to(tmp_path / "elsewhere")
    assert failing(place.check()) == {"orphan": ("recordings/link belongs to no event",)}
    repair(place.settings)
    assert failing(place.check()) == {}
    assert (tmp_path / "elsewhere" / "f").exists()


@pytest.mark.parametrize("folder", ["recordings", "thumbnails", "segments", "pending"])
def test_check_passes_over_the_quarantine_of_a_folder_on_a_disk_of_its_own(place: Copy, folder: str) -> None:
    stray(place, f"{folder}/.quarantine/2026-01-31-repair-1/{folder}/f")
    assert failing(place.check()) == {}


def test_check_says_which_folder_it_cannot_read(place: Copy) -> None:
    shutil.rmtree(place.data_dir / "thumbnails")
    (place.data_dir / "thumbnails").touch()
    (sentence,) = failing(place.check())["orphan"]
    assert "read the folder thumbnails" in sentence
