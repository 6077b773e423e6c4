"""What all brokers share: a connection that is opened once for all who want it, and waiting that ends."""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from cqrs.exceptions import BrokerUnavailableError, ConfigurationError, ConfigurationTypeError
from cqrs.message_brokers.errors import reason_of

__all__ = [
    "Arrivals",
    "Connecting",
    "Halt",
    "Ongoing",
    "PerLoop",
    "bounded",
    "cancel_and_wait",
    "check_address",
    "check_seconds",
    "not_cancelled",
]

T = TypeVar("T")

_logger = logging.getLogger(__name__)


class PerLoop(Generic[T]):
    """Something that only one event loop can use, such as a lock; made anew when another loop runs.

    Brokers live as long as the application, which may call ``asyncio.run`` more than once.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: tuple[asyncio.AbstractEventLoop, T] | None = None

    def get(self) -> T:
        """Return the one of the running loop."""
        loop = asyncio.get_running_loop()
        if self._made is None or self._made[0] is not loop:
            self._made = loop, self._make()
        return self._made[1]


class Connecting(Generic[T]):
    """A connection that is opened at first use, by one for all who want it at that time.

    It may be used in one event loop after the other; a connection that was left open in a loop that has
    ended is given up.

    Args:
        open: opens it; cleans up after itself when it fails or is cancelled.
        close: closes it.
        name: what it is, for errors.
    """

    def __init__(
        self, open: Callable[[], Awaitable[T]], close: Callable[[T], Awaitable[object]], name: str
    ) -> None:
        self._open = open
        self._close = close
        self._name = name
        self._lock = PerLoop(asyncio.Lock)
        self._value: T | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @property
    def current(self) -> T | None:
        """The open connection, if there is one."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._value is not None and self._loop is not None:
                if not self._loop.is_closed():
                    raise RuntimeError(f"{self._name} is in use in another event loop; each needs its own")
                _logger.warning(
                    "%s was left open in an event loop that has ended; close() it there", self._name
                )
                self._value = None
            self._loop = loop
        return self._value

    async def start(self) -> T:
        """Open it unless it is open, also after ``close``."""
        self._closed = False
        return await self.get()

    async def get(self) -> T:
        """Return the connection; open it if need be.

        Raises:
            BrokerUnavailableError: it was closed, by ``close``.
            RuntimeError: it is open in another event loop that runs.
            Exception: what ``open`` raises.
        """
        if (value := self.current) is not None:
            return value
        async with self._lock.get():
            if self._closed:
                raise BrokerUnavailableError("", f"{self._name} is closed; start() opens it again")
            if self._value is None:
                self._value = await self._open()
            return self._value

    async def drop(self, value: T) -> None:
        """Close a connection that has failed, unless it was replaced; the next ``get`` opens another."""
        async with self._lock.get():
            if self.current is value:
                await self._end()

    async def close(self) -> None:
        """Close it; ``get`` is refused from now on."""
        self._closed = True
        async with self._lock.get():
            await self._end()

    async def _end(self) -> None:
        value, self._value = self.current, None
        if value is not None:
            await self._close(value)


class Arrivals(Generic[T]):
    """What has arrived and was not taken yet; a wait for it that is cancelled loses nothing."""

    def __init__(self) -> None:
        self._waiting: collections.deque[T] = collections.deque()
        self._event = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, value: T) -> None:
        """Let something arrive."""
        self._waiting.append(value)
        self._event.set()

    def take(self) -> T:
        """Take what arrived first; there must be something."""
        value = self._waiting.popleft()
        if not self._waiting:
            self._event.clear()
        return value

    async def wait(self) -> None:
        """Return when there is something."""
        await self._event.wait()


