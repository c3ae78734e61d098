"""Unix socket paths of any length. The kernel takes 107 bytes; a data directory may lie deeper.

A longer path is reached through a descriptor of its folder: `/proc/self/fd/<n>/<name>` names the same file.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from iris.base.errors import ConflictError

# sockaddr_un.sun_path holds 108 bytes with its end mark (unix(7)).
_MOST_BYTES = 107


@contextlib.contextmanager
def short_socket_path(path: Path) -> Iterator[str]:
    """A name of `path` short enough for bind and connect, valid inside the block.

    Raises:
        OSError: The folder cannot be opened.
    """
    if len(os.fsencode(path)) <= _MOST_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


@contextlib.contextmanager
def private_socket(path: Path) -> Iterator[socket.socket]:
    """A bound socket that only this user can reach (0600, in a folder of 0700); gone after the block.

    One left behind by a killed process is replaced.

    Raises:
        ConflictError: Another process answers there.
        OSError: The folder cannot be made or written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bound, short_socket_path(path) as short:
        _remove_dead(path, short)
        # On Linux bind gives the file the mode of the descriptor: at no moment can anybody else connect.
        os.fchmod(bound.fileno(), 0o600)
        bound.bind(short)
        try:
            yield bound
        finally:
            path.unlink(missing_ok=True)


def _remove_dead(path: Path, short: str) -> None:
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(short)
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            return
    raise ConflictError(f"another process serves {path}; is a node already running?")
