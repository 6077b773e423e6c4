"""One process of ``notif``, under each of the servers."""

from __future__ import annotations

import pytest

from cqrs.demo.notifications.plan import Server
from tests.integration.notifications.running import LONG, Mails, Service, World, until


@pytest.fixture(params=["uvicorn", "hypercorn"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.param
    return found


async def opened(notif: Service) -> list[str]:
    """Open the circuit with notifications of a user who makes the lookup fail; return their identities."""
    answers = [(await notif.notify("naruto")).json() for _ in range(3)]
    assert [answer["reason"] for answer in answers] == ["error"] * 3
    return [answer["id"] for answer in answers]


async def test_a_notification_is_a_mail_to_the_address_of_the_user(
    world: World, mails: Mails, server: Server
) -> None:
    notif = await world.notif(await world.user(server), server)
    answer = await notif.notify("hinata")
    assert answer.status_code == 202
    identity = answer.json()["id"]
    assert answer.json() == {"id": identity, "degraded": False, "reason": None}
    assert mails.recipients == {identity: "hinata@example.test"}
    assert (await notif.client.get("/healthz")).json() == {"status": "ok"}
    assert (await notif.client.get("/readyz")).status_code == 200


async def test_an_unknown_user_is_404_and_says_nothing_about_the_service(world: World, mails: Mails) -> None:
    notif = await world.notif(await world.user())
    answers = [await notif.notify("nobody") for _ in range(5)]
    assert {answer.status_code for answer in answers} == {404}
    assert answers[0].json() == {"error": "unknown_user"}
    assert (await notif.notify("hinata")).json()["degraded"] is False
    assert len(mails.counts) == 1


BAD: list[object] = [
    {},
    {"username": "hinata"},
    {"username": "", "message": "hello"},
    {"username": "hinata", "message": ""},
    {"username": "../calls", "message": "hello"},
    {"username": "a/b", "message": "hello"},
    {"username": "hinata\n", "message": "hello"},
    {"username": 7, "message": "hello"},
    {"username": "hinata", "message": "x" * 10_001},
    ["hinata", "hello"],
    None,
]


async def test_bad_input_is_422_and_no_lookup(world: World) -> None:
    user = await world.user()
    notif = await world.notif(user)
    answers = [await notif.client.post("/v1/notification", json=body) for body in BAD]
    answers.append(await notif.client.post("/v1/notification", content=b"{"))
    assert [answer.status_code for answer in answers] == [422] * (len(BAD) + 1)
    assert await user.calls() == {}

    page = await notif.client.get("/dashboard")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


async def test_a_failing_user_opens_the_circuit_and_everybody_gets_a_fast_answer(
    world: World, mails: Mails, server: Server
) -> None:
    user = await world.user(server)
    notif = await world.notif(user, server)
    waiting = await opened(notif)
    before = await user.calls()
    assert before == {"naruto": 3}
    answers = [await notif.notify(username) for username in ("hinata", "naruto", "nobody")]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert {answer.json()["reason"] for answer in answers} == {"circuit_open"}
    assert await user.calls() == before
    seen = await notif.metrics()
    assert (seen.state, seen.errors) == (2, 3)
    assert (seen.rejections, seen.waiting) == (3, len(waiting) + 3)
    assert mails.counts == {}
    ready = await notif.client.get("/readyz")
    assert (ready.status_code, ready.json()["circuits"]) == (200, {"user": "open"})


async def test_what_waits_is_delivered_once_when_the_circuit_has_closed(
    world: World, mails: Mails, server: Server
) -> None:
    user = await world.user(server)
    notif = await world.notif(user, server, ttl=0.5, retry_interval=0.05)
    answers = [(await notif.notify("naruto")).json()]
    while answers[-1]["reason"] != "circuit_open":
        answers.append((await notif.notify("naruto")).json())
    answers += [(await notif.notify("hinata")).json() for _ in range(3)]
    waiting = [answer["id"] for answer in answers if answer["degraded"]]
    await user.behave(failing=[])
    await mails.have(*waiting)
    assert {identity: mails.counts[identity] for identity in waiting} == dict.fromkeys(waiting, 1)
    await notif.shows(0)
    assert (await notif.metrics()).waiting == 0
    assert (await notif.notify("naruto")).json()["degraded"] is False


async def test_a_user_who_makes_every_lookup_fail_does_not_hold_up_the_others(
    world: World, mails: Mails
) -> None:
    user = await world.user()
    notif = await world.notif(user, ttl=0.05, retry_interval=0.01, max_attempts=4)
    answers = [(await notif.notify("naruto")).json() for _ in range(3)]
    others = [(await notif.notify("hinata")).json()["id"] for _ in range(5)]
    await mails.have(*others)

    async def given_up() -> bool:
        metrics = (await notif.client.get("/metrics")).text
        return 'notif_outbox_ended_total{end="given_up"} 3.0' in metrics

    await until(given_up)
    assert set(mails.counts) == set(others)
    looked_up_at_once = sum(answer["reason"] == "error" for answer in answers)
    assert (await user.calls())["naruto"] == looked_up_at_once + 3 * 4


async def test_a_full_outbox_is_503_that_says_when_to_come_back(world: World) -> None:
    notif = await world.notif(await world.user(), queue_size=4)
    await opened(notif)
    assert (await notif.notify("hinata")).status_code == 202
    refused = await notif.notify("hinata")
    assert refused.status_code == 503
    assert 1 <= int(refused.headers["retry-after"]) <= LONG
    assert refused.json() == {"error": "full", "retry_after": int(refused.headers["retry-after"])}
    metrics = (await notif.client.get("/metrics")).text
    assert 'notif_notifications_total{answer="refused",reason="full"} 1.0' in metrics


async def test_when_asked_it_refuses_instead_of_queueing(world: World) -> None:
    notif = await world.notif(await world.user(), "hypercorn", when_down="refuse")
    failed = [await notif.notify("naruto") for _ in range(3)]
    assert {(answer.status_code, answer.headers["retry-after"]) for answer in failed} == {(503, "1")}
    rejected = await notif.notify("hinata")
    assert rejected.status_code == 503
    assert 1 <= int(rejected.headers["retry-after"]) <= LONG
    assert rejected.json()["error"] == "circuit_open"
    assert (await notif.metrics()).waiting == 0


async def test_a_lookup_that_takes_too_long_counts(world: World) -> None:
    user = await world.user(delay=LONG)
    notif = await world.notif(user, timeout=0.1)
    answers = [(await notif.notify("shikamaru")).json()["reason"] for _ in range(4)]
    assert answers == ["error"] * 3 + ["circuit_open"]
    metrics = (await notif.client.get("/metrics")).text
    assert 'status_code="timeout"' in metrics
    await user.behave(slow=[])


async def test_an_upstream_that_is_gone_counts(world: World) -> None:
    user = await world.user()
    notif = await world.notif(user)
    await user.process.stop()
    answers = [(await notif.notify("hinata")).json()["reason"] for _ in range(4)]
    assert answers == ["error"] * 3 + ["circuit_open"]


async def test_a_mail_server_that_is_gone_is_no_failure_of_the_lookup(world: World, mails: Mails) -> None:
    user = await world.user()
    notif = await world.notif(user, smtp_port=await _nobody_listens())
    answers = [(await notif.notify("hinata")).json() for _ in range(5)]
    assert {answer["reason"] for answer in answers} == {"error"}
    assert (await notif.metrics()).state == 0
    assert mails.counts == {}


async def _nobody_listens() -> int:
    async with Mails() as gone:
        return gone.sink.port
