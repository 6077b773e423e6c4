"""The transition table of a fleet's store: what is done at which second, and what must come of it.

Every guard of the protocol has a row. The numbers follow from ``RULES``: 4 calls and half of them failed open
the circuit for 10 s, then 20, 40, 60; of 3 probes, one at a time with a lease of 5 s, 2 must agree.
"""

from __future__ import annotations

from .servers import Message
from .steps import (
    RULES,
    VIEW,
    S,
    Step,
    acquire,
    at,
    beat,
    dump,
    flush,
    opened,
    override,
    renew,
    report,
    reset,
    rollback,
    rules,
    settle,
)

ALONE = rules(quorum=0.0)
ROW = rules(row=3, fr=1.0, min=100)
TIMED = rules(sr=0.75, fr=1.0)
PAIR = rules(conc=2)
RAMP = rules(ramp_us=10 * S, min=8)
BAD = report(4, 4)
GOOD = report(4)
CLEAN = report()

TABLE: dict[str, list[Step]] = {}


def row(name: str, *steps: Step) -> None:
    assert name not in TABLE, name
    TABLE[name] = list(steps)


def half_open(seconds: float = 10.0, by: Message = RULES) -> list[Step]:
    """Open at 0 and let node a acquire p when the wait is over."""
    return [opened(by), at(seconds, "a", acquire("p"), rules=by, granted=1, st="half_open", ep=2)]


# ====================================================================== nothing stored

row(
    "a circuit without state is closed and has no history",
    at(
        0,
        "a",
        VIEW,
        st="closed",
        ep=0,
        inc="",
        seq=0,
        left_us=0,
        wait_us=0,
        age_us=0,
        streak=0,
        ramp_us=-1,
        ramp_for_us=-1,
        row=0,
        watched=0,
        ov="",
        ov_left_us=-1,
        ov_by="",
        ov_why="",
        why="",
        cfg="",
        ok=0,
        bad=0,
        lives=0,
        told=0,
        audit=[],
    ),
)
row("a closed circuit needs no permit", at(0, "a", acquire("p"), granted=2, retry_us=0, inc="", told=0))
row("a settle without state is late", at(0, "a", settle("p", "success"), applied=0, inc="", told=0))
row("a renewal without state finds nothing", at(0, "a", renew("p"), live=0, inc="", told=0))
row("a reset without state does nothing", at(0, "a", reset(), inc="", ep=0, told=0, audit=[]))
row("a clear without state does nothing", at(0, "a", override(""), inc="", ep=0, told=0, audit=[]))
row(
    "an unknown operation spoils nothing",
    at(0, "a", {"op": "explode"}, err="unknown op explode", told=0),
    at(0, "a", VIEW, st="closed"),
)

# ====================================================================== detection: watched

row(
    "the first failure makes a circuit watched, the next ones do not",
    at(0, "a", report(3, 1), taken=1, watched=1, st="closed", inc="", told=1, audit=[]),
    at(1, "a", report(3, 1), taken=1, watched=1, told=0),
    at(1, "b", report(3, 1), taken=1, watched=1, told=0),
)
row(
    "a report without anything bad does not make it watched",
    at(0, "a", GOOD, taken=1, watched=0, told=0),
    at(0, "b", CLEAN, taken=1, watched=0, told=0),
)
row("a slow call makes it watched", at(0, "a", report(2, 0, 1), rules=TIMED, watched=1, told=1))
row("an overdue call makes it watched", at(0, "a", report(0, 0, 1, 1), rules=TIMED, watched=1, told=1))
row("a node that opened makes it watched", at(0, "a", report(o=1), watched=1, told=1))
row("a pending row makes it watched", at(0, "a", report(batch=(1, "F")), rules=ROW, watched=1, row=1, told=1))
row(
    "when nothing bad is left it is no longer watched",
    at(0, "a", report(3, 1), watched=1, told=1),
    at(1, "b", GOOD, watched=1, told=0),
    at(2, "a", report(3), watched=0, told=1),
    at(3, "a", report(3, 1), watched=1, told=1),
)
row(
    "it stays watched while another node has failures",
    at(0, "a", report(3, 1), watched=1, told=1),
    at(0, "b", report(3, 1), watched=1, told=0),
    at(1, "a", CLEAN, watched=1, told=0),
    at(1, "b", CLEAN, watched=0, told=1),
)
row(
    "watched by a row alone, and told when the row begins and ends",
    at(0, "a", report(3, 1), rules=ROW, watched=1, row=0, told=1),
    at(1, "a", report(3, 1, batch=(1, "F")), rules=ROW, watched=1, row=1, told=1),
    at(2, "a", report(3, 1, batch=(2, "F")), rules=ROW, watched=1, row=2, told=0),
    at(3, "a", report(3, 1, batch=(3, "S")), rules=ROW, watched=1, row=0, told=1),
    at(4, "a", report(3, 0), rules=ROW, watched=0, row=0, told=1),
)

# ====================================================================== detection: trip

