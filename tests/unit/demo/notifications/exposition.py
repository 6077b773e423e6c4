"""What ``/metrics`` says after some traffic, with no server at all."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from cqrs.demo.notifications.services.notif import create_app
from cqrs.demo.notifications.services.settings import Settings

#: Nobody listens there: a port that no program is given.
NOBODY = "http://127.0.0.1:1/v1"


@asynccontextmanager
async def used() -> AsyncIterator[httpx2.AsyncClient]:
    """``notif`` in this process, with an open circuit: three lookups failed, two were rejected."""
    app = create_app(Settings(user_url=NOBODY, queue_size=4, retry_interval=60.0))
    transport = httpx2.ASGITransport(app=app)
    client = httpx2.AsyncClient(transport=transport, base_url="http://notif")
    async with app.router.lifespan_context(app), client:
        for _ in range(5):
            await client.post("/v1/notification", json={"username": "hinata", "message": "hello"})
        yield client


def names_in(text: str) -> set[str]:
    """The names of all samples, and of families without any yet."""
    return set(re.findall(r"^(?:# TYPE )?([a-z_]+)", text, re.MULTILINE)) - {""}
