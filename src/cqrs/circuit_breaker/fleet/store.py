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
from typing import Any, Self

from cqrs.circuit_breaker import validation
from cqrs.circuit_breaker.errors import StoreError, StoreUnavailableError
from cqrs.circuit_breaker.fleet import wire
from cqrs.circuit_breaker.fleet.gate import FleetGate
from cqrs.circuit_breaker.fleet.session import Session
from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.circuit_breaker.fleet.shard import Shard
from cqrs.circuit_breaker.fleet.transport import Message, Ticker, Transport
from cqrs.circuit_breaker.fleet.view import FleetView
from cqrs.circuit_breaker.interruptions import ForkedLock
from cqrs.circuit_breaker.listeners import ListenerHub
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.circuit_breaker.states import Mode
from cqrs.exceptions import ConfigurationTypeError


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


class Store:
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
                    self._exit_hook = _close_at_exit(weakref.ref(self))

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
        if transport is None:
            return
        deadline = time.monotonic() + timeout
        waiting: list[Future[Message]] = []
        for shard, request in self.session.farewells():
            answer: Future[Message] = Future()
            transport.submit(shard, request, self.settings.sync_timeout, _into(answer))
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
        return StoreHealth(
            namespace=self.settings.namespace,
            node=session.node,
            started=session.transport is not None,
            degraded=session.degraded,
            age=max(0.0, session.clock() - session.answered_at),
            living=max(shard.living for shard in session.shards),
            circuits=len(session.gates),
            last_error=session.last_error,
        )

    # ------------------------------------------------------------------ steering the fleet (F11)

    def override(
        self,
        name: str | None,
        mode: Mode,
        policy: CircuitBreakerPolicy,
        *,
        ttl: float | timedelta | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Put a mode in force in all processes; see ``CircuitBreakers.override``."""
        self._wait(self._override(name, mode, policy, ttl, actor, reason))

    async def aoverride(
        self,
        name: str | None,
        mode: Mode,
        policy: CircuitBreakerPolicy,
        *,
        ttl: float | timedelta | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Like ``override``, without blocking the event loop."""
        await self._wait_async(self._override(name, mode, policy, ttl, actor, reason))

    def _override(
        self,
        name: str | None,
        mode: Mode,
        policy: CircuitBreakerPolicy,
        ttl: float | timedelta | None,
        actor: str | None,
        reason: str | None,
    ) -> list[Future[Message]]:
        if not isinstance(mode, Mode):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"mode must be one of {', '.join(map(str, Mode))}, got {mode!r}")
        lasts = -1 if ttl is None else wire.microseconds(validation.seconds("ttl", ttl))
        return self._order(
            name, policy, op="override", mode=mode.value, ttl_us=lasts, by=actor or "", why=reason or ""
        )

    def clear_override(
        self,
        name: str | None,
        policy: CircuitBreakerPolicy,
        *,
        actor: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Take the fleet's override of a circuit (or of all, ``None``) back."""
        self._wait(self._clear(name, policy, actor, reason))

    async def aclear_override(
        self,
        name: str | None,
        policy: CircuitBreakerPolicy,
        *,
        actor: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Like ``clear_override``, without blocking the event loop."""
        await self._wait_async(self._clear(name, policy, actor, reason))

    def _clear(
        self, name: str | None, policy: CircuitBreakerPolicy, actor: str | None, reason: str | None
    ) -> list[Future[Message]]:
        return self._order(name, policy, op="override", mode="", ttl_us=-1, by=actor or "", why=reason or "")

    def reset(self, name: str, policy: CircuitBreakerPolicy) -> None:
        """Close a circuit in all processes and forget its past openings."""
        self._wait(self._order(name, policy, op="reset"))

    async def areset(self, name: str, policy: CircuitBreakerPolicy) -> None:
        """Like ``reset``, without blocking the event loop."""
        await self._wait_async(self._order(name, policy, op="reset"))

    def view(self, name: str, policy: CircuitBreakerPolicy) -> FleetView:
        """Ask the store what the fleet's side of a circuit is at this moment.

        Raises:
            StoreUnavailableError: the store does not answer.
            StoreError: it cannot keep the circuit.
        """
        (reply,) = self._wait(self._order(name, policy, op="view"))
        return FleetView.of(reply["results"][0]["view"], reply["inc"], self.session.clock())

    def _order(self, name: str | None, policy: CircuitBreakerPolicy, **fields: Any) -> list[Future[Message]]:
        """Send an operation on one circuit, or on all: then to every shard."""
        self.open()
        session, settings = self.session, self.settings
        identity = wire.EVERYWHERE if name is None else wire.circuit_id(name)
        if name is None:
            shards = session.shards
        else:
            shards = [session.shards[wire.shard_of(identity, settings.shards)]]
        return [self._submit(shard, identity, name or "all circuits", policy, fields) for shard in shards]

    def _submit(
        self, shard: Shard, identity: str, name: str, policy: CircuitBreakerPolicy, fields: dict[str, Any]
    ) -> Future[Message]:
        session = self.session
        request = session.request(shard)
        known = shard.views.get(identity)
        seen = ["", 0] if known is None else list(known.seen)
        operation = {"id": identity, "name": name, "seen": seen, "rnd": session.random(), **fields}
        wire.add(request, operation, wire.rules_of(policy, self.settings))
        answer: Future[Message] = Future()
        transport = session.transport
        if transport is None:
            answer.set_exception(StoreUnavailableError(self.describe(), "it was closed"))
            return answer

        def done(reply: Message | None, error: Exception | None) -> None:
            if reply is not None:
                (result,) = reply["results"]
                if "err" in result:
                    error = StoreError(f"{self.describe()}: circuit {name!r}: {result['err']}")
                else:
                    session.take_view(shard, reply, result["view"])
            _into(answer)(None if error is not None else reply, error)

        settings = self.settings
        transport.submit(shard.number, request, settings.connect_timeout + settings.sync_timeout, done)
        return answer

    def _wait(self, answers: list[Future[Message]]) -> list[Message]:
        limit = 2 * (self.settings.connect_timeout + self.settings.sync_timeout)
        return [answer.result(limit) for answer in answers]

    @staticmethod
    async def _wait_async(answers: list[Future[Message]]) -> list[Message]:
        return list(await asyncio.gather(*map(asyncio.wrap_future, answers)))

    # ------------------------------------------------------------------ forks

    def forked(self) -> None:
        """Begin anew in a child process: another member, with connections of its own (F8)."""
        transport = self.session.transport
        self.session.renew()
        if transport is not None:
            transport.abandon()
            self.open()

    def __repr__(self) -> str:
        return f"<{self.describe()}>"


def _into(answer: Future[Message]) -> Callable[[Message | None, Exception | None], None]:
    def done(reply: Message | None, error: Exception | None) -> None:
        if answer.done():
            return
        if reply is not None:
            answer.set_result(reply)
        else:
            answer.set_exception(error or StoreError("no answer"))

    return done


_stores: weakref.WeakSet[Store] = weakref.WeakSet()


def _renew_all() -> None:
    for store in list(_stores):
        store.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)


def _close_at_exit(store: weakref.ref[Store]) -> Callable[[], None]:
    pid = os.getpid()

    def close() -> None:
        known = store()
        if known is not None and os.getpid() == pid:
            known.close(0.2)

    atexit.register(close)
    return close
