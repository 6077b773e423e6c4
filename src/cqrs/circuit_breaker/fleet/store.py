"""What applications hold of a store: circuits are shared through it, and operators steer the fleet."""

from __future__ import annotations

import asyncio
import atexit
import os
import random as random_module
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self

from cqrs.circuit_breaker import validation
from cqrs.circuit_breaker.errors import StoreError, StoreUnavailableError
from cqrs.circuit_breaker.fleet.farewell import farewells
from cqrs.circuit_breaker.fleet.gate import FleetGate
from cqrs.circuit_breaker.fleet.orders import Orders, into
from cqrs.circuit_breaker.fleet.session import Session
from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.circuit_breaker.fleet.transport import Message, Ticker, Transport
from cqrs.circuit_breaker.interruptions import ForkedLock
from cqrs.circuit_breaker.listeners import ListenerHub


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """How a process stands with its store.

    Attributes:
        namespace: namespace of the store.
        node: id of this process in the fleet.
        started: whether exchanges take place.
        degraded: the store has not answered for too long; this process decides for itself.
        age: seconds since the last exchange that was answered.
        living: living processes of the fleet, as last counted.
        circuits: shared circuits of this process.
        last_error: what failed last, ``""`` if nothing did since the last answer.
    """

    namespace: str
    node: str
    started: bool
    degraded: bool
    age: float
    living: int
    circuits: int
    last_error: str


class Store(Orders):
    """Base of all stores. One serves any number of circuits, sync and async, and has one thread at most.

    Use it with ``CircuitBreakers(policy, store=store)``. It starts with the first circuit; ``start`` or
    ``astart`` before the first request makes sure that this process already knows what the fleet knows.
    """

    def __init__(
        self,
        settings: StoreSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        validation.clock_and_random(clock, random)
        self.settings = settings
        self.session = Session(settings, clock, random)
        self._lock = ForkedLock()
        self._closed = False
        self._exit_hook: Callable[[], None] | None = None
        _stores.add(self)

    def make_transport(self, ticker: Ticker) -> Transport:
        """Return a way to the coordinator; called at the first use, in a forked child, and after a close."""
        raise NotImplementedError

    def describe(self) -> str:
        """Return which store this is, for errors; without a password."""
        return f"{type(self).__name__} {self.settings.namespace!r}"

    # ------------------------------------------------------------------ for registries

    def open(self) -> None:
        """Begin to exchange, unless that has happened."""
        with self._lock.mine():
            session = self.session
            if session.transport is None and not self._closed:
                session.transport = self.make_transport(session)
                session.answered_at = session.next_sync = session.clock()  # there was nobody to answer
                session.transport.wake()
                if self._exit_hook is None:
                    self._exit_hook = _close_at_exit(self)

    def adopt(self, gate: FleetGate, hubs: tuple[ListenerHub, ...]) -> None:
        """Share a circuit."""
        self.session.add(gate, hubs)
        if self.session.transport is None:
            self.open()

    # ------------------------------------------------------------------ life

    def start(self, timeout: float | timedelta | None = None) -> bool:
        """Wait until the store has answered once; from then on no circuit is blind for what happened before.

        Args:
            timeout: seconds; > 0; ``None``: what the settings grant a connection and an exchange.

        Returns:
            Whether it has answered. With ``startup="fail"`` always true.

        Raises:
            StoreUnavailableError: it has not, and ``startup`` is ``"fail"``.
        """
        settings = self.settings
        usual = settings.connect_timeout + 2 * settings.sync_timeout
        seconds = usual if timeout is None else validation.seconds("timeout", timeout)
        self._closed = False
        self.open()
        self.session.wake()  # it may have been tried before, in vain
        if self.session.heard.wait(seconds):
            return True
        if settings.startup == "fail":
            raise StoreUnavailableError(self.describe(), self.session.last_error)
        return False

    async def astart(self, timeout: float | timedelta | None = None) -> bool:
        """Like ``start``, without blocking the event loop."""
        return await asyncio.to_thread(self.start, timeout)

    def close(self, timeout: float = 1.0) -> None:
        """Give permits back, say goodbye and stop; circuits go on alone. ``start`` begins anew.

        Args:
            timeout: seconds that this may take at most.
        """
        with self._lock.mine():
            self._closed = True
            transport, self.session.transport = self.session.transport, None
            if self._exit_hook is not None:
                atexit.unregister(self._exit_hook)
                self._exit_hook = None
        if transport is None:
            return
        deadline = time.monotonic() + timeout
        waiting: list[Future[Message]] = []
        for shard, request in farewells(self.session):
            answer: Future[Message] = Future()
            transport.submit(shard, request, self.settings.sync_timeout, into(answer))
            waiting.append(answer)
        for answer in waiting:
            try:
                answer.result(max(0.0, deadline - time.monotonic()))
            except (StoreError, FutureTimeout):
                pass  # leases and reports run out by themselves
        transport.close(max(0.1, deadline - time.monotonic()))
        self.session.left()

    async def aclose(self, timeout: float = 1.0) -> None:
        """Like ``close``, without blocking the event loop."""
        await asyncio.to_thread(self.close, timeout)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await self.astart()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def health(self) -> StoreHealth:
        """Return how this process stands with the store."""
        session = self.session
        started, age = session.transport is not None, max(0.0, session.clock() - session.answered_at)
        # A process that was suspended may be asked before its thread has noticed.
        stale = started and age > self.settings.max_staleness
        return StoreHealth(
            namespace=self.settings.namespace,
            node=session.node,
            started=started,
            degraded=session.degraded or stale,
            age=age,
            living=max(shard.living for shard in session.shards),
            circuits=len(session.gates),
            last_error=session.last_error,
        )

    # ------------------------------------------------------------------ forks

    def forked(self) -> None:
        """Begin anew in a child process: another member, with connections of its own (F8)."""
        transport = self.session.transport
        self._exit_hook = None  # the parent's does nothing here
        self.session.renew()
        if transport is not None:
            transport.abandon()
            self.open()

    def __repr__(self) -> str:
        return f"<{self.describe()}>"


_stores: weakref.WeakSet[Store] = weakref.WeakSet()


def _renew_all() -> None:
    for store in list(_stores):
        store.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)


def _close_at_exit(store: Store) -> Callable[[], None]:
    """Close a store that is in use when the interpreter exits, and keep it until then.

    Its thread works on when the application has let go of it; a weak reference would find it gone at the end
    of a ``main()`` whose locals have gone, and nobody would give permits back.
    """
    pid = os.getpid()

    def close() -> None:
        if os.getpid() == pid:
            store.close(0.2)

    atexit.register(close)
    return close
