"""A run as it should be, without a process."""

from __future__ import annotations

from collections.abc import Sequence

from cqrs.demo.notifications.facts import Asked, Facts, Process, Reading
from cqrs.demo.notifications.plan import Plan
from cqrs.demo.notifications.verdict import judge
from cqrs.demo.verdict import Guarantee

PLAN = Plan(processes=2)
FAILING, OPEN, HEALED = 2.0, 2.5, 8.0


def reading(at: float, state: int, rejections: int = 0, waiting: int = 0) -> Reading:
    return Reading(at, state=state, rejections=rejections, errors=0, probings=0, waiting=waiting)


def a_good_run() -> Facts:
    """Two processes: 4 s healthy, 3 s with an open circuit, healthy again."""
    now = 0.0
    facts = Facts(clock=lambda: now)
    facts.shared = True
    for slot in (1, 2):
        process = Process(slot, port=1000 + slot, pid=100 + slot)
        process.readings += [
            reading(1.0, 0),
            reading(OPEN, 2, 3, 2),
            reading(8.2, 1, 40, 9),
            reading(9, 0, 40),
        ]
        facts.processes.append(process)
    for name, at, lookups in (("failing", FAILING, 10), ("open", OPEN, 13), ("healed", HEALED, 15)):
        facts.marks[name], facts.lookups[name] = at, lookups
    for number in range(30):
        sent = number / 3
        reason = "circuit_open" if OPEN <= sent < HEALED else "error" if FAILING <= sent < OPEN else ""
        facts.asked.append(Asked(sent, 0.01, 202, identity=f"id-{number}", reason=reason))
        facts.mails[f"id-{number}"] = 1
    facts.sent = 30
    facts.logs = {"user": "", "notif 1": "WARNING: a fallback answered", "notif 2": ""}
    facts.ended = 10.0
    return facts


def judged(facts: Facts, plan: Plan = PLAN, left: Sequence[int] = ()) -> list[Guarantee]:
    return judge(facts, plan, started=4, left=left)
