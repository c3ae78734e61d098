"""A page of 50 events out of a million: inside the store, and over HTTP from an api process."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from iris.base.ids import CameraId
from iris.base.sqlite import connect
from iris.store.cursors import encode_cursor
from iris.store.engine import open_store, sqlite_url
from iris.store.events import EventFilters
from iris.store.migrate import migrate
from iris.store.system import StoreIdentity
from tests.bench.figures import Figures
from tests.builders.events import NODE_ID, START_US, S, uuid_of
from workers.listening import bind_tcp

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]
EVENTS, CAMERAS, BLOCKS, ROUNDS = 1_000_000, 16, 8, 50
KEY = "bench-key-0123456789"
STORE_ID = uuid_of(1, "a")
CAMERA_ID = CameraId(uuid_of(3, "c"))
FILTERS = {
    "all": EventFilters(),
    "one camera": EventFilters(camera_id=CAMERA_ID),
    "one camera and label": EventFilters(camera_id=CAMERA_ID, label="person"),
}


def fill(database: sqlite3.Connection) -> None:
    """A million ready events of 16 cameras, one every 30 s, each with a label, a clip file and a covered range."""
    insert_event = (
        "INSERT INTO events (event_id, camera_id, node_id, state, seq, labels, started_us, last_seen_us, ended_us,"
        " end_reason, window_start_us, window_end_us, backend, thumbnail_path, created_us, finalised_us)"
        " VALUES (?, ?, ?, 'ready', 3, '[\"person\"]', ?, ?, ?, 'left', ?, ?, 'onnx', ?, ?, ?)"
    )
    insert_file = (
        "INSERT INTO clip_files (event_id, part, path, size_bytes, sha256, start_us, end_us, duration_us,"
        " video_packet_count, audio_packet_count, video_codec, width_px, height_px)"
        " VALUES (?, 0, ?, 5000000, ?, ?, ?, ?, 300, 0, 'h264', 1920, 1080)"
    )
    numbers = range(EVENTS)
    span = [(START_US + n * 30 * S, START_US + (n * 30 + 5) * S) for n in numbers]
    database.execute("BEGIN")
    database.executemany(
        insert_event,
        (
            (uuid_of(n), uuid_of(n % CAMERAS, "c"), NODE_ID, a, b, b, a - 5 * S, b + 10 * S, f"t/{n}.jpg", a, b)
            for n, (a, b) in zip(numbers, span, strict=True)
        ),
    )
    database.executemany(
        "INSERT INTO event_labels (label, started_us, event_id, camera_id) VALUES ('person', ?, ?, ?)",
        ((span[n][0], uuid_of(n), uuid_of(n % CAMERAS, "c")) for n in numbers),
    )
    files = (
        (uuid_of(n), f"r/{n}.mp4", "ab" * 32, a - 5 * S, b + 10 * S, 20 * S)
        for n, (a, b) in zip(numbers, span, strict=True)
    )
    database.executemany(insert_file, files)
    database.executemany(
        "INSERT INTO event_ranges (event_id, start_us, end_us, reason) VALUES (?, ?, ?, NULL)",
        ((uuid_of(n), a - 5 * S, b + 10 * S) for n, (a, b) in zip(numbers, span, strict=True)),
    )
    database.execute("COMMIT")


def median_ms(work: Callable[[], object]) -> float:
    """Median milliseconds of a block of calls; of several blocks the one that was disturbed least."""
    return min(statistics.median(_taken_ms(work) for _ in range(ROUNDS)) for _ in range(BLOCKS))


def _taken_ms(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def test_a_page_of_fifty_out_of_a_million_is_quick(tmp_path: Path, figures: Figures) -> None:
    url = sqlite_url(tmp_path / "vms.db")
    migrate(url)
    database = connect(tmp_path / "vms.db")
    database.execute("PRAGMA synchronous=OFF")
    fill(database)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # as after a while of ordinary work
    database.close()
    store = open_store(url)
    with store.writing() as work:
        work.system.pair(StoreIdentity(STORE_ID, 1))
    (tmp_path / "store.json").write_text(json.dumps({"store_id": STORE_ID, "generation": 1}))
    store.close()
    inside_ms = pages_inside_the_store(url)
    with bind_tcp("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ, "DATA_DIR": str(tmp_path), "PORT": str(port), "API_KEY": KEY, "TEMPORAL_ADDRESS": "127.0.0.1:1",
    }  # fmt: skip
    api = subprocess.Popen([sys.executable, "-m", "workers.cli", "api"], env=environment)
    try:
        over_http_ms = pages_over_http(port)
    finally:
        api.terminate()
        api.wait()
    for where, taken_ms, most_ms in (("in the store", inside_ms, 1.0), ("over HTTP", over_http_ms, 15.0)):
        for name, p50_ms in taken_ms.items():
            figures.add(f"page of 50 of {EVENTS:,} events {where}, {name}", p50_ms, "ms", most=most_ms)
    assert max(inside_ms.values()) < 1.0
    assert max(over_http_ms.values()) < 15.0


def random_cursors() -> Iterator[str]:
    """Cursors all over the events, with more than a page behind each for every camera."""
    numbers = random.Random(1)
    while True:
        number = numbers.randrange(60 * CAMERAS, EVENTS)
        yield encode_cursor(START_US + number * 30 * S, uuid_of(number))


def pages_inside_the_store(url: str) -> dict[str, float]:
    """Median milliseconds of a page, asked from random places."""
    store, cursors = open_store(url), random_cursors()

    def page(filters: EventFilters) -> None:
        rows, _ = work.events.page(filters, limit=50, cursor=next(cursors))
        assert len(rows) == 50

    with store.reading() as work:
        taken_ms = {name: median_ms(lambda f=filters: page(f)) for name, filters in FILTERS.items()}  # type: ignore[misc]  # bound as it is
        taken_ms["newest"] = median_ms(lambda: work.events.page(EventFilters(), limit=50))
    store.close()
    return taken_ms


def pages_over_http(port: int) -> dict[str, float]:
    """Median milliseconds of a page, asked from random places one after the other over one connection."""
    headers, cursors = {"Authorization": f"Bearer {KEY}"}, random_cursors()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:

        def page(filters: EventFilters) -> None:
            wanted = {"limit": "50", "cursor": next(cursors), "camera_id": filters.camera_id, "label": filters.label}
            query = {name: value for name, value in wanted.items() if value is not None}
            assert len(client.get("/api/events", params=query).raise_for_status().json()["items"]) == 50

        deadline = time.monotonic() + 60
        while not answers(client):
            assert time.monotonic() < deadline, "the api did not answer"
            time.sleep(0.1)
        return {name: median_ms(lambda f=filters: page(f)) for name, filters in FILTERS.items()}  # type: ignore[misc]  # bound as it is


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/api/events").status_code == 200
    except httpx.TransportError:
        return False
