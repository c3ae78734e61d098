"""Disks that a test may fill, break, or cut the power of: ext4 on a loop device, and tmpfs. Both need root.

A power cut is ext4's shutdown ioctl without a flush of its log: everything that was not forced to the disk is gone,
as measured for the promises of `iris.adapters.media_files`. It cannot show a drive that lies about its cache.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.assets import skip_or_fail

# _IOR('X', 125, u32) of linux/fs/ext4; flag 2: neither data nor log is flushed.
_SHUTDOWN, _NO_LOG_FLUSH = 0x8004587D, 2
# Nothing reaches the disk by itself while a test runs: what survives was forced.
_OPTIONS = "loop,commit=300,noatime"
_MIB = 1024 * 1024


def need_mounts() -> None:
    """Skip (fail under CI=true) where disks cannot be made."""
    if os.geteuid() != 0:
        skip_or_fail("disks of a test's own need root to be mounted; run the tests as root")
    if shutil.which("mkfs.ext4") is None:
        skip_or_fail("disks of a test's own need mkfs.ext4; install e2fsprogs")
    if not Path("/dev/loop-control").exists():
        skip_or_fail("disks of a test's own need loop devices; load the kernel module loop")


def _run(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(str(part) for part in command)}: {done.stderr.strip()}")


def unmount(folder: Path) -> None:
    """Unmount; a process that just died may hold it for a moment, one that holds on is an error."""
    deadline = time.monotonic() + 10
    while os.path.ismount(folder):
        try:
            _run("umount", folder)
        except RuntimeError:
            if time.monotonic() > deadline:
                _run("umount", "--lazy", folder)
                raise
            time.sleep(0.05)


class ImageDisk:
    """An ext4 file system in an image file, mounted at `folder`; leaving the context unmounts it and drops the image.

    Image files lie where they are told to; on a tmpfs a forced write costs nothing.
    """

    def __init__(self, image: Path, folder: Path, size_mib: int = 32) -> None:
        self.image, self.folder = image, folder
        with image.open("wb") as file:
            file.truncate(size_mib * _MIB)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", image)
        folder.mkdir(parents=True, exist_ok=True)

    def mount(self) -> None:
        """Mount it; after a power cut this replays the journal."""
        _run("mount", "-o", _OPTIONS, self.image, self.folder)

    def unmount(self) -> None:
        """Unmount it in order."""
        unmount(self.folder)

    def cut_power(self) -> None:
        """From now on nothing reaches the disk, and what was not forced to it is lost."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def check(self) -> None:
        """Have e2fsck look at the unmounted image, which replays its journal; fails where it finds more to mend."""
        done = subprocess.run(["e2fsck", "-p", self.image], capture_output=True, text=True, check=False)
        if done.returncode > 1:
            raise AssertionError(f"e2fsck: {done.stdout}{done.stderr}")

    def keep(self, copy: Path) -> None:
        """Copy the unmounted image, holes as holes."""
        _run("cp", "--sparse=always", self.image, copy)

    def restore(self, copy: Path) -> None:
        """Go back to a kept copy; unmounted."""
        _run("cp", "--sparse=always", copy, self.image)

    def __enter__(self) -> Self:
        self.mount()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        try:
            self.unmount()
        finally:
            self.image.unlink(missing_ok=True)


@contextmanager
def memory_disk(folder: Path, size_mib: float, *, inodes: int | None = None) -> Iterator[Path]:
    """A tmpfs of so many MiB at `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={round(size_mib * 1024)}k" + ("" if inodes is None else f",nr_inodes={inodes}")
    _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", folder)
    try:
        yield folder
    finally:
        unmount(folder)


def set_readonly(folder: Path, *, readonly: bool) -> None:
    """Remount a disk; the kernel refuses to take writing away while a file is open for it.

    Raises:
        RuntimeError: It refused.
    """
    _run("mount", "-o", f"remount,{'ro' if readonly else 'rw'}", folder)


class Ballast:
    """Fills a disk to the last byte, or the last inode, and gives it free again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "ballast"

    def fill(self) -> None:
        """Take every block, also what is given free by others while this runs."""
        self._folder.mkdir(exist_ok=True)
        with (self._folder / "bytes").open("ab", buffering=0) as file:
            for block in (_MIB, 4096, 1):
                self._until_full(partial(_write_all, file.fileno(), block))

    def fill_inodes(self) -> None:
        """Take every inode."""
        self._folder.mkdir(exist_ok=True)
        names = iter(range(10**6))
        self._until_full(lambda: os.mknod(self._folder / str(next(names))))

    def free(self) -> None:
        """Give all of it back."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @staticmethod
    def _until_full(take: Callable[[], None]) -> None:
        try:
            while True:
                take()
        except OSError:
            return


def _write_all(descriptor: int, size: int) -> None:
    if os.write(descriptor, bytes(size)) < size:
        raise OSError("full")
