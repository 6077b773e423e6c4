"""What a node may ask of one circuit: orders from outside, and the table of all operations.

Each operation returns the fields of its result beside ``id`` and ``view``.
"""

from __future__ import annotations

from collections.abc import Callable

from cqrs.circuit_breaker.fleet.coordinator.circuit import Circuit, Result
from cqrs.circuit_breaker.fleet.coordinator.probes import acquire, renew, settle
from cqrs.circuit_breaker.fleet.coordinator.reports import report


def override(circuit: Circuit) -> Result:
    """Put a mode in force, or clear it (F11)."""
    op, record = circuit.op, circuit.record
    mode, ttl = op["mode"], op["ttl_us"]
    if not mode and not record.ov:
        return {}
    before = record.st
    circuit.begin_afresh(op["why"] or (f"override: {mode}" if mode else "override cleared"))
    if mode:
        record.ov, record.ov_by, record.ov_why = mode, op["by"], op["why"]
        if ttl >= 0:
            record.ov_ttl, record.ov_until = ttl, circuit.now + ttl
    circuit.commit(before, by=op["by"], mode=mode, ttl_us=ttl)
    return {}


def reset(circuit: Circuit) -> Result:
    """Start afresh, with no memory of past openings."""
    record = circuit.record
    if record.inc:
        before = record.st
        circuit.begin_afresh("reset")
        record.streak = 0
        circuit.commit(before, by=circuit.op.get("by", ""), mode="", ttl_us=-1)
    return {}


def look(_: Circuit) -> Result:
    """Ask for the view only."""
    return {}


OPERATIONS: dict[str, Callable[[Circuit], Result]] = {
    "acquire": acquire,
    "settle": settle,
    "renew": renew,
    "report": report,
    "override": override,
    "reset": reset,
    "view": look,
}
