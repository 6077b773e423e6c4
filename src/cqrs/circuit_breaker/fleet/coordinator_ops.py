"""What a node may ask of one circuit. Each operation returns the fields of its result beside id and view."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from cqrs.circuit_breaker import conditions
from cqrs.circuit_breaker.fleet.coordinator_circuit import Circuit
from cqrs.circuit_breaker.fleet.records import HOUR, SECOND, Figures, Reports, Scores, policy
from cqrs.circuit_breaker.phases import HalfOpen, Lane
from cqrs.circuit_breaker.states import State
from cqrs.circuit_breaker.window import NO_COUNTS, Counts

SWEPT_AT_ONCE = 100
SHORTEST_RETRY = 1_000

Result = dict[str, Any]


# ---------------------------------------------------------------------- probes


def acquire(circuit: Circuit) -> Result:
    """Ask for the permit of a probe."""
    record, now, rules = circuit.record, circuit.now, circuit.settings
    if record.ov == "forced_open":
        return denied(record.ov_until - now if record.ov_until else rules["max_us"])
    if record.ov not in ("", "enabled"):
        return granted(2)
    if record.st == "open":
        if now < record.until <= now + rules["max_us"]:
            return denied(record.until - now)
        circuit.half_open("wait in open is over")
    if record.st == "half_open":
        return _acquire_half_open(circuit)
    return granted(2)


def _acquire_half_open(circuit: Circuit) -> Result:
    record, now, rules, shard = circuit.record, circuit.now, circuit.settings, circuit.shard
    if now - record.since >= rules["half_us"]:  # L6
        why = "the probes did not decide in time"
        if rules["half_to"] == "open":
            circuit.open(why)
            return denied(record.wait)
        circuit.close(why)
        return granted(2)
    lease = rules["lease_us"]
    permits = shard.permits.get(circuit.id) or Scores()
    lost = [*permits.below(now + 1), *permits.above(now + lease + 1)]
    if lost:
        for permit in lost:
            permits.remove(permit)
        record.lost += len(lost)
        if record.lost >= rules["need"]:  # L7
            circuit.open(f"{record.lost} probes in a row were lost")
            return denied(record.wait)
        circuit.save()
    if len(permits) < rules["conc"] and record.ok + record.bad + len(permits) < rules["need"]:  # F2
        shard.keep_permit(circuit.id, circuit.op["permit"], now + lease)
        circuit.save()
        return granted(1)
    earliest = permits.order[0][0] if permits.order else now
    return denied(max(SHORTEST_RETRY, earliest - now))


def granted(how: int) -> Result:
    """1: with a permit. 2: none is needed."""
    return {"granted": how, "retry_us": 0}


def denied(retry_us: int) -> Result:
    """Say when to ask again."""
    return {"granted": 0, "retry_us": retry_us}


def settle(circuit: Circuit) -> Result:
    """Count the outcome of a probe, once, and decide (F3)."""
    if not _holds_permit(circuit):
        return {"applied": 0}
    circuit.shard.permits[circuit.id].remove(circuit.op["permit"])
    if not _decide(circuit):
        circuit.save()
        circuit.bump()  # a place is free
    return {"applied": 1}


def _holds_permit(circuit: Circuit) -> bool:
    record = circuit.record
    if record.st != "half_open" or (record.inc, record.ep) != circuit.seen:
        return False
    permits = circuit.shard.permits.get(circuit.id)
    return permits is not None and circuit.op["permit"] in permits


def _decide(circuit: Circuit) -> bool:
    """Take the verdict into account; return whether the state has changed."""
    record, op, rules = circuit.record, circuit.op, circuit.settings
    verdict = op["verdict"]
    if verdict == "cancelled":
        return False
    record.lost = 0
    if verdict == "inconclusive":
        record.incon += 1
        if record.incon < rules["need"]:
            return False
        circuit.open(f"{record.incon} probes in a row never reached it", **_probes(circuit))
        return True
    record.incon = 0
    if verdict == "ignored":
        return False
    record.ok += verdict == "success"
    record.bad += verdict != "success"
    record.slow += op["slow"]
    half = HalfOpen(record.ep, record.since, None)
    half.good, half.bad, half.slow = record.ok, record.bad, record.slow
    known = policy(rules)
    if op["trip"]:
        circuit.open("a call asked for it", op["trip_us"], **_probes(circuit))
    elif (why := conditions.probes_say_open(known, half)) is not None:
        circuit.open(why, **_probes(circuit))
    elif conditions.probes_say_close(known, half):
        circuit.close(f"{half.good} of {rules['need']} probes succeeded", **_probes(circuit))
    else:
        return False
    return True


def _probes(circuit: Circuit) -> dict[str, int]:
    record = circuit.record
    return {"ok": record.ok, "bad": record.bad, "slow": record.slow}


def renew(circuit: Circuit) -> Result:
    """Lease a permit for longer; what has been reaped does not come back."""
    if not _holds_permit(circuit):
        return {"live": 0}
    record, shard, now = circuit.record, circuit.shard, circuit.now
    shard.keep_permit(circuit.id, circuit.op["permit"], now + record.lease)
    circuit.touch()
    return {"live": 1}


# ---------------------------------------------------------------------- reports


def report(circuit: Circuit) -> Result:
    """Take the figures of one node's window, and open the circuit if they justify it."""
    record, op, now, rules = circuit.record, circuit.op, circuit.now, circuit.settings
    era = record.inc, record.ep
    if record.ov not in ("", "enabled") or record.st != "closed" or (record.inc and era != circuit.seen):
        return {"taken": 0}  # of before a transition, or nothing to be decided
    shelf, node = circuit.shard.reports, circuit.request["node"]
    reports = shelf.get(circuit.id)
    if reports is None or reports.era != era:
        reports = shelf[circuit.id] = Reports(era)
    reports.watched = min(reports.watched, now)  # F5
    was_watched, was_row = reports.watched >= 0, reports.row
    reports.sweep(now - rules["report_us"], now + SECOND, SWEPT_AT_ONCE)
    figures = _figures(circuit)
    if figures.t or figures.f or figures.s or figures.d or op["o"]:
        reports.put(node, figures, now)
    else:
        reports.drop(node)
    peak = reports.row
    if op["n"] > 0:
        peak = reports.take_batch(node, op["n"], op["h"], op["k"], op["l"], op["z"])
    found = _why_open(circuit, reports, figures, peak)
    if found is not None:
        why, trip_us = found
        sums = reports.sums
        circuit.open(
            why,
            trip_us,
            n=sums.t,
            f=sums.f,
            s=sums.s,
            reporters=sums.reports,
            unhealthy=sums.u,
            row=peak,
        )
        return {"taken": 1}
    reports.expires = now + max(2 * rules["report_us"], HOUR if rules["row"] > 0 else 0)
    _watch(circuit, reports, was_watched, was_row)
    return {"taken": 1}


