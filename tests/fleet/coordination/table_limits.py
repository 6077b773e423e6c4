"""Rows about limits: what is just enough, what comes once in a blue moon, and what must not linger."""

from __future__ import annotations

from .rows import BAD, CLEAN, GOOD, ROW, TIMED, half_open, ramping, row
from .steps import VIEW, S, acquire, at, opened, override, report, reset, rules, settle

# ====================================================================== epochs

row(
    "an epoch that was seen of nothing is no floor, and leaves no state behind",
    at(0, "a", VIEW, seen=("", 5), ep=0, inc="", told=0),
    at(0, "a", BAD, seen=("", 5), st="open", ep=1),
)
row(
    "probes that never reached it are forgotten with their epoch",
    *half_open(by=rules(half_us=20 * S)),
    at(10, "a", settle("p", "inconclusive"), st="half_open"),
    at(10, "a", acquire("p"), granted=1),
    at(10, "a", settle("p", "inconclusive"), st="half_open"),
    at(30, "a", acquire("p"), rules=rules(half_us=20 * S), st="open", streak=2),
    at(50, "a", acquire("p"), granted=1),
    at(50, "a", settle("p", "inconclusive"), st="half_open"),
)
row(
    "lost probes are forgotten with their epoch",
    *half_open(),
    at(15, "b", acquire("q"), granted=1),
    at(20, "b", acquire("r"), granted=1),
    at(20, "b", settle("r", "cancelled"), st="half_open"),
    at(100, "b", acquire("s"), st="open", why="the probes did not decide in time"),
    at(120, "b", acquire("t"), granted=1),
    at(125, "b", acquire("u"), granted=1, st="half_open"),
)

row(
    "a permit that ends further ahead than it can is lost as others are",
    *half_open(by=rules(need=1)),
    at(5, "b", acquire("q"), rules=rules(need=1), granted=0, st="open", why="1 probes in a row were lost"),
)

HALF_SLOW = {**TIMED, "sr": 0.5, "need": 4}
row(
    "just as many slow probes as the rate says open",
    *half_open(by=HALF_SLOW),
    at(10, "a", settle("p", "success", slow=1), rules=HALF_SLOW, st="half_open"),
    at(10, "a", acquire("p"), rules=HALF_SLOW, granted=1),
    at(10, "a", settle("p", "success", slow=1), rules=HALF_SLOW, st="open", why="2 of 4 probes were slow"),
)
row(
    "the audit says who has reset a circuit",
    opened(),
    at(1, "o", reset() | {"by": "ann"}, st="closed", audit=[{"by": "ann", "mode": "", "ttl_us": -1}]),
)

# ====================================================================== ramp

NO_TIME = rules(ramp_us=0)
row(
    "a ramp of no time is over when somebody looks, and the streak goes down once",
    *half_open(by=NO_TIME),
    at(10, "a", settle("p", "success"), rules=NO_TIME),
    at(10, "a", acquire("q"), rules=NO_TIME, granted=1),
    at(10, "a", settle("q", "success"), rules=NO_TIME, st="closed", streak=1, ramp_us=0, ramp_for_us=0),
    at(10, "a", VIEW, rules=NO_TIME, streak=0, ramp_us=-1, ramp_for_us=-1),
    at(10, "a", VIEW, rules=NO_TIME, streak=0),
)

# ====================================================================== reports

row(
    "a node is heard if any of its figures is more than nothing",
    at(0, "a", report(0, 1), pool=[0, 1, 0, 0, 0, 0], watched=1),
    at(0, "b", report(0, 0, 1), pool=[0, 1, 1, 0, 0, 0], watched=1),
    at(0, "c", report(1), pool=[1, 1, 1, 0, 1, 0], watched=1),
    at(0, "a", CLEAN, pool=[1, 0, 1, 0, 1, 0], watched=1),
    at(0, "b", CLEAN, pool=None, watched=0),
    at(0, "d", report(0, 0, 0, 1), pool=[0, 0, 0, 1, 1, 0], watched=1),
)
row(
    "a sweep takes a hundred reporters of the future at most",
    *[at(100, f"n{number:03}", GOOD) for number in range(101)],
    at(0, "a", report(3, 1), st="closed", watched=1, pool=[7, 1, 0, 0, 2, 0]),
)
row(
    "a sweep takes a hundred at most of silent reporters and those of the future together",
    *[at(0, f"n{number:03}", GOOD, rules=rules(report_us=900 * S)) for number in range(60)],
    *[at(200, f"n{number:03}", GOOD, rules=rules(report_us=900 * S)) for number in range(60, 120)],
    at(100, "a", BAD, st="closed", watched=1, pool=[84, 4, 0, 0, 21, 1]),
)
row(
    "a node that its own report sweeps may number from the beginning",
    at(0, "a", report(1, 1, batch=(5, "F")), rules=ROW, row=1),
    at(31, "a", report(1, 1, batch=(1, "F")), rules=ROW, row=2),
)

# ====================================================================== settings

row(
    "an order without settings leaves none, and the next who has some brings them",
    at(0, "o", override("enabled"), rules=None, cfg="", ep=1),
    at(1, "a", BAD, seen=("i1", 1), st="open", cfg="standard", left_us=10 * S),
    at(11, "a", acquire("p"), granted=1),
    at(11, "b", acquire("q"), granted=0, lives=1),
    at(12, "o", reset(), rules=None, st="closed", cfg="standard"),
)
row(
    "a circuit keeps the name it was given last",
    at(0, "a", BAD | {"name": "the old one"}, st="open"),
    at(10, "a", acquire("p") | {"name": ""}, granted=1),
    at(10, "a", settle("p", "success") | {"name": "the new one"}, st="half_open"),
)
row(
    "a look in the same moment writes nothing",
    opened(),
    at(0, "b", VIEW | {"name": "another"}, rules=rules(half_us=5 * S)),
    at(1, "o", override("disabled", 60)),
    at(1, "b", VIEW | {"name": "another"}, rules=rules(half_us=5 * S)),
)
row(
    "a look in the moment in which a ramp begins writes nothing",
    *ramping(),
    at(10, "b", VIEW | {"name": "another"}, rules=rules(half_us=5 * S), st="closed", ramp_us=0),
)
