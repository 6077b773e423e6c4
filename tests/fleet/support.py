"""Policies, calls and looks at the store for the tests of fleets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cqrs.circuit_breaker import CircuitBreaker, CircuitBreakerPolicy, CircuitOpenError, Ramp, TimeWindow
from cqrs.circuit_breaker.fleet import wire
from cqrs.circuit_breaker.fleet.coordinator import Coordinator
from cqrs.circuit_breaker.fleet.coordinator.records import Record
from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.testing import Fleet, FleetNode, MemoryServer

NAME = "payments"
SPREAD = 0.051
"""Seconds after which whatever the nodes spread at random has happened."""


class Boom(Exception):
    """The dependency failed."""


def row_policy(threshold: int = 3, ttl: float = 10.0, **fields: Any) -> CircuitBreakerPolicy:
    """Failures in a row; one probe."""
    return CircuitBreakerPolicy.consecutive(threshold, ttl, **fields)


def rate_policy(minimum: int = 4, **fields: Any) -> CircuitBreakerPolicy:
    """Half of at least so many calls in 10 s; waits 10 s; three probes, one at a time; no ramp."""
    defaults: dict[str, Any] = {
        "sliding_window": TimeWindow(10.0, buckets=5),
        "minimum_number_of_calls": minimum,
        "wait_duration_in_open": 10.0,
        "recovery_ramp": None,
    }
    return CircuitBreakerPolicy(**(defaults | fields))


def ramp_policy(minimum: int = 4, duration: float = 10.0, initial: float = 0.1) -> CircuitBreakerPolicy:
    """The same with one probe and a ramp."""
    ramp = Ramp(duration, initial)
    return rate_policy(minimum, permitted_calls_in_half_open=1, recovery_ramp=ramp)


def circuit(node: FleetNode, name: str = NAME) -> CircuitBreaker:
    return node.breakers[name]


def fail(node: FleetNode, times: int = 1, name: str = NAME) -> None:
    """Make failing calls; each must be admitted."""
    for _ in range(times):
        assert attempt(node, Boom(), name) == "failed"


def succeed(node: FleetNode, times: int = 1, name: str = NAME) -> None:
    """Make successful calls; each must be admitted."""
    for _ in range(times):
        assert attempt(node, None, name) == "ok"


def attempt(node: FleetNode, error: Exception | None = None, name: str = NAME) -> str:
    """Make a call: ``"ok"``, ``"failed"`` with its own error, or ``"rejected"``; nothing else may happen."""

    def call() -> str:
        if error is not None:
            raise error
        return "ok"

    try:
        return node.breakers[name].call(call)
    except CircuitOpenError:
        return "rejected"
    except Exception as raised:
        if raised is not error:
            raise
        return "failed"


def rejection(node: FleetNode, name: str = NAME) -> CircuitOpenError:
    """Return the error of a call that must be rejected."""
    try:
        node.breakers[name].call(lambda: None)
    except CircuitOpenError as error:
        return error
    raise AssertionError("the call was admitted")


def touch(fleet: Fleet, name: str = NAME) -> None:
    """Make the circuit in every node."""
    for node in fleet.living():
        assert circuit(node, name).name == name


def opened(fleet: Fleet, name: str = NAME) -> Fleet:
    """Open the circuit in the whole fleet, by failures of all nodes in turn."""
    touch(fleet, name)
    for _ in range(50):
        for node in fleet.living():
            attempt(node, Boom(), name)
        if record(fleet, name).st == "open":
            break
        fleet.advance(0.01)
    fleet.advance(1.2)
    assert fleet.states(name) == ["open"] * len(fleet.living()), fleet.states(name)
    return fleet


def half_opened(fleet: Fleet, name: str = NAME) -> Fleet:
    """Open it, and wait until probes may be asked for; nobody has."""
    opened(fleet, name)
    until = record(fleet, name).until / 1e6
    fleet.advance(max(0.0, until - fleet.server.clock()))
    return fleet


def probing(fleet: Fleet, node: int = 0, name: str = NAME) -> Any:
    """Have a node hold a probe of a circuit that is open so far; return the permit."""
    half_opened(fleet, name)
    return acquired(fleet, node, name)


def acquired(fleet: Fleet, node: int = 0, name: str = NAME) -> Any:
    """Acquire a permit, asking again for a while."""
    for _ in range(4):
        permit = circuit(fleet.nodes[node], name).try_acquire()
        if permit is not None:
            return permit
        fleet.advance(SPREAD)
    raise AssertionError("no permit was granted")


def until(fleet: Fleet, condition: Callable[[], object], within: float, step: float = 0.05) -> float:
    """Advance until a condition holds; return the seconds that took."""
    begin = fleet.clock()
    while not condition():
        assert fleet.clock() - begin <= within + 1e-6, f"not within {within} s"
        fleet.advance(step)
    return fleet.clock() - begin


# ---------------------------------------------------------------------- the store's truth


def coordinator(server: MemoryServer, name: str = NAME, shards: int = 1) -> Coordinator:
    """Return the coordinator that keeps a circuit."""
    settings = StoreSettings(namespace="test", shards=shards)
    prefix = settings.prefix(wire.shard_of(wire.circuit_id(name), shards))
    return server.coordinators.setdefault(prefix, Coordinator())


def record(fleet: Fleet, name: str = NAME) -> Record:
    """Return what the store keeps of a circuit; of an unknown one, what it would begin with."""
    stored = coordinator(fleet.server, name, fleet.shards).circuits.get(wire.circuit_id(name))
    return Record() if stored is None else stored


def live_permits(fleet: Fleet, name: str = NAME) -> int:
    """Return how many permits the store holds that have not expired."""
    scores = coordinator(fleet.server, name, fleet.shards).permits.get(wire.circuit_id(name))
    now = round(fleet.server.clock() * 1e6)
    return 0 if scores is None else sum(expiry > now for expiry, _ in scores.order)
