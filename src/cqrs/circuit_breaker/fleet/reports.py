"""What a process reports of its circuits with an exchange, and what comes of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cqrs.circuit_breaker.fleet import wire
from cqrs.circuit_breaker.fleet.gate import FleetGate
from cqrs.circuit_breaker.fleet.shard import Shard
from cqrs.circuit_breaker.fleet.transport import Message

if TYPE_CHECKING:
    from cqrs.circuit_breaker.fleet.session import Session


class Report(NamedTuple):
    """A report under way."""

    gate: FleetGate
    seen: tuple[str, int]
    """Incarnation and epoch that it is of."""


class Reports:
    """The reports of one process."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, shard: Shard, request: Message, now: float, routine: bool) -> list[Report]:
        """Add what is due to a request; return whose results will come, in order."""
        session = self._session
        gates: dict[str, FleetGate] = {}
        while shard.dirty:  # others go on adding: nothing may be taken but what is removed
            identity, gate = shard.dirty.popitem()
            gates[identity] = gate
        if routine:
            for identity in list(shard.watched):
                known = session.gates.get(identity)
                if known is not None:
                    gates[identity] = known
        reported: list[Report] = []
        for gate in gates.values():
            fields = gate.report()
            if fields is not None:
                operation = session.operation("report", gate, **fields)
                wire.add(request, operation, session.rules_of(gate))
                reported.append(Report(gate, tuple(operation["seen"])))
        return reported

    def taken(self, shard: Shard, report: Report, result: Message, now: float) -> None:
        """Take the result of a report."""
        session, gate = self._session, report.gate
        shared = gate.shared
        if result.get("taken", 1):  # or refused by a store that cannot keep the circuit: for good
            self._acknowledge(gate)
        if "err" in result:
            session.announcements.refused(gate, result["err"])
            return
        session.knowledge.take(shard, result["view"], now)
        # Of an epoch that was over: what belongs to the next one is still there, and has to be said anew.
        again = not result["taken"] and shared.highest != report.seen
        if not again:
            self._acknowledge(gate)
        if result["view"]["row"] >= session.rules_of(gate)["row"] > 0:
            # Enough in a row, but others may have had a success: say again when they had time to report it.
            session.recheck = min(session.recheck, now + session.settings.confirm_time + 0.001)
            session.wake()
        if shared.batch or (again and (shared.sent is not None or gate.troubled())):
            session.touch(gate, urgent=True)  # outcomes came meanwhile, or are still to be counted
        elif gate.troubled():
            shard.dirty.setdefault(gate.identity, gate)  # until the window is clean

    @staticmethod
    def _acknowledge(gate: FleetGate) -> None:
        sent = gate.shared.sent
        if sent is not None:
            gate.shared.acknowledge(sent.number)
