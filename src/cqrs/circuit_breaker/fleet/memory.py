"""A store in the memory of one process: for tests and simulations of a fleet, not for sharing."""

from __future__ import annotations

import random as random_module
import time
from collections.abc import Callable
from typing import Any, Literal

from cqrs.circuit_breaker.errors import StoreUnavailableError
from cqrs.circuit_breaker.fleet.coordinator import Coordinator
from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.circuit_breaker.fleet.store import Store
from cqrs.circuit_breaker.fleet.transport import Done, Message, Ticker, Transport

Fate = Literal["answered", "unreachable", "unanswered"]
"""What becomes of a request: answered; never arrives; takes effect, but the answer is lost."""


class MemoryServer:
    """The store's side of a fleet: coordinators by key prefix, and who listens for changes.

    Args:
        clock: monotonic seconds; the server's own time.
        fate: asked for each request, given the node that sends it; default: all are answered.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        fate: Callable[[str], Fate] = lambda node: "answered",
    ) -> None:
        self.clock = clock
        self.fate = fate
        self.commands = 0
        self.coordinators: dict[str, Coordinator] = {}
        self.listeners: list[tuple[str, Ticker]] = []

    def exchange(self, prefix: str, request: Message) -> tuple[Message | None, str]:
        """Return the reply, or ``None`` and why there is none."""
        fate = self.fate(request["node"])
        if fate == "unreachable":
            return None, "the store cannot be reached"
        self.commands += 1
        coordinator = self.coordinators.setdefault(prefix, Coordinator())
        reply = coordinator.exchange(request, round(self.clock() * 1e6))
        published, coordinator.published = coordinator.published, []
        for message in published:
            for name, listener in list(self.listeners):
                if name == prefix and self.fate(getattr(listener, "node", "")) == "answered":
                    listener.message(message)
        return (reply, "") if fate == "answered" else (None, "the answer was lost")

    def flush(self) -> None:
        """Lose everything, as a server does that is restarted without persistence."""
        self.coordinators.clear()

    def snapshot(self) -> dict[str, Any]:
        """Return the present state, for ``restore``."""
        return {prefix: each.dump() for prefix, each in self.coordinators.items()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go back to an earlier state, as a replica does that is promoted without the last writes."""
        self.coordinators.clear()
        for prefix, state in snapshot.items():
            coordinator = self.coordinators[prefix] = Coordinator()
            coordinator.load(state)


class MemoryTransport:
    """Exchanges at once, in the thread that asks; nothing happens by itself: call ``Ticker.tick``."""

    def __init__(self, server: MemoryServer, settings: StoreSettings, ticker: Ticker, store: str) -> None:
        self._server = server
        self._settings = settings
        self._ticker = ticker
        self._store = store
        self._ticking = self._again = self._closed = False
        if settings.push:
            for shard in range(settings.shards):
                server.listeners.append((settings.prefix(shard), ticker))

    def submit(self, shard: int, request: Message, timeout: float, done: Done) -> None:
        if self._closed:
            done(None, StoreUnavailableError(self._store, "it was closed"))
            return
        reply, problem = self._server.exchange(self._settings.prefix(shard), request)
        done(reply, None if reply is not None else StoreUnavailableError(self._store, problem))

    def wake(self) -> None:
        self._again = True
        if self._ticking or self._closed:
            return
        self._ticking = True
        try:
            for _ in range(100):
                if not self._again:
                    return
                self._again = False
                self._ticker.tick()
        finally:
            self._ticking = False

    def close(self, timeout: float) -> None:
        self._closed = True
        ticker, server = self._ticker, self._server
        server.listeners = [entry for entry in server.listeners if entry[1] is not ticker]

    def abandon(self) -> None:
        self._closed = True


class MemoryStore(Store):
    """A store whose server is an object: several in one process behave like several processes.

    There is no thread: urgent reports take effect at once, regular exchanges when ``tick`` is called.

    Args:
        server: what the stores of one fleet have in common.
        namespace, sync_interval, quorum, shards, push: as for ``RedisStore``.
        clock: of this process; may differ from the server's.
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
            quorum=quorum,
            shards=shards,
            push=push,
            startup=startup,
        )
        self.server = server
        super().__init__(settings, clock=server.clock if clock is None else clock, random=random)

    def make_transport(self, ticker: Ticker) -> Transport:
        return MemoryTransport(self.server, self.settings, ticker, self.describe())

    def tick(self) -> float:
        """Do what is due now; return the seconds until something is due again."""
        self.open()
        return self.session.tick()
