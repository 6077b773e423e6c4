"""Values that are built once, however many threads, tasks and event loops ask for them at the same time."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from cqrs.exceptions import ResolutionError

_UNSET: Any = object()
_in_progress: contextvars.ContextVar[tuple[object, ...]] = contextvars.ContextVar("in_progress", default=())


class SyncCell:
    """A value built by a plain call; threads that ask meanwhile wait for the one that builds it."""

    __slots__ = ("_build", "_building", "_lock", "_name", "_value")

    def __init__(self, name: str, build: Callable[[], Any]) -> None:
        self._name = name
        self._build = build
        self._value: Any = _UNSET
        self._building = False
        # One lock per value: dependencies have no cycles, so nested locks are always taken in one order.
        self._lock = threading.RLock()

    def get(self) -> Any:
        """Return the value, building it at the first call."""
        value = self._value
        if value is not _UNSET:
            return value
        with self._lock:
            if self._value is _UNSET:
                if self._building:
                    raise ResolutionError(f"{self._name} asks for itself while it is being built")
                self._building = True
                try:
                    self._value = self._build()
                finally:
                    self._building = False
            return self._value

    def clear(self) -> None:
        """Forget the value."""
        with self._lock:
            self._value = _UNSET


class AsyncCell:
    """A value built by a coroutine; those that ask meanwhile wait, on any event loop, without blocking it.

    They share the outcome: the value or the exception. When the builder is cancelled, another takes over.
    """

    __slots__ = ("_building", "_lock", "_name", "_value", "_waiting")

    def __init__(self, name: str) -> None:
        self._name = name
        self._value: Any = _UNSET
        self._building = False
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[Exception | None]]] = []
        self._lock = threading.Lock()  # held for a few assignments only, never while something is built

    async def get(self, build: Callable[[], Awaitable[Any]]) -> Any:
        """Return the value, awaiting ``build()`` for it at the first call."""
        while True:
            if self._value is not _UNSET:
                return self._value
            future = self._join()
            if future is None:
                return await self._run(build)
            error = await future
            if error is not None:
                # Without the reset, the traceback of the shared exception would grow with each raise.
                raise error.with_traceback(None)

    def _join(self) -> asyncio.Future[Exception | None] | None:
        """Return what to wait for, or ``None`` when the caller is the one to build."""
        if self in _in_progress.get():
            raise ResolutionError(f"{self._name} asks for itself while it is being built")
        with self._lock:
            if not self._building and self._value is _UNSET:
                self._building = True
                return None
            loop = asyncio.get_running_loop()
            future: asyncio.Future[Exception | None] = loop.create_future()
            if self._building:
                self._waiting.append((loop, future))
            else:
                future.set_result(None)
        return future

    async def _run(self, build: Callable[[], Awaitable[Any]]) -> Any:
        token = _in_progress.set((*_in_progress.get(), self))
        error: Exception | None = None
        value = _UNSET
        try:
            value = await build()
        except Exception as caught:
            error = caught
            raise
        finally:
            _in_progress.reset(token)
            with self._lock:
                self._value = value
                self._building = False
                waiting, self._waiting = self._waiting, []
            for loop, future in waiting:
                try:
                    loop.call_soon_threadsafe(_wake, future, error)
                except RuntimeError:  # that event loop was closed while its task waited
                    continue
        return value

    def clear(self) -> None:
        """Forget the value."""
        with self._lock:
            self._value = _UNSET


def _wake(future: asyncio.Future[Exception | None], error: Exception | None) -> None:
    if not future.done():  # its task may have been cancelled
        future.set_result(error)
