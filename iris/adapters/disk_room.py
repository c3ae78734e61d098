"""The room on the disk of DATA_DIR: how much there is, and a reserve that is given back when nothing else helps.

On a full disk even the database cannot note down that an event goes. The reserve is a file without content that is
removed then; what it held is enough for a few such notes, which make far more room.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from iris.adapters.media_files import translated
from iris.base.errors import StorageError
from iris.base.log import get_logger
from iris.domain.storage import DiskFigures

_LEAST_BYTES: Final = 4 * 2**20
_MOST_BYTES: Final = 16 * 2**20


def disk_figures(path: Path) -> DiskFigures:
    """Used and free bytes of the file system that holds `path`, as `df` counts them.

    Raises:
        StorageError: It cannot be asked.
    """
    with translated("read the size of the disk"):
        found = os.statvfs(path)
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    return DiskFigures(used_bytes=used, free_bytes=found.f_bavail * found.f_frsize)


class DiskReserve:
    """A file of 4 to 16 MB, a hundredth of the disk between those."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self) -> None:
        """Have the reserve; does nothing where it is there or where the disk has no room for it."""
        if self._path.exists():
            return
        temporary = self._path.with_name(f"{self._path.name}.part")
        try:
            size_bytes = max(_LEAST_BYTES, min(_MOST_BYTES, disk_figures(self._path.parent).usable_bytes // 100))
            with temporary.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, size_bytes)
            temporary.replace(self._path)
        except (OSError, StorageError) as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            get_logger().info("no reserve of disk space could be kept", reason=str(error))

    def give_back(self) -> bool:
        """Free what it holds; whether there was anything."""
        try:
            self._path.unlink()
        except OSError:
            return False
        get_logger().warning("the disk is full: the reserve is given back to make room")
        return True
