"""What nodes report of a circuit, and when that opens it."""

from __future__ import annotations

import math

from cqrs.circuit_breaker import conditions
from cqrs.circuit_breaker.fleet.coordinator.circuit import Circuit, Result
from cqrs.circuit_breaker.fleet.coordinator.records import HOUR, SECOND, Figures, Reports, policy
from cqrs.circuit_breaker.phases import Lane
from cqrs.circuit_breaker.states import State
from cqrs.circuit_breaker.window import NO_COUNTS, Counts

SWEPT_AT_ONCE = 100
"""Silent reporters that one report takes out: no request shall take long."""


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
    reports.watched, reports.told = min(reports.watched, now), min(reports.told, now)  # F5
    was_watched, was_told = reports.watched >= 0, reports.told >= 0
    reports.sweep(now - rules["report_us"], now + SECOND, SWEPT_AT_ONCE)
    figures = _figures(circuit)
    if figures.t or figures.f or figures.s or figures.d or op["o"]:
        reports.put(node, figures, now)
    else:
        reports.drop(node)
    peak = reports.row
    if op["n"] > 0:
        peak = reports.take_batch(node, op["n"], op["h"], op["k"], op["l"], op["z"])
    if not _row_stands(circuit, reports, peak):
        peak = 0
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
    _watch(circuit, reports, was_watched, was_told)
    return {"taken": 1}


def _figures(circuit: Circuit) -> Figures:
    op = circuit.op
    t, f, s, d = op["t"], op["f"], op["s"], op["d"]
    known, counts = policy(circuit.settings), Counts(t, f, s - d)
    unhealthy = (
        op["o"] or conditions.failures_met(known, counts, 1) or conditions.slowness_met(known, counts, d, 1)
    )
    return Figures(t, f, s, d, 1 if unhealthy else 0, 1 if t + d > 0 or op["o"] else 0)


def _row_stands(circuit: Circuit, reports: Reports, peak: int) -> bool:
    """Whether failures in a row are enough, and say who must hear of them.

    In a small fleet everybody hears of the first one, and reports the success that ends it. In a crowd that
    would be too much to say, and while it is said others fail: everybody hears of a row that is long enough,
    and only if no success was reported for a while it stands.
    """
    rules, now = circuit.settings, circuit.now
    limit = rules["row"]
    crowd = limit > 1 and circuit.shard.live(now, circuit.request["stale_us"]) > rules["crowd"]
    if reports.row == 0 or (crowd and reports.row < limit):
        reports.told = -1
    elif reports.told < 0:
        reports.told = now
    if not crowd:
        return True
    return reports.told >= 0 and now - reports.told >= rules["confirm_us"]


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
    """Whether enough nodes are unhealthy, also if those that have not reported yet are well."""
    rules, sums = circuit.settings, reports.sums
    quorum = rules["quorum"]
    if sums.u < max(1, math.ceil(quorum * sums.reports)):
        return False
    live = circuit.shard.live(circuit.now, circuit.request["stale_us"])
    if quorum == 0 or sums.u >= math.ceil(quorum * live):
        return True
    return reports.watched >= 0 and circuit.now - reports.watched >= rules["grace_us"]


def _watch(circuit: Circuit, reports: Reports, was_watched: bool, was_told: bool) -> None:
    """Let everybody with traffic report while there is anything bad, and no longer."""
    sums, told = reports.sums, reports.told >= 0
    if sums.f > 0 or sums.s > 0 or sums.d > 0 or sums.u > 0 or told:
        if not was_watched:
            reports.watched = circuit.now
        if not was_watched or told is not was_told:
            circuit.bump()
        return
    reports.watched = -1
    if reports.row == 0 and (was_watched or not reports.nodes):
        del circuit.shard.reports[circuit.id]
    if was_watched:
        circuit.bump()