row(
    "too few calls do not open",
    at(0, "a", report(3, 3), st="closed", watched=1),
)
row(
    "minimum and rate met: opens",
    at(
        0,
        "a",
        report(4, 2),
        taken=1,
        st="open",
        ep=1,
        inc="i1",
        streak=1,
        left_us=10 * S,
        wait_us=10 * S,
        age_us=0,
        watched=0,
        why="2 of 4 calls of the fleet failed",
        cfg="standard",
        told=1,
        audit=[
            {
                "id": "c",
                "name": "the c",
                "from": "closed",
                "to": "open",
                "ep": 1,
                "why": "2 of 4 calls of the fleet failed",
                "node": "a",
                "streak": 1,
                "wait_us": 10 * S,
                "n": 4,
                "f": 2,
                "s": 0,
                "reporters": 1,
                "unhealthy": 1,
                "row": 0,
            }
        ],
    ),
)
row("a rate just below the threshold does not open", at(0, "a", report(5, 2), st="closed", watched=1))
row(
    "slow calls open, overdue ones included",
    at(0, "a", report(3, 0, 2), rules=TIMED, st="closed"),
    at(0, "a", report(3, 0, 3, 1), rules=TIMED, st="open", why="3 of 4 calls of the fleet were slow"),
)
row("slow calls of a policy that times none do not open", at(0, "a", report(4, 0, 4, 0), st="closed"))
row(
    "overdue calls count for slowness, not for failures",
    at(0, "a", report(3, 3, 0, 2), rules=rules(sr=0.75), st="closed", watched=1),
)
row(
    "pooled figures of several nodes open",
    at(0, "a", report(2, 1), st="closed"),
    at(0, "b", report(2, 1), st="open", why="2 of 4 calls of the fleet failed"),
)
row(
    "figures are absolute: a repeated report changes nothing",
    at(0, "a", report(3, 3), st="closed"),
    at(1, "a", report(3, 3), st="closed"),
    at(2, "a", report(3, 3), st="closed"),
)
row(
    "a node's figures replace its last ones",
    at(0, "a", report(3, 3), st="closed"),
    at(1, "a", report(3, 0), st="closed", watched=0),
    at(2, "b", report(1, 1), st="closed", watched=1),
)
row(
    "one bad node of three does not open, however bad",
    at(0, "b", report(1000), st="closed"),
    at(0, "c", report(1000), st="closed"),
    at(0, "a", report(9000, 9000), st="closed", watched=1),
    at(9, "a", report(9000, 9000), st="closed", watched=1),
)
row(
    "two bad nodes of three do",
    at(0, "b", report(1000), st="closed"),
    at(0, "c", report(1000), st="closed"),
    at(0, "a", report(9000, 9000), st="closed"),
    at(0, "c", report(1000, 900), st="open", why="9900 of 11000 calls of the fleet failed"),
)
row(
    "a node that opened is unhealthy whatever its rate, also without calls",
    at(0, "b", report(1000), st="closed"),
    at(0, "c", report(1000), st="closed"),
    at(0, "d", report(4000, 3500), st="closed"),
    at(0, "a", report(o=1), st="open", why="3500 of 6000 calls of the fleet failed"),
)
row(
    "a quorum of all needs all",
    at(0, "a", BAD, rules=rules(quorum=1.0), st="open"),
)
row(
    "a quorum of all is not met with one healthy reporter",
    at(0, "b", report(1), rules=rules(quorum=1.0), st="closed"),
    at(0, "a", BAD, rules=rules(quorum=1.0), st="closed"),
    at(9, "a", BAD, rules=rules(quorum=1.0), st="closed"),
    at(9, "b", report(1, 1), rules=rules(quorum=1.0), st="open"),
)
row(
    "few reporters of many nodes: not before the grace is over",
    *[beat(0, node) for node in "abcde"],
    at(0, "a", BAD, st="closed", watched=1),
    at(1.999, "a", BAD, st="closed"),
    at(2, "a", BAD, st="open"),
)
row(
    "enough reporters of the living nodes: at once",
    *[beat(0, node) for node in "abcd"],
    at(0, "a", BAD, st="closed"),
    at(0, "b", BAD, st="open", why="8 of 8 calls of the fleet failed"),
)
row(
    "nodes that were not seen for long do not count as living",
    *[beat(0, node) for node in "bcdef"],
    beat(3.000001, "a", live=1),
    at(3.000001, "a", BAD, st="open"),
)
row(
    "seen just as long ago as is allowed is living",
    *[beat(0, node) for node in "bcdef"],
    at(3, "a", BAD, st="closed"),
)
row(
    "the grace begins anew when it was not watched in between",
    *[beat(0, node, stale_us=60 * S) for node in "abcde"],
    at(0, "a", report(3, 3), st="closed", watched=1),
    at(1, "a", CLEAN, watched=0),
    at(1.5, "a", report(3, 3), watched=1),
    *[beat(3, node) for node in "abcde"],
    at(3.4, "a", BAD, st="closed"),
    at(3.5, "a", BAD, st="open"),
)
row(
    "without quorum one process is enough",
    *[beat(0, node) for node in "abcde"],
    at(0, "b", report(1000), rules=ALONE, st="closed"),
    at(0, "a", report(4, 2), rules=ALONE, st="open", why="2 of 4 calls failed: one process is enough"),
)
row(
    "without quorum one slow process is enough",
    at(0, "b", report(1000), rules={**TIMED, "quorum": 0}, st="closed"),
    at(
        0,
        "a",
        report(3, 0, 3, 1),
        rules={**TIMED, "quorum": 0},
        st="open",
        why="3 of 4 calls were slow: one process is enough",
    ),
)
row(
    "without quorum a process that has opened is enough",
    at(0, "b", report(1000), rules=ALONE, st="closed"),
    at(0, "a", report(1, 0, o=1), rules=ALONE, st="open", why="a process has opened: one process is enough"),
)
row(
    "without quorum the pool may be what meets the minimum",
    *[beat(0, node) for node in "abcde"],
    at(0, "a", report(2, 2), rules=ALONE, st="closed"),
    at(0, "b", report(2, 2), rules=ALONE, st="open", why="4 of 4 calls of the fleet failed"),
)
row(
    "without quorum one call may ask for it, for a time of its own",
    at(
        0,
        "a",
        report(9, 1, trip=1, trip_us=33 * S),
        rules=ALONE,
        st="open",
        why="a call asked for it",
        left_us=33 * S,
        streak=1,
    ),
)
row(
    "a call that asks for a time gets it, also when it ends a row",
    at(
        0,
        "a",
        report(1, 1, trip=1, trip_us=33 * S, batch=(1, "FFF")),
        rules={**ROW, "quorum": 0},
        st="open",
        why="a call asked for it",
        left_us=33 * S,
    ),
)
row("with a quorum a single call may not", at(0, "a", report(9, 1, trip=1), st="closed", watched=1))
row(
    "the time that a call asks for has a floor",
    at(0, "a", report(1, 1, trip=1, trip_us=1), rules=ALONE, left_us=10 * S),
)
row(
    "the time that a call asks for has a ceiling",
    at(0, "a", report(1, 1, trip=1, trip_us=999 * S), rules=ALONE, left_us=60 * S),
)
row(
    "the time that a call asks for is not shortened at random",
    at(0, "a", report(1, 1, trip=1, trip_us=20 * S), rules={**ALONE, "jit": 0.5}, rnd=0.9, left_us=20 * S),
)
row(
    "the usual wait is shortened at random",
    at(0, "a", BAD, rules=rules(jit=0.5), rnd=0.25, left_us=8_750_000, wait_us=8_750_000),
)
row(
    "waits are whole microseconds, rounded down",
    at(0, "a", BAD, rules=rules(jit=0.3, base_us=1_000_001), rnd=0.7, left_us=790_000),
)
row(
    "stale reporters are swept and their figures with them",
    at(0, "b", report(1000), st="closed"),
    at(0, "c", report(1000), st="closed"),
    at(30, "a", BAD, st="closed"),
    at(30.000001, "a", BAD, st="open", why="4 of 4 calls of the fleet failed"),
)
row(
    "reporters of the future are swept (the clock was set back)",
    at(100, "b", report(1000), st="closed"),
    at(99, "a", BAD, st="closed"),
    at(98.999999, "a", BAD, st="open", why="4 of 4 calls of the fleet failed"),
)
row(
    "what is left after the sweep may be nothing bad",
    at(0, "b", report(3, 1), watched=1),
    at(31, "a", GOOD, watched=0, told=1),
)
row(
    "a report while open is not taken",
    opened(),
    at(1, "a", BAD, taken=0, st="open", streak=1, told=0),
    at(11, "a", BAD, taken=0, st="open", told=0),
)
row("a report while half-open is not taken", *half_open(), at(10, "a", BAD, taken=0, st="half_open", told=0))
row(
    "a report from before a transition is not taken",
    opened(),
    at(1, "b", reset(), st="closed", ep=2),
    at(2, "a", BAD, seen=("i1", 1), taken=0, st="closed", ep=2, told=0),
    at(2, "a", BAD, seen=("", 0), taken=0, st="closed"),
    at(2, "a", BAD, seen=("other", 2), taken=0, st="closed"),
    at(2, "a", BAD, seen=("i1", 2), taken=1, st="open", ep=3),
)
row(
    "a report under an override is not taken",
    at(0, "o", override("disabled"), st="closed"),
    at(1, "a", BAD, seen=("i1", 1), taken=0, st="closed", watched=0),
)
row(
    "a transition forgets the figures",
    at(0, "a", report(3, 3), watched=1),
    at(1, "o", override("metrics_only"), watched=0),
    at(2, "o", override(""), watched=0),
    at(3, "b", report(1, 1), seen=("i2", 2), st="closed", watched=1),
)

