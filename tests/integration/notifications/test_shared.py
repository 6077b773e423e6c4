"""Several processes of ``notif`` share their circuit through a private server."""

from __future__ import annotations

import asyncio

from tests.integration.notifications.running import LONG, Mails, Service, World, until
from tests.servers.redis_server import RedisServer


async def test_one_process_meets_the_outage_and_the_others_know(
    world: World, mails: Mails, redis_url: str, redis_namespace: str
) -> None:
    user = await world.user()
    shared = {"redis_url": redis_url, "namespace": redis_namespace, "ttl": 3.0, "retry_interval": 0.1}
    first, second, third = [
        await world.notif(user, server, **shared) for server in ("uvicorn", "hypercorn", "uvicorn")
    ]
    waiting = [(await first.notify("naruto")).json()["id"] for _ in range(3)]
    await asyncio.gather(second.shows(2), third.shows(2))

    await user.behave(outage="errors")
    before = sum((await user.calls()).values())
    answers = [(await notif.notify("hinata")).json() for notif in (first, second, third) * 3]
    # It may be over before that on a busy machine; then one of them was the probe, for all.
    assert sum(answer["reason"] == "circuit_open" for answer in answers) >= len(answers) - 1
    assert sum((await user.calls()).values()) - before <= 1
    for notif in (second, third):
        assert (await notif.metrics()).rejections > 0

    await user.behave(failing=[])
    waiting += [answer["id"] for answer in answers]
    await mails.have(*waiting)
    assert mails.counts == dict.fromkeys(waiting, 1)
    await asyncio.gather(*(notif.shows(0) for notif in (first, second, third)))


async def test_processes_that_share_nothing_have_a_circuit_each(world: World) -> None:
    user = await world.user()
    first, second = await world.notif(user), await world.notif(user)
    for _ in range(3):
        await first.notify("naruto")
    await first.shows(2)
    assert (await second.metrics()).state == 0
    assert (await second.notify("hinata")).json()["degraded"] is False


async def test_without_its_store_each_process_protects_itself(
    world: World, redis_server: RedisServer
) -> None:
    user = await world.user()
    shared = {"redis_url": redis_server.url, "retry_interval": LONG}
    first = await world.notif(user, **shared)
    redis_server.kill()
    late = await world.notif(user, **shared)
    for notif in (first, late):
        answers = [(await notif.notify("naruto")).json()["reason"] for _ in range(4)]
        assert answers == ["error"] * 3 + ["circuit_open"]

        async def told(notif: Service = notif) -> bool:
            metrics = (await notif.client.get("/metrics")).text
            return 'holdfast_circuit_breaker_store_degraded{namespace="notifications"} 1.0' in metrics

        await until(told)
        assert (await notif.client.get("/readyz")).status_code == 200
