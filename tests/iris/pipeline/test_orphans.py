"""What belongs to nothing, what is explained, and when nothing may be judged at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from iris.base.errors import InputError, StorageError, StoreError
from iris.base.timebase import US_PER_S
from iris.domain.operation import OperationKind, RemovalReason
from iris.store.operations import OperationDraft
from tests.builders.events import CAMERA_ID, uuid_of
from tests.builders.orphan_place import DAY_US, HOUR_US, OrphanPlace

LOST = {
    f"recordings/{CAMERA_ID}/{uuid_of(9)}.mp4",
    f"recordings/{CAMERA_ID}/notes.txt",
    "recordings/left.mp4",
    f"thumbnails/{uuid_of(9)}.jpg",
    f"pending/{uuid_of(9)}/seg_1.mp4",
    f"segments/{CAMERA_ID}/seg_9.mp4",
    f"segments/{uuid_of(7, 'c')}/seg_1.mp4",
    f"hls/{uuid_of(7, 'c')}/part.mp4",
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[OrphanPlace]:
    """Everything that is explained in one way or another."""
    made = OrphanPlace(tmp_path)
    made.finished(1)
    made.finished(2)
    made.unfinished(3)
    made.in_outbox(4)
    made.segment("seg_1.mp4", indexed=True)
    made.segment("seg_2.mp4.part", indexed=True)
    yield made
    made.store.close()


def lose(place: OrphanPlace) -> None:
    """Files that nothing explains, in every folder."""
    place.file(*LOST)


def test_survey_finds_nothing_where_everything_is_explained(place: OrphanPlace) -> None:
    # Renamed, but its process was killed before the row.
    place.file(f"segments/{CAMERA_ID}/seg_2.mp4")
    survey = place.survey()
    assert (survey.refusal, survey.orphan_count, survey.examples) == ("", 0, ())
    assert {folder.folder: folder.file_count for folder in survey.folders} == {
        "recordings": 4, "thumbnails": 2, "segments": 3, "pending": 2, "hls": 0,
    }  # fmt: skip


def test_survey_counts_and_names_what_nothing_explains_and_changes_nothing(place: OrphanPlace) -> None:
    lose(place)
    before = place.files()
    survey = place.survey()
    assert survey.refusal == ""
    assert set(survey.examples) == {path if "pending" not in path else f"pending/{uuid_of(9)}" for path in LOST}
    assert {f.folder: (f.orphan_count, f.orphan_bytes) for f in survey.folders} == {
        "recordings": (3, 300), "thumbnails": (1, 100), "segments": (2, 200), "pending": (1, 100), "hls": (1, 100),
    }  # fmt: skip
    assert place.files() == before


def test_sweep_moves_exactly_the_orphans_and_keeps_their_paths(place: OrphanPlace) -> None:
    explained = place.files()
    lose(place)
    sweep = place.sweep()
    assert (sweep.refusal, sweep.moved_count, sweep.moved_bytes, sweep.deleted_count) == ("", 8, 800, 0)
    assert place.files() == explained | {f"quarantine/2026-11-23-test/{path}" for path in LOST}
    again = place.sweep()
    assert (again.moved_count, again.refusal) == (8, "")
    assert place.survey().orphan_count == 0


def test_sweep_leaves_what_changed_within_the_hour(place: OrphanPlace) -> None:
    lose(place)
    place.clock.step_wall_us(-2 * HOUR_US)
    before = place.files()
    assert place.survey().orphan_count == 0
    assert place.sweep().moved_count == 0
    assert place.files() == before


def test_sweep_takes_what_a_finished_event_does_not_name(place: OrphanPlace) -> None:
    surplus = f"recordings/{CAMERA_ID}/{uuid_of(1)}.1.mp4"
    kept = f"pending/{uuid_of(1)}/seg_1.mp4"
    place.file(surplus, kept)
    place.sweep()
    assert {f"quarantine/2026-11-23-test/{path}" for path in (surplus, kept)} <= place.files()


def test_sweep_leaves_files_of_a_removal_that_is_under_way(place: OrphanPlace) -> None:
    with place.store.writing() as work:
        work.tombstones.entomb([uuid_of(1), uuid_of(2)], RemovalReason.DELETED, 1)
        work.tombstones.bury([uuid_of(2)], 1)
    place.sweep()
    assert f"recordings/{CAMERA_ID}/{uuid_of(1)}.mp4" in place.files()
    assert f"quarantine/2026-11-23-test/recordings/{CAMERA_ID}/{uuid_of(2)}.mp4" in place.files()


def test_sweep_leaves_files_of_a_camera_that_is_being_deleted(place: OrphanPlace) -> None:
    draft = OperationDraft(
        operation_id=uuid_of(1, "f"), kind=OperationKind.CAMERA_DELETION, workflow_id="x", request={},
        camera_id=CAMERA_ID,  # type: ignore[arg-type]  # a plain id
    )  # fmt: skip
    with place.store.writing() as work:
        work.operations.ask(draft, 1)
    own = {f"recordings/{CAMERA_ID}/{uuid_of(9)}.mp4", f"segments/{CAMERA_ID}/seg_9.mp4"}
    place.file(*own)
    assert place.sweep().moved_count == 0
    assert own <= place.files()


def test_sweep_keeps_footage_of_a_camera_whose_own_file_is_gone(place: OrphanPlace) -> None:
    other = uuid_of(2, "c")
    with place.store.engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO cameras (camera_id, name, rtsp_url_sealed, rtsp_url_masked, enabled, recording_mode,"
                " trigger_classes, detect_conf, detect_fps, pre_seconds, post_seconds, trigger_cooldown, created_us,"
                f" updated_us, version) VALUES ('{other}', 'x', x'00', 'x', 1, 'track', '[]', 0.5, 5, 5, 5, 5, 1, 1, 1)"
            )
        )
    place.file(f"segments/{other}/seg_1.mp4", f"hls/{other}/part.mp4")
    assert place.sweep().moved_count == 0


def test_sweep_never_follows_a_link_nor_touches_what_a_system_keeps(place: OrphanPlace, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "film.mp4").touch()
    (place.data_dir / "recordings" / "linked").symlink_to(tmp_path / "elsewhere")
    place.file("recordings/lost+found/x", "recordings/.Trash-1000/x")
    sweep = place.sweep()
    assert (sweep.refusal, sweep.moved_count) == ("", 1)
    assert (tmp_path / "elsewhere" / "film.mp4").exists()
    assert {"recordings/lost+found/x", "recordings/.Trash-1000/x"} <= place.files()


def test_quarantine_is_deleted_after_its_days_and_nothing_else_of_it(place: OrphanPlace) -> None:
    place.file(f"thumbnails/{uuid_of(9)}.jpg", "quarantine/by-hand/x.mp4")
    batch = "2026-11-23-test"
    place.sweep(batch)
    place.clock.step_wall_us(_noon_us(batch, days=7) - place.clock.wall_us())
    assert place.survey().expired_count == 0
    assert place.sweep("2026-11-30-x").deleted_count == 0
    place.clock.advance_us(DAY_US)
    assert (place.survey().expired_count, place.survey().expired_bytes) == (1, 100)
    sweep = place.sweep("2026-12-01-x")
    assert (sweep.deleted_count, sweep.deleted_bytes) == (1, 100)
    assert "quarantine/by-hand/x.mp4" in place.files()
    assert not (place.data_dir / "quarantine" / batch).exists()


def _noon_us(batch: str, *, days: int) -> int:
    from datetime import UTC, datetime

    return round(datetime.fromisoformat(f"{batch[:10]}T12:00:00").replace(tzinfo=UTC).timestamp() * US_PER_S) + (
        days * DAY_US
    )


def test_second_file_of_a_name_gets_another_one_in_quarantine(place: OrphanPlace) -> None:
    path = f"thumbnails/{uuid_of(9)}.jpg"
    for _ in range(2):
        place.file(path)
        place.sweep()
    assert {f"quarantine/2026-11-23-test/{path}", f"quarantine/2026-11-23-test/{path}.1"} <= place.files()


def _forget_everything(place: OrphanPlace) -> None:
    with place.store.engine.begin() as connection:
        for table in ("clip_files", "event_ranges", "event_labels", "events"):
            connection.execute(sa.text(f"DELETE FROM {table}"))


def _another_generation(place: OrphanPlace) -> None:
    with place.store.engine.begin() as connection:
        connection.execute(sa.text("UPDATE store SET generation = 2"))


def _another_store(place: OrphanPlace) -> None:
    values = json.loads((place.data_dir / "store.json").read_text())
    (place.data_dir / "store.json").write_text(json.dumps(values | {"store_id": "other"}))


def _unmounted(place: OrphanPlace) -> None:
    shutil.rmtree(place.data_dir / "recordings")
    (place.data_dir / "recordings").mkdir()


def _another_disk(place: OrphanPlace) -> None:
    (place.data_dir / "recordings" / ".iris-store").write_text("019f0000-0000-7000-8000-000000000001")


def _doubtful_clock(place: OrphanPlace) -> None:
    place.doubt = "the wall clock moved by +2.0 h against the steady clock"


MISTRUST: list[tuple[Callable[[OrphanPlace], None], str]] = [
    (_forget_everything, "the database knows no camera and no event, but DATA_DIR holds files; restore the database"),
    (_another_generation, "is of generation 1, the database of 2; restore both"),
    (_another_store, "belongs to store other"),
    (lambda place: (place.data_dir / "store.json").unlink(), "has no store.json; mount the right folder"),
    (_unmounted, "DATA_DIR/recordings has lost its mark .iris-store: is its disk not mounted"),
    (_another_disk, "DATA_DIR/recordings belongs to store 019f0000"),
    (_doubtful_clock, "the wall clock moved by +2.0 h against the steady clock; set the clock right"),
]


@pytest.mark.parametrize(("spoil", "said"), MISTRUST, ids=[said[:40] for _, said in MISTRUST])
def test_nothing_is_moved_or_deleted_where_the_evidence_cannot_be_trusted(
    place: OrphanPlace, spoil: Callable[[OrphanPlace], None], said: str
) -> None:
    lose(place)
    place.file("quarantine/2020-01-01-old/recordings/x.mp4")
    spoil(place)
    before = place.files()
    survey, sweep = place.survey(max_share=1), place.sweep()
    assert said in survey.refusal
    assert sweep.refusal == survey.refusal
    assert str(place.data_dir) not in survey.refusal
    assert (sweep.moved_count, sweep.deleted_count) == (0, 0)
    assert place.files() == before


def test_survey_asks_a_person_where_much_of_a_folder_belongs_to_nothing(place: OrphanPlace) -> None:
    for number in range(100, 121):
        place.file(f"thumbnails/{uuid_of(number)}.jpg")
    survey = place.survey()
    assert "21 of 23 files in thumbnails/ belong to nothing" in survey.refusal
    assert "confirm it with a higher max_share" in survey.refusal
    assert place.survey(max_share=0.95).refusal == ""


def test_survey_asks_a_person_where_much_of_the_bytes_belong_to_nothing(place: OrphanPlace) -> None:
    for number in range(200, 300):
        place.finished(number)
    for number in range(100, 121):
        place.file(f"recordings/{CAMERA_ID}/{uuid_of(number)}.mp4", size_bytes=10_000)
    assert "21 of 125 files in recordings/" in place.survey().refusal


def test_survey_lets_a_few_go_whatever_their_share(place: OrphanPlace) -> None:
    for number in range(100, 120):
        place.file(f"thumbnails/{uuid_of(number)}.jpg")
    assert place.survey().refusal == ""


def test_survey_asks_a_person_where_many_clips_have_no_file(place: OrphanPlace) -> None:
    for number in range(200, 221):
        event_id = place.finished(number)
        (place.data_dir / "recordings" / CAMERA_ID / f"{event_id}.mp4").unlink()
    survey = place.survey()
    assert survey.missing_clip_count == 21
    assert "21 of 23 recorded clips have no file; is a disk missing?" in survey.refusal
    assert place.survey(max_share=1).refusal == ""


def test_sweep_stops_where_there_is_more_than_was_counted(place: OrphanPlace) -> None:
    for number in range(100, 125):
        place.file(f"thumbnails/{uuid_of(number)}.jpg")
    before = place.files()
    sweep = place.sweep(most_count=3)
    assert "more orphans than the 3 counted a moment ago" in sweep.refusal
    assert place.files() == before


def test_nothing_is_moved_where_a_camera_file_cannot_be_read(place: OrphanPlace) -> None:
    lose(place)
    (place.data_dir / "node" / f"{CAMERA_ID}.db").write_bytes(b"not a database, and long enough to be looked at" * 40)
    before = place.files()
    with pytest.raises(StorageError, match=r"cannot be read"):
        place.sweep()
    assert place.files() == before


def test_nothing_more_is_moved_when_the_database_goes_away(place: OrphanPlace, tmp_path: Path) -> None:
    lose(place)
    before = place.files()
    (place.data_dir / "vms.db").rename(tmp_path / "away.db")
    place.store.close()
    with pytest.raises(StoreError):
        place.sweep()
    assert place.files() == before


@pytest.mark.parametrize("batch", ["", "..", "../x", "a/b", "a b", "x" * 101])
def test_sweep_refuses_a_batch_that_is_no_name(place: OrphanPlace, batch: str) -> None:
    with pytest.raises(InputError):
        place.sweep(batch)
