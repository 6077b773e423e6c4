"""One call for many: who comes first makes it, the others wait until it is over."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Hashable


class Flight:
    """A call that is under way.

    Attributes:
        abandoned: it was cancelled, so that nothing is known.
    """

    __slots__ = ("_done", "_lock", "_waiting", "abandoned")

    def __init__(self) -> None:
        self.abandoned = False
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def landed(self) -> None:
        """Wake those who wait."""
        with self._lock:
            self._done.set()
            waiting, self._waiting = self._waiting, []
        for loop, event in waiting:
            with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(event.set)

    def wait(self, seconds: float) -> bool:
        """Wait in this thread; ``False`` if it took longer."""
        return self._done.wait(seconds)

    async def wait_async(self, seconds: float) -> bool:
        """Wait without blocking the event loop; ``False`` if it took longer."""
        event = asyncio.Event()
        with self._lock:
            if self._done.is_set():
                return True
            self._waiting.append((asyncio.get_running_loop(), event))
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return self._done.is_set()
        return True


class Landing:
    """The step of a flow that waits for a flight; sent back: whether it was over in time."""

    __slots__ = ("_flight", "_seconds")

    def __init__(self, flight: Flight, seconds: float) -> None:
        self._flight = flight
        self._seconds = seconds

    def wait(self) -> bool:
        return self._flight.wait(self._seconds)

    async def wait_async(self) -> bool:
        return await self._flight.wait_async(self._seconds)


class Flights:
    """The calls that are under way, by key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[Hashable, Flight] = {}

    def join(self, key: Hashable) -> tuple[Flight, bool]:
        """Return the flight of a key, and whether it is the caller's, who must ``end`` it."""
        with self._lock:
            known = self._flights.get(key)
            if known is not None:
                return known, False
            made = self._flights[key] = Flight()
            return made, True

    def end(self, key: Hashable) -> None:
        """End the flight of a key."""
        with self._lock:
            flight = self._flights.pop(key)
        flight.landed()

    def __len__(self) -> int:
        return len(self._flights)
