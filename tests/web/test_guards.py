"""What surrounds every answer: headers, cross-site refusals, sizes, HEAD, and mistakes of ours."""

from __future__ import annotations

import httpx
import pytest
import structlog

from iris.base.log import configure_logging
from tests.web.conftest import World, client_of


@pytest.mark.parametrize(
    "path", ["/health", "/api/system", "/api/cameras", "/nothing", "/metrics", "/api/events/x/clip"]
)
async def test_every_answer_has_the_security_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["cache-control"] == "no-store, private"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 422),  # a program
        ({"Sec-Fetch-Site": "same-origin"}, 422),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://127.0.0.1:8120"}, 422),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_change_is_refused_when_another_site_sends_it(
    client: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    response = await client.post("/api/cameras", headers=headers, json={})
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")


async def test_reading_is_allowed_when_another_site_links_here(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/cameras", headers={"Sec-Fetch-Site": "cross-site"})).status_code == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_body_is_not_read_when_it_is_sent_as_a_form(client: httpx.AsyncClient, content_type: str) -> None:
    body = b'{"name": "a", "rtsp_url": "rtsp://h/a"}'
    response = await client.post("/api/cameras", content=body, headers={"Content-Type": content_type})
    assert response.status_code == 422


async def test_body_is_refused_when_it_is_too_large(client: httpx.AsyncClient) -> None:
    async def pieces() -> object:  # no length is announced
        for _ in range(100):
            yield b" " * 1024

    announced = await client.post("/api/cameras", content=b" " * 65_537)
    counted = await client.post("/api/cameras", content=pieces(), headers={"Content-Type": "application/json"})  # type: ignore[arg-type]  # an async generator
    for response in (announced, counted):
        assert (response.status_code, response.json()["code"]) == (413, "content_too_large")


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "99999999999999999999"])
async def test_body_is_refused_when_its_length_is_none(client: httpx.AsyncClient, length: str) -> None:
    response = await client.post("/api/cameras", headers={"Content-Length": length})
    assert response.status_code == 413


@pytest.mark.parametrize("path", ["/health", "/api/system", "/api/cameras", "/nothing"])
async def test_head_answers_as_get_without_a_body(client: httpx.AsyncClient, path: str) -> None:
    get, head = await client.get(path), await client.head(path)
    assert (head.status_code, head.headers["content-length"]) == (get.status_code, get.headers["content-length"])
    assert (head.content, bool(get.content)) == (b"", True)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/api/cameras/", 404, "not_found"),  # no redirect built from the Host header
        ("GET", "/docs", 404, "not_found"),
        ("PUT", "/api/cameras", 405, "method_not_allowed"),
        ("DELETE", "/api/cameras/018bcfe5-6800-7000-800c-000000000001/status", 405, "method_not_allowed"),
        ("TRACE", "/api/system", 405, "method_not_allowed"),
    ],
)
async def test_framework_errors_are_problems(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    response = await client.request(method, path)
    body = response.json()
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert (body["status"], body["code"], body["type"]) == (status, code, f"urn:iris:problem:{code}")
    if status == 405:
        assert response.headers["allow"]


async def test_mistake_of_ours_is_a_problem_and_a_redacted_log_line(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    @world.app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("rtsp://CANARYUSER:CANARYPASS@h/a")

    configure_logging("api")
    try:
        async with client_of(world.app) as client:
            response = await client.get("/broken")
    finally:
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    printed = capsys.readouterr()
    assert "rtsp://***@h/a" in printed.err
    assert "CANARY" not in response.text + printed.out + printed.err


async def test_requests_are_counted_by_route_not_by_id(client: httpx.AsyncClient) -> None:
    await client.get("/api/cameras/018bcfe5-6800-7000-800c-000000000001")
    await client.get("/random-1")
    await client.request("BREW", "/random-2")
    text = (await client.get("/metrics")).text
    assert 'iris_http_requests_total{method="GET",route="/api/cameras/{camera_id}",status="404"} 1.0' in text
    assert "018bcfe5" not in text
    assert "random" not in text
    assert "BREW" not in text


async def test_parameter_given_twice_is_refused_by_name(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/events", params=[("limit", "5"), ("limit", "6")])
    assert response.status_code == 422
    assert "limit is given more than once" in response.json()["detail"]
