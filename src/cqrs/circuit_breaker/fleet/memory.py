"""A store in the memory of one process: for tests and simulations of a fleet, not for sharing."""

from __future__ import annotations

import random as random_module
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

from cqrs.circuit_breaker.errors import StoreUnavailableError
from cqrs.circuit_breaker.fleet.coordinator import Coordinator
from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.circuit_breaker.fleet.store import Store
from cqrs.circuit_breaker.fleet.transport import Done, Message, Ticker, Transport
from cqrs.circuit_breaker.interruptions import defer

Fate = Literal["answered", "unreachable", "unanswered"]
"""What becomes of a request: answered; never arrives; takes effect, but the answer is lost."""

MOST_ROUNDS = 100
"""Ticks in a row, each asked for by the one before; that many are a fault, and must not hang a test."""


class MemoryServer:
    """The store's side of a fleet: coordinators by key prefix, and who listens for changes.

    May be used by threads. Times to live are kept, as a Redis server keeps them.

    Args:
        clock: monotonic seconds; the server's own time.
        fate: asked for each request, given the node that sends it; default: all are answered.

    Attributes:
        commands: requests that have arrived.
        operations: what they asked for, by the kind of operation: ``"acquire"``, ``"report"`` and so on.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        fate: Callable[[str], Fate] = lambda node: "answered",
    ) -> None:
        self.clock = clock
        self.fate = fate
        self.commands = 0
        self.operations: Counter[str] = Counter()
        self.coordinators: dict[str, Coordinator] = {}
        self.listeners: list[tuple[str, Ticker]] = []
        self._lock = threading.RLock()
        self._busy = False

    def exchange(self, prefix: str, request: Message) -> tuple[Message | None, str] | None:
        """Return the reply, or ``None`` and why there is none.

        ``None`` alone: this thread is in the middle of another exchange, which a finaliser has interrupted.
        """
        fate = self.fate(request["node"])
        if fate == "unreachable":
            return None, "the store cannot be reached"
        with self._lock:
            if self._busy:
                return None
            self._busy = True
            try:
                self.commands += 1
                self.operations.update(operation["op"] for operation in request["ops"])
                coordinator = self.coordinators.setdefault(prefix, Coordinator())
                now = round(self.clock() * 1e6)
                coordinator.expire(now)
                reply = coordinator.exchange(request, now)
                published, coordinator.published = coordinator.published, []
            finally:
                self._busy = False
        for message in published:
            for name, listener in list(self.listeners):
                if name == prefix and self.fate(getattr(listener, "node", "")) == "answered":
                    listener.message(message)
        return (reply, "") if fate == "answered" else (None, "the answer was lost")

    def flush(self) -> None:
        """Lose everything, as a server does that is restarted without persistence."""
        with self._lock:
            self.coordinators.clear()

    def snapshot(self) -> dict[str, Any]:
        """Return the present state, for ``restore``."""
        with self._lock:
            return {prefix: each.dump() for prefix, each in self.coordinators.items()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go back to an earlier state, as a replica does that is promoted without the last writes."""
        with self._lock:
            self.coordinators.clear()
            for prefix, state in snapshot.items():
                coordinator = self.coordinators[prefix] = Coordinator()
                coordinator.load(state)


class MemoryTransport:
    """Exchanges at once, in the thread that asks; nothing happens by itself: call ``tick``.

    Attributes:
        due: when the next tick is due, on the process's clock.
    """

    def __init__(
        self,
        server: MemoryServer,
        settings: StoreSettings,
        ticker: Ticker,
        store: str,
        clock: Callable[[], float],
    ) -> None:
        self.server = server
        self.settings = settings
        self.ticker = ticker
        self.store = store
        self.clock = clock
        self.due = clock()
        self.closed = False
        self._again = False
        self._ticking = threading.Lock()
        if settings.push:
            for shard in range(settings.shards):
                server.listeners.append((settings.prefix(shard), ticker))

    def submit(self, shard: int, request: Message, timeout: float, done: Done) -> None:
        if self.closed:
            done(None, StoreUnavailableError(self.store, "it was closed"))
            return
        outcome = self.server.exchange(self.settings.prefix(shard), request)
        if outcome is None:
            defer(lambda: self.submit(shard, request, timeout, done))
            return
        reply, problem = outcome
        done(reply, None if reply is not None else StoreUnavailableError(self.store, problem))

    def wake(self) -> None:
        self._again = True
        # One thread ticks at a time; whoever comes meanwhile leaves word, which is looked at after the end.
        while self._again and not self.closed and self._ticking.acquire(blocking=False):
            try:
                for _ in range(MOST_ROUNDS):
                    if not self._again:
                        break
                    self._again = False
                    self.due = self.round() + self.clock()
                else:
                    return
            finally:
                self._ticking.release()

    def round(self) -> float:
        """Do what is due, once; return the seconds until something is due again."""
        return self.ticker.tick()

    def close(self, timeout: float) -> None:
        self.closed = True
        ticker, server = self.ticker, self.server
        server.listeners = [entry for entry in server.listeners if entry[1] is not ticker]

    def abandon(self) -> None:
        self.closed = True


class MemoryStore(Store):
    """A store whose server is an object: several in one process behave like several processes.

    There is no thread: urgent reports take effect at once, regular exchanges when ``tick`` is called.

    Args:
        server: what the stores of one fleet have in common.
        namespace, sync_interval, command_timeout, quorum, shards, push, startup: as for ``RedisStore``.
        clock: of this process, monotonic seconds; may differ from the server's. Default: the server's.
        random: numbers in [0, 1).

    Raises:
        PolicyError: a setting is out of range.
    """

    def __init__(
        self,
        server: MemoryServer,
        *,
        namespace: str = "test",
        sync_interval: float = 1.0,
        command_timeout: float = 0.05,
        quorum: float = 0.5,
        shards: int = 1,
        push: bool = True,
        startup: Literal["local", "fail"] = "local",
        clock: Callable[[], float] | None = None,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        settings = StoreSettings(
            namespace=namespace,
            sync_interval=sync_interval,
            command_timeout=command_timeout,
            quorum=quorum,
            shards=shards,
            push=push,
            startup=startup,
        )
        self.server = server
        super().__init__(settings, clock=server.clock if clock is None else clock, random=random)

    def make_transport(self, ticker: Ticker) -> Transport:
        return MemoryTransport(self.server, self.settings, ticker, self.describe(), self.session.clock)

    def tick(self) -> float:
        """Do what is due now; return the seconds until something is due again."""
        self.open()
        transport = self.session.transport
        if not isinstance(transport, MemoryTransport):  # it was closed
            return self.settings.sync_interval
        transport.wake()
        return max(0.0, transport.due - self.session.clock())
