"""Rows about beats, and about how changes are told."""

from __future__ import annotations

from .rows import CLEAN, ramping, row
from .steps import VIEW, S, at, beat, opened, override, report, reset

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
    "who asks for the audit gets its newest entries, newest first",
    beat(0, "a", audit=5, audited=[]),
    opened(),
    at(1, "a", reset(), ep=2),
    at(1, "a", override("disabled"), ep=3),
    beat(1, "a", audit=2, audited=["3", "2"]),
    beat(1, "a", audit=5, audited=["3", "2", "1"]),
    beat(1, "a", audited=[]),
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
    beat(14, "a", changed=["c"], shown=["1 4000000 10000000 0 4000000 -1"]),
    beat(25, "b", changed=["c"], shown=["0 -1 -1 0 5000000 -1"]),
)
row(
    "a list shows nothing of the future (the clock was set back)",
    *ramping(),
    at(11, "o", override("disabled", 60), id="d"),
    beat(-3600, "a", changed=["c", "d"], shown=["1 0 10000000 0 0 -1", "0 -1 -1 0 0 60000000"]),
    beat(-3595, "a", full=1, shown=["1 0 10000000 0 0 -1", "0 -1 -1 0 0 60000000"]),
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
    beat(0, "c", seen=("i1", 3), told_all=0, more=0, seq=503),
    beat(0, "c", seen=("i1", 2), told_all=0, more=1, seq=502),
)
