"""The circuit breaker that applications hold: one circuit, guarding any kind of function."""

from __future__ import annotations

import random as random_module
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, TypeVar

from cqrs.circuit_breaker import report, validation
from cqrs.circuit_breaker.errors import CircuitOpenError
from cqrs.circuit_breaker.gate import Gate
from cqrs.circuit_breaker.guards import guard, raw_guard
from cqrs.circuit_breaker.listeners import Listener, ListenerHub
from cqrs.circuit_breaker.machine import Machine
from cqrs.circuit_breaker.permit import Permit, PermitBlock
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.circuit_breaker.report import Explanation, Snapshot
from cqrs.circuit_breaker.states import Mode, State
from cqrs.exceptions import ConfigurationTypeError

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")


class CircuitBreaker:
    """One circuit. Guards ``def``, ``async def``, generators and async generators, from threads and tasks.

    Args:
        name: what errors, events and metrics call it.
        policy: a ``CircuitBreakerPolicy``; the default one when ``None``.
        clock: monotonic clock in seconds.
        random: numbers in [0, 1) for the jitter of waits; must be quick, the circuit's lock is held.
        listeners: callables that get each ``CircuitEvent``; see ``add_listener``.

    Raises:
        ConfigurationTypeError: an argument is of the wrong kind.

    >>> breaker = CircuitBreaker("payments", CircuitBreakerPolicy.consecutive(threshold=1))
    >>> @breaker
    ... def charge(amount: int) -> int:
    ...     return amount // 0
    >>> for _ in range(2):
    ...     try:
    ...         charge(1)
    ...     except (ZeroDivisionError, CircuitOpenError) as error:
    ...         print(type(error).__name__)
    ZeroDivisionError
    CircuitOpenError
    """

    __slots__ = ("__weakref__", "gate")

    gate: Gate
    """The shell that forms of guarding are built on; applications do not need it."""

    def __init__(
        self,
        name: str,
        policy: CircuitBreakerPolicy | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random_module.random,
        listeners: Iterable[Listener] = (),
    ) -> None:
        if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"a circuit needs a name, a non-empty str, got {name!r}")
        checked = CircuitBreakerPolicy() if policy is None else check_policy(policy)
        now = validation.clock_and_random(clock, random)
        hub = ListenerHub(listeners)
        self.gate = Gate(Machine(name, checked, now, random), clock, ())
        if hub.subscriptions:
            self.gate.own_hub(hub)

    @classmethod
    def around(cls, gate: Gate) -> CircuitBreaker:
        """Return a breaker that speaks for an existing gate; for registries."""
        breaker = cls.__new__(cls)
        breaker.gate = gate
        return breaker

    # ------------------------------------------------------------------ guarding

    def __call__(self, func: F) -> F:
        """Decorate a function; kind, signature and type stay the same.

        Raises:
            ConfigurationTypeError: ``func`` is not a function.
        """
        return guard(self.gate, func)

    def call(self, func: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        """Call ``func`` guarded: gives a value, an awaitable or an iterator, as ``func`` does.

        Raises:
            CircuitOpenError: the circuit does not let the call through (for a coroutine, when awaited; for a
                generator, at its first item).
        """
        result: R = raw_guard(self.gate, func)(*args, **kwargs)
        return result

    def permit(self) -> PermitBlock:
        """Guard a block: ``with breaker.permit() as permit`` or ``async with``.

        The block's end settles the permit (an exception as the policy judges it), unless the block has done
        so with ``permit.success()``, ``failure()``, ``ignore()``, ``drop()`` or ``classify(result)``.

        Raises:
            CircuitOpenError: on entry, when the call may not pass.
        """
        return PermitBlock(self.gate)

    def acquire(self) -> Permit:
        """Admit one call that the caller settles.

        Raises:
            CircuitOpenError: the call may not pass.
        """
        return Permit(self.gate, self.gate.acquire())

    def try_acquire(self) -> Permit | None:
        """Like ``acquire``, but gives ``None`` instead of raising."""
        try:
            return self.acquire()
        except CircuitOpenError:
            return None

    # ------------------------------------------------------------------ reading

    @property
    def name(self) -> str:
        """Name of the circuit."""
        return self.gate.machine.name

    @property
    def policy(self) -> CircuitBreakerPolicy:
        """Policy in force."""
        return self.gate.machine.policy

    @property
    def state(self) -> State:
        """The state that a call would find now; reading it changes nothing."""
        return self.gate.machine.effective(self.gate.clock())[0]

    @property
    def phase(self) -> str | None:
        """``"probing"`` or ``"ramping"`` while half-open, else ``None``."""
        return self.gate.machine.effective(self.gate.clock())[1]

    @property
    def era(self) -> int:
        """Number of transitions, resets and overrides so far."""
        return self.gate.machine.phase.era

    def snapshot(self) -> Snapshot:
        """Return the figures of this moment."""
        return self.gate.read(report.snapshot)

    def explain(self) -> Explanation:
        """Say why the circuit is in its state and how far each condition is from being met."""
        return self.gate.read(report.explain)

    # ------------------------------------------------------------------ steering

    def override(
        self,
        mode: Mode,
        *,
        ttl: float | timedelta | None = None,
        actor: str | None = None,
        reason: str | None = None,
        local: bool = False,
    ) -> None:
        """Put an operating mode in force in this process, with empty counts.

        For all processes that share the circuit, use ``CircuitBreakers.override``.

        Args:
            mode: ``FORCED_OPEN``, ``DISABLED``, ``METRICS_ONLY`` or ``ENABLED``.
            ttl: seconds (or ``timedelta``) until the policy's ``initial_mode`` returns; > 0; ``None``: never.
            actor: who does it; told to listeners.
            reason: why; also the reason of rejections.
            local: only for a shared circuit: win over an override of the fleet in any case; else the stricter
                of both is in force.

        Raises:
            ConfigurationTypeError: ``mode`` is not a ``Mode``.
            PolicyError: ``ttl`` is out of range.
        """
        if not isinstance(mode, Mode):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(
                f"mode must be one of {', '.join(map(str, Mode))} as a Mode, got {mode!r}"
            )
        seconds = None if ttl is None else validation.seconds("ttl", ttl)
        machine = self.gate.machine
        self.gate.order(lambda now: machine.set_mode(mode, now, seconds, actor, reason, local))

    def clear_override(self, *, actor: str | None = None, reason: str | None = None) -> None:
        """Return to the policy's ``initial_mode``, with empty counts; nothing happens without an override."""
        machine = self.gate.machine
        self.gate.order(lambda now: machine.clear_mode(now, actor, reason))

    def reset(self) -> None:
        """Start afresh: the policy's ``initial_mode``, empty counts, no memory of past openings."""
        self.gate.order(self.gate.machine.reset)

    def reload(self, policy: CircuitBreakerPolicy) -> None:
        """Replace the policy; keeps the state, running calls and what the new window holds of the counts."""
        checked = check_policy(policy)
        machine = self.gate.machine
        self.gate.order(lambda now: machine.reload(checked, now))

    def add_listener(self, listener: Listener, *, inline: bool = False, calls: bool = True) -> None:
        """Tell ``listener`` each ``CircuitEvent``.

        Args:
            listener: called with the event; what it raises is logged and changes nothing.
            inline: ``False``: called in order on a helper thread that exists only while events wait, so that
                a slow listener delays nobody. ``True``: called by the thread that caused the event, after
                the circuit has changed.
            calls: whether to tell ``CallRejected`` and ``CallFailed`` as well. A rejection that nobody wants
                to hear of is several times cheaper.

        Raises:
            ConfigurationTypeError: ``listener`` is not callable, or is a coroutine function.
        """
        self.gate.own_hub().add(listener, inline=inline, calls=calls)

    def remove_listener(self, listener: Listener) -> None:
        """Stop telling ``listener``; unknown ones are ignored."""
        self.gate.own_hub().remove(listener)

    def flush_listeners(self, timeout: float = 5.0) -> bool:
        """Wait until listeners have been told everything; ``False`` after ``timeout`` seconds."""
        return all(hub.flush(timeout) for hub in self.gate.hubs)

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.name!r} {self.state.value}>"


def check_policy(policy: CircuitBreakerPolicy) -> CircuitBreakerPolicy:
    """Return ``policy`` if it is one."""
    if not isinstance(policy, CircuitBreakerPolicy):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationTypeError(f"policy must be a CircuitBreakerPolicy, got {policy!r}")
    return policy
