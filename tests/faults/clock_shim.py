"""A wall clock that a test can set, for real processes: `clock_shim.c`, compiled once, and the file that it reads."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

from tests.assets import skip_or_fail

_SOURCE = Path(__file__).with_name("clock_shim.c")


class SteppedClock:
    """The wall clock of processes that are started with `environment`; the monotonic clocks stay as they are."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            skip_or_fail("a wall clock for tests needs a C compiler; install gcc")
        library, page = folder / "clock_shim.so", folder / "clock"
        command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(_SOURCE)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            skip_or_fail(f"a wall clock for tests cannot be compiled: {done.stderr}")
        page.write_bytes(bytes(8))
        self._file = page.open("r+b")
        self._page = mmap.mmap(self._file.fileno(), 8)
        self.environment = {"LD_PRELOAD": str(library), "IRIS_TEST_CLOCK": str(page)}
        self.shift_us = 0

    def set(self, shift_us: int) -> None:
        """From now on the processes' wall clock is so much ahead of this one's."""
        self.shift_us = shift_us
        self._page[:8] = struct.pack("=q", shift_us)

    def close(self) -> None:
        """Let go of the file."""
        self._page.close()
        self._file.close()
