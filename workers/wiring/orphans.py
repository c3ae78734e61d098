"""Builds what finds files that belong to nothing: for the node's activities and for `iris check --repair`."""

from __future__ import annotations

from pathlib import Path

from iris.adapters.clock_mark import ClockMarkFile, read_clocks
from iris.base.ids import NodeId
from iris.base.timebase import seconds_to_us
from iris.config import Settings
from iris.pipeline.orphans import NodeOrphans, OrphanLimits
from iris.ports import Clock
from iris.retention.clock_rule import clock_doubt
from iris.store.engine import Store

_DAY_S = 86_400


def build_orphans(
    settings: Settings, store: Store, node_id: NodeId, clock: Clock, *, grace_us: int | None = None
) -> NodeOrphans:
    """Over the data directory of the settings.

    Args:
        settings: Where, and the limits.
        store: The main database.
        node_id: Whose files they are.
        clock: Wall time.
        grace_us: How old an orphan must be, in place of the setting.
    """
    limits = OrphanLimits(
        grace_us=seconds_to_us(settings.orphan_grace_seconds) if grace_us is None else grace_us,
        quarantine_us=seconds_to_us(settings.quarantine_days * _DAY_S),
        max_share=settings.orphan_max_share,
    )
    mark = clock_mark_path(settings.data_path)

    def doubt(newest_us: int | None) -> str | None:
        # The mark is kept by whoever removes by age; here it is only read.
        return clock_doubt(ClockMarkFile(mark).read(), read_clocks(), newest_us)

    return NodeOrphans(store, settings.data_path, node_id, limits, clock, doubt)


def clock_mark_path(data_dir: Path) -> Path:
    """Where the node keeps its last believed clock."""
    return data_dir / "node" / "clock.json"
