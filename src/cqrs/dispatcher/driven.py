"""Streams through code that only knows calls: a breaker's ``call``, or a middleware.

The call sees one function that lasts as long as the stream. It runs in a task of its own, which hands its
items over one by one and does not go on before the consumer asks for the next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

_logger = logging.getLogger(__name__)

Pump: TypeAlias = Callable[..., Awaitable[Any]]
"""``await pump(*args)`` hands over all items of the stream for ``args``; returns ``None`` at its end."""

# A task that nobody but its own stream refers to could be collected before the stream is closed.
_driving: set[asyncio.Task[BaseException | None]] = set()


async def driven(
    call: Callable[[Pump], Awaitable[Any]], open_stream: Callable[..., AsyncIterator[Any]]
) -> AsyncGenerator[Any, None]:
    """Yield the items of the stream that ``call`` pumps.

    - Backpressure: the stream is advanced only when an item is asked for.
    - Leaving early ends the pumped stream as if it had come to its end there: the call succeeds.
    - Cancelling the consumer cancels the call, and waits until it has ended.
    - An error of the call reaches the consumer as it is, after the items before it.
    - The call sees the context variables of the consumer as they are at the first item.

    Args:
        call: awaits the pump it is given, once.
        open_stream: makes the stream for the arguments that the pump is called with.
    """
    handover = _Handover()

    async def pump(*args: Any) -> None:
        await handover.take_all(open_stream(*args))

    async def contained() -> BaseException | None:
        try:
            await call(pump)
        except (KeyboardInterrupt, SystemExit) as error:
            return error  # as a value: a task that raises it stops the event loop before the consumer sees it
        return None

    task = asyncio.create_task(contained())
    _driving.add(task)
    task.add_done_callback(_driving.discard)
    task.add_done_callback(handover.wake)
    finished = False
    try:
        while await handover.next_item(task):
            yield handover.take()
        finished = True
    finally:
        if not finished:
            await _end(task, handover)
    if (interruption := task.result()) is not None:
        raise interruption


async def _end(task: asyncio.Task[BaseException | None], handover: _Handover) -> None:
    """Wait until the call has ended, whatever happens; the consumer has left or was cancelled."""
    if not handover.leave():
        task.cancel()
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
            task.cancel()
    if cancelled is not None:
        raise cancelled
    failure = None if task.cancelled() else task.exception() or task.result()
    if failure is None:
        return
    if handover.left or not isinstance(failure, Exception):
        raise failure
    _logger.warning("a stream failed while it was being cancelled", exc_info=failure)


class _Handover:
    """One place for one item, between one producer and one consumer in one event loop."""

    __slots__ = ("_full", "_item", "_resume", "_wake", "left")

    def __init__(self) -> None:
        self._full = False
        self._item: Any = None
        self._resume: asyncio.Future[bool] | None = None
        self._wake: asyncio.Future[None] | None = None
        self.left = False

    # ------------------------------------------------------------ producer

    async def take_all(self, items: AsyncIterator[Any]) -> None:
        """Hand over all of ``items``, and close them."""
        try:
            async for item in items:
                if not await self._put(item):
                    return
        finally:
            await close(items)

    async def _put(self, item: Any) -> bool:
        """Hand over one item; return whether the consumer wants another one."""
        if self.left:
            return False
        self._item, self._full = item, True
        self._resume = asyncio.get_running_loop().create_future()
        self.wake()
        try:
            return await self._resume
        finally:
            self._resume = None

    # ------------------------------------------------------------ consumer

    async def next_item(self, task: asyncio.Task[BaseException | None]) -> bool:
        """Let the producer go on; return whether it handed over an item before its task ended."""
        if self._full:  # a task that began eagerly handed the first item over before it was asked for
            return True
        self._wake = asyncio.get_running_loop().create_future()
        if self._resume is not None and not self._resume.done():
            self._resume.set_result(True)
        if not task.done():
            await self._wake
        self._wake = None
        return self._full

    def take(self) -> Any:
        """Return the item that was handed over."""
        item, self._item, self._full = self._item, None, False
        return item

    def wake(self, _: object = None) -> None:
        """Wake the consumer."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def leave(self) -> bool:
        """Tell a waiting producer that no further item is wanted; ``False`` when it is not waiting."""
        if self._resume is None or self._resume.done():
            return False
        self.left = True
        self._resume.set_result(False)
        return True


async def close(items: Any) -> None:
    """Close an async iterator, if it can be closed."""
    aclose: Callable[[], Awaitable[None]] | None = getattr(items, "aclose", None)
    if aclose is not None:
        await aclose()
