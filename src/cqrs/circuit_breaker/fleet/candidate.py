"""A call of a half-open circuit that asks the fleet for leave to be a probe."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable

from cqrs.circuit_breaker.fleet.machine import Ask
from cqrs.circuit_breaker.interruptions import generation
from cqrs.circuit_breaker.phases import SETTLED, Grant

HELD = 3
"""Mark of a grant that is never settled without the lock."""

UNDECIDED, GRANTED, REFUSED, GONE = "undecided", "granted", "refused", "gone"


class Candidate(Grant):
    """The token of such a call: the local machine's grant, and the fleet's permit once it is granted.

    Its ``verdict`` is decided once, by whoever comes first: the store's answer, or the caller that waits no
    longer. A permit that is granted to a caller who has gone is given back.
    """

    __slots__ = (
        "_decided",
        "_listeners",
        "_lock",
        "barrier",
        "generation",
        "limit",
        "local",
        "permit",
        "renewed",
        "seen",
        "verdict",
        "waits",
    )

    @property
    def kind(self) -> str:
        return "probe"

    def __init__(self, ask: Ask, started: float, limit: float | None) -> None:
        super().__init__(ask.local.phase, started)
        self.mark = HELD
        self.waits = True
        self.local = ask.local
        self.barrier = ask.barrier
        self.seen = ask.seen
        self.limit = limit
        self.permit = secrets.token_hex(8)
        self.renewed = started
        self.verdict = UNDECIDED
        self.generation = generation()
        self._lock = threading.Lock()
        self._decided = threading.Event()
        self._listeners: list[Callable[[], object]] = []

    def decide(self, verdict: str) -> bool:
        """Decide for everybody; ``False`` when somebody else has done so before."""
        with self._lock:
            if self.verdict is not UNDECIDED:
                return False
            self.verdict = verdict
            listeners, self._listeners = self._listeners, []
        self._decided.set()
        for tell in listeners:
            tell()
        return True

    def on_decided(self, tell: Callable[[], object]) -> None:
        """Call ``tell`` when it is decided, now if it has been; for callers that wait for events."""
        with self._lock:
            if self.verdict is UNDECIDED:
                self._listeners.append(tell)
                return
        tell()

    def wait(self, timeout: float) -> None:
        """Block until it is decided, or for ``timeout`` seconds."""
        self._decided.wait(timeout)

    async def wait_async(self, timeout: float) -> None:
        """Wait until it is decided, or for ``timeout`` seconds."""
        loop = asyncio.get_running_loop()
        decided: asyncio.Future[None] = loop.create_future()

        def finish() -> None:
            if not decided.done():
                decided.set_result(None)

        def tell() -> None:
            try:
                loop.call_soon_threadsafe(finish)
            except RuntimeError:  # the loop was closed: nobody waits
                pass

        with self._lock:
            if self.verdict is not UNDECIDED:
                return
            self._listeners.append(tell)
        try:
            async with asyncio.timeout(timeout):
                await decided
        except TimeoutError:
            pass

    def finish(self) -> bool:
        """Take the right to settle the call; ``False`` when it was settled before."""
        with self._lock:
            if self.verdict is not GRANTED:
                return False
            self.verdict = GONE
            self.mark = SETTLED
            return True
