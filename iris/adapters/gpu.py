"""Memory of the first GPU, asked of the driver's own program: no library has to be loaded for it."""

from __future__ import annotations

import shutil
import subprocess

from iris.domain.status import GpuMemory

_QUERY = ("--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits", "--id=0")
# The driver may take seconds to wake up; a hung one must not hold the asker.
_LIMIT_S = 5.0


class NvidiaSmi:
    """Implements `iris.ports.GpuProbe`; without the program there is no GPU."""

    def __init__(self, program: str = "nvidia-smi") -> None:
        self._program = shutil.which(program)

    def memory(self) -> GpuMemory | None:
        """Memory of the first GPU, None where there is none or the driver fails."""
        if self._program is None:
            return None
        try:
            done = subprocess.run(
                [self._program, *_QUERY], capture_output=True, text=True, timeout=_LIMIT_S, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return parse_memory(done.stdout)


def parse_memory(text: str) -> GpuMemory | None:
    r"""The first line of the program's answer.

    >>> parse_memory("1024, 15360\n")
    GpuMemory(used_mb=1024, total_mb=15360)
    >>> parse_memory("[N/A], [N/A]\n") is None
    True
    """
    try:
        used, total = (int(part) for part in text.splitlines()[0].split(","))
    except (ValueError, IndexError):
        return None
    return GpuMemory(used, total)
