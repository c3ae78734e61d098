"""Who holds the lock files of a folder: the kernel's own list, so that no process is taken for ours by its name alone.

Linux only; reads /proc/locks, which lists every flock with the pid of its holder. Owns no state.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

# "12: FLOCK  ADVISORY  WRITE 4711 fe:00:1094 0 EOF"; a line of one that waits has an arrow after its number.
_FLOCK = re.compile(r"^\d+: FLOCK +ADVISORY +WRITE (\d+) ([0-9a-f]+:[0-9a-f]+):(\d+) ")
_KERNEL_LIST = Path("/proc/locks")


def lock_holders(own_lock: Path, locks: Iterable[Path]) -> dict[Path, int]:
    """Pids of the processes that hold the locks of files.

    The kernel names a file by device and inode, and its device number is not always the one that `stat` tells
    (overlayfs, btrfs). So the device is taken from the line of a lock that this very process holds there.

    Args:
        own_lock: A file on the same file system whose lock this process holds.
        locks: Files to look for; missing ones are left out.

    Returns:
        Holder by file; empty where the kernel does not tell.
    """
    try:
        lines = _KERNEL_LIST.read_text(encoding="ascii").splitlines()
        own_inode = own_lock.stat().st_ino
    except OSError:
        return {}
    holders = {(match[2], int(match[3])): int(match[1]) for line in lines if (match := _FLOCK.match(line))}
    devices = {device for (device, inode), pid in holders.items() if inode == own_inode and pid == os.getpid()}
    found = {}
    for path in locks:
        try:
            inode = path.stat().st_ino
        except OSError:
            continue
        pids = [holders.get((device, inode), 0) for device in devices]
        if len(pids) == 1 and pids[0] > 0:  # 0: a process of another pid namespace
            found[path] = pids[0]
    return found
