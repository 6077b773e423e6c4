"""What all brokers share: a connection that is opened once for all who want it, and waiting that ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

from cqrs.exceptions import BrokerUnavailableError, ConfigurationError, ConfigurationTypeError

__all__ = ["Connecting", "Halt", "cancel_and_wait", "check_seconds"]

T = TypeVar("T")


class Connecting(Generic[T]):
    """A connection that is opened at first use, by one for all who want it at that time.

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
        self._lock = asyncio.Lock()
        self._value: T | None = None
        self._closed = False

    @property
    def current(self) -> T | None:
        """The open connection, if there is one."""
        return self._value

    async def start(self) -> T:
        """Open it unless it is open, also after ``close``."""
        self._closed = False
        return await self.get()

    async def get(self) -> T:
        """Return the connection; open it if need be.

        Raises:
            BrokerUnavailableError: it was closed, by ``close``.
            Exception: what ``open`` raises.
        """
        if self._value is not None:
            return self._value
        async with self._lock:
            if self._closed:
                raise BrokerUnavailableError("", f"{self._name} is closed; start() opens it again")
            if self._value is None:
                self._value = await self._open()
            return self._value

    async def drop(self, value: T) -> None:
        """Close a connection that has failed, unless it was replaced; the next ``get`` opens another."""
        async with self._lock:
            if self._value is value:
                await self._end()

    async def close(self) -> None:
        """Close it; ``get`` is refused from now on."""
        self._closed = True
        async with self._lock:
            await self._end()

    async def _end(self) -> None:
        value, self._value = self._value, None
        if value is not None:
            await self._close(value)


class Halt:
    """A wish to stop that interrupts waiting."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def wanted(self) -> bool:
        """Whether ``set`` has been called since ``clear``."""
        return self._event.is_set()

    def set(self) -> None:
        """Interrupt whoever waits, now and later."""
        self._event.set()

    def clear(self) -> None:
        """Let waiting last again."""
        self._event.clear()

    async def unless(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Wait for ``work``; when a stop is wanted before it ends, cancel it and return ``None``.

        What ``work`` has brought in the same moment is returned: nothing is lost.
        """
        task = asyncio.ensure_future(work)
        halted = asyncio.ensure_future(self._event.wait())
        try:
            await asyncio.wait({task, halted}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await cancel_and_wait(task)
            return None if task.cancelled() else task.result()
        finally:
            await cancel_and_wait(halted, task)


async def cancel_and_wait(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks and wait until they have ended; how they ended is theirs to tell."""
    for task in tasks:
        task.cancel()
    waiting = [task for task in tasks if not task.done()]
    if waiting:
        await asyncio.wait(waiting)


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
