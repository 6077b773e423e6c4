"""One call through a library's breaker, cut in two where the protected function would run.

A breaker that only offers "run this function" cannot guard a stream, because control returns to the consumer
between two items. Here the library runs a placeholder that suspends: what it does before is the admission,
and resuming it with the outcome is the settlement. The library's own code takes every decision.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

_RUNNING = object()


class _Placeholder:
    """Suspends once; ``await`` returns when the outcome is known, or raises it."""

    def __await__(self) -> Generator[object, None, None]:
        yield _RUNNING


async def _protected() -> None:
    await _Placeholder()


LibraryCall = Callable[[Callable[[], Coroutine[Any, Any, None]]], Coroutine[Any, Any, object]]
"""Starts the library's asynchronous call of the function that it is given."""


class SplitCall:
    """A permit made of a library's half-finished call.

    The library must await the function in the same task; it may await other things (its storage) around it.
    """

    def __init__(self, start: LibraryCall) -> None:
        self._start = start
        self._call: Coroutine[Any, Any, object] | None = None

    async def enter(self) -> None:
        """Run the library up to the protected function; raises its rejection."""
        await self._step(self._begin)

    async def succeed(self) -> None:
        """Let the library record a success."""
        await self._step(lambda: self._started().send(None))

    async def fail(self, error: Exception) -> None:
        """Let the library record ``error``; raises what the library makes of it."""
        await self._step(lambda: self._started().throw(error))

    def abandon(self) -> None:
        """End the call without an outcome, as a cancellation does."""
        self._started().close()

    def _begin(self) -> object:
        self._call = self._start(_protected)
        return self._call.send(None)

    def _started(self) -> Coroutine[Any, Any, object]:
        if self._call is None:
            raise RuntimeError("the call was not entered")
        return self._call

    def _step(self, resume: Callable[[], object]) -> Awaitable[None]:
        return self._advance(resume)

    @types.coroutine
    def _advance(self, resume: Callable[[], object]) -> Generator[Any, Any, None]:
        # What the library awaits besides the protected function is passed on to the event loop untouched.
        try:
            pending = resume()
            while pending is not _RUNNING:
                try:
                    value = yield pending
                except BaseException as error:
                    pending = self._started().throw(error)
                else:
                    pending = self._started().send(value)
        except StopIteration:
            return


class ThreadedSplitCall(SplitCall):
    """The same for a library that blocks: its halves run in a worker thread, the event loop goes on.

    A half that has begun is finished also when the caller is cancelled meanwhile.
    """

    def _step(self, resume: Callable[[], object]) -> Awaitable[None]:
        return asyncio.to_thread(self._run, resume)

    @staticmethod
    def _run(resume: Callable[[], object]) -> None:
        try:
            pending = resume()
        except StopIteration:
            return  # a future cannot carry it
        if pending is not _RUNNING:
            raise RuntimeError(f"a blocking breaker awaited {pending!r}")
