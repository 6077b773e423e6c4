"""The guarantees of a fleet, each judged by what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cqrs.demo.figures import milliseconds, percent
from cqrs.demo.fleet.facts import Asked, Call, Facts, all_probes
from cqrs.demo.fleet.plan import Plan
from cqrs.demo.recorder import Answer
from cqrs.demo.verdict import Guarantee

#: Seconds granted to the machine on top of what the settings allow; event loop delays come on top of that.
GRACE = 0.5


@dataclass(frozen=True)
class FleetResult:
    """A finished run: its settings, all that was recorded, and the judgement."""

    plan: Plan
    facts: Facts
    guarantees: Sequence[Guarantee]

    @property
    def kept(self) -> bool:
        """Whether every guarantee held."""
        return all(guarantee.kept for guarantee in self.guarantees)


def judge(facts: Facts, plan: Plan, started: int, left: Sequence[int]) -> list[Guarantee]:
    """Hold the measurements against every guarantee.

    Args:
        started: how many processes the demo has started in all.
        left: ids of those that have not ended.
    """
    return [
        _answered(facts),
        _quickly(facts, plan),
        _together(facts, plan),
        _few_failures(facts, plan),
        _probes(facts),
        _one_at_a_time(facts),
        _lease(facts, plan),
        _told(facts, plan),
        _unnoticed(facts),
        _protected(facts, plan),
        _closed(facts, plan),
        Guarantee("No process left behind", "0 left", f"{len(left)} of {started} left", not left),
    ]


def grace(facts: Facts) -> float:
    """Seconds granted to a machine whose event loop was late."""
    return GRACE + 3 * facts.lag


def _answered(facts: Facts) -> Guarantee:
    answered = sum(asked.answer is not Answer.FAILED for asked in facts.asked)
    share = percent(100.0 * answered / facts.sent) if facts.sent else "none asked"
    measured = f"{share} ({answered} of {facts.sent})"
    return Guarantee("Every caller answered", "100 %", measured, 0 < answered == facts.sent)


def _quickly(facts: Facts, plan: Plan) -> Guarantee:
    """A caller whose request became a probe waits for the upstream, all others for nothing."""
    limit = plan.client_timeout + grace(facts)
    slowest = max((asked.seconds for asked in facts.asked), default=None)
    kept = slowest is not None and slowest <= limit
    return Guarantee("Slowest answer", f"≤ {milliseconds(limit)}", milliseconds(slowest), kept)


def _together(facts: Facts, plan: Plan) -> Guarantee:
    opened = _openings(facts, plan)
    limit = plan.sync_interval + 3 * facts.lag
    name, promised = "Opened together", f"≤ {milliseconds(limit)}"
    if len(opened) < plan.processes:
        return Guarantee(name, promised, f"{plan.processes - len(opened)} never did", False)
    spread = max(opened) - min(opened)
    measured = f"{milliseconds(spread)} from first to last of {len(opened)}"
    return Guarantee(name, promised, measured, spread <= limit)


def _few_failures(facts: Facts, plan: Plan) -> Guarantee:
    """The failures of all processes count as one row; beyond it there are only calls that ran already."""
    limit = plan.failures + 3 + round(3 * facts.lag * plan.rate)
    opened, begun = _openings(facts, plan), facts.marks.get("failing", 0.0)
    last = max(opened, default=float("inf"))
    calls = [call for process in facts.processes for call in process.calls]
    failed = sum(begun <= c.started <= last and c.ended is not None and not c.succeeded for c in calls)
    promised, kept = f"≤ {limit} calls", len(opened) == plan.processes and failed <= limit
    return Guarantee("Failures until all open", promised, f"{failed} in all", kept)


def _openings(facts: Facts, plan: Plan) -> list[float]:
    """When the first processes saw the circuit open in the first outage."""
    begun = facts.marks.get("failing", float("inf"))
    times = (process.opened_after(begun) for process in facts.processes[: plan.processes])
    return [at for at in times if at is not None]


def _shared_probes(facts: Facts) -> list[Call]:
    """The probes of the time in which the server lived without interruption."""
    until = facts.marks.get("server killed", float("inf"))
    return [call for call in all_probes(facts.processes) if call.started < until]


def _probes(facts: Facts) -> Guarantee:
    """Compare what the HTTP clients began with what the server's audit says that it decided."""
    until = facts.marks.get("server killed", float("inf"))
    decided = sum(d.probes for d in facts.decisions if d.at < until and d.from_state == "half_open")
    killed = sum(process.killed is not None for process in facts.processes)
    calls = len(_shared_probes(facts))
    return Guarantee(
        "Probes while Redis lived",
        f"{decided + killed} calls",
        f"{calls} calls: {decided} permits, {killed} killed",
        0 < calls == decided + killed,
    )