# ====================================================================== failures in a row

row(
    "failures in a row open",
    at(0, "a", report(2, 2, batch=(1, "FF")), rules=ROW, st="closed", row=2, watched=1),
    at(
        1,
        "a",
        report(3, 3, batch=(2, "F")),
        rules=ROW,
        st="open",
        why="3 failures in a row",
        row=0,
        audit=[{"row": 3, "n": 3, "f": 3, "to": "open"}],
    ),
)
row(
    "one failure in a row is called so",
    at(0, "a", report(1, 1, batch=(1, "F")), rules=rules(row=1), why="1 failure"),
)
row(
    "the rows of two nodes are one",
    at(0, "a", report(2, 2, batch=(1, "FF")), rules=ROW, row=2),
    at(0, "b", report(1, 1, batch=(1, "F")), rules=ROW, st="open"),
)
row(
    "a success ends the row",
    at(0, "a", report(2, 2, batch=(1, "FF")), rules=ROW, row=2),
    at(1, "b", report(2, 1, batch=(1, "SF")), rules=ROW, row=1, st="closed"),
    at(2, "b", report(1, 0, batch=(2, "S")), rules=ROW, row=0, st="closed"),
)
row(
    "a row that a success ends may have been long enough",
    at(0, "a", report(2, 2, batch=(1, "FF")), rules=ROW, row=2),
    at(1, "b", report(2, 1, batch=(1, "FS")), rules=ROW, st="open", why="3 failures in a row"),
)
row(
    "a row within a batch may be long enough",
    at(0, "a", report(9, 4, batch=(1, "SFFFSF")), rules=ROW, st="open", why="3 failures in a row"),
)
row(
    "a row at the end of a batch may be long enough",
    at(0, "a", report(9, 4, batch=(1, "FSFFFF")), rules=ROW, st="open", why="4 failures in a row"),
)
row(
    "a repeated batch counts once",
    at(0, "a", report(1, 1, batch=(7, "FF")), rules=ROW, row=2),
    at(1, "a", report(1, 1, batch=(7, "FF")), rules=ROW, row=2, st="closed", told=0),
)
row(
    "an overtaken batch does not count",
    at(0, "a", report(1, 1, batch=(2, "F")), rules=ROW, row=1),
    at(1, "a", report(1, 1, batch=(1, "SFF")), rules=ROW, row=1, st="closed"),
    at(2, "a", report(1, 1, batch=(3, "F")), rules=ROW, row=2, st="closed"),
)
row(
    "batches are numbered by each node for itself",
    at(0, "a", report(1, 1, batch=(5, "F")), rules=ROW, row=1),
    at(1, "b", report(1, 1, batch=(1, "F")), rules=ROW, row=2),
)
row(
    "a repeated batch of a node whose window is clean counts once",
    at(0, "a", report(1, 1, batch=(1, "F")), rules=ROW, row=1),
    at(1, "a", report(0, 0), rules=ROW, row=1, watched=1),
    at(2, "a", report(0, 0, batch=(1, "F")), rules=ROW, row=1),
)
row(
    "also when the row was over in between",
    at(0, "b", report(3, 1), rules=ROW, watched=1),
    at(0, "a", report(1, 1, batch=(1, "F")), rules=ROW, row=1),
    at(1, "b", report(3, 1, batch=(1, "S")), rules=ROW, row=0, watched=1),
    at(1, "a", CLEAN, rules=ROW, row=0, watched=1),
    at(2, "a", report(1, 1, batch=(1, "F")), rules=ROW, row=0, watched=1),
)
row(
    "a row without figures is enough to open",
    at(0, "a", report(batch=(1, "FFF")), rules=ROW, st="open", audit=[{"n": 0, "reporters": 0, "row": 3}]),
)
row(
    "the row needs no quorum and no grace",
    *[beat(0, node) for node in "abcde"],
    at(0, "a", report(batch=(1, "FFF")), rules={**ROW, "quorum": 1.0}, st="open"),
)
row(
    "batches of a policy without a row never open",
    at(0, "a", report(batch=(1, "FFFF")), row=4, st="closed", watched=1),
)

# ====================================================================== waits and streak

