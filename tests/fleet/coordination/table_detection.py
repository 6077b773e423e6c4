"""Rows about detection: who makes a circuit watched, and what opens it."""

from __future__ import annotations

from .rows import ALONE, BAD, CLEAN, GOOD, ROW, TIMED, half_open, row
from .steps import VIEW, S, acquire, at, beat, opened, override, renew, report, reset, rules, settle

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
    "a watched circuit shows the pool: calls, failures, slow, overdue, reporters, unhealthy ones",
    at(0, "a", report(10), rules=TIMED, watched=0, pool=None),
    at(0, "b", report(5, 2, 4, 3), rules=TIMED, watched=1, pool=[15, 2, 4, 3, 2, 0]),
    at(0, "c", report(o=1), rules=TIMED, watched=1, pool=[15, 2, 4, 3, 3, 1]),
    at(1, "b", report(1, 1), rules=TIMED, watched=1, pool=[11, 1, 0, 0, 3, 2]),
    at(1, "b", CLEAN, rules=TIMED, watched=1, pool=[10, 0, 0, 0, 2, 1]),
    at(2, "c", report(1), rules=TIMED, watched=0, pool=None),
)
row(
    "a node with nothing but a call that is overdue has a voice",
    at(0, "a", report(0, 0, 1, 1), rules=TIMED, watched=1, pool=[0, 0, 1, 1, 1, 1]),
    at(0, "b", report(1, 1), rules=TIMED, watched=1, pool=[1, 1, 1, 1, 2, 2]),
)
row(
    "when nothing bad is left it is no longer watched",
    at(0, "a", report(3, 1), watched=1, told=1),
    at(1, "b", GOOD, watched=1, told=0),
    at(2, "a", report(3), watched=0, told=1),
    at(3, "a", report(3, 1), watched=1, told=1, pool=[3, 1, 0, 0, 1, 0]),
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
    "without quorum the reason is the rate, also of a process that has opened",
    at(0, "a", report(4, 4, o=1), rules=ALONE, why="4 of 4 calls failed: one process is enough"),
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
    "a report sweeps a hundred at most, so that none takes long",
    *[at(0, f"n{number:03}", GOOD) for number in range(105)],
    at(31, "a", BAD, st="closed", watched=1, pool=[24, 4, 0, 0, 6, 1]),
    at(31, "a", BAD, st="open", why="4 of 4 calls of the fleet failed"),
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
