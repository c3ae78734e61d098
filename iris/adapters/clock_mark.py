"""Where a node keeps the last reading of its clocks that was believed: `DATA_DIR/node/clock.json`."""

from __future__ import annotations

import json
import time
from pathlib import Path

from iris.adapters.media_files import publish, translated
from iris.base.log import get_logger
from iris.retention.clock_rule import ClockReading

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def read_clocks() -> ClockReading:
    """Both clocks now; the steady one goes on while the machine sleeps."""
    boot_id = _BOOT_ID.read_text(encoding="ascii").strip()
    steady_us = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
    return ClockReading(boot_id, time.time_ns() // 1000, steady_us)


class ClockMarkFile:
    """Reads and replaces the file; a damaged one counts as none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> ClockReading | None:
        """What was kept, None where there is nothing that can be read."""
        try:
            values = json.loads(self._path.read_text(encoding="utf-8"))
            return ClockReading(str(values["boot_id"]), int(values["wall_us"]), int(values["steady_us"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            get_logger().warning("the clock's mark cannot be read, starting anew", file=str(self._path), error=error)
            return None

    def write(self, reading: ClockReading) -> None:
        """Keep a reading, durably.

        Raises:
            StorageError: It could not be written.
        """
        temporary = self._path.with_suffix(".json.part")
        text = {"boot_id": reading.boot_id, "wall_us": reading.wall_us, "steady_us": reading.steady_us}
        with translated("write the clock's mark"):
            temporary.write_text(json.dumps(text), encoding="utf-8")
        publish(temporary, self._path)
