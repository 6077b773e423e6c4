"""What the rows of the transition table have in common.

The numbers follow from ``RULES``: 4 calls and half of them failed open the circuit for 10 s, then 20, 40, 60;
of 3 probes, one at a time with a lease of 5 s, 2 must agree.
"""

from __future__ import annotations

from .servers import Message
from .steps import RULES, S, Step, acquire, at, opened, report, rules, settle

ALONE = rules(quorum=0.0)
ROW = rules(row=3, fr=1.0, min=100)
CROWD = rules(row=3, fr=1.0, min=100, crowd=2, confirm_us=1 * S)
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
