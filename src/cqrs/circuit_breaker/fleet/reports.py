"""What a process reports of its circuits with an exchange, and what comes of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs.circuit_breaker.fleet import wire
from cqrs.circuit_breaker.fleet.gate import FleetGate
from cqrs.circuit_breaker.fleet.shard import Shard
from cqrs.circuit_breaker.fleet.transport import Message

if TYPE_CHECKING:
    from cqrs.circuit_breaker.fleet.session import Session


class Reports:
    """The reports of one process."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, shard: Shard, request: Message, now: float, routine: bool) -> list[FleetGate]:
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
        reported: list[FleetGate] = []
        for gate in gates.values():
            fields = gate.report()
            if fields is not None:
                wire.add(request, session.operation("report", gate, **fields), session.rules_of(gate))
                reported.append(gate)
        return reported

    def taken(self, shard: Shard, gate: FleetGate, result: Message, now: float) -> None:
        """Take the result of a report."""
        session = self._session
        shared = gate.shared
        sent = shared.sent
        if sent is not None:
            shared.acknowledge(sent.number)
        if "err" in result:
            session.announcements.refused(gate, result["err"])
            return
        session.knowledge.take(shard, result["view"], now)
        if result["view"]["row"] >= session.rules_of(gate)["row"] > 0:
            # Enough in a row, but others may have had a success: say again when they had time to report it.
            session.recheck = min(session.recheck, now + session.settings.confirm_time + 0.001)
            session.wake()
        if shared.batch:  # outcomes came meanwhile
            session.touch(gate, urgent=True)
        elif gate.troubled():
            shard.dirty.setdefault(gate.identity, gate)  # until the window is clean
