"""Who gets in: every route is closed but /health, whatever the header looks like."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute

from iris.store.engine import Store
from tests.web.conftest import API_KEY, World, build_world, client_of
from web.api import auth
from web.api.app import create_app
from web.api.auth import Access, check_access

EVENT_ID = "018bcfe5-6800-7000-800e-000000000001"


def _routes(world: World) -> list[tuple[str, str]]:
    schema = world.app.openapi()["paths"]
    described = [(method.upper(), path) for path, methods in schema.items() for method in methods]
    mounted = [(m, r.path) for r in world.app.routes if isinstance(r, APIRoute) for m in r.methods or ()]
    others = {("GET", "/api/openapi.json"), ("GET", "/docs"), ("GET", "/nothing"), ("PUT", "/")}
    return sorted({*described, *mounted, *others})


async def test_every_route_answers_401_when_there_is_no_key(world: World) -> None:
    routes = _routes(world)
    assert len(routes) > 15
    async with client_of(world.app, key=None) as client:
        for method, path in routes:
            response = await client.request(method, re.sub(r"{\w+}", EVENT_ID, path))
            expected = 200 if path == "/health" else 401
            assert (method, path, response.status_code) == (method, path, expected)
            if expected == 401:
                assert response.headers["content-type"] == "application/problem+json"
                assert response.headers["www-authenticate"] == 'Bearer realm="iris"'


@pytest.mark.parametrize(
    "path",
    ["/health/", "/Health", "//health", "/health/../api/system", "/health;x", "/%68ealth/x", "/health%00"],
)
async def test_only_the_exact_path_is_open_when_it_resembles_health(world: World, path: str) -> None:
    async with client_of(world.app, key=None) as client:
        assert (await client.get(path)).status_code == 401


@pytest.mark.parametrize(
    "value",
    [
        b"", b"Bearer", b"Bearer ", b"Bearer wrong", API_KEY.encode(), b"Basic " + API_KEY.encode(),
        b"Bearer " + API_KEY[:-1].encode(), b"Bearer " + API_KEY.encode() + b"x", b"Bearer " + API_KEY.upper().encode(),
        b"Bearer\t" + API_KEY.encode(), b"Bearer Bearer " + API_KEY.encode(), b"Bearer \xff\xfe",
        "Bearer schl\u00fcssel".encode(), b"Bearer " + b"x" * 8000,
    ],
)  # fmt: skip
async def test_key_is_refused_when_it_is_not_exactly_the_key(world: World, value: bytes) -> None:
    async with client_of(world.app, key=None) as client:
        response = await client.get("/api/system", headers=[(b"Authorization", value)])
    assert response.status_code == 401


async def test_key_is_refused_when_it_comes_twice_or_in_the_query(world: World) -> None:
    good = (b"Authorization", b"Bearer " + API_KEY.encode())
    async with client_of(world.app, key=None) as client:
        assert (await client.get("/api/system", headers=[good, good])).status_code == 401
        assert (await client.get(f"/api/system?api_key={API_KEY}")).status_code == 401
        assert (await client.get("/api/system", headers=[(b"X-Email", b"admin@x")])).status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_key_opens_when_the_scheme_is_in_any_case(world: World, scheme: str) -> None:
    async with client_of(world.app, key=None) as client:
        response = await client.get("/api/system", headers={"Authorization": f"{scheme} {API_KEY}"})
    assert response.status_code == 200


@pytest.mark.parametrize("key", [None, b""])
def test_nobody_gets_in_when_no_key_is_configured(key: bytes | None) -> None:
    headers = [(b"authorization", b"Bearer "), (b"host", b"localhost")]
    assert check_access(Access(key), "/api/system", headers[:1], "127.0.0.1") is not None
    assert check_access(Access(key), "/api/system", headers[1:], "127.0.0.1") is not None


@pytest.mark.parametrize(
    ("peer", "host", "status"),
    [
        ("127.0.0.1", "localhost:8120", 200),
        ("127.0.0.1", "127.0.0.1:8120", 200),
        ("::1", "[::1]:8120", 200),
        ("127.0.0.1", "LOCALHOST", 200),
        ("192.0.2.7", "localhost:8120", 401),  # another machine
        ("127.0.0.1", "evil.example:8120", 401),  # a name that was made to resolve to this machine
        ("127.0.0.1", "localhost.evil.example", 401),
    ],
)
async def test_local_trial_lets_in_only_this_machine_when_no_key_is_required(
    store: Store, tmp_path: Path, peer: str, host: str, status: int
) -> None:
    world = build_world(store, tmp_path, Access(None, required=False))
    async with client_of(world.app, key=None, peer=peer) as client:
        response = await client.get("/api/system", headers={"Host": host})
    assert response.status_code == status


async def test_wrong_key_is_refused_when_no_key_is_required(store: Store, tmp_path: Path) -> None:
    world = build_world(store, tmp_path, Access(None, required=False))
    async with client_of(world.app, key="something") as client:
        assert (await client.get("/api/system")).status_code == 401


async def test_denials_are_counted_by_reason(world: World) -> None:
    async with client_of(world.app, key="wrong") as client:
        await client.get("/api/system")
    async with client_of(world.app) as client:
        metrics = (await client.get("/metrics")).text
    assert 'iris_auth_denied_total{reason="wrong_key"} 1.0' in metrics
    assert API_KEY not in metrics


def test_key_is_compared_in_constant_time() -> None:
    tree = ast.parse(inspect.getsource(auth))
    calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    compared = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    assert "hmac.compare_digest" in calls
    assert not [text for text in compared if "api_key" in text or "token" in text]


async def test_websocket_is_closed_before_any_code_sees_it(world: World) -> None:
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    async def send(message: object) -> None:
        sent.append(message)  # type: ignore[arg-type]  # ASGI messages are dictionaries

    await world.app({"type": "websocket", "path": "/health", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_key_is_not_in_the_repr() -> None:
    assert API_KEY not in repr(Access(API_KEY.encode()))


async def test_application_is_built_twice_when_asked_twice(world: World) -> None:
    other = create_app(world.services)
    transport = httpx.ASGITransport(app=other)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        assert (await client.get("/health")).status_code == 200
