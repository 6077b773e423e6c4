"""A source that plays a script, and a mediator that is one function."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator, Mapping
from typing import Any

from cqrs.circuit_breaker import Backoff
from cqrs.consumers import Consumer
from cqrs.message_brokers.receiving import ReceivedMessage
from cqrs.testing import FakeClock

SECOND = Backoff(initial=1.0, multiplier=2.0, max=60.0, jitter=0.0)


@dataclasses.dataclass
class Counted:
    number: int


def message(
    number: int,
    *,
    name: str | None = "Counted",
    ordering: Hashable | None = None,
    attempt: int = 1,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    message_id: uuid.UUID | None = None,
) -> ReceivedMessage:
    return ReceivedMessage(
        body=json.dumps({"number": number}).encode() if body is None else body,
        headers=headers or {},
        message_name=name,
        topic="numbers",
        message_id=message_id,
        position=str(number),
        attempt=attempt,
        ordering=ordering,
    )


class ScriptedSource:
    """Yields, or raises, what it was fed; notes what it is told as ``(what, position, ...)``.

    ``gives_back``: whether ``retry`` is something it can do. ``errors``: what to raise next, by method.
    """

    def __init__(self, *items: ReceivedMessage | Exception, gives_back: bool = False) -> None:
        self._items = deque(items)
        self._gives_back = gives_back
        self._fed = asyncio.Event()
        self._told = asyncio.Event()
        self._stopped = False
        self.errors: dict[str, list[Exception]] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.yielded = 0

    def feed(self, *items: ReceivedMessage | Exception) -> None:
        self._items.extend(items)
        self._fed.set()

    async def told(self, *call: Any) -> None:
        """Wait until the source was told this."""
        while call not in self.calls:
            self._told.clear()
            await self._told.wait()

    def told_of(self, what: str) -> list[str]:
        return [call[1] for call in self.calls if call[0] == what]

    async def start(self) -> None:
        self._note("start")
        self._stopped = False

    async def messages(self) -> AsyncIterator[ReceivedMessage]:
        while not self._stopped:
            if not self._items:
                self._fed.clear()
                await self._fed.wait()
                continue
            item = self._items.popleft()
            if isinstance(item, Exception):
                raise item
            self.yielded += 1
            yield item

    async def ack(self, message: ReceivedMessage) -> None:
        self._note("ack", message.position)

    async def retry(self, message: ReceivedMessage, delay: float) -> bool:
        self._note("retry", message.position, delay)
        return self._gives_back

    async def extend(self, message: ReceivedMessage) -> None:
        self._note("extend", message.position)

    async def dead_letter(self, message: ReceivedMessage, reason: str, attempts: int) -> None:
        self._note("dead_letter", message.position, attempts)
        self.reason = reason

    async def release(self, message: ReceivedMessage) -> None:
        self._note("release", message.position)

    async def stop(self) -> None:
        self._note("stop")
        self._stopped = True
        self._fed.set()

    async def close(self) -> None:
        self._note("close")

    def _note(self, what: str, *details: Any) -> None:
        self._told.set()
        if self.errors.get(what):
            self.calls.append((f"{what} failed", *details))
            raise self.errors[what].pop(0)
        self.calls.append((what, *details))


class PausableScript(ScriptedSource):
    """The same, with ``pause`` and ``resume``: messages of a paused ordering are passed over."""

    def pause(self, ordering: Hashable) -> None:
        self._note("pause", ordering)

    def resume(self, ordering: Hashable) -> None:
        self._note("resume", ordering)


class PostponingScript(ScriptedSource):
    """The same, with ``postpone``; it can up to a minute."""

    async def postpone(self, message: ReceivedMessage, delay: float) -> bool:
        self._note("postpone", message.position, delay)
        return delay <= 60.0


class RevocableScript(ScriptedSource):
    """The same, with ``is_current``: ``revoked`` are the messages that were taken back."""

    revoked: set[str] = frozenset()  # type: ignore[assignment]  # chosen by a test

    def is_current(self, message: ReceivedMessage) -> bool:
        return message.position not in self.revoked


class Mediator:
    """Handles events with one function; ``started`` and ``ended`` tell of which."""

    def __init__(self, function: Callable[[int], Awaitable[object]] | None = None) -> None:
        self._function = function
        self._change = asyncio.Event()
        self.started: list[int] = []
        self.ended: list[int] = []
        self.running = self.most = 0

    async def send(self, event: Any) -> None:
        self.started.append(event.number)
        self.running += 1
        self.most = max(self.most, self.running)
        self._change.set()
        try:
            if self._function is not None:
                await self._function(event.number)
            self.ended.append(event.number)
        finally:
            self.running -= 1
            self._change.set()

    async def has_started(self, *numbers: int) -> None:
        while not set(numbers) <= set(self.started):
            self._change.clear()
            await self._change.wait()


def consumer_of(source: ScriptedSource, mediator: Any, clock: FakeClock, **arguments: Any) -> Consumer:
    given: dict[str, Any] = {"backoff": SECOND, "reconnect": SECOND, "sleep": clock.sleep, **arguments}
    return Consumer(source, mediator, {"Counted": Counted}, **given)


def failing(times: int, error: Callable[[], BaseException] = lambda: ValueError("not now")) -> Any:
    """Return a function that raises as often, then succeeds; per number."""
    left: dict[int, Iterator[int]] = {}

    async def function(number: int) -> None:
        if next(left.setdefault(number, iter(range(times))), None) is not None:
            raise error()

    return function


async def turns(count: int = 30) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
