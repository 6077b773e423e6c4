"""What a process says when it leaves its fleet."""

from __future__ import annotations

from cqrs.circuit_breaker.fleet import wire
from cqrs.circuit_breaker.fleet.session import Session
from cqrs.circuit_breaker.fleet.transport import Message


def farewells(session: Session) -> list[tuple[int, Message]]:
    """Return what to tell each shard: permits given back, figures withdrawn."""
    goodbyes: list[tuple[int, Message]] = []
    for shard in session.shards:
        request = session.request(shard)
        request["bye"] = 1
        session.probes.give_back(shard, request)
        for identity in {*shard.dirty, *shard.watched}:
            gate = session.gates.get(identity)
            fields = None if gate is None else gate.report()
            if gate is not None and fields is not None:
                nothing = {**fields, "t": 0, "f": 0, "s": 0, "d": 0, "o": 0, "trip": 0}
                wire.add(request, session.operation("report", gate, **nothing), session.rules_of(gate))
        goodbyes.append((shard.number, request))
    return goodbyes
