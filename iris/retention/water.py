"""When the disk is too full, and how much has to go. Pure.

Making room begins at the high-water mark, or below it where the free space is less than two hours of what the
cameras write now; it ends at the low-water mark and never goes below.
"""

from __future__ import annotations

from typing import Final

from iris.domain.storage import DiskFigures
from iris.retention.policy import RetentionPolicy

RESERVE_S: Final = 7200.0


def room_is_due(policy: RetentionPolicy, disk: DiskFigures) -> bool:
    """Whether making room has to begin.

    >>> room_is_due(RetentionPolicy(), DiskFigures(84, 16)), room_is_due(RetentionPolicy(), DiskFigures(85, 15))
    (False, True)
    >>> room_is_due(RetentionPolicy(), DiskFigures(81, 19, write_bytes_per_s=1.0))
    True
    """
    if not policy.by_space or disk.used_share <= policy.low_water:
        return False
    return disk.used_share >= policy.high_water or disk.free_bytes < RESERVE_S * disk.write_bytes_per_s


def excess_bytes(policy: RetentionPolicy, disk: DiskFigures) -> int:
    """What has to go to reach the low-water mark; 0 where nothing has to.

    >>> excess_bytes(RetentionPolicy(), DiskFigures(90, 10)), excess_bytes(RetentionPolicy(), DiskFigures(50, 50))
    (10, 0)
    """
    return max(0, disk.used_bytes - int(policy.low_water * disk.usable_bytes)) if policy.by_space else 0


def is_critical(policy: RetentionPolicy, disk: DiskFigures) -> bool:
    """Whether it is half-way from high water to full: the node does not wait for anybody then.

    >>> is_critical(RetentionPolicy(), DiskFigures(92, 8)), is_critical(RetentionPolicy(), DiskFigures(93, 7))
    (False, True)
    """
    return policy.by_space and disk.used_share >= (policy.high_water + 1) / 2
