"""Backups on the disk of the store: they share its files, so that what is removed there gives no room back.

Retention by space measures the disk. Without this it would remove one event after the other, in vain, until none was
left. So where room is due such backups go first, the oldest first, and meanwhile an event whose clip has a second name
stays. A backup on another disk is never touched.
"""

from __future__ import annotations

from pathlib import Path

from iris.adapters.backup_files import remove_tree
from iris.adapters.media_files import translated
from iris.base.log import get_logger
from iris.pipeline.backup.finish import finished_backups
from iris.pipeline.backup.layout import REMOVING_SUFFIX


class BackupsBesideStore:
    """Implements `SharedFootage` over one data directory and one folder of backups; any thread."""

    def __init__(self, data_dir: Path, target: Path) -> None:
        self._data_dir, self._target = data_dir, target

    def give_back(self) -> bool:
        """Remove the oldest backup that lies on the disk of the store; false where there is none.

        Raises:
            StorageError: It could not be removed.
        """
        beside = [path for path, _ in finished_backups(self._target) if self._is_beside(path)]
        if not beside:
            return False
        oldest = beside[-1]
        going = oldest.with_name(oldest.name + REMOVING_SUFFIX)
        with translated(f"remove the backup {oldest.name}"):
            oldest.rename(going)
        remove_tree(going)
        get_logger().warning(
            "a backup on the disk of the store was removed, the disk needs room",
            backup=oldest.name, left=len(beside) - 1,
        )  # fmt: skip
        return True

    def is_shared(self, event_id: str, camera_id: str) -> bool:
        """Whether removing an event's clip would make no room, since the file has another name."""
        clips = (self._data_dir / "recordings" / camera_id).glob(f"{event_id}*.mp4")
        with translated("look at a clip"):
            return any(path.stat().st_nlink > 1 for path in clips if path.exists())

    def _is_beside(self, backup: Path) -> bool:
        with translated("look at a backup"):
            return backup.stat().st_dev == self._data_dir.stat().st_dev
