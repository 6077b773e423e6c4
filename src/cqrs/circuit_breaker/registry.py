"""Circuits by key: made on first use, dropped when idle, one policy for all or one each."""

from __future__ import annotations

import itertools
import logging
import random as random_module
import time
import weakref
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar, cast

from cqrs.circuit_breaker import validation
from cqrs.circuit_breaker.breaker import CircuitBreaker, check_policy
from cqrs.circuit_breaker.children import ChildGate, VetoedGate
from cqrs.circuit_breaker.errors import CircuitOpenError
from cqrs.circuit_breaker.gate import Gate
from cqrs.circuit_breaker.interruptions import ForkedLock
from cqrs.circuit_breaker.listeners import Listener, ListenerHub
from cqrs.circuit_breaker.machine import Machine
from cqrs.circuit_breaker.phases import Lane
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.circuit_breaker.protocol import circuit_name
from cqrs.circuit_breaker.report import snapshot
from cqrs.circuit_breaker.steering import Steering
from cqrs.exceptions import ConfigurationError, ConfigurationTypeError

if TYPE_CHECKING:
    from cqrs.circuit_breaker.fleet.store import Store

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class CircuitBreakers(Steering):
    """A registry of circuits that also guards handlers (it implements ``ICircuitBreaker``).

    Args:
        policy: policy of circuits that have none of their own; the default one when ``None``.
        policies: policies by circuit name or handler class.
        idle_ttl: seconds without a call after which a closed circuit may be dropped; > 0.
        max_circuits: circuits kept at most; >= 1. Beyond it the longest idle closed ones go; an open,
            half-open or overridden circuit, or one with running calls, is never dropped.
        clock, random: as for ``CircuitBreaker``.
        listeners: told the events of all circuits.
        store: shares the circuits with all processes that use the same store; ``None``: this process alone.

    Raises:
        ConfigurationError: an argument is of the wrong kind or out of range.

    >>> breakers = CircuitBreakers(CircuitBreakerPolicy.consecutive(threshold=3))
    >>> breakers["payments"] is breakers["payments"]
    True
    """

    ignores_resolution_errors: ClassVar[bool] = True
    """See ``IGuardingCircuitBreaker``: no rule of a policy is even asked about them."""

    def __init__(
        self,
        policy: CircuitBreakerPolicy | None = None,
        *,
        policies: Mapping[type[Any] | str, CircuitBreakerPolicy] | None = None,
        idle_ttl: float = 900.0,
        max_circuits: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random_module.random,
        listeners: Iterable[Listener] = (),
        store: Store | None = None,
    ) -> None:
        if store is not None:
            from cqrs.circuit_breaker.fleet.circuits import (
                check_store,  # costs nothing while nothing is shared
            )

            check_store(store)
        self._store = store
        validation.clock_and_random(clock, random)
        self._policy = CircuitBreakerPolicy() if policy is None else check_policy(policy)
        self._policies = _checked_policies(policies or {})
        self._idle_ttl = validation.seconds("idle_ttl", idle_ttl)
        self._max_circuits = validation.count("max_circuits", max_circuits)
        self._clock = clock
        self._random = random
        self._hub = ListenerHub(listeners)
        self._hubs = (self._hub,)
        if store is not None:
            store.session.announcements.listen(self._hubs)  # it may be lost before there is a circuit
        self._lock = ForkedLock()
        self._entries: dict[str, CircuitBreaker] = {}
        self._to_look_at: list[str] = []
        self._warned = False

    def __getitem__(self, name: type[Any] | str) -> CircuitBreaker:
        """Return the circuit of a name or handler class; made on first use."""
        key = name if isinstance(name, str) else circuit_name(name)
        breaker = self._entries.get(key)
        return breaker if breaker is not None else self._make(key, None)

    def key(self, parent: type[Any] | str, child: object) -> CircuitBreaker:
        """Return the circuit ``"parent:child"``, say one per tenant of a dependency.

        It has the parent's policy unless it has one of its own, and rejects while the parent is open or
        forced open (``source`` of the rejection is ``"parent"``). Its calls do not count for the parent.
        """
        parent_name = circuit_name(parent)
        name = f"{parent_name}:{child}"
        breaker = self._entries.get(name) or self._make(name, parent_name)
        gate = breaker.gate
        if not isinstance(gate, VetoedGate) or gate.parent.machine.name != parent_name:
            raise ConfigurationError(
                f"circuit {name!r} exists already, but not as a child of {parent_name!r}: use key() for it"
                " from the start, and no ':' that makes two pairs of names one"
            )
        return breaker

    def get(self, name: type[Any] | str) -> CircuitBreaker | None:
        """Return the circuit of a name or handler class if there is one."""
        return self._entries.get(circuit_name(name))

    def __bool__(self) -> bool:
        return True  # also while it is empty: ``if circuit_breaker:`` asks whether there is one

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        with self._lock.mine():
            return iter(list(self._entries))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, (type, str)) and circuit_name(name) in self._entries

    # ------------------------------------------------------------------ ICircuitBreaker

    async def call(
        self, identifier: type[Any] | str, func: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Await ``func(*args, **kwargs)`` through the circuit of ``identifier``.

        Raises:
            CircuitOpenError: the circuit does not let the call through.
        """
        result: R = await self[identifier].call(func, *args, **kwargs)
        return result

    def guard(self, identifier: type[Any] | str, func: F) -> F:
        """Return ``func`` guarded by the circuit of ``identifier``; same kind, same signature."""
        return self[identifier](func)

    def is_circuit_breaker_error(self, exc: Exception) -> bool:
        """Tell whether ``exc`` is a rejection."""
        return isinstance(exc, CircuitOpenError)

    # ------------------------------------------------------------------ steering; more of it in Steering

    def policy_for(self, name: type[Any] | str) -> CircuitBreakerPolicy:
        """Return the policy of a circuit, made already or not."""
        key = circuit_name(name)
        known = self._entries.get(key)
        return (self._policies.get(key) or self._policy) if known is None else known.policy

    def reload(self, policy: CircuitBreakerPolicy, name: type[Any] | str | None = None) -> None:
        """Replace the policy of one circuit, or of all without one of their own."""
        checked = check_policy(policy)
        with self._lock.mine():
            if name is not None:
                self._policies[circuit_name(name)] = checked
            else:
                self._policy = checked
            circuits = list(self._entries.values())
        for breaker in circuits:
            wanted = self._policy_of(breaker)
            if wanted != breaker.policy:
                breaker.reload(wanted)

    def add_listener(self, listener: Listener, *, inline: bool = False, calls: bool = True) -> None:
        """Tell ``listener`` the events of all circuits; see ``CircuitBreaker.add_listener``."""
        self._hub.add(listener, inline=inline, calls=calls)

    def remove_listener(self, listener: Listener) -> None:
        """Stop telling ``listener``."""
        self._hub.remove(listener)

    def flush_listeners(self, timeout: float = 5.0) -> bool:
        """Wait until listeners have been told everything; ``False`` after ``timeout`` seconds."""
        return self._hub.flush(timeout)

    # ------------------------------------------------------------------ making and dropping

    def sweep(self) -> int:
        """Drop every circuit that is idle beyond ``idle_ttl``; return their number.

        Making a circuit sweeps a little as well; there is no timer.
        """
        with self._lock.mine():
            return sum(self._look(name) for name in list(self._entries))

    def _make(self, name: str, parent: str | None) -> CircuitBreaker:
        with self._lock.mine():
            known = self._entries.get(name)
            if known is not None:
                return known
            circuit_name(name)  # refuses an empty one
            now = self._clock()
            gate = self._new_gate(name, parent, now)
            self._look_on()
            if len(self._entries) >= self._max_circuits:
                self._make_room()
            gate.seen_activity = _activity(gate.machine)
            gate.used_after = gate.used_before = gate.looked_at = now
            breaker = self._entries[name] = CircuitBreaker.around(gate)
            return breaker

    def _new_gate(self, name: str, parent: str | None, now: float) -> Gate:
        own = self._policies.get(name) or self._policies.get(parent or "") or self._policy
        above = None if parent is None else self[parent].gate
        if self._store is not None:
            from cqrs.circuit_breaker.fleet.circuits import shared_gate

            return shared_gate(self._store, name, own, self._clock, self._random, self._hubs, above)
        machine = Machine(name, own, now, self._random)
        if above is None:
            return Gate(machine, self._clock, self._hubs)
        child = ChildGate(machine, self._clock, self._hubs)
        child.parent = above
        return child

    def _policy_of(self, breaker: CircuitBreaker) -> CircuitBreakerPolicy:
        gate = breaker.gate
        own = self._policies.get(breaker.name)
        if own is None and isinstance(gate, VetoedGate):
            own = self._policies.get(gate.parent.machine.name)
        return own or self._policy

    def _look(self, name: str) -> bool:
        """Note whether a circuit was used since the last look; drop it when idle too long."""
        breaker = self._entries.get(name)
        if breaker is None:
            return False
        gate, now = breaker.gate, self._clock()
        activity = _activity(gate.machine)
        if activity != gate.seen_activity:
            gate.used_after, gate.used_before, gate.seen_activity = gate.looked_at, now, activity
        gate.looked_at = now
        idle = now - gate.used_before > self._idle_ttl and _forgettable(gate, now)
        del breaker, gate  # or it would seem to be held
        return idle and self._drop(name)

    def _look_on(self) -> None:
        """Look at the next two circuits, so that all have their turn as circuits are made."""
        for _ in range(2):
            if not self._to_look_at:
                self._to_look_at = list(self._entries)
            if self._to_look_at:
                self._look(self._to_look_at.pop())

    def _make_room(self) -> None:
        """Drop the longest unused of a few circuits that has nothing to remember; after 8 tries make do."""
        for _ in range(8):
            sample = list(itertools.islice(self._entries, 32))
            if any([self._look(name) for name in sample]):  # noqa: C419  (all are looked at)
                return
            for name in sorted(sample, key=lambda name: self._entries[name].gate.used_after):
                if _forgettable(self._entries[name].gate, self._clock()) and self._drop(name):
                    return
                self._entries[name] = self._entries.pop(name)  # to the end: others have their turn
        if not self._warned:
            self._warned = True
            logger.warning(
                "more than max_circuits=%d circuits: the others are open or in use", self._max_circuits
            )

    def _drop(self, name: str) -> bool:
        """Let go of a circuit, unless somebody else holds it: there is never a second one of a name."""
        breaker = weakref.ref(self._entries[name])
        gate = weakref.ref(self._entries.pop(name).gate)
        held, held_gate = breaker(), gate()
        if held_gate is None:
            return True
        self._entries[name] = CircuitBreaker.around(held_gate) if held is None else held
        return False


def _checked_policies(policies: object) -> dict[str, CircuitBreakerPolicy]:
    if not isinstance(policies, Mapping):
        raise ConfigurationTypeError(f"policies must map circuit names to policies, got {policies!r}")
    given = cast("Mapping[type[Any] | str, CircuitBreakerPolicy]", policies)
    return {circuit_name(name): check_policy(own) for name, own in given.items()}


def _activity(machine: Machine) -> int:
    """A number that grows with every call."""
    phase = machine.phase
    running = phase.admitted if isinstance(phase, Lane) else 0
    return machine.totals.admitted + running + machine.totals.rejected + phase.era


def _forgettable(gate: Gate, now: float) -> bool:
    """Whether a fresh circuit would behave the same: closed, at rest, nothing bad remembered."""
    machine = gate.machine
    lane = machine.phase
    if not isinstance(lane, Lane) or lane.ramping or machine.mode is not machine.policy.initial_mode:
        return False
    if machine.mode_until is not None or lane.consecutive or lane.would_open:
        return False
    if machine.streak and now - lane.since < machine.policy.backoff.max:
        return False  # the next opening would wait longer than a fresh circuit's
    if not machine.at_rest():
        return False  # others that share it wait for something
    figures = gate.read(snapshot)
    return figures.in_flight == 0 and not (figures.window_failures or figures.window_slow)
