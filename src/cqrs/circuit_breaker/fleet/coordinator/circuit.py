"""One circuit during one operation: read, moved from state to state, saved, told about.

The letters in comments name the invariants that the tests carry.
"""

from __future__ import annotations

import math
from typing import Any

from cqrs.circuit_breaker.fleet.coordinator.records import Record, Rules, backoff
from cqrs.circuit_breaker.fleet.coordinator.shard import Shard

Result = dict[str, Any]
"""What an operation adds to the view."""


class Circuit:
    """A copy of the stored record; what an operation does to it lasts only if the operation saves."""

    __slots__ = ("id", "now", "op", "own", "record", "request", "rules", "seen", "shard")

    def __init__(self, shard: Shard, request: dict[str, Any], op: dict[str, Any], now: int) -> None:
        self.shard = shard
        self.request = request
        self.op = op
        self.now = now
        self.id: str = op["id"]
        self.seen: tuple[str, int] = (op["seen"][0], op["seen"][1])
        self.own: Rules | None = request["rules"][op["rules"]] if "rules" in op else None
        self.rules: Rules | None = self.own
        stored = shard.circuits.get(self.id)
        self.record = Record() if stored is None else stored.copy()
        if stored is not None:
            self._catch_up()

    def _catch_up(self) -> None:
        """Do what is due by time alone, and put right what a clock or a rollback has made wrong."""
        record, now = self.record, self.now
        # F10: an epoch that somebody has seen is not given again.
        lifted = record.inc == self.seen[0] and record.ep < self.seen[1]
        if lifted:
            record.ep = self.seen[1]
        stepped_back = clamp(record, now)
        if self.own is not None and record.cfg:
            self.rules = record.merge(self.own)
        if record.ov and 0 < record.ov_until <= now:
            before = record.st
            self.begin_afresh("override expired")
            self.commit(before)
        finish_ramp(record, now)
        if stepped_back or lifted:
            # At once: clamped anew by each operation, a deadline would move along with the clock.
            self.save()
        if lifted:
            self.bump()  # or two that have seen different epochs would throw away each other's reports

    # ------------------------------------------------------------------ states

    def open(self, why: str, trip_us: int = -1, **evidence: Any) -> None:
        """Open the circuit, for longer than the last time or for a time that a call asked for (L9)."""
        record, now, rules = self.record, self.now, self.settings
        if record.st == "closed" and not record.ramp and now - record.since >= rules["max_us"]:
            record.streak = 0
        record.streak += 1
        if trip_us >= 0:
            wait = min(rules["max_us"], max(rules["base_us"], trip_us))
        else:
            growing = backoff(rules["base_us"], rules["mult"], rules["max_us"], rules["jit"])
            wait = math.floor(growing.duration(record.streak, self.op["rnd"]))
        before = record.st
        self._begin("open", why)
        record.wait = wait
        record.until = now + wait
        record.ramp = 0
        self.commit(before, **evidence)

    def half_open(self, why: str) -> None:
        """Let probes through."""
        before = self.record.st
        self._begin("half_open", why)
        self.commit(before)

    def close(self, why: str, **evidence: Any) -> None:
        """Let calls through again, step by step if there is a ramp (F14)."""
        record, own = self.record, self.own
        assert own is not None  # whatever closes a circuit carries rules
        before = record.st
        self._begin("closed", why)
        if own["ramp_us"] < 0:
            record.streak = max(0, record.streak - 1)
            record.ramp = 0
        else:
            record.ramp, record.rampd = self.now, own["ramp_us"]
        self._heal()
        self.commit(before, **evidence)

    def begin_afresh(self, why: str) -> None:
        """Become closed with nothing counted and no override; not saved yet."""
        record = self.record
        self._begin("closed", why)
        record.ramp = 0
        record.ov = record.ov_by = record.ov_why = ""
        record.ov_until = record.ov_ttl = 0
        self._heal()

    def _begin(self, st: str, why: str) -> None:
        record = self.record
        record.begin(st, self.now)
        record.why = why
        self.shard.drop_permits(self.id)
        if st != "half_open":
            self.shard.reports.pop(self.id, None)

    def _heal(self) -> None:
        """Take the settings of today, as a circuit that begins anew does: rolling deploys end (F13)."""
        if self.own is not None:
            self.record.adopt(self.own)
            self.rules = self.own

    # ------------------------------------------------------------------ keeping and telling

    @property
    def settings(self) -> Rules:
        """The stricter of the stored settings and the caller's; only for operations that carry some."""
        assert self.rules is not None
        return self.rules

    def commit(self, before: str, **evidence: Any) -> None:
        """Save, and tell everybody."""
        record = self.record
        self.save()
        self.bump()
        self.shard.note(
            self.now,
            {
                "id": self.id,
                "name": self.op.get("name", ""),
                "from": before,
                "to": record.st,
                "ep": record.ep,
                "why": record.why,
                "node": self.request["node"],
                "streak": record.streak,
                "wait_us": record.wait,
                **evidence,
            },
        )

    def save(self) -> None:
        """Store the record."""
        record, own = self.record, self.own
        if not record.inc:
            record.inc = self.request["inc"]
        if own is not None:
            if not record.cfg:
                record.adopt(own)
            record.spare = own["half_us"] + max(0, own["ramp_us"])
        record.name = self.op.get("name", "") or record.name
        self._extend()
        self.shard.circuits[self.id] = record.copy()

    def touch(self) -> None:
        """Let the stored record live longer, and change nothing else."""
        self._extend()
        self.shard.circuits[self.id].expires = self.record.expires

    def _extend(self) -> None:
        record = self.record
        if record.ov and not record.ov_until:
            record.expires = -1
        else:
            left = max(0, record.ov_until - self.now) if record.ov else 0
            record.expires = self.now + 4 * record.max + record.spare + left

    def bump(self) -> None:
        """Log and publish the present view."""
        shard = self.shard
        shard.bump(self.id)
        shard.published.append({"inc": shard.inc, "view": self.view()})

    def view(self) -> dict[str, Any]:
        """Return what a node may know of the circuit."""
        return view(self.shard, self.id, self.record, self.now)


