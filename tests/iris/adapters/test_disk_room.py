"""The room on a real disk, its reserve, and where the believed clock is kept."""

from __future__ import annotations

import shutil
from pathlib import Path

from iris.adapters.clock_mark import ClockMarkFile, read_clocks
from iris.adapters.disk_room import DiskReserve, disk_figures
from iris.retention.clock_rule import ClockReading


def test_figures_are_those_of_df(tmp_path: Path) -> None:
    figures, usage = disk_figures(tmp_path), shutil.disk_usage(tmp_path)
    assert abs(figures.free_bytes - usage.free) < 0.05 * usage.total
    assert abs(figures.used_bytes - usage.used) < 0.05 * usage.total


def test_reserve_holds_real_room_and_gives_it_back_once(tmp_path: Path) -> None:
    path = tmp_path / "reserve"
    reserve = DiskReserve(path)
    assert not reserve.give_back()
    reserve.keep()
    stat = path.stat()
    assert 4 * 2**20 <= stat.st_size <= 16 * 2**20
    assert stat.st_blocks * 512 >= stat.st_size, "blocks are taken, not only a length"
    reserve.keep()
    assert path.stat().st_ino == stat.st_ino
    assert reserve.give_back()
    assert not reserve.give_back()
    assert list(tmp_path.iterdir()) == []


def test_reserve_is_no_error_where_it_cannot_be_kept(tmp_path: Path) -> None:
    DiskReserve(tmp_path / "missing" / "reserve").keep()
    assert list(tmp_path.iterdir()) == []


def test_mark_survives_a_restart_and_a_damaged_one_counts_as_none(tmp_path: Path) -> None:
    file = ClockMarkFile(tmp_path / "clock.json")
    assert file.read() is None
    file.write(ClockReading("boot", 5, 7))
    assert ClockMarkFile(tmp_path / "clock.json").read() == ClockReading("boot", 5, 7)
    for damaged in ("", "[]", '{"boot_id": "x"}', '{"boot_id": "x", "wall_us": "y", "steady_us": 1}'):
        (tmp_path / "clock.json").write_text(damaged)
        assert file.read() is None


def test_clocks_of_one_boot_go_on_together() -> None:
    first, second = read_clocks(), read_clocks()
    assert first.boot_id == second.boot_id
    assert 0 <= second.steady_us - first.steady_us < 60_000_000