row(
    "waits grow up to the longest",
    *half_open(),
    at(10, "a", settle("p", "failure"), st="half_open"),
    at(10, "a", acquire("q"), granted=1),
    at(10, "a", settle("q", "failure"), st="open", streak=2, left_us=20 * S, why="2 of 3 probes failed"),
    *[
        step
        for second, streak, wait in [(30, 3, 40), (70, 4, 60), (130, 5, 60)]
        for step in (
            at(second, "a", acquire("p"), granted=1),
            at(second, "a", settle("p", "failure", trip=1), st="open", streak=streak, left_us=wait * S),
        )
    ],
)
row(
    "a multiplier of 1 keeps the wait",
    *half_open(by=rules(mult=1.0)),
    at(10, "a", settle("p", "failure", trip=1), rules=rules(mult=1.0), st="open", streak=2, left_us=10 * S),
)
row(
    "closing takes one step back",
    *half_open(),
    at(10, "a", settle("p", "success"), st="half_open", streak=1),
    at(10, "a", acquire("q"), granted=1),
    at(10, "a", settle("q", "success"), st="closed", streak=0, why="2 of 3 probes succeeded"),
    at(11, "a", BAD, st="open", streak=1),
)
row(
    "closed for as long as the longest wait: the streak begins anew",
    *half_open(),
    at(10, "a", settle("p", "failure", trip=1), st="open", streak=2),
    at(30, "a", acquire("p"), granted=1),
    at(30, "a", settle("p", "success"), st="half_open"),
    at(30, "a", acquire("p"), granted=1),
    at(30, "a", settle("p", "success"), st="closed", streak=1),
    at(90, "a", BAD, st="open", streak=1, left_us=10 * S),
)
row(
    "closed for less: it goes on",
    *half_open(),
    at(10, "a", settle("p", "failure", trip=1), st="open", streak=2),
    at(30, "a", acquire("p"), granted=1),
    at(30, "a", settle("p", "success"), st="half_open"),
    at(30, "a", acquire("p"), granted=1),
    at(30, "a", settle("p", "success"), st="closed", streak=1),
    at(89.999999, "a", BAD, st="open", streak=2, left_us=20 * S),
)

# ====================================================================== open

row(
    "no permit before the wait is over",
    opened(),
    at(
        4,
        "a",
        acquire("p"),
        granted=0,
        retry_us=6 * S,
        st="open",
        left_us=6 * S,
        age_us=4 * S,
        told=0,
        audit=[],
    ),
    at(9.999999, "a", acquire("p"), granted=0, retry_us=1, told=0),
)
row(
    "the first to ask when it is over gets the permit",
    opened(),
    at(
        10,
        "b",
        acquire("p"),
        granted=1,
        retry_us=0,
        st="half_open",
        ep=2,
        left_us=0,
        wait_us=10 * S,
        lives=1,
        ok=0,
        bad=0,
        why="wait in open is over",
        told=1,
        audit=[{"from": "open", "to": "half_open", "ep": 2, "node": "b", "streak": 1}],
    ),
    at(10, "a", acquire("q"), granted=0, retry_us=5 * S, st="half_open", lives=1, told=0),
)
row(
    "time alone changes nothing until somebody asks for a permit",
    opened(),
    at(60, "a", VIEW, st="open", ep=1, left_us=0, told=0),
)
row("a settle while open is late", opened(), at(1, "a", settle("p", "success"), applied=0, st="open", told=0))
row("a renewal while open finds nothing", opened(), at(1, "a", renew("p"), live=0, st="open", told=0))

# ====================================================================== half-open: permits

row(
    "a success gives the place free and tells so",
    *half_open(),
    at(11, "a", settle("p", "success"), applied=1, st="half_open", ok=1, lives=0, told=1, audit=[]),
    at(11, "b", acquire("q"), granted=1, lives=1, ok=1),
)
row(
    "a permit settles once",
    *half_open(),
    at(11, "a", settle("p", "success"), applied=1, ok=1),
    at(11, "a", settle("p", "success"), applied=0, ok=1, told=0),
    at(11, "a", settle("p", "failure"), applied=0, bad=0, told=0),
)
row(
    "a permit nobody was granted does not settle",
    *half_open(),
    at(11, "a", settle("other", "success"), applied=0, ok=0, lives=1, told=0),
)
row(
    "a permit of an earlier epoch does not settle",
    *half_open(),
    at(10, "b", override("enabled"), st="closed"),
    at(10, "b", override(""), st="closed", ep=4),
    at(11, "a", settle("p", "failure", trip=1), seen=("i1", 2), applied=0, st="closed"),
)
row(
    "a settle that names another epoch or incarnation is late",
    *half_open(),
    at(11, "a", settle("p", "success"), seen=("i1", 1), applied=0, lives=1),
    at(11, "a", settle("p", "success"), seen=("other", 2), applied=0, lives=1),
    at(11, "a", settle("p", "success"), seen=("i1", 2), applied=1, lives=0),
)
row(
    "no more at once than allowed",
    *half_open(by=PAIR),
    at(11, "b", acquire("q"), rules=PAIR, granted=1, lives=2),
    at(12, "c", acquire("r"), rules=PAIR, granted=0, retry_us=3 * S, lives=2, told=0, audit=[]),
    at(12, "a", settle("p", "ignored"), rules=PAIR, applied=1, lives=1),
    at(12, "c", acquire("r"), rules=PAIR, granted=1, lives=2),
)
row(
    "no more in all than can decide",
    *half_open(by={**PAIR, "fr": 1.0}),
    at(10, "a", settle("p", "failure"), rules={**PAIR, "fr": 1.0}, st="half_open", bad=1),
    at(10, "a", acquire("q"), rules={**PAIR, "fr": 1.0}, granted=1),
    at(10, "a", settle("q", "failure"), rules={**PAIR, "fr": 1.0}, st="half_open", bad=2),
    at(10, "a", acquire("r"), rules={**PAIR, "fr": 1.0}, granted=1, lives=1),
    at(10, "b", acquire("s"), rules={**PAIR, "fr": 1.0}, granted=0, retry_us=5 * S, lives=1),
)
row(
    "a denial asks for a pause of a millisecond at least",
    *half_open(),
    at(14.9995, "b", acquire("q"), granted=0, retry_us=1_000),
)
row(
    "a permit granted twice takes one place",
    *half_open(),
    at(10, "a", acquire("p"), granted=0, retry_us=5 * S, lives=1),
)
row(
    "a renewal prolongs the lease",
    *half_open(),
    at(14, "a", renew("p"), live=1, lives=1, told=0, audit=[]),
    at(18.999, "b", acquire("q"), granted=0, retry_us=1_000),
    at(19, "b", acquire("q"), granted=1, lives=1),
    at(19, "a", renew("p"), live=0, lives=1),
    at(19, "a", settle("p", "success"), applied=0),
)
row(
    "a renewal that names another epoch or incarnation finds nothing",
    *half_open(),
    at(11, "a", renew("p"), seen=("i1", 1), live=0),
    at(11, "a", renew("p"), seen=("other", 2), live=0),
)
row("a renewal creates no permit", *half_open(), at(11, "a", renew("q"), live=0, lives=1))
row(
    "an expired permit that nobody reaped may still be renewed, and settled",
    *half_open(),
    at(16, "a", renew("p"), live=1, lives=1),
    at(22, "a", settle("p", "success"), applied=1, ok=1),
)

# ====================================================================== half-open: verdicts

