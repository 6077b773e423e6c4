"""A question to a server, those who wait for its end, and the steps of waiting."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable

from cqrs.circuit_breaker import Permit
from cqrs.http.discovery.roster import Roster


class Flight:
    """One question to the server, and those who wait for its end.

    Attributes:
        done: resolved at the end, with nothing: what is known then is in the roster.
        expires: when others may ask, whatever has become of it: a fork may have left its thread behind.
        error: why there was no list.
        abandoned: whoever asked was interrupted; somebody else may ask.
    """

    __slots__ = ("abandoned", "done", "error", "expires", "key", "permit", "roster")

    def __init__(self, key: tuple[str, str | None], roster: Roster, expires: float) -> None:
        self.key = key
        self.roster = roster
        self.expires = expires
        self.permit: Permit | None = None
        self.error: Exception | None = None
        self.abandoned = False
        self.done: concurrent.futures.Future[None] = concurrent.futures.Future()


class Launch:
    """Step: have the question asked; waits for its end only in a thread that has nothing to go on with."""

    __slots__ = ("_flight", "_in_background", "_launch")

    def __init__(self, launch: Callable[[Flight, bool], None], flight: Flight, in_background: bool) -> None:
        self._launch = launch
        self._flight = flight
        self._in_background = in_background

    def wait(self) -> None:
        self._launch(self._flight, self._in_background)

    async def wait_async(self) -> None:
        self._launch(self._flight, self._in_background)


class Landing:
    """Step: wait for the end of a flight; sent back: whether it came within some seconds."""

    __slots__ = ("_flight", "_seconds")

    def __init__(self, flight: Flight, limit: float) -> None:
        self._flight = flight
        self._seconds = limit

    def wait(self) -> bool:
        try:
            self._flight.done.result(self._seconds)
        except TimeoutError:
            return False
        return True

    async def wait_async(self) -> bool:
        waiter = asyncio.wrap_future(self._flight.done)
        done, _ = await asyncio.wait({waiter}, timeout=self._seconds)
        return bool(done)
