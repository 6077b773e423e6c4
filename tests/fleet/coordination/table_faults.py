"""Rows about clocks that jump, stores that forget, and settings that differ."""

from __future__ import annotations

from .rows import BAD, RAMP, half_open, ramping, row
from .steps import (
    RULES,
    VIEW,
    S,
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
    "a rollback of the log: all are told everything, as soon as somebody notices",
    opened(),
    beat(0, "a", told_all=1, changed=["c"], seq=1, inc="i1"),
    beat(0, "b", told_all=1, changed=["c"], seq=1),
    dump(),
    at(1, "a", reset(), ep=2, seq=2),
    beat(1, "a", told_all=0, changed=["c"], seq=2),
    beat(1, "a", told_all=0, changed=[], seq=2, inc="i1"),
    rollback(),
    beat(2, "b", told_all=0, changed=[], seq=1, inc="i1"),
    beat(2, "a", told_all=1, changed=["c"], seq=2, inc="i8"),
    beat(2, "a", told_all=0, changed=[], seq=2, inc="i8"),
    beat(2, "b", told_all=1, changed=["c"], seq=2, inc="i8"),
    at(3, "a", reset(), ep=3, seq=4, told=2),
)
row(
    "a rollback is noticed without a beat, and before the operations",
    opened(),
    beat(0, "a"),
    dump(),
    at(1, "a", reset(), ep=2, seq=2),
    beat(1, "a", seq=2),
    rollback(),
    at(2, "a", report(1, 1), id="other", watched=1, seq=3),
    beat(2, "b", told_all=1, changed=["c", "other"], seq=3, inc="i5"),
)
row(
    "an epoch that was seen is told to all, so that their reports are of one epoch",
    at(0, "o", reset()),
    opened(),
    at(1, "o", reset(), ep=2),
    at(1, "b", VIEW, ep=2),
    dump(),
    at(2, "o", override("disabled"), ep=3),
    at(2, "o", override(""), ep=4),
    at(2, "a", VIEW, ep=4),
    rollback(),
    at(3, "b", report(3, 3), taken=1, ep=2, watched=1, told=1),
    at(3, "a", report(1, 1), taken=1, ep=4, st="closed", watched=1, told=2),
    at(3, "b", report(3, 3), seen=("i2", 2), taken=0, ep=4),
    at(3, "b", report(3, 3), taken=1, st="open", ep=5),
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
STRICT = rules(cfg="strict", conc=1, need=5, base_us=20 * S, max_us=90 * S, lease_us=9 * S)
row(
    "a grant leaves the stricter settings behind for those whose settings are not",
    at(0, "a", BAD, rules=rules(conc=2), st="open", left_us=10 * S),
    at(10, "b", acquire("p"), rules=STRICT, granted=1, cfg="standard"),
    at(11, "a", acquire("q"), rules=rules(conc=2), granted=0, retry_us=8 * S),
    at(11, "b", settle("p", "success"), rules=STRICT, st="half_open"),
    at(11, "a", acquire("q"), rules=rules(conc=2), granted=1),
    at(11, "a", settle("q", "success"), rules=rules(conc=2), st="half_open", ok=2),
    at(11, "a", acquire("r"), rules=rules(conc=2), granted=1),
    at(11, "a", settle("r", "failure", trip=1, trip_us=999 * S), st="open", left_us=90 * S),
    at(101, "a", acquire("s"), granted=1),
    at(101, "a", settle("s", "failure", trip=1, trip_us=0), st="open", left_us=20 * S),
)
row(
    "a grant leaves them behind also while half-open",
    *half_open(by=rules(conc=2)),
    at(10, "b", acquire("q"), rules=rules(conc=2, need=5), granted=1),
    at(11, "a", settle("p", "success"), rules=rules(conc=2), st="half_open", ok=1),
    at(11, "b", settle("q", "success"), rules=rules(conc=2), st="half_open", ok=2),
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