row(
    "enough failures open before all probes are made",
    *half_open(by=PAIR),
    at(10, "b", acquire("q"), rules=PAIR, granted=1),
    at(11, "a", settle("p", "failure"), rules=PAIR, st="half_open", bad=1, ok=0),
    at(
        11,
        "b",
        settle("q", "failure"),
        rules=PAIR,
        applied=1,
        st="open",
        ep=3,
        streak=2,
        ok=0,
        bad=0,
        why="2 of 3 probes failed",
        told=1,
        audit=[{"from": "half_open", "to": "open", "ok": 0, "bad": 2, "slow": 0, "wait_us": 20 * S}],
    ),
)
row(
    "enough successes close before all probes are made",
    *half_open(by=PAIR),
    at(10, "b", acquire("q"), rules=PAIR, granted=1),
    at(11, "a", settle("p", "success"), rules=PAIR, st="half_open"),
    at(
        11,
        "b",
        settle("q", "success"),
        rules=PAIR,
        st="closed",
        ep=3,
        streak=0,
        why="2 of 3 probes succeeded",
        told=1,
        audit=[{"from": "half_open", "to": "closed", "ok": 2, "bad": 0, "slow": 0}],
    ),
)
row(
    "slow probes open",
    *half_open(by={**TIMED, "sr": 0.5}),
    at(10, "a", settle("p", "success", slow=1), rules={**TIMED, "sr": 0.5}, st="half_open", ok=1),
    at(10, "a", acquire("q"), rules={**TIMED, "sr": 0.5}, granted=1),
    at(
        10,
        "a",
        settle("q", "success", slow=1),
        rules={**TIMED, "sr": 0.5},
        st="open",
        why="2 of 3 probes were slow",
        audit=[{"ok": 2, "bad": 0, "slow": 2}],
    ),
)
row(
    "closing waits while slow ones may still open",
    *half_open(by={**TIMED, "sr": 0.6}),
    at(10, "a", settle("p", "success", slow=1), rules={**TIMED, "sr": 0.6}, st="half_open"),
    at(10, "a", acquire("q"), rules={**TIMED, "sr": 0.6}, granted=1),
    at(10, "a", settle("q", "success"), rules={**TIMED, "sr": 0.6}, st="half_open", ok=2),
    at(10, "a", acquire("r"), rules={**TIMED, "sr": 0.6}, granted=1),
    at(
        10,
        "a",
        settle("r", "success"),
        rules={**TIMED, "sr": 0.6},
        st="closed",
        why="3 of 3 probes succeeded",
    ),
)
row(
    "a call may ask to open at once, for a time",
    *half_open(),
    at(
        10,
        "a",
        settle("p", "failure", trip=1, trip_us=45 * S),
        st="open",
        why="a call asked for it",
        left_us=45 * S,
        streak=2,
        audit=[{"bad": 1}],
    ),
)
row(
    "ignored and cancelled probes use nothing up",
    *half_open(),
    *[
        step
        for verdict in ["ignored", "cancelled"] * 4
        for step in (
            at(10, "a", settle("p", verdict), applied=1, st="half_open", ok=0, bad=0, lives=0, told=1),
            at(10, "a", acquire("p"), granted=1),
        )
    ],
)
row(
    "inconclusive probes in a row open",
    *half_open(),
    at(10, "a", settle("p", "inconclusive"), st="half_open"),
    at(10, "a", acquire("p"), granted=1),
    at(10, "a", settle("p", "inconclusive"), st="half_open"),
    at(10, "a", acquire("p"), granted=1),
    at(10, "a", settle("p", "inconclusive"), st="open", why="3 probes in a row never reached it", streak=2),
)
row(
    "an ignored one in between ends that row, a cancelled one does not",
    *half_open(),
    *[
        step
        for verdict in [
            "inconclusive",
            "inconclusive",
            "ignored",
            "inconclusive",
            "inconclusive",
            "cancelled",
        ]
        for step in (
            at(10, "a", settle("p", verdict), applied=1, st="half_open"),
            at(10, "a", acquire("p"), granted=1),
        )
    ],
    at(10, "a", settle("p", "inconclusive"), st="open", why="3 probes in a row never reached it"),
)

# ====================================================================== half-open: lost, timeout

row(
    "an expired permit is reaped by the next who asks",
    *half_open(),
    at(14.999, "b", acquire("q"), granted=0, lives=1),
    at(15, "b", acquire("q"), granted=1, st="half_open", lives=1, told=0, audit=[]),
)
row(
    "as many lost in a row as there are probes open",
    *half_open(),
    at(15, "b", acquire("q"), granted=1),
    at(20, "c", acquire("r"), granted=1),
    at(
        25,
        "d",
        acquire("s"),
        granted=0,
        retry_us=20 * S,
        st="open",
        streak=2,
        left_us=20 * S,
        lives=0,
        why="3 probes in a row were lost",
        told=1,
    ),
)
row(
    "lost ones are counted together",
    *half_open(by=rules(need=2, conc=2)),
    at(10, "b", acquire("q"), rules=rules(need=2, conc=2), granted=1, lives=2),
    at(
        15,
        "c",
        acquire("r"),
        rules=rules(need=2, conc=2),
        granted=0,
        st="open",
        why="2 probes in a row were lost",
    ),
)
row(
    "an outcome ends the row of lost ones",
    *half_open(),
    at(15, "b", acquire("q"), granted=1),
    at(20, "c", acquire("r"), granted=1),
    at(21, "c", settle("r", "ignored"), st="half_open"),
    at(21, "c", acquire("r"), granted=1),
    at(26, "d", acquire("s"), granted=1, st="half_open"),
)
row(
    "a cancelled one does not",
    *half_open(),
    at(15, "b", acquire("q"), granted=1),
    at(20, "c", acquire("r"), granted=1),
    at(21, "c", settle("r", "cancelled"), st="half_open"),
    at(21, "c", acquire("r"), granted=1),
    at(26, "d", acquire("s"), granted=0, st="open", why="3 probes in a row were lost"),
)
row(
    "half-open for too long: opens",
    *half_open(),
    at(99, "b", VIEW, st="half_open", age_us=89 * S),
    at(
        100,
        "b",
        acquire("q"),
        granted=0,
        retry_us=20 * S,
        st="open",
        ep=3,
        streak=2,
        why="the probes did not decide in time",
        told=1,
    ),
)
row(
    "half-open for too long: closes, if so wanted",
    *half_open(by=rules(half_to="closed")),
    at(
        100,
        "b",
        acquire("q"),
        rules=rules(half_to="closed"),
        granted=2,
        retry_us=0,
        st="closed",
        ep=3,
        streak=0,
        why="the probes did not decide in time",
    ),
)
row(
    "half-open for too long: closes with a ramp",
    *half_open(by={**RAMP, "half_to": "closed"}),
    at(
        100,
        "b",
        acquire("q"),
        rules={**RAMP, "half_to": "closed"},
        granted=2,
        st="closed",
        ramp_us=0,
        streak=1,
    ),
)
row("only who asks for a permit finds it too long", *half_open(), at(500, "a", VIEW, st="half_open", lives=1))

