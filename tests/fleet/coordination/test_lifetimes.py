"""Which keys there are, how long they live, and what prolongs them: alike in Python and in a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cqrs.circuit_breaker.fleet.coordinator import Coordinator

from .servers import START_US, BothServers, LuaServer, running
from .steps import (
    STALE_US,
    VIEW,
    Run,
    S,
    Step,
    acquire,
    at,
    beat,
    opened,
    override,
    renew,
    report,
    reset,
    rules,
    settle,
)

SENTINEL = 10**9
"""Milliseconds that nothing lives; a key that still has them was not prolonged."""

SLACK = 60_000
"""Milliseconds that a test may take between a write and the look at its lifetime."""

LONG = rules(half_us=900 * S, ramp_us=700 * S, report_us=5000 * S)
ROW = rules(row=9, report_us=600 * S)
NOT_TOUCHED = -3
NEVER = -1


def lifetimes_in_python(coordinator: Coordinator, now: int) -> dict[str, int]:
    """Return the milliseconds that each key has left; ``NOT_TOUCHED`` for the sentinel."""
    expiries = {"m": NEVER, "n": coordinator.nodes_expire, "log": NEVER}
    for id_, record in coordinator.circuits.items():
        expiries[f"s:{id_}"] = record.expires
    for id_, permits in coordinator.permits.items():
        if permits:
            expiries[f"p:{id_}"] = coordinator.permits_expire[id_]
    for id_, reports in coordinator.reports.items():
        expiries[f"r:{id_}"] = reports.expires
        if reports.nodes:
            expiries[f"z:{id_}"] = reports.expires
    if not coordinator.nodes:
        del expiries["n"]
    if not coordinator.log:
        del expiries["log"]
    left = {key: NEVER if expiry == NEVER else (expiry - now) // 1000 for key, expiry in expiries.items()}
    return {key: NOT_TOUCHED if each == SENTINEL else each for key, each in left.items()}


def lifetimes_in_lua(server: LuaServer) -> dict[str, int]:
    found = {key.decode().removeprefix(server.prefix): server.client.pttl(key) for key in server._keys()}
    return {key: NOT_TOUCHED if left > SENTINEL - SLACK else left for key, left in found.items()}


def stop_the_clock(both: BothServers, now: int) -> None:
    """Give every key that ends some day the sentinel's lifetime."""
    coordinator = both.python.coordinator
    coordinator.nodes_expire = now + SENTINEL * 1000
    for record in coordinator.circuits.values():
        record.expires = now + SENTINEL * 1000
    for reports in coordinator.reports.values():
        reports.expires = now + SENTINEL * 1000
    for id_ in coordinator.permits_expire:
        coordinator.permits_expire[id_] = now + SENTINEL * 1000
    for key in both.lua._keys():
        if not key.endswith((b":m", b":log")):
            both.lua.client.pexpire(key, SENTINEL)


STORY = [
    beat(0, "a"),
    at(0, "a", VIEW),
    at(0, "a", report(1, 1), rules=LONG, watched=1),
    at(0, "a", report(1, 1), rules=ROW, watched=1),
    at(0, "b", report(3), rules=ROW, watched=1),
    at(0, "a", report(0, 0), rules=ROW, watched=0),
    at(0, "a", report(3), rules=ROW, watched=0),
    at(0, "a", report(3, 1), id="short"),
    at(0, "a", report(3, 1), id="single", rules=rules(row=1)),
    opened(LONG),
    at(0, "a", VIEW, rules=LONG),
    at(1, "a", acquire("p"), rules=LONG, granted=0),
    at(1, "a", report(9, 9), rules=LONG, taken=0),
    at(10, "a", acquire("p"), rules=LONG, granted=1),
    at(11, "b", acquire("q"), rules=LONG, granted=0),
    at(11, "a", renew("p"), live=1),
    at(11, "a", renew("q"), live=0),
    at(12, "a", settle("q", "success"), rules=LONG, applied=0),
    at(12, "a", settle("p", "success"), rules=LONG, applied=1),
    at(12, "a", acquire("q"), rules=LONG, granted=1),
    at(13, "a", settle("q", "success"), rules=LONG, st="closed"),
    at(14, "a", report(1, 1), rules=LONG, watched=1),
    at(15, "o", override("disabled", 1000), rules=LONG),
    at(16, "a", acquire("r"), rules=LONG, granted=2),
    at(17, "o", override("forced_open"), rules=LONG, ov_left_us=-1),
    at(18, "a", VIEW, rules=LONG),
    at(5, "a", VIEW, rules=LONG, age_us=0),
    at(19, "o", reset(), rules=LONG),
    beat(20, "a"),
    beat(20, "a", bye=1),
    at(20, "o", override("disabled", 10), ov="disabled"),
    at(30, "a", renew("none"), ov=""),
]


@pytest.fixture
def both(request: pytest.FixtureRequest) -> Iterator[BothServers]:
    with running("both", request) as server:
        assert isinstance(server, BothServers)
        yield server


def test_keys_live_equally_long(both: BothServers) -> None:
    run = Run(both)
    for step in STORY:
        now = START_US + round(step.at * S)
        stop_the_clock(both, now)
        run.take([step])
        expected, found = lifetimes_in_python(both.python.coordinator, now), lifetimes_in_lua(both.lua)
        assert expected.keys() == found.keys(), step
        for key, left in expected.items():
            assert left - SLACK < found[key] <= left + 1, (key, step)


def take(run: Run, *steps: Step) -> Coordinator:
    run.take(steps)
    server = run.server
    assert isinstance(server, BothServers)
    return server.python.coordinator