def _one_at_a_time(facts: Facts) -> Guarantee:
    most, running = 0, list[Call]()
    for call in _shared_probes(facts):
        running = [other for other in running if _end(other) > call.started]
        running.append(call)
        most = max(most, len(running))
    return Guarantee("Two probes at once", "never", f"{most} at a time at most", most == 1)


def _end(call: Call) -> float:
    if call.ended is not None:
        return call.ended
    return float("inf") if call.process.killed is None else call.process.killed


def _lease(facts: Facts, plan: Plan) -> Guarantee:
    limit = plan.lease + grace(facts)
    killed = facts.marks.get("probe killed")
    later = [] if killed is None else [c for c in _shared_probes(facts) if c.started > killed]
    name, promised = "Probe after the kill", f"≤ {limit:.1f} s"
    if killed is None or not later:
        return Guarantee(name, promised, "there was none", False)
    after = later[0].started - killed
    return Guarantee(
        name, promised, f"{after:.2f} s (lease {plan.lease:g} s), by {later[0].process.name}", after <= limit
    )


def _told(facts: Facts, plan: Plan) -> Guarantee:
    living = facts.living()
    counts = [(len(p.degraded), len(p.recovered)) for p in living]
    kept = counts == [(1, 1)] * plan.processes
    lost, found = ([count[index] for count in counts] for index in (0, 1))
    measured = f"lost {_per(lost)}, back {_per(found)}, {len(living)} processes"
    return Guarantee("Loss of Redis told once", "1 × each", measured, kept)


def _per(counts: Sequence[int]) -> str:
    return f"{counts[0]} ×" if len(set(counts)) == 1 else " and ".join(f"{count} ×" for count in counts)


def _unnoticed(facts: Facts) -> Guarantee:
    """While Redis was dead and the upstream healthy, nothing but primaries may have answered."""
    begun, end = facts.marks.get("server killed"), facts.marks.get("failing alone")
    found: list[Asked] = []
    if begun is not None and end is not None:
        found = [asked for asked in facts.asked if begun <= asked.sent and asked.at < end]
    primary = sum(asked.answer is Answer.PRIMARY for asked in found)
    slowest = milliseconds(max((asked.seconds for asked in found), default=None))
    measured = f"{primary} of {len(found)}; the slowest {slowest}"
    return Guarantee("Redis dead, unnoticed", "by primaries", measured, 0 < primary == len(found))


def _protected(facts: Facts, plan: Plan) -> Guarantee:
    begun, end = facts.marks.get("failing alone"), facts.marks.get("server back", float("inf"))
    times = [
        at - begun
        for p in facts.living()
        if begun is not None and (at := p.opened_after(begun)) is not None and at < end
    ]
    # A row of failures in one process, each of its next requests; the load is spread over all.
    limit = 3 * plan.failures * plan.processes / plan.rate + grace(facts)
    measured = f"{len(times)} of {plan.processes} opened"
    if times:
        measured += f", after {max(times):.1f} s at most"
    kept = len(times) == plan.processes and max(times) <= limit
    return Guarantee("Outage without Redis", f"≤ {limit:.1f} s", measured, kept)


def _closed(facts: Facts, plan: Plan) -> Guarantee:
    begun = facts.marks.get("healthy for good")
    closed = [p for p in facts.living() if p.state == "closed" and not p.alone]
    measured = f"{len(closed)} of {plan.processes}"
    last = [p.switches[-1].at for p in closed if p.switches]
    if begun is not None and last:
        measured += f", after {max(0.0, max(last) - begun):.1f} s at most"
    kept = len(closed) == plan.processes == len(facts.living())
    return Guarantee("Closed again, and shared", f"all {plan.processes}", measured, kept)
