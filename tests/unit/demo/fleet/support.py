"""A run of a fleet, written down by hand: 20 seconds, three processes, one killed and started again."""

from __future__ import annotations

from cqrs.demo.fleet.facts import Asked, Call, Decision, Facts, Process, Switch
from cqrs.demo.fleet.plan import Plan
from cqrs.demo.fleet.verdict import FleetResult, judge
from cqrs.demo.recorder import Answer
from cqrs.demo.schedule import Mode
from cqrs.demo.verdict import Guarantee
from cqrs.testing import FakeClock

PLAN = Plan(processes=3)
FAILING, KILLED, SERVER_KILLED, ALONE, BACK, HEALTHY = 2.0, 5.0, 9.0, 12.0, 14.0, 15.0


def call(process: Process, started: float, seconds: float | None, succeeded: bool = False) -> Call:
    """A call whose request arrived 1 ms before it began; it never ends if ``seconds`` is ``None``."""
    ended = None if seconds is None else started + seconds
    made = Call(process, started - 0.001, started, ended, succeeded)
    process.calls.append(made)
    return made


def switch(process: Process, at: float, to_state: str) -> None:
    process.switches.append(Switch(at, to_state, "because", "fleet"))


def process(facts: Facts, slot: int, ready: float = -0.1) -> Process:
    made = Process(slot, pid=100 + len(facts.processes), ready=ready)
    facts.processes.append(made)
    return made


def a_good_run() -> Facts:
    """Every guarantee is kept. Process 2 is killed in the middle of a probe."""
    clock = FakeClock()
    facts = Facts(clock)
    facts.marks |= {
        "failing": FAILING,
        "probe killed": KILLED,
        "server killed": SERVER_KILLED,
        "failing alone": ALONE,
        "server back": BACK,
        "healthy for good": HEALTHY,
    }
    facts.upstream += [
        (0.0, Mode.HEALTHY),
        (FAILING, Mode.FAILING),
        (4.0, Mode.SLOW),
        (KILLED, Mode.HEALTHY),
        (ALONE, Mode.FAILING),
        (HEALTHY, Mode.HEALTHY),
    ]
    facts.store += [(0.0, True), (SERVER_KILLED, False), (BACK, True)]

    one, two, three = (process(facts, slot) for slot in (1, 2, 3))
    for number, each in enumerate((one, two, three)):
        call(each, 1.0 + 0.1 * number, 0.01, succeeded=True)
        for attempt in range(2):
            call(each, FAILING + 0.1 + 0.01 * attempt, 0.01)
        switch(each, FAILING + 0.2 + 0.001 * number, "open")
    call(one, 3.5, 0.02)  # a probe that fails
    call(two, KILLED - 0.01, None)
    two.killed = KILLED
    call(three, KILLED + 1.5, 0.01, succeeded=True)
    call(one, KILLED + 1.52, 0.01, succeeded=True)
    facts.decisions += [
        Decision(FAILING + 0.2, "closed", "open", "6 failures in a row", 0),
        Decision(3.5, "open", "half_open", "wait in open is over", 0),
        Decision(3.52, "half_open", "open", "1 of 2 probes failed", 1),
        Decision(KILLED - 0.01, "open", "half_open", "wait in open is over", 0),
        Decision(KILLED + 1.53, "half_open", "closed", "2 of 2 probes succeeded", 2),
    ]
    again = process(facts, 2, ready=KILLED + 1.0)
    switch(again, KILLED + 1.0, "probing")
    for each in (one, three, again):
        switch(each, KILLED + 1.53, "ramping")
        switch(each, KILLED + 2.0, "closed")
        each.degraded.append(SERVER_KILLED + 1.0)
        switch(each, ALONE + 0.5, "open")
        call(each, ALONE + 1.5, 0.01)  # each probes for itself
        each.recovered.append(BACK + 0.2)
        switch(each, HEALTHY + 1.0, "closed")
        each.answers |= {Answer.PRIMARY: 40, Answer.REJECTED: 20, Answer.FALLBACK: 5}

    for at in range(20):
        primary = not (FAILING <= at < KILLED + 2 or ALONE <= at < HEALTHY + 1)
        facts.asked.append(Asked(at, 0.01, Answer.PRIMARY if primary else Answer.REJECTED, 1))
    facts.asked.append(Asked(KILLED - 0.02, 0.05, Answer.REJECTED, 2))
    facts.sent = len(facts.asked)
    facts.tell("3 processes", "act")
    clock.advance(FAILING + 0.2)
    facts.tell("All opened <together>", "good")
    clock.advance(20.0 - facts.now())
    facts.tell("a detail")
    facts.ended = 20.0
    return facts


def judged(facts: Facts, name: str) -> Guarantee:
    """The judgement on one guarantee."""
    (found,) = (g for g in judge(facts, PLAN, 7, []) if g.name == name)
    return found


def result(facts: Facts) -> FleetResult:
    return FleetResult(PLAN, facts, judge(facts, PLAN, 7, []))