def test_a_denial_prolongs_nothing(both: BothServers) -> None:
    run = Run(both)
    take(run, opened(), at(10, "a", acquire("p"), granted=1))
    stop_the_clock(both, START_US + 11 * S)
    take(run, at(11, "b", acquire("q"), granted=0))
    for lifetimes in (
        lifetimes_in_python(both.python.coordinator, START_US + 11 * S),
        lifetimes_in_lua(both.lua),
    ):
        assert lifetimes == {"m": NEVER, "log": NEVER, "s:c": NOT_TOUCHED, "p:c": NOT_TOUCHED}


def asked(seconds: int, op: dict[str, object]) -> dict[str, object]:
    return {
        "node": "a",
        "inc": f"i{seconds}",
        "beat": 1,
        "stale_us": STALE_US,
        "seen": ["", 0],
        "rules": [LONG],
        "ops": [{"id": "c", "name": "c", "seen": ["", 0], "rnd": 0.0, "rules": 0, **op}],
    }


def exchange(coordinator: Coordinator, seconds: int, op: dict[str, object]) -> dict[str, object]:
    reply = coordinator.exchange(asked(seconds, op), seconds * S)
    view: dict[str, object] = reply["results"][0]["view"]
    return view


def test_a_circuit_at_rest_is_forgotten() -> None:
    coordinator = Coordinator()
    exchange(coordinator, 1, report(4, 4))
    life = 4 * 60 + 900 + 700
    coordinator.expire((1 + life) * S - 1)
    assert exchange(coordinator, 2, VIEW)["st"] == "open"
    coordinator.expire((1 + life) * S)
    view = exchange(coordinator, 2, VIEW)
    assert (view["st"], view["inc"], view["ep"]) == ("closed", "", 0)
    exchange(coordinator, 2000, report(4, 4))
    assert exchange(coordinator, 2001, VIEW)["inc"] == "i2000"


def test_a_sticky_override_is_not_forgotten() -> None:
    coordinator = Coordinator()
    exchange(coordinator, 1, override("forced_open"))
    coordinator.expire(10**9 * S)
    assert exchange(coordinator, 10**9, VIEW)["ov"] == "forced_open"


def test_an_override_that_is_just_over_does_not_prolong() -> None:
    coordinator = Coordinator()
    exchange(coordinator, 1, override("disabled", 0))
    life = 4 * 60 + 900 + 700
    coordinator.expire((1 + life) * S)
    assert not coordinator.circuits


def test_permits_that_outlive_their_circuit_are_no_probes() -> None:
    coordinator = Coordinator()
    exchange(coordinator, 1, report(4, 4))
    patient = asked(11, acquire("p")) | {"rules": [LONG | {"lease_us": 9000 * S}]}
    assert coordinator.exchange(patient, 11 * S)["results"][0]["granted"] == 1
    coordinator.expire(5000 * S)
    assert coordinator.permits
    view = exchange(coordinator, 5000, VIEW)
    assert (view["st"], view["lives"]) == ("closed", 0)
    assert coordinator.exchange(asked(5000, renew("p")), 5000 * S)["results"][0]["live"] == 0
    late = coordinator.exchange(asked(5000, settle("p", "success")), 5000 * S)
    assert late["results"][0]["applied"] == 0


def test_reports_permits_and_nodes_are_forgotten() -> None:
    coordinator = Coordinator()
    exchange(coordinator, 1, report(1, 1))
    coordinator.expire(3601 * S - 1)
    assert coordinator.nodes
    coordinator.expire(3601 * S)
    assert not coordinator.nodes
    coordinator.expire(10_001 * S - 1)
    assert coordinator.reports
    coordinator.expire(10_001 * S)
    assert not coordinator.reports
    exchange(coordinator, 20_000, report(4, 4))
    exchange(coordinator, 20_010, acquire("p"))
    coordinator.expire(20_075 * S - 1)
    assert coordinator.permits
    coordinator.expire(20_075 * S)
    assert not coordinator.permits
    assert not coordinator.permits_expire
    view = exchange(coordinator, 20_076, VIEW)
    assert view["st"] == "half_open"
    late = asked(20_076, settle("p", "success") | {"seen": [view["inc"], view["ep"]]})
    assert coordinator.exchange(late, 20_076 * S)["results"][0]["applied"] == 0


@pytest.mark.parametrize(("seconds", "age"), [(100, 0), (104, 4), (99, 0)])
def test_entries_of_the_audit_have_an_age(seconds: int, age: int) -> None:
    coordinator = Coordinator()
    exchange(coordinator, 100, report(4, 4))
    reply = coordinator.exchange(asked(seconds, VIEW) | {"audit": 3}, seconds * S)
    (entry,) = reply["audit"]
    assert (entry["to"], entry["n"], entry["ago_us"]) == ("open", "4", age * S)


def test_who_reads_the_audit_may_empty_it() -> None:
    coordinator = Coordinator()
    exchange(coordinator, 100, report(4, 4))
    coordinator.audit.clear()
    exchange(coordinator, 110, acquire("p"))
    reply = coordinator.exchange(asked(111, VIEW) | {"audit": 3}, 111 * S)
    assert [(entry["to"], entry["ago_us"]) for entry in reply["audit"]] == [("half_open", S)]


def test_the_audit_keeps_ten_thousand_entries() -> None:
    coordinator = Coordinator()
    for number in range(10_001):
        coordinator.note(number, {"ep": number})
    newest = coordinator.latest(20_000, 10_000)
    assert (len(newest), newest[0]["ep"], newest[-1]["ep"]) == (10_000, "10000", "1")