def clamp(record: Record, now: int) -> bool:
    """Pull back what lies further ahead than it can (F5); return whether the clock must have stepped back."""
    stepped_back = False
    if record.since > now:
        record.since, stepped_back = now, True
    if record.ramp > now:
        record.ramp, stepped_back = now, True
    if record.ov_until - now > record.ov_ttl:
        record.ov_until, stepped_back = now + record.ov_ttl, True
    return stepped_back


def finish_ramp(record: Record, now: int) -> None:
    """End a ramp whose time is over; nobody needs to be told, all nodes do the same."""
    if record.st == "closed" and record.ramp and now - record.ramp >= record.rampd:
        record.since = record.ramp + record.rampd
        record.ramp = 0
        record.streak = max(0, record.streak - 1)


def view(shard: Shard, id_: str, record: Record, now: int) -> dict[str, Any]:
    """Return what a node may know of a circuit: durations only, its clock is another one (F5)."""
    reports = shard.reports.get(id_)
    ramping = record.st == "closed" and record.ramp > 0
    lives = 0
    if record.st == "half_open" and id_ in shard.permits:
        lives = len(shard.permits[id_])
    shown = {
        "id": id_,
        "st": record.st,
        "ep": record.ep,
        "inc": record.inc,
        "seq": shard.seq,
        "left_us": min(max(0, record.until - now), record.max) if record.st == "open" else 0,
        "wait_us": record.wait,
        "age_us": max(0, now - record.since) if record.inc else 0,
        "streak": record.streak,
        "ramp_us": now - record.ramp if ramping else -1,
        "ramp_for_us": record.rampd if ramping else -1,
        "row": reports.row if reports is not None and reports.told >= 0 else 0,
        "watched": 0,
        "ov": record.ov,
        "ov_left_us": max(0, record.ov_until - now) if record.ov and record.ov_until else -1,
        "ov_by": record.ov_by,
        "ov_why": record.ov_why,
        "why": record.why,
        "cfg": record.cfg,
        "ok": record.ok,
        "bad": record.bad,
        "lives": lives,
    }
    if reports is not None and reports.watched >= 0:
        sums = reports.sums
        shown["watched"] = 1
        shown["pool"] = [sums.t, sums.f, sums.s, sums.d, sums.reports, sums.u]
    return shown
