"""The waiting of discoveries that ask a server: in an event loop, and in threads."""

from __future__ import annotations

import asyncio
import threading
from contextvars import Context
from typing import Any

from cqrs.http.discovery.flights import Flight
from cqrs.http.discovery.lookup import Lookup, Options
from cqrs.http.flow import drive, drive_async
from cqrs.http.typing import AsyncTransport, SyncTransport


class AsyncLookup(Lookup):
    """Asks in tasks of its own, so that a cancelled call does not interrupt what others wait for."""

    def __init__(self, where: str, path: str, transport: AsyncTransport | None, options: Options) -> None:
        super().__init__(where, path, options)
        self._given = transport
        self._own: Any = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def get_endpoint(self, service: str, version: str | None) -> str:
        """Return the base URL of an instance.

        Raises:
            DiscoveryError: none is known.
        """
        url = self.known(service, version)
        if url is None:
            self._transport()  # what is missing is missed by who asks, not by a task
            url = await drive_async(self.finding(service, version))
        return url

    def _transport(self) -> AsyncTransport:
        if self._given is not None:
            return self._given
        with self._lock.mine():
            if self._own is None:
                from cqrs.http.transports.httpx import AsyncHttpxTransport  # needs an extra

                self._own = AsyncHttpxTransport()
            own: AsyncTransport = self._own
            return own

    def launch(self, flight: Flight, in_background: bool) -> None:
        """Begin a task that asks."""
        question = drive_async(self.asking(flight), self._transport(), self.kind, self.path)
        # In a context of its own: it serves other calls than the one that happened to begin it.
        task = asyncio.get_running_loop().create_task(question, context=Context())
        self._tasks.add(task)

        def landed(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            self.abandon(flight)  # where it was cancelled before its first step

        task.add_done_callback(landed)

    async def aclose(self) -> None:
        """Stop asking in this event loop, and close the transport if it was made here."""
        loop = asyncio.get_running_loop()
        tasks = [task for task in list(self._tasks) if task.get_loop() is loop]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._own is not None:
            await self._own.aclose()  # what it holds for this event loop


class SyncLookup(Lookup):
    """Asks in the calling thread, or in a short-lived one where the call can go on with what is known."""

    def __init__(self, where: str, path: str, transport: SyncTransport | None, options: Options) -> None:
        super().__init__(where, path, options)
        self._given = transport
        self._own: Any = None
        self._threads: set[threading.Thread] = set()

    def get_endpoint(self, service: str, version: str | None) -> str:
        """Return the base URL of an instance.

        Raises:
            DiscoveryError: none is known.
        """
        url = self.known(service, version)
        if url is None:
            self._transport()  # what is missing is missed by who asks, not by a thread
            url = drive(self.finding(service, version))
        return url

    def _transport(self) -> SyncTransport:
        if self._given is not None:
            return self._given
        with self._lock.mine():
            if self._own is None:
                from cqrs.http.transports.httpx import SyncHttpxTransport  # needs an extra

                self._own = SyncHttpxTransport()
            own: SyncTransport = self._own
            return own

    def launch(self, flight: Flight, in_background: bool) -> None:
        """Ask, here or in a thread."""
        transport = self._transport()

        def ask() -> None:
            try:
                drive(self.asking(flight), transport, self.kind, self.path)
            finally:
                self._threads.discard(threading.current_thread())

        if in_background:
            thread = threading.Thread(target=ask, name=self.breaker.name, daemon=True)
            self._threads.add(thread)
            try:
                thread.start()
            except RuntimeError:  # no more threads, or the interpreter is shutting down
                self._threads.discard(thread)
            else:
                return
        ask()

    def close(self) -> None:
        """Wait for questions that are out, and close the transport if it was made here."""
        for thread in list(self._threads):
            thread.join(self.timeout.limit + 1.0)
        if self._own is not None:
            self._own.close()
