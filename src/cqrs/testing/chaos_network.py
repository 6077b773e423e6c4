"""What all connections of a :class:`~cqrs.testing.ChaosProxy` share: loop, time, conditions, counters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from cqrs.testing.chaos_faults import WAYS, Conditions, Way
from cqrs.testing.clock import FakeClock

# Differences of clock readings are inexact: a fake clock could stop just short of a deadline.
TOLERANCE = 1e-9


class Network:
    """The surroundings of a connection; ``clock`` None is real time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: FakeClock | None) -> None:
        self.loop = loop
        self.conditions: dict[Way, Conditions] = {way: Conditions() for way in WAYS}
        self.carried: dict[Way, int] = dict.fromkeys(WAYS, 0)
        self._clock = clock

    def now(self) -> float:
        """Return the current time in seconds."""
        return time.monotonic() if self._clock is None else self._clock()

    def call_at(self, deadline: float, callback: Callable[[], None]) -> Callable[[], object]:
        """Call ``callback`` from the loop at ``deadline``; returns a function that cancels this."""
        if self._clock is None:
            return self.loop.call_later(deadline - self.now(), callback).cancel
        return self.loop.create_task(self._wait_until(self._clock, deadline, callback)).cancel

    async def _wait_until(self, clock: FakeClock, deadline: float, callback: Callable[[], None]) -> None:
        while (left := deadline - clock()) > TOLERANCE:
            sleeping = asyncio.ensure_future(clock.sleep(left))
            try:
                await asyncio.sleep(0)
                # The test's thread may have moved the clock before the sleep began: then it ends too late.
                if clock() + left <= deadline + TOLERANCE:
                    await sleeping
            finally:
                sleeping.cancel()
        self.loop.call_soon(callback)