class Halt:
    """A wish to stop that interrupts waiting."""

    def __init__(self) -> None:
        self.wanted = False
        """Whether ``set`` has been called since ``clear``."""
        self._waiting: set[asyncio.Future[None]] = set()  # an event would belong to one loop

    def set(self) -> None:
        """Interrupt whoever waits, now and later."""
        self.wanted = True
        for each in self._waiting:
            if not each.done():
                each.set_result(None)

    def clear(self) -> None:
        """Let waiting last again."""
        self.wanted = False

    async def unless(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Wait for ``work``; when a stop is wanted before it ends, cancel it and return ``None``.

        A caller that is cancelled does not get what ``work`` has brought in the same moment.
        """
        task = asyncio.ensure_future(work)
        halted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(halted)
        if self.wanted:
            halted.set_result(None)
        try:
            await asyncio.wait({task, halted}, return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]
            if not task.done():
                await cancel_and_wait(task)
            return None if task.cancelled() else task.result()
        finally:
            self._waiting.discard(halted)
            await cancel_and_wait(task)


class Ongoing:
    """Work that goes on when whoever waits for it is cancelled, so that what it brings is not lost."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[None] | None = None

    async def wait(self, begin: Callable[[], Coroutine[Any, Any, None]], halt: Halt) -> None:
        """Wait for the work under way, or else begin some; return when it ends, or a stop is wanted.

        Raises:
            Exception: what the work raised.
        """
        task = self._task = self._task or asyncio.create_task(begin(), name=self._name)
        await halt.unless(_end_of(task))
        if task.done():
            self._task = None
            task.result()

    async def finish(self) -> None:
        """Wait until nothing is under way; how it ended is of no interest any more."""
        task, self._task = self._task, None
        if task is not None:
            await _end_of(task)
            if not task.cancelled():
                task.exception()


async def _end_of(task: asyncio.Task[None]) -> None:
    await asyncio.wait({task})


@asynccontextmanager
async def not_cancelled() -> AsyncGenerator[None, None]:
    """Tell a library's ``CancelledError`` from a cancellation: raise ``ConnectionAbortedError`` instead.

    Some libraries cancel what waits for a connection that is lost.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionAbortedError("the connection is lost") from error


async def cancel_and_wait(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks and wait until they have ended; how they ended is theirs to tell."""
    for task in tasks:
        task.cancel()
    waiting = [task for task in tasks if not task.done()]
    if waiting:
        await asyncio.wait(waiting)


async def bounded(closing: Coroutine[Any, Any, object], limit: float, name: str) -> bool:
    """Wait until something is closed, for some seconds; ``False``: it was not, the log says why."""
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.wait({task}, timeout=limit)
        # Libraries may end a cancelled task's CancelledError out of this: nobody cancelled that.
        why = (
            TimeoutError("it takes too long")
            if not task.done()
            else None
            if task.cancelled()
            else task.exception()
        )
        if why is not None:
            _logger.warning("%s did not close cleanly: %s", name, reason_of(why))
        return task.done() and not task.cancelled() and why is None
    finally:
        await cancel_and_wait(task)


def check_address(url: str, schemes: Sequence[str], example: str) -> None:
    """Refuse what is no URL of these schemes, or has a password that would be read as something else.

    Raises:
        ConfigurationError: it is refused; never with a part of it, which may be a password.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # it is read only here
        is_one = parts.scheme in schemes and bool(parts.hostname)
        is_cut = "@" in f"{parts.path}{parts.query}{parts.fragment}" or "#" in url
    except ValueError:
        is_one = is_cut = False
    if not is_one or is_cut:
        raise ConfigurationError(
            f"an address must be like {example}; in a user or password, / is written as %2F, ? as %3F, "
            "# as %23, @ as %40, : as %3A and % as %25"
        )


def check_seconds(name: str, value: object, *, zero: bool = False) -> float:
    """Return ``value`` when it is a number of seconds, above 0 or (``zero``) at least 0.

    Raises:
        ConfigurationError, ConfigurationTypeError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationTypeError(f"{name} must be a number of seconds, not {value!r}")
    if not (0 <= value < float("inf")) or (value == 0 and not zero):
        raise ConfigurationError(
            f"{name}={value!r} is not allowed: it must be {'at least' if zero else 'more than'} 0, and finite"
        )
    return float(value)
