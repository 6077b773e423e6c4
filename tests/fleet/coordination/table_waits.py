"""Rows about failures in a row, and about how long a circuit stays open."""

from __future__ import annotations

from .rows import BAD, CLEAN, CROWD, ROW, half_open, row
from .steps import S, acquire, at, beat, report, rules, settle

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
    "a node that is swept may number from the beginning",
    at(0, "a", report(1, 1, batch=(5, "F")), rules=ROW, row=1),
    at(31, "b", report(1, 1), rules=ROW, row=1),
    at(32, "a", report(1, 1, batch=(1, "F")), rules=ROW, row=2),
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

# ====================================================================== failures in a row, of many nodes

THREE = [beat(0, node) for node in "abc"]
row(
    "in a crowd all hear of a row when it is long enough, and it stands if no success is reported then",
    *THREE,
    at(0, "a", report(batch=(1, "FF")), rules=CROWD, st="closed", row=0, watched=0, told=0),
    at(0.1, "b", report(batch=(1, "F")), rules=CROWD, st="closed", row=3, watched=1, told=1),
    at(0.2, "b", report(batch=(2, "F")), rules=CROWD, st="closed", row=4, watched=1, told=0),
    at(1.099999, "c", CLEAN, rules=CROWD, st="closed", row=4),
    at(1.1, "c", CLEAN, rules=CROWD, st="open", why="4 failures in a row"),
)
row(
    "a success that is reported in time ends it",
    *THREE,
    at(0, "a", report(batch=(1, "FFF")), rules=CROWD, st="closed", row=3, watched=1, told=1),
    at(0.5, "c", report(batch=(1, "S")), rules=CROWD, st="closed", row=0, watched=0, told=1),
    at(2, "a", report(batch=(2, "FF")), rules=CROWD, st="closed", row=0, watched=0, told=0),
)
row(
    "a success and new failures begin another row, and another wait",
    *THREE,
    at(0, "a", report(batch=(1, "FFF")), rules=CROWD, row=3, told=1),
    at(0.9, "b", report(batch=(1, "SFFF")), rules=CROWD, st="closed", row=3, told=0),
    at(1.8, "a", CLEAN, rules=CROWD, st="closed", row=3),
    at(1.9, "a", CLEAN, rules=CROWD, st="open"),
)
row(
    "a row that is over was never long enough in a crowd",
    *THREE,
    at(0, "a", report(batch=(1, "FFFFS")), rules=CROWD, st="closed", row=0, watched=0, told=0),
)
row(
    "as many as the limit are no crowd",
    *THREE[:2],
    at(0, "a", report(batch=(1, "FF")), rules=CROWD, row=2, watched=1, told=1),
    at(0, "b", report(batch=(1, "F")), rules=CROWD, st="open", why="3 failures in a row"),
)
row(
    "a row of one stands at once, also in a crowd",
    *THREE,
    at(0, "a", report(batch=(1, "F")), rules={**CROWD, "row": 1}, st="open", why="1 failure"),
)
row(
    "a fleet that has grown to a crowd need not know of a row that is short",
    *THREE[:2],
    at(0, "a", report(batch=(1, "F")), rules=CROWD, row=1, watched=1, told=1),
    THREE[2],
    at(0, "a", report(batch=(2, "F")), rules=CROWD, row=0, watched=0, told=1),
    at(0, "b", report(batch=(1, "F")), rules=CROWD, row=3, watched=1, told=1),
)
row(
    "a crowd that has gone need not be asked",
    *THREE,
    at(0, "a", report(batch=(1, "FF")), rules=CROWD, row=0),
    at(3.1, "a", report(batch=(2, "F")), rules=CROWD, st="open"),
)
row(
    "failures in the window are watched in a crowd, too",
    *THREE,
    at(0, "a", report(2, 2, batch=(1, "FF")), rules=CROWD, row=0, watched=1, told=1),
    at(1, "a", report(2, 0), rules=CROWD, row=0, watched=0, told=1),
    at(1, "a", report(2, 1, batch=(2, "F")), rules=CROWD, row=3, watched=1, told=1),
)
row(
    "a clock set back does not keep a row from standing",
    *THREE,
    at(0, "a", report(batch=(1, "FFF")), rules=CROWD, row=3),
    *[beat(-3600, node) for node in "abc"],
    at(-3600, "b", report(1), rules=CROWD, st="closed", row=3),
    at(-3599, "b", report(1), rules=CROWD, st="open"),
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
