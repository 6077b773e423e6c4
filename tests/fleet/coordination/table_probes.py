"""Rows about open and half-open circuits: permits, verdicts, lost probes."""

from __future__ import annotations

from .rows import PAIR, RAMP, TIMED, half_open, row
from .steps import VIEW, S, acquire, at, opened, override, renew, rules, settle

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
    "permits end with their epoch",
    *half_open(by={**PAIR, "lease_us": 80 * S}),
    at(10, "b", acquire("q"), rules=PAIR, granted=1, lives=2),
    at(11, "a", settle("p", "failure", trip=1), rules=PAIR, st="open", lives=0),
    at(31, "a", acquire("r"), rules=PAIR, granted=1, lives=1),
    at(31, "b", settle("q", "success"), rules=PAIR, applied=0, ok=0, lives=1),
    at(31, "b", renew("q"), live=0),
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
    "who asks again with the same permit, for want of a reply, gets it again, for one lease and in one place",
    *half_open(),
    at(12, "a", acquire("p"), granted=1, retry_us=0, lives=1),
    at(13, "b", acquire("q"), granted=0, retry_us=4 * S, lives=1),
    at(14, "a", settle("p", "success"), applied=1, lives=0, ok=1),
    at(14, "a", settle("p", "success"), applied=0, ok=1),
)
row(
    "a permit that was lost is not had again by asking",
    *half_open(),
    at(15.1, "b", acquire("q"), granted=1, lives=1),
    at(15.2, "a", acquire("p"), granted=0, retry_us=4_900_000, lives=1),
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
    "a call that asks for no time gets the shortest, not the next",
    *half_open(),
    at(10, "a", settle("p", "failure", trip=1, trip_us=0), st="open", streak=2, left_us=10 * S),
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
    "a denial that has reaped remembers how many were lost",
    *half_open(by=rules(need=2, conc=2)),
    at(12, "b", acquire("q"), rules=rules(need=2, conc=2), granted=1, lives=2),
    at(15.5, "c", acquire("r"), rules=rules(need=2, conc=1), granted=0, retry_us=1_500_000, lives=1),
    at(17, "c", acquire("r"), rules=rules(need=2, conc=2), granted=0, st="open"),
)
row(
    "a permit ends with its lease, not before",
    *half_open(),
    at(14.999999, "b", acquire("q"), granted=0, retry_us=1_000, lives=1),
    at(15, "b", acquire("q"), granted=1, lives=1),
)
row(
    "an outcome ends the row of lost ones",
    *half_open(),
    at(15, "b", acquire("q"), granted=1),
    at(20, "c", acquire("r"), granted=1),
    at(21, "c", settle("r", "ignored"), st="half_open"),
    at(21, "c", acquire("r"), granted=1),
    at(26, "d", acquire("s"), granted=1, st="half_open"),
    at(31, "d", acquire("t"), granted=1, st="half_open"),
    at(36, "d", acquire("u"), granted=0, st="open", why="3 probes in a row were lost"),
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
