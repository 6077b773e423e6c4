"""How requests get to a Redis server: one daemon thread per store, with an event loop of its own."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

from cqrs.circuit_breaker.errors import StoreUnavailableError
from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.circuit_breaker.fleet.transport import Done, Message, Ticker
from cqrs.circuit_breaker.redis import failures
from cqrs.circuit_breaker.redis.clients import Source
from cqrs.circuit_breaker.redis.commands import Commands
from cqrs.circuit_breaker.redis.loop import LoopThread, keep_for_ever, put_down
from cqrs.circuit_breaker.redis.subscriber import Subscriber

logger = logging.getLogger(__name__)

CLOSED = "it was closed"
SHORTEST_PAUSE = 0.001
CLOSING_TIME = 0.5
"""Seconds that closing connections may take; a server that hangs does not answer to that either."""


class RedisTransport:
    """A ``Transport`` to a server, a server named by sentinels, or a cluster.

    The thread starts at once; ``ticker.tick`` is called after the first ``wake``, and from then on when it
    wants to be.

    Args:
        source: where clients come from.
        settings: of the store.
        ticker: what is called back.
        name: of the store, for errors.
    """

    def __init__(self, source: Source, settings: StoreSettings, ticker: Ticker, name: str) -> None:
        self._source = source
        self._settings = settings
        self._ticker = ticker
        self._name = name
        self._woken = False
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = asyncio.Event()
        # The key is the identity of a request; whoever takes it out tells its end: exactly once.
        self._pending: dict[object, Done] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._commands = Commands(source, settings, ticker.connected)
        self._thread = LoopThread(self._serve, self._end, f"holdfast-{settings.namespace}")
        self._thread.start()

    def submit(self, shard: int, request: Message, timeout: float, done: Done) -> None:
        """Send a request; see ``Transport.submit``."""
        key = object()
        self._pending[key] = done
        deadline = time.monotonic() + timeout
        called = not self._ended and self._thread.call_soon(
            self._begin, key, shard, request, timeout, deadline
        )
        if not called or self._ended:  # it may have ended since: then nobody will run what was called
            self._finish(key, None, self._closed())

    def wake(self) -> None:
        """Have the ticker called soon; see ``Transport.wake``."""
        if not self._woken and not self._ended:
            self._woken = True
            self._thread.call_soon(self._tick)

    def close(self, timeout: float) -> None:
        """Stop; see ``Transport.close``."""
        if self._ended:
            return
        self._thread.call_soon(self._stopping.set)
        if not self._thread.join(timeout):
            self._drain()

    def abandon(self) -> None:
        """Forget everything, in a forked child; see ``Transport.abandon``."""
        self._ended = True
        self._pending.clear()
        keep_for_ever(self)
        self._thread.loop.abandon()

    # ------------------------------------------------------------------ in the thread

    async def _serve(self) -> None:
        subscriber: Coroutine[Any, Any, None] | None = None
        if self._settings.push:
            subscriber = Subscriber(
                self._source, self._settings, self._commands, self._ticker.message, self._ticker.connected
            ).run()
            self._keep(subscriber)
        await self._stopping.wait()
        if self._timer is not None:
            self._timer.cancel()
        await put_down(self._tasks)
        try:
            async with asyncio.timeout(CLOSING_TIME):
                await self._commands.close()
        except Exception as error:
            logger.debug("closing a client failed: %r", error)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._thread.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tick(self) -> None:
        self._woken = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._stopping.is_set():
            return
        try:
            pause = self._ticker.tick()
        except Exception:
            logger.exception("the ticker of a store failed")
            pause = self._settings.sync_interval
        self._timer = self._thread.loop.call_later(max(SHORTEST_PAUSE, pause), self._tick)

    def _begin(self, key: object, shard: int, request: Message, timeout: float, deadline: float) -> None:
        if self._stopping.is_set():
            self._finish(key, None, self._closed())
        else:
            self._keep(self._exchange(key, shard, request, timeout, deadline))

    async def _exchange(
        self, key: object, shard: int, request: Message, timeout: float, deadline: float
    ) -> None:
        # Not asyncio.timeout: the caller is answered in time even if the client is slow to give up.
        work = self._thread.loop.create_task(self._commands.exchange(shard, request, deadline))
        work.add_done_callback(_look_at)
        try:
            done, _ = await asyncio.wait([work], timeout=deadline - self._thread.loop.time())
            error = work.exception() if done else TimeoutError()
            if error is None:
                self._finish(key, work.result(), None)
            else:
                self._finish(key, None, self._unavailable(error, timeout))
        except asyncio.CancelledError:
            self._finish(key, None, self._closed())
            raise
        finally:
            await put_down([work])  # a connection whose reply was not read is given up with it

    # ------------------------------------------------------------------ the end of requests

    def _finish(self, key: object, reply: Message | None, error: Exception | None) -> None:
        done = self._pending.pop(key, None)
        if done is None:
            return
        try:
            done(reply, error)
        except Exception:
            logger.exception("what a request to a store was for failed")

    def _end(self) -> None:
        self._ended = True
        self._drain()

    def _drain(self) -> None:
        for key in list(self._pending):
            self._finish(key, None, self._closed())

    def _closed(self) -> StoreUnavailableError:
        return StoreUnavailableError(self._name, CLOSED)

    def _unavailable(self, error: BaseException, timeout: float) -> StoreUnavailableError:
        limit = self._settings.connect_timeout
        text = failures.reason(error, timeout, limit, self._source.secrets)
        unavailable = StoreUnavailableError(self._name, text)
        unavailable.__cause__ = error
        return unavailable


def _look_at(done: asyncio.Task[Any]) -> None:
    """Take the error of a request that nobody waits for any more, or asyncio would complain about it."""
    if not done.cancelled():
        done.exception()
