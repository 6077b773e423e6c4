"""The circuit breaker as a middleware of service clients."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from cqrs.circuit_breaker import (
    CallFailed,
    CallRejected,
    CircuitBreakerPolicy,
    CircuitBreakers,
    CircuitEvent,
    State,
    StateChanged,
)
from cqrs.circuit_breaker.gate import Gate, Token
from cqrs.circuit_breaker.interruptions import ForkedLock
from cqrs.circuit_breaker.validation import is_async
from cqrs.exceptions import ConfigurationError, ConfigurationTypeError
from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout
from cqrs.http.outcomes import Outcomes, Settlement
from cqrs.http.typing import AsyncHandle, Listener, SyncHandle
from cqrs.http.wire import shown

if TYPE_CHECKING:
    from cqrs.circuit_breaker.fleet.store import Store
    from cqrs.http.metrics import PrometheusMetrics

logger = logging.getLogger(__name__)

Key: TypeAlias = Callable[[HTTPRequest, str, str], str]
"""Given the request, the name of the client and the path template, returns the name of the circuit."""

KEYS: dict[str, Key] = {
    "endpoint": lambda request, client_name, path: (
        f"{client_name} {shown(request.url_pattern.removesuffix(path))}"
    ),
    "route": lambda request, client_name, path: f"{client_name} {request.method} {path}",
}
"""By their short names."""


@dataclass(frozen=True, slots=True)
class CircuitCreated:
    """A circuit was made.

    Attributes:
        name: name of the circuit.
        policy: its policy.
    """

    name: str
    policy: CircuitBreakerPolicy


class _CircuitBreakerMiddleware:
    """One circuit per client: what the asynchronous and the synchronous middleware have in common.

    After ``threshold`` failures in a row, of whatever routes of the client, every call is rejected at once
    with ``CircuitOpenError`` for ``ttl`` seconds; then one probe decides. What counts: see ``Outcomes``.

    Args:
        threshold: failures in a row that open the circuit; >= 1.
        ttl: seconds that it stays open; > 0.
        listeners: functions that are told ``(circuit_name, event_name, event)``; none can fail a call. Events
            are ``"circuit_breaker_created"``, told at once by who makes the circuit; and, beside the calls so
            that none is delayed, ``"state_changed"``, ``"failed"``, ``"recovered"`` (it has closed again) and
            ``"rejected"``.
        uow: shares the circuits with all processes that use the same store: ``AsyncRedisUnitOfWork(url)``,
            ``SyncRedisUnitOfWork(url)`` or any other ``Store``. It is closed by who made it, or at exit.
        metrics: shows the circuits to Prometheus.
        policy: instead of ``threshold`` and ``ttl``: any policy. Its ``classify``, ``record``, ``ignore`` and
            ``record_result``, if given, come before what is said above; they see the ``HTTPResponse``.
        key: what has a circuit of its own: ``"client"``, ``"endpoint"`` (each instance of the service),
            ``"route"`` (method and path template), or a function of the request, the client's name and the
            path template that returns the circuit's name.
        breakers: the registry to use, instead of one made of ``policy`` and ``uow``.
        excluded_as, count: see ``Outcomes``.

    Raises:
        ConfigurationError: an argument is of the wrong kind, out of range, or at odds with another.
    """

    def __init__(
        self,
        threshold: int = 5,
        ttl: float = 30,
        listeners: Iterable[Listener] | None = None,
        uow: Store | None = None,
        metrics: PrometheusMetrics | None = None,
        *,
        policy: CircuitBreakerPolicy | None = None,
        key: Literal["client", "endpoint", "route"] | Key = "client",
        breakers: CircuitBreakers | None = None,
        excluded_as: Literal["ignored", "success"] = "ignored",
        count: Collection[int] = (),
    ) -> None:
        if breakers is None:
            chosen = CircuitBreakerPolicy.consecutive(threshold, ttl) if policy is None else policy
            breakers = CircuitBreakers(chosen, store=uow)
        elif policy is not None or uow is not None:
            raise ConfigurationError(
                "breakers has its policies and its store: give no policy and no uow beside it"
            )
        if not isinstance(breakers, CircuitBreakers):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"breakers must be a CircuitBreakers, not {breakers!r}")
        self.breakers = breakers
        self._outcomes = Outcomes(excluded_as=excluded_as, count=count)
        self._key = _key_of(key)
        self._listeners = _checked(listeners)
        self._announced: weakref.WeakSet[Gate] = weakref.WeakSet()
        self._lock = ForkedLock()
        for listener in self._listeners:
            breakers.add_listener(_adapted(listener))
        if metrics is not None:
            if not callable(getattr(metrics, "watch", None)):
                raise ConfigurationTypeError(f"metrics must be a PrometheusMetrics, not {metrics!r}")
            metrics.watch(breakers)

    def open_client(self, client_name: str) -> None:
        """Make the circuit of a client, so that it is seen before the first call."""
        if self._key is None:
            self._gate(client_name)

    def _gate(self, name: str) -> Gate:
        gate = self.breakers[name].gate
        if self._listeners and gate not in self._announced:
            with self._lock.mine():
                if gate in self._announced:
                    return gate
                self._announced.add(gate)
            created = CircuitCreated(name, gate.machine.policy)
            for listener in self._listeners:
                try:
                    listener(name, "circuit_breaker_created", created)
                except Exception:
                    logger.exception("listener %r failed", listener)
        return gate


class AsyncCircuitBreakerMiddleware(_CircuitBreakerMiddleware):
    __doc__ = _CircuitBreakerMiddleware.__doc__

    async def initialize(self) -> None:
        """Connect to the store, if there is one, and learn what the fleet knows; may be left out."""
        if (store := self.breakers.store) is not None:
            await store.astart()

    def __call__(self, call_next: AsyncHandle, /) -> AsyncHandle:
        """Return a handle guarded by the circuit of the client, or of the key."""
        key, outcomes = self._key, self._outcomes
        if key is not None:

            def keyed(request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout) -> Any:
                gate = self._gate(key(request, client_name, path))
                return guarded_async(gate, outcomes, call_next)(request, client_name, path, timeout)

            return keyed
        known: dict[str, AsyncHandle] = {}

        def handle(request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout) -> Any:
            guarded = known.get(client_name)
            if guarded is None:
                guarded = known[client_name] = guarded_async(self._gate(client_name), outcomes, call_next)
            return guarded(request, client_name, path, timeout)

        return handle


class SyncCircuitBreakerMiddleware(_CircuitBreakerMiddleware):
    __doc__ = _CircuitBreakerMiddleware.__doc__

    def initialize(self) -> None:
        """Connect to the store, if there is one, and learn what the fleet knows; may be left out."""
        if (store := self.breakers.store) is not None:
            store.start()

    def __call__(self, call_next: SyncHandle, /) -> SyncHandle:
        """Return a handle guarded by the circuit of the client, or of the key."""
        key, outcomes = self._key, self._outcomes
        known: dict[str, SyncHandle] = {}

        def handle(request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout) -> HTTPResponse:
            if key is not None:
                gate = self._gate(key(request, client_name, path))
                return guarded_sync(gate, outcomes, call_next)(request, client_name, path, timeout)
            guarded = known.get(client_name)
            if guarded is None:
                guarded = known[client_name] = guarded_sync(self._gate(client_name), outcomes, call_next)
            return guarded(request, client_name, path, timeout)

        return handle


def guarded_async(gate: Gate, outcomes: Outcomes, call_next: AsyncHandle) -> AsyncHandle:
    """Return ``call_next`` guarded by one circuit.

    A probe that the policy limits gets that much less time: the transport ends it, and it counts.
    """
    enter, machine = gate.enter, gate.quick_machine
    settlement = Settlement(gate, outcomes)

    async def guarded(
        request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout
    ) -> HTTPResponse:
        lane = machine.lane
        if lane is not None and lane.quick:  # what enter() does first, without the price of the call
            lane.admitted += 1
            token: Token = lane
        else:
            token = enter()
            if token.waits:
                token = await gate.complete_async(token)
            if token.limit is not None:
                timeout = timeout.within(token.limit)
        try:
            response = await call_next(request, client_name, path, timeout)
            good = response.status_code < 300  # in here: what is no answer must not keep the permit
        except BaseException as error:
            settlement.failed(token, error)
            raise
        lane = machine.lane
        if good and lane is not None and token is lane and lane.quick:
            lane.successes += 1
        else:
            settlement.answered(token, response.status_code, response.headers, response)
        return response

    return guarded


def guarded_sync(gate: Gate, outcomes: Outcomes, call_next: SyncHandle) -> SyncHandle:
    """Return ``call_next`` guarded by one circuit; see ``guarded_async``."""
    enter, machine = gate.enter, gate.quick_machine
    settlement = Settlement(gate, outcomes)

    def guarded(request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout) -> HTTPResponse:
        lane = machine.lane
        if lane is not None and lane.quick:
            lane.admitted += 1
            token: Token = lane
        else:
            token = enter()
            if token.waits:
                token = gate.complete(token)
            if token.limit is not None:
                timeout = timeout.within(token.limit)
        try:
            response = call_next(request, client_name, path, timeout)
            good = response.status_code < 300  # in here: what is no answer must not keep the permit
        except BaseException as error:
            settlement.failed(token, error)
            raise
        lane = machine.lane
        if good and lane is not None and token is lane and lane.quick:
            lane.successes += 1
        else:
            settlement.answered(token, response.status_code, response.headers, response)
        return response

    return guarded


def _key_of(key: object) -> Key | None:
    if key == "client":
        return None
    if isinstance(key, str) and key in KEYS:
        return KEYS[key]
    if callable(key):
        return cast("Key", key)
    known = ", ".join(repr(name) for name in ("client", *KEYS))
    raise ConfigurationError(
        f"key must be {known}, or a function (request, client_name, path) -> name, not {key!r}"
    )


def _checked(listeners: Iterable[Listener] | None) -> tuple[Listener, ...]:
    if listeners is not None and not isinstance(listeners, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationTypeError(f"listeners must be a list of listeners, not the one {listeners!r}")
    found = tuple(listeners or ())
    for listener in found:
        if not callable(listener):  # pyright: ignore[reportUnnecessaryComparison]
            raise ConfigurationTypeError(
                f"a listener is called as listener(name, event_name, event), not {listener!r}"
            )
        if is_async(listener):
            raise ConfigurationTypeError(
                f"listener {listener!r} is a coroutine function; nobody would await it. Use a function, and"
                " hand over to your event loop with loop.call_soon_threadsafe"
            )
    return found


def _adapted(listener: Listener) -> Callable[[CircuitEvent], object]:
    """Return a listener of a registry that passes on what this one is told."""

    def told(event: CircuitEvent) -> None:
        if isinstance(event, StateChanged):
            listener(event.name, "state_changed", event)
            if event.to_state is State.CLOSED:
                listener(event.name, "recovered", event)
        elif isinstance(event, CallFailed):
            listener(event.name, "failed", event)
        elif isinstance(event, CallRejected):
            listener(event.name, "rejected", event)

    return told
