"""Parts of `iris up`: started again when they die, stopped in time."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from workers.parts import Part

_COUNTS = "import sys,pathlib\np = pathlib.Path(sys.argv[1]); p.open('a').write('x')\n"


async def until_lines(path: Path, count: int) -> None:
    deadline = time.monotonic() + 20
    while not path.exists() or len(path.read_text()) < count:
        assert time.monotonic() < deadline, f"{count} starts"
        await asyncio.sleep(0.02)


async def test_part_is_started_again_with_back_off_when_it_dies(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    ends: list[tuple[str, int]] = []
    part = Part(
        "dies", [sys.executable, "-c", _COUNTS + "sys.exit(3)", str(starts)], {},
        ended=lambda name, code: ends.append((name, code)),
    )  # fmt: skip
    task = asyncio.create_task(part.keep_running())
    await until_lines(starts, 3)
    await part.stop(2)
    await asyncio.wait_for(task, 5)
    assert len(starts.read_text()) in (3, 4)
    assert ends[:2] == [("dies", 3), ("dies", 3)], "each end is told, but not the one that was asked for"


async def test_part_that_ignores_sigterm_is_killed_after_its_patience(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    ignores = "import signal,time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + _COUNTS + "time.sleep(60)"
    part = Part("ignores", [sys.executable, "-c", ignores, str(starts)], {}, nice=5)
    task = asyncio.create_task(part.keep_running())
    await until_lines(starts, 1)
    pid = part.pid
    assert pid is not None
    assert os.getpriority(os.PRIO_PROCESS, pid) == 5
    began = time.monotonic()
    await part.stop(0.5)
    await asyncio.wait_for(task, 5)
    assert 0.5 <= time.monotonic() - began < 5
    assert part.pid is None


async def test_part_ends_with_its_parent(tmp_path: Path) -> None:
    program = (
        "import asyncio,sys\nfrom workers.parts import Part\n"
        "part = Part('child', [sys.executable, '-m', 'workers.cli', 'camera-sim'], {})\n"
        "async def main():\n    task = asyncio.create_task(part.keep_running())\n"
        "    while part.pid is None: await asyncio.sleep(0.02)\n    print(part.pid, flush=True)\n    await task\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert parent.stdout is not None
    child = int(await asyncio.wait_for(parent.stdout.readline(), 20))
    line = await asyncio.wait_for(parent.stdout.readline(), 20)
    assert b"rtsp://" in line, "the child runs and speaks"
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text():
        assert time.monotonic() < deadline, "the child outlived its parent"
        await asyncio.sleep(0.02)
