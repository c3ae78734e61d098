"""The webhook's one post: signed as documented, bounded in time, and silent about where it goes."""

from __future__ import annotations

import hashlib
import hmac
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from iris.adapters.webhook import Delivery, Webhook
from tests.builders.receiver import running_receiver
from tests.fakes.clock import SimulatedClock

SECRET = "CANARY-secret"


@pytest.fixture
async def hooks() -> AsyncIterator[list[Webhook]]:
    """Webhooks that are closed at the end."""
    opened: list[Webhook] = []
    yield opened
    for hook in opened:
        await hook.close()


def to(url: str, hooks: list[Webhook], timeout_s: float = 5.0) -> Webhook:
    hooks.append(Webhook(url, SECRET, SimulatedClock(wall_us=1_700_000_000_000_000), timeout_s=timeout_s))
    return hooks[-1]


async def test_webhook_signs_time_and_body_when_it_posts(hooks: list[Webhook]) -> None:
    body = '{"camera_name":"Küche"}'
    with running_receiver(204) as receiver:
        assert await to(receiver.url, hooks).send("id-1", body) == Delivery()
    [got] = receiver.received
    assert got.body == body
    assert got.headers["x-iris-delivery"] == "id-1"
    assert got.headers["content-type"] == "application/json"
    expected = hmac.new(SECRET.encode(), f"1700000000.{body}".encode(), hashlib.sha256).hexdigest()
    assert got.headers["x-iris-signature"] == f"t=1700000000,v1={expected}"


@pytest.mark.parametrize(
    ("answer", "sentence", "final"),
    [(500, "answered 500", False), (404, "answered 404", False), (410, "answered 410", True), (199 + 1, None, False)],
)
async def test_webhook_tells_what_was_answered_when_it_was_not_taken(
    hooks: list[Webhook], answer: int, sentence: str | None, final: bool
) -> None:
    with running_receiver(answer) as receiver:
        delivery = await to(receiver.url, hooks).send("id", "{}")
    assert delivery.final == final
    assert (delivery.failure is None) == (sentence is None)
    assert sentence is None or sentence in str(delivery.failure)


async def test_webhook_does_not_follow_when_it_is_redirected(hooks: list[Webhook]) -> None:
    with running_receiver(200) as elsewhere, running_receiver(elsewhere.url) as receiver:
        delivery = await to(receiver.url, hooks).send("id", "{}")
    assert "redirect is not followed" in str(delivery.failure)
    assert elsewhere.received == []
    assert "CANARY" not in str(delivery)


async def test_webhook_gives_up_in_time_when_the_receiver_hangs(hooks: list[Webhook]) -> None:
    with running_receiver() as receiver:
        receiver.hang.set()
        delivery = await to(receiver.url, hooks, timeout_s=0.3).send("id", "{}")
    assert delivery == Delivery("the receiver did not answer within 0.3 s")


async def test_webhook_gives_up_in_time_when_the_answer_drips(hooks: list[Webhook]) -> None:
    """A byte now and then keeps a client's own time-out from ever being reached."""
    with dripping() as port:
        began = time.monotonic()
        delivery = await to(f"http://127.0.0.1:{port}/", hooks, timeout_s=0.5).send("id", "{}")
    assert delivery.failure == "the receiver did not answer within 0.5 s"
    assert time.monotonic() - began < 5


async def test_webhook_says_nothing_of_its_address_when_nobody_is_there(hooks: list[Webhook]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, never listening
        url = f"http://user:CANARY@127.0.0.1:{taken.getsockname()[1]}/CANARY"
        assert await to(url, hooks).send("id", "{}") == Delivery("the receiver cannot be reached")


async def test_webhook_refuses_a_certificate_when_nobody_vouches_for_it(hooks: list[Webhook], tmp_path: Path) -> None:
    with self_signed(tmp_path) as port:
        delivery = await to(f"https://127.0.0.1:{port}/CANARY", hooks).send("id", "{}")
    assert delivery == Delivery("the certificate of the receiver is not valid")


@contextmanager
def dripping() -> Iterator[int]:
    """A server that sends a header byte every 50 ms, for ever."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
                while not over.wait(0.05):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            over.set()
            thread.join()


@contextmanager
def self_signed(folder: Path) -> Iterator[int]:
    """A TLS server whose certificate it signed itself."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()