def _figures(circuit: Circuit) -> Figures:
    op = circuit.op
    t, f, s, d = op["t"], op["f"], op["s"], op["d"]
    known, counts = policy(circuit.settings), Counts(t, f, s - d)
    unhealthy = (
        op["o"] or conditions.failures_met(known, counts, 1) or conditions.slowness_met(known, counts, d, 1)
    )
    return Figures(t, f, s, d, 1 if unhealthy else 0, 1 if t + d > 0 or op["o"] else 0)


def _why_open(circuit: Circuit, reports: Reports, own: Figures, peak: int) -> tuple[str, int] | None:
    """Return why the circuit must open and how long a call asked for, or ``None``."""
    record, op, rules = circuit.record, circuit.op, circuit.settings
    known, minimum = policy(rules), rules["min"]
    if record.ramp:
        known = policy(rules, record.rampd)
        ramping = Lane(State.HALF_OPEN, record.ep, record.ramp, NO_COUNTS)
        minimum = conditions.minimum_calls(known, ramping, circuit.now)
    if rules["quorum"] == 0 and op["trip"]:  # before all else: it may say for how long
        return "a call asked for it", op["trip_us"]
    if conditions.row_met(known, peak):
        return ("1 failure" if peak == 1 else f"{peak} failures in a row"), -1
    if rules["quorum"] == 0:
        why = conditions.why_open(known, Counts(own.t, own.f, own.s - own.d), own.d, 0, minimum)
        if why is None and op["o"]:
            why = "a process has opened"
        if why is not None:
            return f"{why}: one process is enough", -1
    sums = reports.sums
    counts = Counts(sums.t, sums.f, sums.s - sums.d)
    if conditions.failures_met(known, counts, minimum):
        why = f"{sums.f} of {sums.t} calls of the fleet failed"
    elif conditions.slowness_met(known, counts, sums.d, minimum):
        why = f"{sums.s} of {sums.t + sums.d} calls of the fleet were slow"
    else:
        return None
    return (why, -1) if _enough_voices(circuit, reports) else None


def _enough_voices(circuit: Circuit, reports: Reports) -> bool:
    """Whether enough nodes are unhealthy, of enough that have spoken: one bad node says little."""
    rules, sums = circuit.settings, reports.sums
    quorum = rules["quorum"]
    if sums.u < max(1, math.ceil(quorum * sums.reports)):
        return False
    live = circuit.shard.live(circuit.now, circuit.request["stale_us"])
    if quorum == 0 or sums.reports >= math.ceil(quorum * live):
        return True
    return reports.watched >= 0 and circuit.now - reports.watched >= rules["grace_us"]


def _watch(circuit: Circuit, reports: Reports, was_watched: bool, was_row: int) -> None:
    """Let everybody with traffic report while there is anything bad, and no longer."""
    sums = reports.sums
    if sums.f > 0 or sums.s > 0 or sums.d > 0 or sums.u > 0 or reports.row > 0:
        if not was_watched:
            reports.watched = circuit.now
        if not was_watched or (reports.row > 0) is not (was_row > 0):
            circuit.bump()
        return
    if was_watched or not reports.nodes:
        del circuit.shard.reports[circuit.id]
    if was_watched:
        circuit.bump()


# ---------------------------------------------------------------------- orders


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
