"""Rows about the ramp, and about overrides."""

from __future__ import annotations

from .rows import BAD, RAMP, half_open, ramping, row
from .steps import VIEW, S, acquire, at, beat, dump, opened, override, report, reset, rollback, settle

# ====================================================================== ramp
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
    "an override for no time is over when somebody looks",
    at(0, "o", override("disabled", 0), ov="disabled", ov_left_us=0, ep=1),
    at(0, "a", VIEW, ov="", ep=2, why="override expired"),
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
    "enabled means that the store decides: reports are taken, and it opens and recovers",
    at(0, "o", override("enabled"), ov="enabled", ep=1),
    at(1, "a", BAD, seen=("i1", 1), taken=1, st="open", ov="enabled", ep=2),
    at(5, "a", acquire("p"), granted=0, retry_us=6 * S),
    at(11, "a", acquire("p"), granted=1, st="half_open", ov="enabled"),
    at(11, "a", settle("p", "failure", trip=1), st="open", ov="enabled", streak=2),
)
row(
    "when enabled expires it begins afresh, from whatever state",
    at(0, "o", override("enabled", 5), ov="enabled"),
    at(1, "a", BAD, seen=("i1", 1), st="open"),
    at(5, "a", VIEW, st="closed", ov="", ep=3, left_us=0, audit=[{"from": "open", "to": "closed"}]),
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
    at(
        12,
        "o",
        reset(),
        st="closed",
        ep=5,
        ov="",
        ov_by="",
        streak=0,
        why="reset",
        told=1,
        audit=[{"by": "", "mode": "", "ttl_us": -1}],
    ),
    at(13, "a", BAD, seen=("i1", 5), st="open", streak=1),
)
row(
    "the circuit of all circuits is one like others",
    at(0, "o", override("disabled", 10), id="*", ov="disabled"),
    at(1, "a", VIEW, ov=""),
    beat(1, "a", changed=["*"]),
)
