"""What stands in for a camera and is none: a listener that collects what it is told, and a line that only drips."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

_PIECE_BYTES = 4096
_DRIP_EVERY_S = 0.25


class _Listener:
    """Accepts connections on a free port of loopback until `__exit__`; one thread for each."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="hostile", daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for connection in (self._listener, *self._open):
            _shut(connection)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve_until_closed, connection)

    def _start(self, target: object, *arguments: object) -> None:
        assert callable(target)
        thread = threading.Thread(target=target, args=arguments, name="hostile", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve_until_closed(self, connection: socket.socket) -> None:
        self._open.append(connection)
        try:
            self.serve(connection)
        except OSError:
            pass  # the other side has gone
        finally:
            _shut(connection)

    def serve(self, connection: socket.socket) -> None:
        """Talk to one that connected; returns when it is over."""
        raise NotImplementedError


class Trap(_Listener):
    """Asks for the password in the clear, as RTSP's Basic does, and keeps every byte it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = b""

    def serve(self, connection: socket.socket) -> None:
        """Answer everything with 401."""
        told = b""
        while piece := connection.recv(_PIECE_BYTES):
            self.heard += piece
            told += piece
            while b"\r\n\r\n" in told:
                head, _, told = told.partition(b"\r\n\r\n")
                number = next((line for line in head.split(b"\r\n") if line.lower().startswith(b"cseq")), b"CSeq: 0")
                connection.sendall(
                    b'RTSP/1.0 401 Unauthorized\r\n%s\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n' % number
                )


class SlowLine(_Listener):
    """Passes everything on to a port of loopback and back; what comes back only drips while `bytes_per_s` is set."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._target_port = port
        self.bytes_per_s: int | None = None

    def serve(self, connection: socket.socket) -> None:
        """Pass both ways until one side ends."""
        with socket.create_connection(("127.0.0.1", self._target_port)) as camera:
            self._open.append(camera)
            self._start(_pass_on, connection, camera)
            while piece := camera.recv(_PIECE_BYTES):
                while piece:
                    rate = self.bytes_per_s
                    count = len(piece) if rate is None else max(1, round(rate * _DRIP_EVERY_S))
                    connection.sendall(piece[:count])
                    piece = piece[count:]
                    if rate is not None and self._stop.wait(_DRIP_EVERY_S):
                        return


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    try:
        while piece := source.recv(_PIECE_BYTES):
            sink.sendall(piece)
    except OSError:
        pass  # one side has gone
    finally:
        _shut(sink)


def _shut(connection: socket.socket) -> None:
    """Close it and wake whoever waits on it."""
    with contextlib.suppress(OSError):  # it is closed already
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
