"""The whole application over a real SQLite store, asked through its ASGI door."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from iris.adapters.id_source import Uuid7Source
from iris.adapters.vault import Vault, open_vault
from iris.store.engine import Store
from tests.fakes.clock import SimulatedClock
from tests.fakes.node import FACTS, FakeGpuProbe, FakeNodeLink, FakeTemporalProbe
from tests.fakes.operation_starter import FakeOperationStarter
from web.api.app import create_app
from web.api.auth import Access
from web.api.metrics import ApiMetrics
from web.api.services import Services
from web.api.vitals import Vitals

API_KEY = "test-key-0123456789"


@dataclass
class World:
    """An application and everything around it."""

    app: FastAPI
    services: Services
    store: Store
    node: FakeNodeLink
    operations: FakeOperationStarter
    temporal: FakeTemporalProbe
    gpu: FakeGpuProbe
    clock: SimulatedClock
    vault: Vault
    data_dir: Path

    def sign_of_life(self) -> None:
        """A worker and a node sign their rows now."""
        with self.store.writing() as repositories:
            repositories.system.worker_seen("worker:1", "worker", self.clock.wall_us())
            repositories.system.node_seen(FACTS.node_id, self.clock.wall_us(), {})  # type: ignore[arg-type]  # a plain id

    def address_of(self, camera_id: str) -> str:
        """The whole stored address."""
        with self.store.reading() as repositories:
            row = repositories.cameras.get(camera_id)  # type: ignore[arg-type]  # a plain id
        return self.vault.open(row.rtsp_url_sealed, camera_id)


def build_world(store: Store, data_dir: Path, access: Access) -> World:
    """An application with the given rule of access."""
    node, temporal, gpu, clock = FakeNodeLink(), FakeTemporalProbe(), FakeGpuProbe(), SimulatedClock()
    vitals = Vitals(store, node, temporal, gpu, clock)
    vault = open_vault(data_dir)
    operations = FakeOperationStarter()
    services = Services(
        store=store, node=node, dead_letters=node, operations=operations, vault=vault, clock=clock, ids=Uuid7Source(),
        access=access, vitals=vitals, metrics=ApiMetrics(vitals, clock, data_dir), data_dir=data_dir, version="0.1.0",
    )  # fmt: skip
    return World(create_app(services), services, store, node, operations, temporal, gpu, clock, vault, data_dir)


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return build_world(store, tmp_path, Access(API_KEY.encode()))


def client_of(app: FastAPI, *, key: str | None = API_KEY, peer: str = "127.0.0.1") -> httpx.AsyncClient:
    """A client of the application; a mistake of the application is raised in the test."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    transport = httpx.ASGITransport(app=app, client=(peer, 50000))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8120", headers=headers)


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(world.app) as opened:
        yield opened
