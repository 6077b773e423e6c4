"""A transport with a fake session behind it, whose calls a test waits for."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.circuit_breaker.redis.clients import source
from cqrs.circuit_breaker.redis.transport import RedisTransport
from tests.integration.redis.support import RULES

PATIENCE = 10.0
"""Seconds after which a test gives up; no test waits that long when all is well."""

_numbers = itertools.count(1)


class FakeTicker:
    """Counts what a transport calls; by itself, it does not want to be called again for an hour."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.ticks = 0
        self.connections = 0
        self.messages: list[dict[str, Any]] = []
        self.pauses: Iterator[float] = iter(())
        self.at_tick: Callable[[], object] = lambda: None
        self.threads: set[str] = set()

    def tick(self) -> float:
        self.at_tick()
        with self.changed:
            self.ticks += 1
            self.threads.add(threading.current_thread().name)
            self.changed.notify_all()
        return next(self.pauses, 3600.0)

    def connected(self) -> None:
        with self.changed:
            self.connections += 1
            self.changed.notify_all()

    def message(self, payload: dict[str, Any]) -> None:
        with self.changed:
            self.messages.append(payload)
            self.changed.notify_all()

    def wait(self, reached: Callable[[], bool]) -> None:
        """Wait until the counts say so."""
        with self.changed:
            assert self.changed.wait_for(reached, PATIENCE), vars(self)


def request(*ops: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a request of a node that is alive and knows nothing."""
    known = {"node": "a", "inc": f"i{next(_numbers)}", "beat": 1, "stale_us": 3_250_000, "seen": ["", 0]}
    return known | {"full": 0, "bye": 0, "rules": [RULES], "ops": list(ops)} | fields


def operation(kind: str, circuit: str = "pay", **fields: Any) -> dict[str, Any]:
    """Return an operation of a node that knows nothing of the circuit."""
    return {"op": kind, "id": circuit, "name": circuit, "seen": ["", 0], "rules": 0, "rnd": 0.0} | fields


def override(mode: str = "forced_open", circuit: str = "pay") -> dict[str, Any]:
    """Return an override without end."""
    return operation("override", circuit, mode=mode, ttl_us=-1, by="ann", why="test")


class Link:
    """A transport and its ticker.

    Args:
        target: where the server is, as a ``RedisStore`` takes it.
        settings: of the store; a namespace of its own and no push unless given.
    """

    def __init__(self, target: Any, **settings: Any) -> None:
        given = {"namespace": f"t{next(_numbers)}-{time.monotonic_ns()}", "push": False} | settings
        self.settings = StoreSettings(**given)
        self.ticker = FakeTicker()
        self.source = source(target, self.settings.connect_timeout)
        self.transport = RedisTransport(self.source, self.settings, self.ticker, "the store")

    def submit(
        self, message: dict[str, Any], timeout: float = PATIENCE, shard: int = 0
    ) -> Future[dict[str, Any]]:
        """Send a request; the future fails if it is told its end twice."""
        answer: Future[dict[str, Any]] = Future()

        def done(reply: dict[str, Any] | None, error: Exception | None) -> None:
            if error is None:
                assert reply is not None
                answer.set_result(reply)
            else:
                assert reply is None
                answer.set_exception(error)

        self.transport.submit(shard, message, timeout, done)
        return answer

    def ask(self, *ops: dict[str, Any], timeout: float = PATIENCE, **fields: Any) -> dict[str, Any]:
        """Send a request and return the reply."""
        return self.submit(request(*ops, **fields), timeout).result(2 * PATIENCE)

    def fails(self, *ops: dict[str, Any], timeout: float = PATIENCE) -> str:
        """Send a request that must fail; returns what the error says."""
        error = self.submit(request(*ops), timeout).exception(2 * PATIENCE)
        assert error is not None
        assert type(error).__name__ == "StoreUnavailableError"
        return str(error)


@contextmanager
def link(target: Any, **settings: Any) -> Iterator[Link]:
    """Run a transport for the length of a block."""
    made = Link(target, **settings)
    try:
        yield made
    finally:
        made.transport.close(PATIENCE)