# ====================================================================== ramp


def ramping(by: Message = RAMP) -> list[Step]:
    """Open at 0, close with a ramp at 10."""
    return [
        *half_open(by=by),
        at(10, "a", settle("p", "success"), rules=by, st="half_open"),
        at(10, "a", acquire("q"), rules=by, granted=1),
        at(
            10,
            "a",
            settle("q", "success"),
            rules=by,
            st="closed",
            ep=3,
            streak=1,
            ramp_us=0,
            ramp_for_us=by["ramp_us"],
        ),
    ]


row(
    "a ramp is told as time since its start",
    *ramping(),
    at(
        14,
        "a",
        acquire("r"),
        rules=RAMP,
        granted=2,
        ramp_us=4 * S,
        ramp_for_us=10 * S,
        streak=1,
        age_us=4 * S,
    ),
    at(19.999999, "a", VIEW, rules=RAMP, ramp_us=9_999_999, streak=1, told=0),
)
row(
    "when the ramp is over the streak goes down, and nobody is told",
    *ramping(),
    at(20, "b", VIEW, rules=RAMP, st="closed", ep=3, ramp_us=-1, ramp_for_us=-1, streak=0, age_us=0, told=0),
    at(25, "b", VIEW, rules=RAMP, streak=0, age_us=5 * S, told=0),
)
row(
    "during the ramp fewer calls are enough: half of 8",
    *ramping(),
    at(10, "a", report(3, 3), rules=RAMP, st="closed"),
    at(
        10,
        "a",
        report(4, 4),
        rules=RAMP,
        st="open",
        ep=4,
        streak=2,
        left_us=20 * S,
        ramp_us=-1,
        ramp_for_us=-1,
    ),
)
row(
    "the share rounds up",
    *ramping(),
    at(10.000001, "a", report(4, 4), rules=RAMP, st="closed"),
    at(12.5, "a", report(4, 4), rules=RAMP, st="closed"),
    at(12.5, "a", report(5, 5), rules=RAMP, st="open"),
)
row(
    "at least 3 calls, or the minimum if that is smaller",
    *ramping({**RAMP, "ramp_from": 0.125}),
    at(10, "a", report(2, 2), rules={**RAMP, "ramp_from": 0.125}, st="closed"),
    at(10, "a", report(3, 3), rules={**RAMP, "ramp_from": 0.125}, st="open"),
)
row(
    "a minimum of 1 stays 1",
    *ramping({**RAMP, "ramp_from": 0.125, "min": 1}),
    at(10, "a", report(1, 1), rules={**RAMP, "ramp_from": 0.125, "min": 1}, st="open"),
)
row(
    "after the ramp the whole minimum counts",
    *ramping(),
    at(20, "a", report(7, 7), rules=RAMP, st="closed"),
    at(20, "a", report(8, 8), rules=RAMP, st="open", ep=4, streak=1, left_us=10 * S),
)
row(
    "the figures of the ramp outlive it",
    *ramping(),
    at(19, "a", report(7, 7), rules=RAMP, st="closed", watched=1),
    at(20, "b", report(1, 1), rules=RAMP, seen=("i1", 3), st="open", why="8 of 8 calls of the fleet failed"),
)
row(
    "without quorum the smaller minimum holds for one process too",
    *ramping({**RAMP, "quorum": 0.0}),
    at(
        10,
        "a",
        report(4, 4),
        rules={**RAMP, "quorum": 0.0},
        st="open",
        why="4 of 4 calls failed: one process is enough",
    ),
)
row(
    "a long ramp is not health",
    *ramping({**RAMP, "ramp_us": 100 * S}),
    at(100, "a", report(8, 8), rules={**RAMP, "ramp_us": 100 * S}, st="open", streak=2),
)
row(
    "health begins when the ramp is over",
    *half_open(by=RAMP),
    at(10, "a", settle("p", "failure", trip=1), rules=RAMP, st="open", streak=2),
    at(30, "a", acquire("p"), rules=RAMP, granted=1),
    at(30, "a", settle("p", "success"), rules=RAMP),
    at(30, "a", acquire("p"), rules=RAMP, granted=1),
    at(30, "a", settle("p", "success"), rules=RAMP, st="closed", streak=2),
    at(99.999999, "a", report(7, 7), rules=RAMP, streak=1),
    dump(),
    at(99.999999, "a", report(8, 8), rules=RAMP, st="open", streak=2),
    rollback(),
    at(100, "a", report(8, 8), rules=RAMP, seen=("i1", 5), st="open", streak=1),
)
row(
    "an override ends the ramp",
    *ramping(),
    at(11, "o", override("metrics_only"), rules=RAMP, ramp_us=-1, ramp_for_us=-1, streak=1),
)

# ====================================================================== overrides

