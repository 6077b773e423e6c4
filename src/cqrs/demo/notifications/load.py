"""The callers: they post notifications to the processes in turn, through a client of ``cqrs.http``."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress

from cqrs.circuit_breaker import CircuitOpenError
from cqrs.demo.notifications.facts import Asked, Facts
from cqrs.demo.notifications.plan import Plan
from cqrs.http import (
    AsyncClientFactory,
    AsyncStaticDiscovery,
    HTTPClientError,
    HTTPTimeout,
    PostBodyField,
    Registry,
    Request,
    Response,
)

PATIENCE = 10.0
"""Seconds after which a caller goes away; far beyond what any answer takes."""


class PostNotification(Request):
    """Tell a user something."""

    username: str = PostBodyField()
    message: str = PostBodyField()


class Taken(Response):
    """What ``notif`` answers."""

    id: str
    degraded: bool
    reason: str | None = None


registry = Registry()
registry.register(
    "notif",
    "notification",
    "notif",
    "v1",
    path="/v1/notification",
    contract={"POST": (PostNotification, Taken)},
)


class Callers:
    """Post notifications at a steady rate, whether or not earlier ones were answered.

    Args:
        urls: of the processes.
        usernames: of the users that are told something.

    Attributes:
        only: the user who gets all notifications; ``None``: any does.
    """

    def __init__(self, facts: Facts, plan: Plan, urls: Sequence[str], usernames: Sequence[str]) -> None:
        self._facts = facts
        self._plan = plan
        self._usernames = usernames
        self._chooser = random.Random(plan.seed)
        self._factories = [
            AsyncClientFactory(
                AsyncStaticDiscovery({("notif", "v1"): url}), registry=registry, timeout=HTTPTimeout(PATIENCE)
            )
            for url in urls
        ]
        self.only: str | None = None

    async def drive(self, stop: asyncio.Event) -> None:
        """Post until ``stop`` is set, and return when all that was posted has ended."""
        facts, due, turn = self._facts, self._facts.now(), 0
        room = asyncio.Semaphore(self._plan.most_at_once)
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                due += self._chooser.uniform(0.5, 1.5) / self._plan.rate
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, due - facts.now())):
                        await stop.wait()
                if not stop.is_set():
                    await room.acquire()
                    turn += 1
                    username = self.only or self._chooser.choice(self._usernames)
                    task = group.create_task(self._post(turn % len(self._factories), username))
                    task.add_done_callback(lambda _: room.release())
        facts.ended = facts.now()

    async def aclose(self) -> None:
        """Close the connections."""
        for factory in self._factories:
            await factory.aclose()

    async def _post(self, process: int, username: str) -> None:
        facts = self._facts
        facts.sent += 1
        sent = facts.now()
        try:
            client = await self._factories[process]("notif")
            request = PostNotification(username=username, message=f"{username}, look at this")
            answer = await client.resource(Taken).post(request)
        except (HTTPClientError, CircuitOpenError) as error:
            facts.asked.append(Asked(sent, facts.now() - sent, 0, error=f"{type(error).__name__}: {error}"))
            return
        seconds = facts.now() - sent
        if answer.is_err():
            failed = answer.unwrap_err()
            known = "retry-after" in failed.headers
            facts.asked.append(Asked(sent, seconds, failed.status_code, retry_after=known, error=str(failed)))
            return
        taken = answer.unwrap()
        assert answer.response is not None
        reason = (taken.reason or "degraded") if taken.degraded else ""
        facts.asked.append(
            Asked(sent, seconds, answer.response.status_code, identity=taken.id, reason=reason)
        )
