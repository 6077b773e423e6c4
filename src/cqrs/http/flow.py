"""One implementation of a middleware for asynchronous and synchronous clients.

A flow is a generator that decides and never waits: it yields what is to be done, and is sent the outcome
(or thrown the error). Two short loops do the waiting, each in its own way. What a flow may yield:

- ``Send(request, timeout)``: pass the request on; sent back: the ``HTTPResponse``.
- any other ``Step``: an object that can ``wait()`` and ``wait_async()``; sent back: what these return.

The value that the flow returns is the answer of the call.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, NamedTuple, Protocol, TypeAlias

from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout
from cqrs.http.typing import AsyncHandle, SyncHandle


class Send(NamedTuple):
    """Pass a request on."""

    request: HTTPRequest
    timeout: HTTPTimeout


class Step(Protocol):
    """Something to wait for."""

    def wait(self) -> Any:
        """Wait in this thread."""
        ...

    async def wait_async(self) -> Any:
        """Wait without blocking the event loop."""
        ...


class Sleep:
    """Wait for some seconds."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def wait(self) -> None:
        time.sleep(self.seconds)

    async def wait_async(self) -> None:
        await asyncio.sleep(self.seconds)


class Call:
    """Call a function, or await its asynchronous twin; sent back: what it returns."""

    __slots__ = ("arguments", "plain", "twin")

    def __init__(
        self, plain: Callable[..., Any] | None, twin: Callable[..., Awaitable[Any]] | None, *arguments: Any
    ) -> None:
        self.plain = plain
        self.twin = twin
        self.arguments = arguments

    def wait(self) -> Any:
        assert self.plain is not None
        return self.plain(*self.arguments)

    async def wait_async(self) -> Any:
        assert self.twin is not None
        return await self.twin(*self.arguments)


class Turn:
    """Waits for an exclusive turn: ``yield turn``, and ``turn.done()`` in a ``finally``.

    For single flight. One object for each kind of client: threads wait for a lock, tasks for another, and the
    tasks of two event loops do not wait for each other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Lock]] = {}

    def wait(self) -> Callable[[], None]:
        """Wait in this thread; returns what gives the turn back."""
        self._lock.acquire()
        return self._lock.release

    async def wait_async(self) -> Callable[[], None]:
        """Wait without blocking the event loop; returns what gives the turn back."""
        loop = asyncio.get_running_loop()
        for number, (known, _) in list(self._locks.items()):
            if known.is_closed():
                self._locks.pop(number, None)
        _, lock = self._locks.setdefault(id(loop), (loop, asyncio.Lock()))
        await lock.acquire()
        return lock.release


Flow: TypeAlias = Generator[Any, Any, HTTPResponse]


class FlowMiddleware:
    """Base of middleware that is written once: override ``flow``; derive ``Async…`` and ``Sync…`` of it.

    The derived classes are ``class AsyncX(AsyncFlow, X)`` and ``class SyncX(SyncFlow, X)``, with no code.
    """

    def flow(self, request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout) -> Flow:
        """Return the flow of one call; see the module's documentation."""
        raise NotImplementedError

    def open_client(self, client_name: str) -> None:
        """Called when a client is made, before its first call."""

    def starting(self) -> Generator[Any, Any, None]:
        """A flow that runs when the factory is initialized; steps as in ``flow``, without ``Send``."""
        yield from ()

    def ending(self) -> Generator[Any, Any, None]:
        """A flow that runs when the factory is closed."""
        yield from ()


class AsyncFlow:
    """Drives the flows of a middleware in an event loop."""

    def __call__(self: Any, call_next: AsyncHandle, /) -> AsyncHandle:
        flow = self.flow

        async def handle(
            request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout
        ) -> HTTPResponse:
            answer: HTTPResponse = await drive_async(
                flow(request, client_name, path, timeout), call_next, client_name, path
            )
            return answer

        return handle

    async def initialize(self: Any) -> None:
        """Get ready; called by the factory's ``initialize``, and not needed otherwise."""
        await drive_async(self.starting())

    async def aclose(self: Any) -> None:
        """Let go of what it holds; called by the factory's ``aclose``."""
        await drive_async(self.ending())


class SyncFlow:
    """Drives the flows of a middleware in the calling thread."""

    def __call__(self: Any, call_next: SyncHandle, /) -> SyncHandle:
        flow = self.flow

        def handle(request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout) -> HTTPResponse:
            answer: HTTPResponse = drive(
                flow(request, client_name, path, timeout), call_next, client_name, path
            )
            return answer

        return handle

    def initialize(self: Any) -> None:
        """Get ready; called by the factory's ``initialize``, and not needed otherwise."""
        drive(self.starting())

    def close(self: Any) -> None:
        """Let go of what it holds; called by the factory's ``close``."""
        drive(self.ending())


async def drive_async(
    flow: Generator[Any, Any, Any],
    call_next: AsyncHandle | None = None,
    client_name: str = "",
    path: str = "",
) -> Any:
    """Run a flow in an event loop and return its value."""
    try:
        step = next(flow)
        while True:
            try:
                if type(step) is Send:
                    assert call_next is not None
                    answer: Any = await call_next(step.request, client_name, path, step.timeout)
                else:
                    answer = await step.wait_async()
            except BaseException as error:
                step = flow.throw(error)
            else:
                step = flow.send(answer)
    except StopIteration as stop:
        return stop.value


def drive(
    flow: Generator[Any, Any, Any], call_next: SyncHandle | None = None, client_name: str = "", path: str = ""
) -> Any:
    """Run a flow in this thread and return its value."""
    try:
        step = next(flow)
        while True:
            try:
                if type(step) is Send:
                    assert call_next is not None
                    answer: Any = call_next(step.request, client_name, path, step.timeout)
                else:
                    answer = step.wait()
            except BaseException as error:
                step = flow.throw(error)
            else:
                step = flow.send(answer)
    except StopIteration as stop:
        return stop.value
