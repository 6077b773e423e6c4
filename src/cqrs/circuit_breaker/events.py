"""What a circuit tells its listeners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cqrs.circuit_breaker.states import Mode, State


@dataclass(frozen=True, slots=True)
class CircuitEvent:
    """Base of all events.

    Attributes:
        name: name of the circuit.
        era: era of the circuit after the event.
        at: reading of the circuit's monotonic clock, in seconds.
    """

    name: str
    era: int
    at: float


@dataclass(frozen=True, slots=True)
class StateChanged(CircuitEvent):
    """The circuit went from one state to another (also probing to ramping, both half-open).

    Attributes:
        reason: why, in a few words.
        phase: ``"probing"`` or ``"ramping"`` when ``to_state`` is half-open, else ``None``.
        evidence: the figures behind it: counts, rates, thresholds, waits.
        source: ``"local"``, or ``"fleet"`` when the processes that share the circuit have decided it.
    """

    from_state: State
    to_state: State
    reason: str
    phase: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])
    source: str = "local"


@dataclass(frozen=True, slots=True)
class OverrideChanged(CircuitEvent):
    """An operator set, cleared or outlived an override; ``mode`` is in force now.

    Attributes:
        ttl: seconds until it expires, ``None`` for never.
        actor: who set it.
    """

    mode: Mode
    ttl: float | None
    actor: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class WouldOpen(CircuitEvent):
    """In metrics-only mode: the circuit would have opened now. At most once per era."""

    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class ProbesLost(CircuitEvent):
    """Probes did not finish within ``max_probe_duration``; their permits were taken back."""

    count: int


@dataclass(frozen=True, slots=True)
class PolicyReloaded(CircuitEvent):
    """The circuit has another policy now."""


@dataclass(frozen=True, slots=True)
class CallFailed(CircuitEvent):
    """A call counted as a failure; ``failure`` summarises it as ``"Type: message"``."""

    failure: str


@dataclass(frozen=True, slots=True)
class CallRejected(CircuitEvent):
    """A call was not let through.

    Attributes:
        state: the state that rejected it.
        retry_after: seconds until a call may be admitted, or ``None``.
    """

    state: State
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class StoreDegraded(CircuitEvent):
    """The store that shares circuits has not answered for too long: every process decides for itself.

    ``name`` is the namespace of the store; ``era`` is 0. Told once, until ``StoreRecovered``.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class StoreRecovered(CircuitEvent):
    """The store answers again; ``after`` is how many seconds it did not."""

    after: float


@dataclass(frozen=True, slots=True)
class SettingsDiffer(CircuitEvent):
    """Processes share a circuit with different policies: the stricter of both applies (F13).

    Told once for each pair of values, which are those of this process and of the store.
    """

    ours: str
    theirs: str


@dataclass(frozen=True, slots=True)
class StoreRefused(CircuitEvent):
    """The store cannot keep this circuit, which stays local: a foreign value under its key, say.

    Told once for each reason.
    """

    reason: str
