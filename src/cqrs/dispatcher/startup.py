"""What has to run once before the first message is handled."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import inspect
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncContextDecorator, ContextDecorator
from typing import Any, TypeVar

from cqrs.dispatcher.driven import close
from cqrs.exceptions import ConfigurationError

ItemT = TypeVar("ItemT")

_starting: contextvars.ContextVar[Startup | None] = contextvars.ContextVar("cqrs_starting", default=None)


class Startup:
    """Runs plain callables at once and async ones when ``ensure`` is first awaited; each of them once.

    The async ones run one after the other in a task of their own, so that a cancelled first message does not
    interrupt them. When one fails, the messages that waited get its error, and the next message tries it
    again. Any number of tasks, threads and event loops may wait.

    Args:
        callables: functions without arguments.

    Raises:
        ConfigurationError: one of them is not callable.
    """

    def __init__(self, callables: Iterable[Callable[[], Any]] | None) -> None:
        self._pending: deque[Callable[[], Awaitable[Any]]] = deque()
        self._lock = threading.Lock()
        self._running: concurrent.futures.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        if callables is not None and not isinstance(callables, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"on_startup must be a list of callables, not {callables!r}")
        for function in callables or ():
            if not callable(function):
                raise ConfigurationError(
                    f"on_startup must hold callables without arguments, not {function!r}"
                )
            if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
                raise ConfigurationError(
                    f"on_startup cannot run {function!r}: nobody would iterate a generator; use a function"
                )
            if inspect.iscoroutinefunction(function):
                self._pending.append(function)
                continue
            result = function()
            if inspect.isawaitable(result):
                self._pending.append(_once(result))
            elif isinstance(result, ContextDecorator | AsyncContextDecorator):
                raise ConfigurationError(
                    f"on_startup cannot run {function!r}: it returns a context manager, which nobody would "
                    "enter"
                )

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to run."""
        return not self._pending

    async def ensure(self) -> None:
        """Return when everything has run.

        Raises:
            Exception: what one of the callables raised.
        """
        # A startup callable may send messages itself.
        while self._pending and _starting.get() is not self:
            await asyncio.wrap_future(self._run())

    async def before(self, items: AsyncIterator[ItemT]) -> AsyncGenerator[ItemT, None]:
        """Yield ``items``, after everything has run."""
        try:
            await self.ensure()
            async for item in items:
                yield item
        finally:
            await close(items)

    def _run(self) -> concurrent.futures.Future[None]:
        with self._lock:
            if self._running is not None:
                return self._running
            self._running = running = concurrent.futures.Future[None]()
            # From here on, cancelling a waiter does not cancel the future.
            running.set_running_or_notify_cancel()
        # Not under the lock: the task may begin eagerly, and end.
        self._task = asyncio.get_running_loop().create_task(self._drive(running))
        return running

    async def _drive(self, running: concurrent.futures.Future[None]) -> None:
        _starting.set(self)
        failure: Exception | None = None
        try:
            while self._pending:
                await self._pending[0]()
                self._pending.popleft()
        except Exception as error:
            failure = error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            failure = RuntimeError(f"the on_startup callable {self._pending[0]!r} was cancelled")
            failure.__cause__ = error
        finally:
            # Also when the event loop goes away: then the waiters of other loops try again.
            with self._lock:
                self._running = None
            if failure is None:
                running.set_result(None)
            else:
                running.set_exception(failure)
            failure = None


def _once(awaitable: Awaitable[Any]) -> Callable[[], Awaitable[Any]]:
    def get() -> Awaitable[Any]:
        return awaitable

    return get
