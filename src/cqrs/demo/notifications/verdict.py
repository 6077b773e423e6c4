"""The guarantees of a run, each judged by what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cqrs.demo.figures import milliseconds, percentile
from cqrs.demo.notifications.facts import CLOSED, OPEN, WORDS, Asked, Facts
from cqrs.demo.notifications.plan import Plan
from cqrs.demo.verdict import Guarantee


@dataclass(frozen=True)
class Result:
    """A finished run, and the judgement."""

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
        started: number of processes that were started.
        left: ids of those that have not ended.
    """
    return [
        _answered(facts),
        _opened(facts, plan),
        _fast(facts, plan),
        _spared(facts, plan),
        _rejected(facts, plan),
        _delivered(facts),
        _closed(facts, plan),
        _quiet(facts),
        Guarantee("No process left behind", "0 left", f"{len(left)} of {started} left", not left),
    ]


def _documented(asked: Asked) -> bool:
    return asked.status == 202 or (asked.status == 503 and asked.retry_after)


def _answered(facts: Facts) -> Guarantee:
    """A caller gets 202, or 503 with ``Retry-After``."""
    good = [asked for asked in facts.asked if _documented(asked)]
    refused = sum(asked.status == 503 for asked in good)
    others = sorted({asked.error or str(asked.status) for asked in facts.asked if not _documented(asked)})
    measured = f"{len(good) - refused} × 202, {refused} × 503, {facts.sent - len(good)} other"
    if others:
        measured += f" ({others[0]})"
    return Guarantee(
        "Answered as documented", "202, or 503 with Retry-After", measured, 0 < len(good) == facts.sent
    )


def _opened(facts: Facts, plan: Plan) -> Guarantee:
    opened = sum(process.was(OPEN) for process in facts.processes)
    measured = f"/metrics of {opened} of {plan.processes} showed 2"
    return Guarantee(
        "Circuit opened everywhere", f"in all {plan.processes}", measured, opened == plan.processes
    )


def _fast(facts: Facts, plan: Plan) -> Guarantee:
    """An answer that an open circuit gives waits for nobody."""
    seconds = [asked.seconds for asked in facts.asked if asked.reason == "circuit_open"]
    slowest = percentile(seconds, 0.99)
    limit = min(plan.timeout / 4 + 3 * facts.lag, plan.timeout / 2)
    return Guarantee(
        "Open answers are fast (p99)",
        f"≤ {milliseconds(limit)}; a timeout is {milliseconds(plan.timeout)}",
        f"{milliseconds(slowest)} of {len(seconds)}",
        slowest is not None and slowest <= limit,
    )


def _spared(facts: Facts, plan: Plan) -> Guarantee:
    """While the circuit is open only probes reach ``user``: one per ``ttl``, of all who share it."""
    name = "Service user spared"
    begun, ended = facts.marks.get("open"), facts.marks.get("healed")
    if begun is None or ended is None:
        return Guarantee(name, "probes only", "it was not open", False)
    circuits = 1 if facts.shared else plan.processes
    limit = circuits * (math.floor((ended - begun) / plan.ttl) + 1)
    calls = facts.lookups["healed"] - facts.lookups["open"]
    asked = sum(begun <= asked.sent < ended for asked in facts.asked)
    return Guarantee(
        name,
        f"≤ {limit} probes",
        f"{calls} calls for {asked} notifications",
        calls <= limit and asked > limit,
    )


def _rejected(facts: Facts, plan: Plan) -> Guarantee:
    counts = [process.rejections for process in facts.processes]
    kept = len(counts) == plan.processes and all(counts)
    return Guarantee("Rejections are shown", "> 0 in all", " + ".join(map(str, counts)) or "none", kept)


def _delivered(facts: Facts) -> Guarantee:
    """What was taken was delivered, once; what was not taken was not."""
    taken = facts.taken()
    identities = {asked.identity for asked in taken}
    queued = sum(bool(asked.reason) for asked in taken)
    lost = sum(identity not in facts.mails for identity in identities)
    twice = sum(count > 1 for count in facts.mails.values())
    strange = len(facts.mails.keys() - identities)
    return Guarantee(
        "Every mail delivered once",
        "0 lost, 0 twice",
        f"{len(identities)} mails, {queued} of them had waited; {lost} lost, {twice} twice",
        queued > 0 and not lost and not twice and not strange and len(identities) == len(taken),
    )


def _closed(facts: Facts, plan: Plan) -> Guarantee:
    closed = sum(process.state == CLOSED for process in facts.processes)
    others = [f"{p.name}: {WORDS[p.state]}" for p in facts.processes if p.state]
    measured = f"/metrics of {closed} of {plan.processes} shows 0"
    if others:
        measured += f" ({', '.join(others)})"
    return Guarantee("Circuit closed again", f"in all {plan.processes}", measured, closed == plan.processes)


def _quiet(facts: Facts) -> Guarantee:
    loud = sorted(name for name, log in facts.logs.items() if "Traceback" in log)
    measured = f"in the log of {', '.join(loud)}" if loud else f"none in {len(facts.logs)} logs"
    return Guarantee("No traceback", "none", measured, bool(facts.logs) and not loud)
