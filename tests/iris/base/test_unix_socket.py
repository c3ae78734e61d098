"""Unix sockets at paths of any length, private from their first moment."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from iris.base.errors import ConflictError
from iris.base.unix_socket import private_socket, short_socket_path


def _path_of_bytes(folder: Path, count: int) -> Path:
    """A socket path of exactly `count` bytes."""
    rest = count - len(os.fsencode(folder)) - len("/s.sock") - 1
    return folder / ("d" * rest) / "s.sock"


@pytest.mark.parametrize(("count", "is_itself"), [(107, True), (108, False), (200, False)])
def test_short_path_stands_in_only_when_the_kernel_needs_it(tmp_path: Path, count: int, is_itself: bool) -> None:
    path = _path_of_bytes(tmp_path, count)
    path.parent.mkdir()
    with short_socket_path(path) as short:
        assert (short == str(path)) is is_itself
        assert len(os.fsencode(short)) <= 107


@pytest.mark.parametrize("count", [107, 108, 200])
def test_private_socket_takes_connections_and_goes_away(tmp_path: Path, count: int) -> None:
    path = _path_of_bytes(tmp_path, count)
    old_mask = os.umask(0)
    try:
        with private_socket(path) as bound:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
            bound.listen()
            with short_socket_path(path) as short, socket.socket(socket.AF_UNIX) as client:
                client.connect(short)
                served, _ = bound.accept()
                served.close()
    finally:
        os.umask(old_mask)
    assert not path.exists()


def test_private_socket_replaces_one_of_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with private_socket(path):
        assert path.is_socket()


def test_private_socket_refuses_when_somebody_answers(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with private_socket(path) as bound:
        bound.listen()
        with pytest.raises(ConflictError), private_socket(path):
            pass
        assert path.is_socket()


def test_private_socket_refuses_when_a_plain_file_is_there(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    path.write_text("kept")
    with pytest.raises(OSError, match="in use"), private_socket(path):
        pass
    assert path.read_text() == "kept"


def test_descriptors_do_not_leak(tmp_path: Path) -> None:
    path = _path_of_bytes(tmp_path, 150)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with private_socket(path):
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before
