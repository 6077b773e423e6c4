"""A store of shared circuits that misbehaves when told to."""

from __future__ import annotations

import heapq
import itertools
import math
import random as random_module
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from cqrs.circuit_breaker.errors import StoreUnavailableError
from cqrs.circuit_breaker.fleet.memory import MemoryServer, MemoryStore, MemoryTransport
from cqrs.circuit_breaker.fleet.transport import Done, Message, Ticker, Transport
from cqrs.testing.chaos_faults import ActiveFault, check_count, check_seconds

OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'"


@dataclass(eq=False)
class StoreFault:
    """One fault; compared by identity, because the same fault may be set twice."""

    kind: Literal["latency", "drop_reply", "error", "partition"]
    seconds: float = 0.0
    remaining: int | None = None
    message: str = ""


class FaultyStore(MemoryStore):
    """A ``MemoryStore`` between which and its server things go wrong.

    A fault is in force when its method returns, and until the end of its ``with`` block, its ``heal()``, or
    ``store.heal()``, which ends all. Each store has its own: give two stores one ``server``, and one process
    suffers while the other does not.

    Args:
        server: what the stores of one fleet have in common; default: one of its own.
        clock: of this process and, by default, of that server; monotonic seconds.
        namespace, sync_interval, command_timeout, quorum, shards, push, startup, random: as for
            ``MemoryStore``.

    Raises:
        PolicyError: a setting is out of range.

    >>> from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers
    >>> from cqrs.testing import FakeClock
    >>> clock = FakeClock()
    >>> store = FaultyStore(clock=clock)
    >>> breakers = CircuitBreakers(CircuitBreakerPolicy.consecutive(1), store=store, clock=clock)
    >>> with store.partition():
    ...     print(breakers["payments"].call(abs, -1), store.health().last_error)
    1 FaultyStore 'test': the store cannot be reached
    """

    def __init__(
        self,
        server: MemoryServer | None = None,
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
        self._faults: list[StoreFault] = []
        self._lock_of_faults = threading.Lock()
        super().__init__(
            MemoryServer(time.monotonic if clock is None else clock) if server is None else server,
            namespace=namespace,
            sync_interval=sync_interval,
            command_timeout=command_timeout,
            quorum=quorum,
            shards=shards,
            push=push,
            startup=startup,
            clock=clock,
            random=random,
        )

    # ------------------------------------------------------------------ faults

    def latency(self, seconds: float) -> ActiveFault:
        """Have the server's answers and messages arrive later; what is asked for takes effect at once.

        An answer arrives in the first ``tick()`` after its time; an answer later than the request's timeout
        never does: the request fails in the first ``tick()`` after that.

        Args:
            seconds: on the clock of this process; finite and >= 0.

        Raises:
            TypeError: ``seconds`` is no number.
            ValueError: it is out of range.
        """
        check_seconds("seconds", seconds)
        return self._begin(StoreFault("latency", seconds=seconds))

    def drop_reply(self, count: int | None = None) -> ActiveFault:
        """Lose answers: what was asked for takes effect, and the request fails at once.

        Args:
            count: so many answers, >= 1; ``None``: all.

        Raises:
            TypeError: ``count`` is no whole number.
            ValueError: it is out of range.
        """
        if count is not None:
            check_count("count", count, at_least=1)
        return self._begin(StoreFault("drop_reply", remaining=count))

    def error(self, message: str = OUT_OF_MEMORY) -> ActiveFault:
        """Have the server refuse every request with ``message``; nothing takes effect."""
        return self._begin(StoreFault("error", message=message))

    def partition(self) -> ActiveFault:
        """Cut this process off: requests fail at once, and messages do not come.

        The first exchange after the end goes over a fresh connection.
        """
        return self._begin(StoreFault("partition"))

    def heal(self) -> None:
        """End all faults of this store."""
        with self._lock_of_faults:
            self._faults.clear()

    def reconnect(self) -> None:
        """Lose the connection; the next exchange goes over a fresh one."""
        transport = self.session.transport
        if isinstance(transport, FaultyTransport):
            transport.lost = True

    # ------------------------------------------------------------------ what happens to the server

    def flush(self) -> None:
        """Have the server lose everything, as after a restart without persistence."""
        self.server.flush()

    def snapshot(self) -> dict[str, Any]:
        """Return the state of the server, for ``rollback``."""
        return self.server.snapshot()

    def rollback(self, snapshot: dict[str, Any]) -> None:
        """Have the server go back to an earlier state, as a replica does that is promoted."""
        self.server.restore(snapshot)
        self.reconnect()

    # ------------------------------------------------------------------ for the transport

    def make_transport(self, ticker: Ticker) -> Transport:
        return FaultyTransport(self, ticker)

    def in_force(self, kind: str) -> StoreFault | None:
        """Return the fault of a kind that is in force: of several, the one set last."""
        with self._lock_of_faults:
            return next((fault for fault in reversed(self._faults) if fault.kind == kind), None)

    def drops_reply(self) -> bool:
        """Tell whether the answer to a request made now is lost, and count it."""
        with self._lock_of_faults:
            for fault in reversed(self._faults):
                if fault.kind == "drop_reply":
                    if fault.remaining is None:
                        return True
                    fault.remaining -= 1
                    if fault.remaining == 0:
                        self._faults.remove(fault)
                    return True
        return False

    def _begin(self, fault: StoreFault) -> ActiveFault:
        with self._lock_of_faults:
            self._faults.append(fault)
        return ActiveFault(lambda: self._end(fault))

    def _end(self, fault: StoreFault) -> None:
        with self._lock_of_faults:
            if fault in self._faults:
                self._faults.remove(fault)


class FaultyTransport(MemoryTransport):
    """Carries requests as well as the faults of its store let it."""

    def __init__(self, owner: FaultyStore, ticker: Ticker) -> None:
        self.owner = owner
        self.lost = False
        self._late: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        ear = Ear(self, ticker)
        super().__init__(owner.server, owner.settings, ear, owner.describe(), owner.session.clock)

    def submit(self, shard: int, request: Message, timeout: float, done: Done) -> None:
        owner = self.owner
        refusal = owner.in_force("error")
        if self.closed:
            super().submit(shard, request, timeout, done)
        elif owner.in_force("partition"):
            self.lost = True
            self._fail(done, "the store cannot be reached")
        elif refusal is not None:
            self._fail(done, refusal.message)
        else:
            if self.lost:
                self.lost = False
                self.ticker.connected()
            super().submit(shard, request, timeout, self._answer_to(timeout, done))

    def _answer_to(self, timeout: float, done: Done) -> Done:
        """Return what becomes of the answer to a request made now."""
        latency = self.owner.in_force("latency")
        seconds = 0.0 if latency is None else latency.seconds
        if self.owner.drops_reply():
            return lambda reply, error: self._fail(done, "the answer was lost")
        if not seconds:
            return done
        if seconds > timeout:
            late = f"no answer within {timeout:g} s"
            return lambda reply, error: self.later(timeout, lambda: self._fail(done, late))

        def deliver(reply: Message | None, error: Exception | None) -> None:
            if self.owner.in_force("partition"):
                self._fail(done, "the store cannot be reached")
            else:
                done(reply, error)

        return lambda reply, error: self.later(seconds, lambda: deliver(reply, error))

    def _fail(self, done: Done, why: str) -> None:
        done(None, StoreUnavailableError(self.store, why))

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something in the first tick after so many seconds."""
        with self._lock:
            heapq.heappush(self._late, (self.clock() + seconds, next(self._numbers), action))
            self.due = min(self.due, self._late[0][0])

    def round(self) -> float:
        while True:
            with self._lock:
                if not self._late or self._late[0][0] > self.clock():
                    break
                action = heapq.heappop(self._late)[2]
            action()
        left = super().round()
        with self._lock:
            late = self._late[0][0] - self.clock() if self._late else math.inf
        return max(0.0, min(left, late))

    def close(self, timeout: float) -> None:
        super().close(timeout)
        with self._lock:
            late, self._late = self._late, []
        for _, _, action in sorted(late, key=lambda entry: entry[:2]):
            action()


class Ear:
    """What a server tells a process, unless it cannot be heard."""

    def __init__(self, transport: FaultyTransport, ticker: Ticker) -> None:
        self._transport = transport
        self._ticker = ticker

    @property
    def node(self) -> str:
        return self._transport.owner.session.node

    def tick(self) -> float:
        return self._ticker.tick()

    def connected(self) -> None:
        self._ticker.connected()

    def message(self, payload: Message) -> None:
        owner = self._transport.owner
        latency = owner.in_force("latency")
        if owner.in_force("partition"):
            return
        if latency is None or not latency.seconds:
            self._ticker.message(payload)
        else:
            self._transport.later(latency.seconds, lambda: self._ticker.message(payload))
