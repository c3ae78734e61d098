"""Binds the api's TCP socket, with a sentence where that cannot be; light, so that `iris up` can try it first."""

from __future__ import annotations

import errno
import socket

from iris.base.errors import ConfigError


def bind_tcp(address: str, port: int) -> socket.socket:
    """A bound TCP socket.

    Raises:
        ConfigError: The port is taken, or the address is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # asyncio switches off Nagle's algorithm only where the protocol is named; else each answer waits 40 ms (measured).
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((address, port))
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(f"PORT {port} is in use by another program; stop it or set another PORT") from error
        raise ConfigError(f"the api cannot listen on {address}:{port}: {error.strerror}") from error
    return bound
