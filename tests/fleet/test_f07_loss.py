"""F7: without its store a process goes on alone. No call fails or waits for that, nothing is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from cqrs.circuit_breaker import CircuitBreakers, Mode, StoreUnavailableError
from cqrs.testing import FakeClock, FaultyStore, Fleet, MemoryServer
from tests.fleet.manual import ManualStore
from tests.fleet.support import (
    Boom,
    acquired,
    attempt,
    circuit,
    fail,
    half_opened,
    live_permits,
    opened,
    probing,
    ramp_policy,
    rate_policy,
    record,
    rejection,
    row_policy,
    succeed,
    touch,
    until,
)

FAULTS: dict[str, Callable[[FaultyStore], AbstractContextManager[object]]] = {
    "partition": lambda store: store.partition(),
    "error": lambda store: store.error(),
    "drop_reply": lambda store: store.drop_reply(),
    "hangs": lambda store: store.latency(1000.0),
}


def in_state(state: str) -> Fleet:
    fleet = Fleet(3, ramp_policy(duration=30.0))
    touch(fleet)
    if state == "open":
        opened(fleet)
    elif state != "closed":
        half_opened(fleet)
    if state == "probing":
        acquired(fleet, 1)
    if state == "ramping":
        acquired(fleet, 1).success()
    return fleet


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("state", ["closed", "open", "half-open", "probing", "ramping"])
def test_f7_no_call_meets_an_error_of_the_store(state: str, fault: str) -> None:
    fleet = in_state(state)
    node = fleet.nodes[0]
    with FAULTS[fault](node.store):
        for number in range(60):
            attempt(node, Boom() if number % 7 == 0 else None)
            fleet.advance(0.5)
    for number in range(200):
        for each in fleet.nodes:
            attempt(each)
        fleet.advance(0.5)
        if number > 20 and fleet.states("payments") == ["closed"] * 3:
            break
    assert fleet.states("payments") == ["closed"] * 3


def test_f7_closed_calls_go_on_and_the_local_circuit_protects_its_process() -> None:
    fleet = Fleet(3, rate_policy())
    touch(fleet)
    fleet.partition(0)
    fleet.advance(10.0)
    succeed(fleet.nodes[0], 3)
    fail(fleet.nodes[0], 3)
    assert attempt(fleet.nodes[0]) == "rejected"
    assert rejection(fleet.nodes[0]).source == "local"
    assert fleet.states("payments") == ["open", "closed", "closed"]


def test_f7_an_open_circuit_is_honoured_until_its_deadline_and_then_probed_alone() -> None:
    fleet = opened(Fleet(1, row_policy(1, 20.0)))
    fleet.partition(0)
    begin = record(fleet).since / 1e6
    passed = until(fleet, lambda: attempt(fleet.nodes[0], Boom()) == "failed", 40.0, step=0.02)
    waited = fleet.clock() - begin
    assert 20.0 <= waited <= 40.0
    assert passed > 0
    assert attempt(fleet.nodes[0]) == "rejected"


def test_f7_processes_that_cannot_see_each_other_do_not_all_probe_at_once() -> None:
    fleet = opened(Fleet(20, row_policy(3, 20.0)))
    fleet.partition(range(20))
    begin, first = fleet.clock(), dict[int, float]()
    while len(first) < 20:
        for node in fleet.nodes:
            if node.number not in first and attempt(node, Boom()) == "failed":
                first[node.number] = fleet.clock() - begin
        fleet.advance(0.1)
        assert fleet.clock() - begin < 41.0
    times = sorted(first.values())
    assert times[0] >= 17.0
    assert times[-1] - times[0] > 10.0
    assert max(sum(abs(other - time) < 0.5 for other in times) for time in times) <= 5


def test_f7_alone_one_probe_runs_at_a_time_however_many_the_policy_allows() -> None:
    policy = rate_policy(permitted_calls_in_half_open=5, max_concurrent_probes=5, max_probe_duration=500.0)
    fleet = opened(Fleet(1, policy))
    fleet.partition(0)
    fleet.advance(25.0)
    held = []
    for _ in range(50):
        permit = circuit(fleet.nodes[0]).try_acquire()
        held += [] if permit is None else [permit]
        fleet.advance(0.2)
    assert len(held) == 1


def test_f7_while_half_open_the_lost_store_leaves_the_process_to_itself() -> None:
    fleet = Fleet(2, rate_policy())
    held = probing(fleet, 1)
    fleet.partition([0, 1])
    until(fleet, lambda: attempt(fleet.nodes[0]) == "ok", 4.0 + 10.0)
    held.success()
    fleet.heal()
    until(
        fleet,
        lambda: [attempt(node) for node in fleet.nodes] and fleet.states("payments") == ["closed"] * 2,
        30.0,
    )


@pytest.mark.parametrize("mode", [Mode.FORCED_OPEN, Mode.DISABLED])
def test_f7_an_override_stays_in_force_until_it_expires(mode: Mode) -> None:
    fleet = Fleet(2, rate_policy())
    touch(fleet)
    fleet.nodes[1].breakers.override("payments", mode, ttl=30.0)
    fleet.nodes[1].breakers.override("sticky", mode)
    touch(fleet, "sticky")
    fleet.partition(0)
    fleet.advance(29.0)
    assert circuit(fleet.nodes[0]).state == mode.value
    fleet.advance(1.1)
    assert circuit(fleet.nodes[0]).state == "closed"
    succeed(fleet.nodes[0])
    fleet.advance(600.0)
    assert circuit(fleet.nodes[0], "sticky").state == mode.value


def test_f7_two_halves_of_which_one_sees_the_store() -> None:
    """Fault 11."""
    fleet = Fleet(6, rate_policy(minimum=6), push=False)
    touch(fleet)
    fleet.partition([0, 1, 2])
    fleet.advance(5.0)
    for _ in range(6):
        for node in fleet.nodes:
            attempt(node, Boom())
    fleet.advance(1.2)
    assert fleet.states("payments") == ["open"] * 6
    assert {rejection(node).source for node in fleet.nodes[:3]} == {"local"}
    assert {rejection(node).source for node in fleet.nodes[3:]} == {"fleet"}
    fleet.heal()
    healed = until(
        fleet,
        lambda: all(node.store.health().degraded is False for node in fleet.nodes),
        5.0 + 1.1 + 0.1,
    )
    assert healed > 0
    until(
        fleet,
        lambda: [attempt(node) for node in fleet.nodes] and fleet.states("payments") == ["closed"] * 6,
        40.0,
    )


def test_f7_a_probe_that_runs_while_the_store_is_away_does_not_make_the_process_busy() -> None:
    fleet = Fleet(1, rate_policy(permit_lease=3.0))
    permit = probing(fleet)
    store = fleet.nodes[0].store
    rounds = 0
    with store.partition():
        end = fleet.clock() + 30.0
        while fleet.clock() < end:
            left = store.tick()
            rounds += 1
            assert rounds < 200, "a transport would spin"
            fleet.clock.advance(max(left, 0.001))
    assert permit.success() in (True, False)


def test_f7_renewals_go_on_after_a_short_outage_and_save_the_permit() -> None:
    fleet = Fleet(2, rate_policy(permit_lease=6.0))
    permit = probing(fleet)
    with fleet.nodes[0].store.partition():
        fleet.advance(3.0)
    fleet.advance(2.5)
    assert live_permits(fleet) == 1
    fleet.advance(5.0)
    assert live_permits(fleet) == 1
    permit.success()
    assert record(fleet).ok == 1


def test_f7_startup_that_must_not_fail_fails_and_says_why() -> None:
    clock = FakeClock()
    store = FaultyStore(clock=clock, startup="fail")
    with store.partition(), pytest.raises(StoreUnavailableError, match="cannot be reached"):
        store.start(0.01)
    assert store.start(0.01) is True


def test_f7_a_process_that_started_alone_joins_when_the_store_comes_back() -> None:
    clock = FakeClock()
    fleet = opened(Fleet(2, row_policy(2, 60.0)))
    store = FaultyStore(fleet.server, clock=fleet.clock)
    breakers = CircuitBreakers(row_policy(2, 60.0), store=store, clock=fleet.clock)
    with store.partition():
        assert breakers["payments"].call(lambda: "ok") == "ok"
        assert store.health().last_error.endswith("cannot be reached")
    for _ in range(20):
        fleet.clock.advance(store.tick())
    assert breakers["payments"].state == "open"
    assert clock() == 1000.0


def test_f7_steering_without_the_store_says_so() -> None:
    fleet = Fleet(1, rate_policy())
    touch(fleet)
    fleet.partition(0)
    breakers = fleet.nodes[0].breakers
    for steer in (
        lambda: breakers.override("payments", Mode.FORCED_OPEN),
        lambda: breakers.clear_override("payments"),
        lambda: breakers.reset("payments"),
    ):
        with pytest.raises(StoreUnavailableError):
            steer()
    assert circuit(fleet.nodes[0]).state == "closed"


def test_f7_closing_the_store_leaves_circuits_that_work_alone() -> None:
    fleet = Fleet(2, rate_policy())
    probing(fleet)
    fleet.nodes[0].breakers.close()
    assert live_permits(fleet) == 0
    until(fleet, lambda: attempt(fleet.nodes[0]) == "ok", 25.0)
    assert not fleet.nodes[0].store.health().started


def test_f7_an_order_that_is_never_answered_ends_with_the_stores_error() -> None:
    clock = FakeClock()
    store = ManualStore(
        MemoryServer(clock), clock, connect_timeout=0.01, command_timeout=0.01, sync_interval=0.01
    )
    breakers = CircuitBreakers(rate_policy(), store=store, clock=clock)
    with pytest.raises(StoreUnavailableError, match="no answer"):
        breakers.override("payments", Mode.FORCED_OPEN)
