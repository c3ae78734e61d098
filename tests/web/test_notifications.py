"""Notifications over HTTP: the list, another try by hand, the metric."""

from __future__ import annotations

import httpx

from iris.store.notifications import NotificationDraft
from tests.builders.events import S, uuid_of
from tests.web.conftest import World
from web.api.notification_schemas import NotificationPage

NOW = 1_700_000_000 * S


def three(world: World) -> list[str]:
    """One delivered, one dead, one waiting."""
    ids = [uuid_of(number, "f") for number in (1, 2, 3)]
    with world.store.writing() as work:
        for number, notification_id in enumerate(ids):
            draft = NotificationDraft(
                notification_id=notification_id, kind="event.finished", event_id=uuid_of(number),
                body='{"camera_name":"CANARY"}',
            )  # fmt: skip
            work.notifications.add(draft, NOW + number * S)
        work.notifications.claim(NOW + 9 * S, 15 * S, 10)
        work.notifications.delivered(ids[0], NOW + 10 * S)
        work.notifications.give_up(ids[1], "the receiver answered 410: it wants no more of it", NOW + 10 * S)
    return ids


async def test_list_shows_state_and_failure_but_no_body(world: World, client: httpx.AsyncClient) -> None:
    ids = three(world)
    answer = await client.get("/api/notifications", params={"limit": 2})
    assert "CANARY" not in answer.text
    page = NotificationPage.model_validate(answer.json())
    assert [(item.id, item.state, item.attempts) for item in page.items] == [
        (ids[2], "waiting", 1),
        (ids[1], "dead", 1),
    ]
    assert page.items[0].next_try_at == "2023-11-14T22:13:44.000000Z"
    assert "410" in str(page.items[1].failure)
    rest = await client.get("/api/notifications", params={"cursor": page.next_cursor})
    assert [(item["id"], item["state"]) for item in rest.json()["items"]] == [(ids[0], "delivered")]
    assert (await client.get("/api/notifications", params={"limit": 501})).status_code == 422


async def test_retry_makes_a_dead_one_due_and_refuses_a_delivered_one(world: World, client: httpx.AsyncClient) -> None:
    ids = three(world)
    retried = await client.post(f"/api/notifications/{ids[1]}/retry")
    assert (retried.status_code, retried.json()["state"]) == (200, "waiting")
    with world.store.writing() as work:
        assert [row.notification_id for row in work.notifications.claim(world.clock.wall_us(), S, 10)] == [ids[1]]
    assert (await client.post(f"/api/notifications/{ids[0]}/retry")).status_code == 409
    assert (await client.post(f"/api/notifications/{uuid_of(9, 'f')}/retry")).status_code == 404
    assert (await client.post("/api/notifications/none/retry")).status_code == 404


async def test_metrics_count_notifications_by_state(world: World, client: httpx.AsyncClient) -> None:
    three(world)
    await world.services.vitals.refresh()
    text = (await client.get("/metrics")).text
    for state in ("waiting", "delivered", "dead"):
        assert f'iris_notifications_total{{state="{state}"}} 1.0' in text
