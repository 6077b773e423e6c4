"""Makes the gates of shared circuits, for registries."""

from __future__ import annotations

from collections.abc import Callable

from cqrs.circuit_breaker.children import VetoedGate
from cqrs.circuit_breaker.fleet.gate import FleetGate
from cqrs.circuit_breaker.fleet.machine import SharedMachine
from cqrs.circuit_breaker.fleet.store import Store
from cqrs.circuit_breaker.fleet.wire import circuit_id
from cqrs.circuit_breaker.gate import Gate
from cqrs.circuit_breaker.listeners import ListenerHub
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.exceptions import ConfigurationTypeError


class SharedChildGate(VetoedGate, FleetGate):
    """A child that the fleet shares; its parent's veto, the fleet's included, comes first."""

    __slots__ = ("parent",)


def check_store(store: object) -> None:
    """Refuse what is no store."""
    if not isinstance(store, Store):
        raise ConfigurationTypeError(
            f"store must be a store, say RedisStore(url, namespace='shop'), got {store!r}"
        )


def shared_gate(
    store: Store,
    name: str,
    policy: CircuitBreakerPolicy,
    clock: Callable[[], float],
    random: Callable[[], float],
    hubs: tuple[ListenerHub, ...],
    parent: Gate | None,
) -> FleetGate:
    """Return the gate of a circuit that is shared through ``store``."""
    session, identity = store.session, circuit_id(name)
    machine = SharedMachine(name, policy, clock(), random, session.numbers)
    if parent is None:
        gate = FleetGate(machine, clock, hubs, session, identity)
    else:
        gate = SharedChildGate(machine, clock, hubs, session, identity)
        gate.parent = parent
    store.adopt(gate, hubs)
    return gate
