"""The service ``user``: ``GET /v1/users/{username}``, and a switch that makes it fail.

Users named ``naruto`` make it fail (500), and ``shikamaru`` takes his time. ``PUT /behaviour`` changes that.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Literal

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

USERNAMES = ("hinata", "kakashi", "naruto", "sakura", "sasuke", "shikamaru", "shino", "tenten")


class Behaviour(BaseModel):
    """How the service behaves.

    Attributes:
        failing: users whose lookup is a 500.
        slow: users whose lookup takes long.
        outage: what happens to every lookup: nothing, a 500, or no answer for long.
        delay: how long "long" is, in seconds.
    """

    failing: set[str] = {"naruto"}
    slow: set[str] = {"shikamaru"}
    outage: Literal["none", "errors", "hang"] = "none"
    delay: float = Field(default=10.0, ge=0.0, le=60.0)


class UserOut(BaseModel):
    """A user."""

    username: str
    email: str


def create_app(behaviour: Behaviour | None = None) -> FastAPI:
    """Return the service as an ASGI application."""
    now = behaviour or Behaviour()
    calls: Counter[str] = Counter()
    changed = asyncio.Event()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None, None]:
        yield
        changed.set()

    app = FastAPI(title="user", lifespan=lifespan)

    @app.get("/v1/users/{username}")
    async def user(username: str) -> UserOut:
        calls[username] += 1
        if now.outage == "hang" or username in now.slow:
            with suppress(TimeoutError):
                async with asyncio.timeout(now.delay):
                    await changed.wait()
        if now.outage != "none" or username in now.failing:
            raise HTTPException(500, "something is wrong with this service")
        if username not in USERNAMES:
            raise HTTPException(404, "there is no such user")
        return UserOut(username=username, email=f"{username}@example.test")

    @app.put("/behaviour")
    async def behave(wanted: Behaviour) -> Behaviour:
        """Behave otherwise from now on; those who wait are answered."""
        nonlocal now, changed
        now = wanted
        changed.set()
        changed = asyncio.Event()
        return now

    @app.get("/calls")
    async def count() -> dict[str, int]:
        """How many lookups there were, by user."""
        return calls

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    return app
