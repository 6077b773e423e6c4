"""Starts the two services as processes, and asks them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import httpx2

from cqrs.demo.notifications.facts import Reading
from cqrs.demo.notifications.metrics import reading_of
from cqrs.demo.notifications.plan import Server
from cqrs.demo.notifications.process import ServiceProcess
from cqrs.demo.notifications.sink import MailSink

PATIENCE = 20.0
LONG = 60.0
"""Seconds that no test lasts."""


async def until(reached: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what happens in another process, which tells nobody."""
    async with asyncio.timeout(PATIENCE):
        while not await reached():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


class Mails:
    """A mail server; ``counts`` has the mails by identity, ``recipients`` whom each went to."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.recipients: dict[str, str] = {}
        self.sink = MailSink(self._took)

    def _took(self, identity: str, recipient: str) -> None:
        self.counts[identity] += 1
        self.recipients[identity] = recipient

    async def __aenter__(self) -> Self:
        await self.sink.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.sink.__aexit__(None, None, None)

    async def have(self, *identities: str) -> None:
        """Wait until these have arrived."""

        async def arrived() -> bool:
            return self.counts.keys() >= set(identities)

        await until(arrived)


class Service:
    """A service that runs, and a client of it."""

    def __init__(self, process: ServiceProcess, client: httpx2.AsyncClient) -> None:
        self.process = process
        self.client = client

    async def notify(self, username: str, message: str = "hello") -> httpx2.Response:
        return await self.client.post("/v1/notification", json={"username": username, "message": message})

    async def behave(self, **behaviour: object) -> None:
        (await self.client.put("/behaviour", json=behaviour)).raise_for_status()

    async def calls(self) -> dict[str, int]:
        found: dict[str, int] = (await self.client.get("/calls")).json()
        return found

    async def metrics(self) -> Reading:
        return reading_of(0.0, (await self.client.get("/metrics")).text)

    async def shows(self, state: int) -> None:
        """Wait until its circuit is in this state."""

        async def reached() -> bool:
            return (await self.metrics()).state == state

        await until(reached)


class World:
    """Starts services, and ends them."""

    def __init__(self, mails: Mails, folder: Path, stack: AsyncExitStack) -> None:
        self._mails = mails
        self._folder = folder
        self._stack = stack
        self.services: list[ServiceProcess] = []

    async def user(self, server: Server = "uvicorn", **behaviour: object) -> Service:
        return await self._start("user", server, behaviour)

    async def notif(self, user: Service, server: Server = "uvicorn", **settings: Any) -> Service:
        """Start ``notif``; unless ``retry_interval`` is given, its outbox tries nothing."""
        usual = {
            "user_url": f"{user.process.url}/v1",
            "ttl": LONG,
            "retry_interval": LONG,
            "timeout": 5.0,
            "max_attempts": 1000,
            "smtp_port": self._mails.sink.port,
        }
        return await self._start("notif", server, {**usual, **settings})

    async def _start(self, service: str, server: Server, settings: dict[str, Any]) -> Service:
        process = ServiceProcess(f"{service} {len(self.services)}", self._folder)
        self.services.append(process)
        self._stack.push_async_callback(process.stop)
        await process.start(service, server, settings)
        client = httpx2.AsyncClient(base_url=process.url, timeout=PATIENCE)
        self._stack.push_async_callback(client.aclose)
        return Service(process, client)
