"""A clock that moves only when a test says so."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import threading
from datetime import timedelta


class FakeClock:
    """Monotonic seconds under the control of a test; pass it wherever a ``clock=`` is taken.

    Calling it returns the current time in seconds. Time stands still until :meth:`advance`,
    :meth:`elapse` or :meth:`step_back` is called. It may be shared by threads and event loops.

    Args:
        start: first time shown, in seconds; any finite number. Default 1000.

    Raises:
        TypeError: ``start`` is not a number.
        ValueError: ``start`` is not finite.

    >>> clock = FakeClock()
    >>> clock.advance(2.5)
    >>> clock()
    1002.5
    """

    def __init__(self, start: float = 1000.0) -> None:
        self._now = _seconds(start, "start")
        self._sleepers: list[tuple[float, int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Return the current time in seconds."""
        return self._now

    def __repr__(self) -> str:
        return f"FakeClock({self._now!r})"

    @property
    def sleepers(self) -> int:
        """How many tasks wait in :meth:`sleep` now."""
        with self._lock:
            return sum(not future.done() for _, _, _, future in self._sleepers)

    def advance(self, seconds: float | timedelta) -> None:
        """Move time forward and wake, in the order of their deadlines, the tasks whose sleep is over.

        The tasks run when their event loop next gets control and all see the new time; use
        :meth:`elapse` where each must see its own deadline.

        Args:
            seconds: how far, in seconds or as ``timedelta``; at least 0.

        Raises:
            TypeError: ``seconds`` is neither a number nor a ``timedelta``.
            ValueError: ``seconds`` is negative or not finite.
        """
        step = _duration(seconds)
        with self._lock:
            self._move_to(self._now + step)

    async def elapse(self, seconds: float | timedelta, *, turns: int = 20) -> None:
        """Move time forward deadline by deadline, letting the woken tasks run in between.

        A task that sleeps again and again within ``seconds`` thereby wakes as often as it would in
        real time. Call it from the event loop whose tasks sleep.

        Args:
            seconds: how far, in seconds or as ``timedelta``; at least 0.
            turns: how many turns of the event loop the tasks get after each deadline; at least 1.

        Raises:
            TypeError: ``seconds`` is neither a number nor a ``timedelta``.
            ValueError: ``seconds`` is negative or not finite, or ``turns`` is less than 1.
        """
        if turns < 1:
            raise ValueError(f"turns must be at least 1, not {turns}")
        end = self._now + _duration(seconds)
        while True:
            for _ in range(turns):
                await asyncio.sleep(0)
            with self._lock:
                deadlines = [entry[0] for entry in self._sleepers if not entry[3].done()]
                following = min(deadlines, default=math.inf)
                if following > end:
                    self._move_to(max(end, self._now))
                    return
                self._move_to(max(following, self._now))

    def step_back(self, seconds: float | timedelta) -> None:
        """Move time backwards, as a faulty clock does; wakes nobody.

        Raises:
            TypeError: ``seconds`` is neither a number nor a ``timedelta``.
            ValueError: ``seconds`` is negative or not finite.
        """
        step = _duration(seconds)
        with self._lock:
            self._now -= step

    async def sleep(self, seconds: float | timedelta) -> None:
        """Wait until time has been moved forward by ``seconds``; the counterpart of ``asyncio.sleep``.

        Raises:
            TypeError: ``seconds`` is neither a number nor a ``timedelta``.
            ValueError: ``seconds`` is negative or not finite.
        """
        delay = _duration(seconds)
        if delay == 0:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            heapq.heappush(self._sleepers, (self._now + delay, next(self._order), loop, future))
        await future

    # Requires lock: self._lock
    def _move_to(self, now: float) -> None:
        self._now = now
        while self._sleepers and (self._sleepers[0][0] <= now or self._sleepers[0][3].done()):
            _, _, loop, future = heapq.heappop(self._sleepers)
            # The sleeper may belong to a loop of another thread, or to one that is gone.
            if not future.done() and not loop.is_closed():
                loop.call_soon_threadsafe(_wake, future)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _duration(value: float | timedelta) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else _seconds(value, "seconds")
    if seconds < 0:
        raise ValueError(f"seconds must be at least 0, not {seconds}; step_back() moves time backwards")
    return seconds


def _seconds(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, not {value}")
    return float(value)