row(
    "an override is in force until it expires",
    at(
        0,
        "o",
        override("forced_open", 60, by="ann", why="INC-42"),
        st="closed",
        ep=1,
        ov="forced_open",
        ov_left_us=60 * S,
        ov_by="ann",
        ov_why="INC-42",
        why="INC-42",
        told=1,
        audit=[{"from": "closed", "to": "closed", "by": "ann", "mode": "forced_open", "ttl_us": 60 * S}],
    ),
    at(20, "a", acquire("p"), granted=0, retry_us=40 * S, ov_left_us=40 * S, told=0),
    at(59.999999, "a", acquire("p"), granted=0, retry_us=1),
    at(
        60,
        "a",
        acquire("p"),
        granted=2,
        st="closed",
        ep=2,
        ov="",
        ov_left_us=-1,
        ov_by="",
        ov_why="",
        why="override expired",
        told=1,
        audit=[{"from": "closed", "to": "closed", "ep": 2, "why": "override expired", "node": "a"}],
    ),
)
row(
    "a sticky override stays",
    at(0, "o", override("forced_open"), ov_left_us=-1, why="override: forced_open", ov_why="", ov_by=""),
    at(999_999, "a", acquire("p"), granted=0, retry_us=60 * S, ov="forced_open"),
)
row(
    "modes that admit need no permit",
    *[
        step
        for mode in ["disabled", "metrics_only"]
        for step in (
            at(0, "o", override(mode), ov=mode),
            at(1, "a", acquire("p"), granted=2, ov=mode, told=0),
        )
    ],
)
row(
    "enabled admits too, as long as it is closed",
    at(0, "o", override("enabled")),
    at(1, "a", acquire("p"), granted=2),
)
row(
    "an override while open begins afresh",
    opened(),
    at(1, "o", override("disabled"), st="closed", ep=2, left_us=0, streak=1, wait_us=10 * S),
    at(
        2, "o", override(""), st="closed", ep=3, ov="", why="override cleared", streak=1, audit=[{"mode": ""}]
    ),
)
row(
    "an override voids the permits",
    *half_open(),
    at(11, "o", override("disabled"), st="closed", ep=3, lives=0),
    at(11, "a", settle("p", "success"), seen=("i1", 2), applied=0),
)
row(
    "an override replaces another",
    at(0, "o", override("disabled", 10, by="ann"), ep=1),
    at(1, "o", override("forced_open", by="bob"), ep=2, ov="forced_open", ov_by="bob", ov_left_us=-1),
    at(11, "a", VIEW, ov="forced_open", ep=2),
)
row(
    "a clear without an override in force changes nothing",
    opened(),
    at(1, "o", override(""), st="open", ep=1, told=0, audit=[]),
)
row(
    "a clear of an expired override finds it expired",
    at(0, "o", override("disabled", 10)),
    at(10, "o", override(""), ov="", ep=2, why="override expired", told=1),
)
row(
    "a reset of a circuit forgets all, its override too",
    *half_open(),
    at(10, "a", settle("p", "failure", trip=1), streak=2, ep=3),
    at(11, "o", override("disabled", by="ann"), ep=4, streak=2),
    at(12, "o", reset(), st="closed", ep=5, ov="", ov_by="", streak=0, why="reset", told=1),
    at(13, "a", BAD, seen=("i1", 5), st="open", streak=1),
)
row(
    "the circuit of all circuits is one like others",
    at(0, "o", override("disabled", 10), id="*", ov="disabled"),
    at(1, "a", VIEW, ov=""),
    beat(1, "a", changed=["*"]),
)

# ====================================================================== clock steps (F5)

row(
    "a clock set back during open cannot hold it open",
    opened(),
    at(-3600, "a", VIEW, st="open", left_us=60 * S, age_us=0),
    at(-3600, "a", acquire("p"), granted=1, st="half_open"),
)
row(
    "set back by little, it stays open for no longer than the longest wait",
    opened(),
    at(-50, "a", acquire("p"), granted=0, retry_us=60 * S),
    at(-50.000001, "a", acquire("p"), granted=1),
)
row("a clock set forward ends the wait", opened(), at(3600, "a", acquire("p"), granted=1))
row(
    "a clock set back while half-open: permits too far ahead are reaped",
    *half_open(),
    at(9.999999, "b", acquire("q"), granted=0, retry_us=5_000_001, age_us=0),
    at(9.999998, "b", acquire("q"), granted=1, lives=1),
)
row(
    "a clock set back while half-open does not keep it so for longer",
    *half_open(),
    at(-3600, "b", acquire("q"), granted=1, age_us=0),
    at(-3510, "b", acquire("r"), granted=0, st="open", why="the probes did not decide in time"),
)
row(
    "a look alone moves what is in the future",
    *half_open(),
    at(-3600, "b", VIEW, age_us=0),
    at(-3510, "b", acquire("r"), granted=0, st="open"),
)
row("a clock set forward loses the permits", *half_open(), at(50, "b", acquire("q"), granted=1, lives=1))
row(
    "a clock set back begins the ramp anew, not more",
    *ramping(),
    at(-3600, "a", VIEW, rules=RAMP, ramp_us=0),
    at(-3595, "a", VIEW, rules=RAMP, ramp_us=5 * S),
    at(-3590, "a", VIEW, rules=RAMP, ramp_us=-1, streak=0),
)
row(
    "a clock set back begins the override anew, not more",
    at(0, "o", override("forced_open", 60)),
    at(-3600, "a", VIEW, ov_left_us=60 * S),
    at(-3541, "a", acquire("p"), granted=0, retry_us=1 * S),
    at(-3540, "a", acquire("p"), granted=2, ov=""),
)
row(
    "a sticky override does not mind",
    at(0, "o", override("forced_open")),
    at(-3600, "a", VIEW, ov="forced_open", ov_left_us=-1, age_us=0),
)
row(
    "a clock set back begins the grace anew, not more",
    *[beat(0, node) for node in "abcde"],
    at(0, "a", BAD, watched=1, st="closed"),
    *[beat(-3600, node) for node in "abcde"],
    at(-3600, "a", BAD, st="closed"),
    at(-3598.000001, "a", BAD, st="closed"),
    at(-3598, "a", BAD, st="open"),
)
row(
    "a clock set back: nodes of the future are not alive",
    *[beat(0, node) for node in "abcde"],
    beat(-1, "a", live=5),
    beat(-1.000001, "a", live=1),
)
row(
    "a clock set back does not make the circuit healthy",
    *half_open(),
    at(10, "a", settle("p", "success")),
    at(10, "a", acquire("p")),
    at(10, "a", settle("p", "success"), st="closed"),
    at(-3600, "a", VIEW, age_us=0),
    at(-3541, "a", VIEW, age_us=59 * S),
)

# ====================================================================== rollback, flush (F10, F3)

