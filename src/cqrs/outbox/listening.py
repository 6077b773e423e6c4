"""Hearing the notifications of PostgreSQL: LISTEN by asyncpg, on a connection outside of the pool.

Notifications only shorten waits. One that is lost costs at most ``max_poll_interval``, as polling goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from cqrs._sql.errors import in_short
from cqrs._sql.library import aio, sa
from cqrs.circuit_breaker.timing import Backoff
from cqrs.message_brokers.connecting import not_cancelled

__all__ = ["Listener", "can_listen"]

logger = logging.getLogger("cqrs.outbox.relay")

_RECONNECT = Backoff(initial=1.0, multiplier=2.0, max=30.0, jitter=0.2)
_CHECK_EVERY = 60.0
_CHECK_TIMEOUT = 10.0


def can_listen(engine: aio.AsyncEngine | None) -> bool:
    """Tell whether an engine is one of PostgreSQL by asyncpg."""
    return engine is not None and engine.dialect.name == "postgresql" and engine.dialect.driver == "asyncpg"


class Listener:
    """Calls a function whenever rows were committed.

    Args:
        engine: of PostgreSQL by asyncpg.
        channel: name of the channel.
        heard: called with the text of each notification, and with an empty one when it begins to listen, as
            some may have been missed before.
        sleep: waits for a number of seconds.
        random: numbers in [0, 1) for the jitter of waits.
    """

    def __init__(
        self,
        engine: aio.AsyncEngine,
        channel: str,
        heard: Callable[[str], None],
        *,
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._channel = channel
        self._heard = heard
        self._sleep = sleep
        self._random = random
        self._failures = 0  # in a row

    async def run(self) -> None:
        """Listen until cancelled; connect again whenever the connection is lost."""
        while True:
            try:
                # A driver that cancels what waits for a lost connection must not end this silently.
                async with not_cancelled(), self._engine.connect() as connection:
                    await self._listen(connection)
                logger.info("the outbox has lost the connection on which it listens, and connects again")
            except Exception as error:
                self._failures += 1
                level = logging.WARNING if self._failures == 1 else logging.DEBUG
                logger.log(
                    level, "the outbox cannot listen for new rows, and polls instead: %s", in_short(error)
                )
            await self._sleep(_RECONNECT.duration(max(self._failures, 1), self._random()))

    async def _listen(self, connection: aio.AsyncConnection) -> None:
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        # It would occupy a place of the pool for ever; with a pool of one, nothing else could be done.
        await connection.run_sync(sa.Connection.detach)
        lost = asyncio.Event()

        def end(*_: Any) -> None:
            lost.set()

        def hear(_connection: Any, _process: int, _channel: str, text: str) -> None:
            self._heard(text)

        driver.add_termination_listener(end)
        await driver.add_listener(self._channel, hear)
        self._failures = 0
        try:
            self._heard("")
            while not lost.is_set():
                try:
                    async with asyncio.timeout(_CHECK_EVERY):
                        await lost.wait()
                except TimeoutError:
                    await driver.fetchval("SELECT 1", timeout=_CHECK_TIMEOUT)  # a dead peer says nothing
        finally:
            driver.terminate()  # closing in order would wait for a peer that may be gone
            await connection.invalidate()
