"""What waits is delivered, in time, once, and never without end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from cqrs.circuit_breaker import CircuitOpenError
from cqrs.demo.notifications.services.clients import UnknownUserError
from cqrs.demo.notifications.services.mail import MailError
from cqrs.demo.notifications.services.outbox import Delivery, Notification, Outbox, OutboxFullError
from cqrs.demo.notifications.services.settings import Settings
from cqrs.http import HTTPTimeoutError

SETTINGS = Settings(queue_size=3, retry_interval=0.001, max_attempts=3, ttl=7.0)


class FakeDelivery(Delivery):
    """Fails as it is told to, by username; else remembers what it delivered."""

    def __init__(self, **failures: list[Exception]) -> None:
        self.failures = failures
        self.delivered: list[str] = []
        self.tried: list[str] = []

    async def deliver(self, notification: Notification) -> None:
        self.tried.append(notification.username)
        failures = self.failures.get(notification.username)
        if failures:
            raise failures.pop(0)
        self.delivered.append(notification.identity)


def notification(identity: str, username: str = "hinata") -> Notification:
    return Notification(identity, username, "hello")


@asynccontextmanager
async def running(outbox: Outbox) -> AsyncIterator[None]:
    task = asyncio.create_task(outbox.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()


async def emptied(outbox: Outbox) -> None:
    async with asyncio.timeout(10):
        while len(outbox):  # noqa: ASYNC110
            await asyncio.sleep(0)  # its turn: it waits for nothing but its own retries


async def test_what_waits_is_delivered_in_its_order() -> None:
    delivery = FakeDelivery()
    outbox = Outbox(delivery, SETTINGS)
    for identity in "abc":
        outbox.put(notification(identity))
    async with running(outbox):
        await emptied(outbox)
        assert delivery.delivered == ["a", "b", "c"]
        outbox.put(notification("d"))
        await emptied(outbox)
    assert delivery.delivered == ["a", "b", "c", "d"]
    assert outbox.ends == {"delivered": 4}


def test_there_is_room_for_so_many() -> None:
    outbox = Outbox(FakeDelivery(), SETTINGS)
    for identity in "abc":
        outbox.put(notification(identity))
    with pytest.raises(OutboxFullError) as caught:
        outbox.put(notification("d"))
    assert caught.value.retry_after == 7.0
    with pytest.raises(OutboxFullError) as caught:
        outbox.put(notification("d"), retry_after=2.5)
    assert caught.value.retry_after == 2.5
    assert len(outbox) == 3


async def test_rejections_are_no_attempts() -> None:
    rejections: list[Exception] = [
        CircuitOpenError("user", retry_after=wait) for wait in (0.0, None, 0.0, 0.0)
    ]
    delivery = FakeDelivery(hinata=rejections)
    outbox = Outbox(delivery, SETTINGS)
    outbox.put(notification("a"))
    async with running(outbox):
        await emptied(outbox)
    assert outbox.ends == {"delivered": 1}
    assert len(delivery.tried) == 5


@pytest.mark.parametrize("kind", [MailError, HTTPTimeoutError, ZeroDivisionError])
async def test_one_that_fails_waits_behind_the_others_and_is_given_up(
    kind: Callable[[str], Exception], caplog: pytest.LogCaptureFixture
) -> None:
    delivery = FakeDelivery(naruto=[kind("no") for _ in range(9)])
    outbox = Outbox(delivery, SETTINGS)
    outbox.put(notification("poison", "naruto"))
    outbox.put(notification("a"))
    async with running(outbox):
        await emptied(outbox)
    assert delivery.tried == ["naruto", "hinata", "naruto", "naruto"]
    assert outbox.ends == {"delivered": 1, "given_up": 1}
    assert "notification poison was not delivered: given_up" in caplog.text


async def test_a_user_who_fails_is_not_the_one_to_probe_with() -> None:
    wait = SETTINGS.retry_interval
    rejected: list[Exception] = [CircuitOpenError("user", retry_after=wait)]
    delivery = FakeDelivery(naruto=[HTTPTimeoutError("no") for _ in range(2)], hinata=rejected)
    outbox = Outbox(delivery, replace(SETTINGS, retry_interval=0.05))
    for identity, username in (("a", "naruto"), ("b", "naruto"), ("c", "hinata")):
        outbox.put(notification(identity, username))
    async with running(outbox):
        await emptied(outbox)
    assert delivery.tried[:3] == ["naruto", "hinata", "hinata"]
    assert delivery.delivered == ["c", "a", "b"]


async def test_one_for_an_unknown_user_ends() -> None:
    outbox = Outbox(FakeDelivery(nobody=[UnknownUserError("nobody")]), SETTINGS)
    outbox.put(notification("a", "nobody"))
    async with running(outbox):
        await emptied(outbox)
    assert outbox.ends == {"unknown_user": 1}


async def test_what_is_lost_with_the_process_is_told(caplog: pytest.LogCaptureFixture) -> None:
    delivering = asyncio.Event()

    class Hanging(FakeDelivery):
        async def deliver(self, notification: Notification) -> None:
            delivering.set()
            await asyncio.get_running_loop().create_future()

    outbox = Outbox(Hanging(), SETTINGS)
    outbox.put(notification("a"))
    with caplog.at_level(logging.WARNING):
        async with running(outbox):
            await delivering.wait()
    assert "1 notifications were waiting and are lost" in caplog.text
