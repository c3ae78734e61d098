"""A receiver of webhooks on loopback: answers as it is told, keeps what it got."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: str


@dataclass
class Receiver:
    """`answers` are used one per request, the last one for ever; a text instead of a status is where to redirect to."""

    port: int = 0
    answers: list[int | str] = field(default_factory=lambda: [200])
    received: list[Received] = field(default_factory=list)
    hang: threading.Event = field(default_factory=threading.Event)  # set: nothing is answered

    @property
    def url(self) -> str:
        """Its address, with something in it that nobody may repeat."""
        return f"http://user:CANARY@127.0.0.1:{self.port}/hook?token=CANARY"

    def ids(self) -> list[str]:
        """Delivery ids in the order they came."""
        return [got.headers["x-iris-delivery"] for got in self.received]


@contextmanager
def running_receiver(*answers: int | str) -> Iterator[Receiver]:
    """A receiver on a free port."""
    state = Receiver(answers=list(answers) or [200])
    lock, over = threading.Lock(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                state.received.append(Received(self.path, headers, body))
                answer = state.answers.pop(0) if len(state.answers) > 1 else state.answers[0]
            while state.hang.is_set() and not over.is_set():
                time.sleep(0.02)
            if isinstance(answer, str):
                self.send_response(302)
                self.send_header("Location", answer)
            else:
                self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()