row(
    "a flush: another incarnation, old permits and settles are late",
    *half_open(),
    flush(),
    at(11, "a", settle("p", "success"), applied=0, st="closed", inc="", ep=0),
    at(12, "b", BAD, st="open", ep=1, inc="i4"),
    at(22, "b", acquire("p"), granted=1, inc="i4", ep=2),
    at(22, "a", settle("p", "success"), seen=("i1", 2), applied=0),
    at(22, "a", renew("p"), seen=("i1", 2), live=0),
)
row(
    "a flush while closed: reports of what was are taken",
    opened(),
    at(1, "a", reset(), ep=2),
    flush(),
    at(2, "a", BAD, taken=1, st="open", ep=1, inc="i3"),
)
row(
    "a rollback: no epoch is given twice to those who saw it",
    *half_open(),
    dump(),
    at(11, "a", settle("p", "failure", trip=1), st="open", ep=3),
    rollback(),
    at(12, "b", VIEW, st="half_open", ep=2),
    at(12, "a", VIEW, st="half_open", ep=3),
    at(12, "a", settle("p", "failure", trip=1), st="open", ep=4),
)
row(
    "a rollback: an epoch that was seen is a floor, whoever opens next",
    opened(),
    dump(),
    at(1, "a", reset(), ep=2),
    at(1, "a", override("disabled"), ep=3),
    rollback(),
    at(12, "a", acquire("p"), granted=1, st="half_open", ep=4),
    at(12, "b", VIEW, ep=4),
)
row(
    "an epoch of another incarnation is no floor",
    opened(),
    at(1, "a", VIEW, seen=("other", 99), ep=1),
)
row(
    "a rollback of the log: whoever saw more is told everything",
    opened(),
    beat(0, "a", told_all=1, changed=["c"], seq=1),
    dump(),
    at(1, "a", reset(), ep=2, seq=2),
    beat(1, "a", told_all=0, changed=["c"], seq=2),
    beat(1, "a", told_all=0, changed=[], seq=2),
    rollback(),
    beat(2, "a", told_all=1, changed=["c"], seq=2),
    beat(2, "a", told_all=0, changed=[], seq=2),
    at(3, "a", reset(), ep=3, seq=3),
)
row(
    "a flush of the log: whoever knew the old one is told everything",
    opened(),
    beat(0, "a", told_all=1, changed=["c"], inc="i1"),
    flush(),
    beat(1, "a", told_all=1, changed=[], seq=0, inc="i3"),
)

# ====================================================================== different settings (F13)

LOOSE = rules(cfg="loose", conc=3, need=5, base_us=1 * S, max_us=30 * S, lease_us=1 * S)
row(
    "while settings differ fewer probes hold, and longer waits",
    at(0, "a", BAD, rules=LOOSE, st="open", left_us=1 * S, cfg="loose"),
    at(1, "b", acquire("p"), rules=RULES, granted=1, cfg="loose"),
    at(1, "a", acquire("q"), rules=LOOSE, granted=0, retry_us=5 * S, cfg="loose"),
    at(1, "b", settle("p", "success"), st="half_open", ok=1),
    at(1, "a", acquire("q"), rules=LOOSE, granted=1),
    at(1, "a", settle("q", "success"), rules=LOOSE, st="half_open", ok=2),
    at(1, "b", acquire("r"), granted=1),
    at(1, "b", settle("r", "failure"), st="half_open", ok=2, bad=1),
    at(1, "b", acquire("s"), granted=1),
    at(1, "b", settle("s", "failure"), st="half_open"),
    at(1, "b", acquire("t"), granted=1),
    at(1, "a", settle("t", "failure"), rules=LOOSE, st="open", why="3 of 5 probes failed", left_us=20 * S),
)
row(
    "a denial leaves no settings behind",
    opened(),
    at(1, "b", acquire("p"), rules=rules(max_us=90 * S), granted=0),
    at(-50.000001, "a", acquire("p"), granted=1, st="half_open"),
)
row(
    "closing takes over the settings of who closed",
    at(0, "a", BAD, rules=LOOSE, st="open", cfg="loose"),
    at(1, "b", acquire("p"), granted=1, cfg="loose"),
    *[
        step
        for _ in range(2)
        for step in (at(1, "b", settle("p", "success"), st="half_open"), at(1, "b", acquire("p"), granted=1))
    ],
    at(1, "b", settle("p", "success"), st="closed", cfg="standard", why="3 of 5 probes succeeded"),
    at(2, "b", BAD, st="open", left_us=10 * S, cfg="standard"),
    at(12, "b", acquire("p"), granted=1),
    at(12, "b", settle("p", "failure"), st="half_open"),
    at(12, "b", acquire("p"), granted=1),
    at(12, "b", settle("p", "failure"), st="open", why="2 of 3 probes failed"),
)
row(
    "an override and its end take over the settings of who asked",
    at(0, "a", BAD, rules=LOOSE, st="open", cfg="loose"),
    at(1, "o", override("disabled", 10), cfg="standard"),
    at(11, "a", VIEW, rules=LOOSE, cfg="loose", ov=""),
    at(12, "o", override("disabled"), cfg="standard"),
    at(13, "a", reset(), rules=LOOSE, cfg="loose"),
)

# ====================================================================== beats and the log

row(
    "the living are counted",
    beat(0, "a", live=1, told_all=1, seq=0, inc="i1", more=0, changed=[]),
    beat(1, "b", live=2, told_all=1, inc="i1"),
    beat(3, "a", live=2, told_all=0),
    beat(4.000001, "a", live=1),
    beat(4.000001, "b", live=2),
)
row(
    "what counts as living is up to who asks",
    beat(0, "a"),
    beat(9, "b", live=1),
    beat(9, "b", stale_us=9 * S, live=2),
)
row("who leaves is gone", beat(0, "a"), beat(1, "b", live=2), beat(1, "a", bye=1), beat(1, "b", live=1))
row(
    "who was not seen for an hour is forgotten",
    beat(0, "a"),
    beat(3600, "b", stale_us=9999 * S, live=2),
    beat(3600.000001, "b", stale_us=9999 * S, live=1),
)
row(
    "changes are told once, in order, also those of the same exchange",
    beat(0, "a"),
    at(0, "b", report(1, 1), id="x"),
    at(0, "b", report(1, 1), id="y"),
    beat(0, "a", changed=["x", "y"], told_all=0, seq=2),
    beat(0, "a", changed=[], told_all=0, seq=2),
    at(0, "b", report(4, 4), id="x", st="open"),
    beat(0, "a", changed=["x"], seq=3),
    beat(0, "a", full=1, changed=["y", "x"], told_all=1, seq=3),
    beat(0, "c", changed=["y", "x"], told_all=1, seq=3),
)
row(
    "what has nothing to tell any more is not listed",
    at(0, "a", report(1, 1), id="x", watched=1),
    at(0, "a", CLEAN, id="x", watched=0),
    opened(),
    beat(0, "b", changed=["c"], told_all=1, seq=3),
)
row(
    "a list shows ramps as they are",
    *ramping(),
    beat(14, "a", changed=["c"]),
    beat(25, "b", changed=["c"]),
)
row(
    "a list clears no expired override",
    at(0, "o", override("disabled", 10), ep=1),
    beat(11, "a", changed=["c"], seq=1, told=0),
    at(11, "a", VIEW, ep=2, seq=2, ov=""),
)
row(
    "a long list comes in pieces",
    *[at(0, "a", report(1, 1), id=f"c{number:03}") for number in range(503)],
    beat(0, "b", told_all=1, more=1, seq=500, changed=[f"c{number:03}" for number in range(500)]),
    beat(0, "b", told_all=0, more=0, seq=503, changed=["c500", "c501", "c502"]),
    beat(0, "b", told_all=0, more=0, seq=503, changed=[]),
)
