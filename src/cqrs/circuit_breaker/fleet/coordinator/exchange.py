"""The store's side of a fleet, in Python: for one process, for simulations, and as the other one's measure.

The same decisions exist in ``redis/fleet.lua``; one table and the same random walks are run against both.
Pure: no clock, no randomness, no I/O, no lock. Who calls it from several threads brings a lock.
"""

from __future__ import annotations

from typing import Any

from cqrs.circuit_breaker.fleet.coordinator.circuit import Circuit, clamp, finish_ramp, view
from cqrs.circuit_breaker.fleet.coordinator.operations import OPERATIONS
from cqrs.circuit_breaker.fleet.coordinator.records import Record
from cqrs.circuit_breaker.fleet.coordinator.shard import Shard

LONGEST_LIST = 500


class Coordinator(Shard):
    """One shard of a store and the operations on it.

    >>> coordinator = Coordinator()
    >>> coordinator.exchange({"node": "a", "inc": "x1", "beat": 1, "stale_us": 3_000_000, "seen": ["", 0]}, 1)
    {'inc': 'x1', 'seq': 0, 'live': 1, 'full': 1, 'more': 0}
    """

    def exchange(self, request: dict[str, Any], now_us: int) -> dict[str, Any]:
        """Do all that a node asks for at ``now_us``, the microseconds of the store's clock.

        Times to live are not looked at: whoever simulates them calls ``expire``.
        """
        seen = self.meet(request)
        beat = request.get("beat")
        reply: dict[str, Any] = {"inc": self.inc, "seq": self.seq}
        if beat:
            self.beat(request["node"], now_us)
            reply["live"] = self.live(now_us, request["stale_us"])
        if request.get("bye"):
            self.nodes.remove(request["node"])
        ops = request.get("ops")
        if ops:
            reply["results"] = [self._operate(request, op, now_us) for op in ops]
            reply["seq"] = self.seq
        if request.get("audit"):
            entries = self.latest(request["audit"], now_us)
            if entries:
                reply["audit"] = entries
        if beat:
            reply["full"] = 1 if seen < 0 else 0
            reply["more"] = 0
            if seen < self.seq:
                self._list_changes(reply, max(0, seen), now_us)
        return reply

    def _operate(self, request: dict[str, Any], op: dict[str, Any], now: int) -> dict[str, Any]:
        operation = OPERATIONS.get(op["op"])
        if operation is None:
            return {"id": op["id"], "err": f"unknown op {op['op']}"}
        circuit = Circuit(self, request, op, now)
        result = operation(circuit)
        return {"id": circuit.id, "view": circuit.view(), **result}

    def _list_changes(self, reply: dict[str, Any], seen: int, now: int) -> None:
        """List what changed after ``seen``, oldest first; changes nothing but the log itself."""
        order = self.log.order
        first = self.log.rank_above(seen)
        found = order[first : first + LONGEST_LIST]
        if len(order) > first + LONGEST_LIST:
            reply["more"], reply["seq"] = 1, found[-1][0]
        changed: list[dict[str, Any]] = []
        for _, id_ in found:
            if not self.known(id_):
                self.log.remove(id_)
                continue
            record = self.circuits[id_].copy() if id_ in self.circuits else Record()
            clamp(record, now)
            finish_ramp(record, now)
            changed.append(view(self, id_, record, now))
        if changed:
            reply["changed"] = changed
