"""What a store remembers of transitions and overrides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cqrs.circuit_breaker.states import State

_OWN = {"id", "name", "from", "to", "ep", "why", "node", "by", "ago_us"}


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One transition or override of a shared circuit.

    Attributes:
        name: the circuit, ``"all circuits"`` for an override of all.
        from_state, to_state: ``CLOSED``, ``OPEN`` or ``HALF_OPEN``, as the fleet decided.
        epoch: the circuit's epoch from then on.
        reason: why, in a few words.
        node: id of the process that brought it about, as in ``StoreHealth.node``.
        actor: who set an override, ``""`` for a transition or when nobody was named.
        ago: seconds since then, by the store's clock.
        evidence: the figures behind it, as text: counts, reporters, waits; mode and time of an override.
    """

    name: str
    from_state: State
    to_state: State
    epoch: int
    reason: str
    node: str
    actor: str
    ago: float
    evidence: Mapping[str, str]

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> AuditEntry:
        """Return the entry that a store told."""
        return cls(
            name=said["name"] or said["id"],
            from_state=State(said["from"]),
            to_state=State(said["to"]),
            epoch=int(said["ep"]),
            reason=said["why"],
            node=said["node"],
            actor=said.get("by", ""),
            ago=said["ago_us"] / 1e6,
            evidence={name: str(value) for name, value in said.items() if name not in _OWN},
        )
