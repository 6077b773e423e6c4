"""F9: what a process makes of a view of the store that comes late, twice, out of order, after an outage."""

from __future__ import annotations

import pytest

from cqrs.circuit_breaker import CircuitBreakers, Mode
from cqrs.exceptions import ConfigurationError
from cqrs.testing import FaultyStore, Fleet
from tests.fleet.manual import Bench
from tests.fleet.support import (
    SPREAD,
    Boom,
    acquired,
    attempt,
    circuit,
    coordinator,
    fail,
    half_opened,
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


def all_closed(fleet: Fleet) -> bool:
    for node in fleet.living():
        attempt(node)
    return fleet.states("payments") == ["closed"] * len(fleet.living())


def deliver_messages(bench: Bench) -> None:
    while bench.transport.messages:
        bench.store.session.message(bench.transport.messages.pop(0))


def test_f9_a_view_that_was_overtaken_is_not_adopted() -> None:
    fleet = Fleet(1, row_policy(1, 60.0))
    bench = Bench(row_policy(1, 60.0), fleet.server, fleet.clock)
    breaker = bench.breakers["payments"]
    fail(fleet.nodes[0])
    (opening,) = bench.transport.messages
    fleet.nodes[0].breakers.reset("payments")
    bench.store.sync()
    assert breaker.state == "closed"
    bench.store.session.message(opening)
    assert breaker.state == "closed"


def test_f9_an_overtaken_view_of_a_circuit_that_is_made_later_is_not_kept() -> None:
    fleet = Fleet(1, row_policy(1, 60.0))
    bench = Bench(row_policy(1, 60.0), fleet.server, fleet.clock)
    fail(fleet.nodes[0])
    (opening,) = bench.transport.messages
    fleet.nodes[0].breakers.reset("payments")
    bench.store.sync()
    bench.store.session.message(opening)
    assert bench.breakers["payments"].state == "closed"


def test_f9_after_a_flush_circuits_that_are_made_later_are_as_the_store_says() -> None:
    fleet = Fleet(2, row_policy(1, 60.0))
    fail(fleet.nodes[0])
    fleet.advance(1.2)
    fleet.kill(0)
    fleet.flush()
    fleet.advance(1.2)
    assert circuit(fleet.nodes[1]).state == "closed"


def test_f9_failures_in_a_row_that_nobody_heard_of_end_with_the_outage_that_was_missed() -> None:
    fleet = Fleet(3, row_policy(4, 5.0))
    touch(fleet)
    fleet.partition(0)
    fail(fleet.nodes[0], 2)
    for node in fleet.nodes[1:] * 2:
        fail(node)
    until(fleet, lambda: [attempt(node) for node in fleet.nodes[1:]] and record(fleet).st == "closed", 8.0)
    fleet.heal()
    fleet.advance(6.2)
    assert fleet.states("payments") == ["closed"] * 3
    fail(fleet.nodes[1], 2)
    fleet.advance(1.2)
    assert fleet.states("payments") == ["closed"] * 3
    fail(fleet.nodes[0])
    assert fleet.states("payments") == ["closed"] * 3


def test_f9_messages_in_the_wrong_order_end_in_the_last_state() -> None:
    fleet = Fleet(1, row_policy(1, 60.0))
    bench = Bench(row_policy(1, 60.0), fleet.server, fleet.clock)
    breaker = bench.breakers["payments"]
    fail(fleet.nodes[0])
    fleet.nodes[0].breakers.reset("payments")
    fail(fleet.nodes[0])
    messages = bench.transport.messages
    for index in (2, 0, 1, 2, 0):
        bench.store.session.message(messages[index])
        assert breaker.state == "open"
    bench.store.sync()
    assert breaker.state == "open"


def test_f9_a_message_that_overtakes_the_answer_of_a_poll_wins() -> None:
    fleet = Fleet(1, row_policy(1, 60.0))
    touch(fleet)
    bench = Bench(row_policy(1, 60.0), fleet.server, fleet.clock)
    breaker = bench.breakers["payments"]
    fleet.clock.advance(1.2)
    bench.store.tick()
    poll = bench.transport.only().carry()
    fail(fleet.nodes[0])
    deliver_messages(bench)
    assert breaker.state == "open"
    poll.deliver()
    assert breaker.state == "open"


def test_f9_a_message_that_overtakes_a_full_list_is_not_forgotten_with_it() -> None:
    fleet = Fleet(1, row_policy(1, 60.0))
    touch(fleet)
    bench = Bench(row_policy(1, 60.0), fleet.server, fleet.clock)
    breaker = bench.breakers["payments"]
    bench.store.session.connected()
    bench.store.tick()
    everything = bench.transport.only().carry()
    fail(fleet.nodes[0])
    fleet.nodes[0].breakers.override(None, Mode.METRICS_ONLY)
    fleet.nodes[0].breakers.override("other", Mode.FORCED_OPEN)
    deliver_messages(bench)
    assert bench.breakers["third"].state == "metrics_only"
    everything.deliver()
    assert bench.breakers["third"].state == "metrics_only"
    assert bench.breakers["other"].state == "forced_open"
    fleet.nodes[0].breakers.clear_override(None)
    deliver_messages(bench)
    assert breaker.state == "open"
    error = None
    try:
        breaker.acquire()
    except Exception as rejected:
        error = rejected
    assert getattr(error, "source", "") == "fleet"


def test_f9_a_foreign_message_is_ignored() -> None:
    fleet = Fleet(1, row_policy(1, 60.0))
    bench = Bench(row_policy(1, 60.0), fleet.server, fleet.clock)
    for payload in ({}, {"view": 3, "inc": "x"}, {"view": {"id": "payments"}, "inc": "other"}):
        bench.store.session.message(payload)
    assert bench.breakers["payments"].state == "closed"


@pytest.mark.parametrize("state", ["closed", "watched", "open", "probing", "ramping", "overridden"])
@pytest.mark.parametrize("push", [True, False])
def test_f9_the_store_is_flushed_in_each_state_and_the_fleet_recovers(state: str, push: bool) -> None:
    """Fault 9."""
    fleet = Fleet(3, ramp_policy(duration=20.0), push=push)
    touch(fleet)
    fleet.advance(1.2)
    if state == "watched":
        fail(fleet.nodes[0])
        fleet.advance(1.2)
    elif state == "open":
        opened(fleet)
    elif state in ("probing", "ramping"):
        half_opened(fleet)
        permit = acquired(fleet, 1)
        if state == "ramping":
            permit.success()
        fleet.advance(1.2)
    elif state == "overridden":
        fleet.nodes[1].breakers.override("payments", Mode.FORCED_OPEN)
        fleet.advance(1.2)
    before = fleet.states("payments")
    fleet.flush()
    if state == "open":
        assert {attempt(node) for node in fleet.nodes} == {"rejected"}
    fleet.advance(1.2)
    if state == "open":
        assert fleet.states("payments") == before
    until(fleet, lambda: all_closed(fleet), 45.0)
    fleet.advance(12.0)
    for _ in range(4):  # and the fleet can open again
        for node in fleet.nodes:
            attempt(node, Boom())
    fleet.advance(2.5)
    assert record(fleet).st == "open"
    assert {rejection(node).source for node in fleet.nodes} == {"fleet"}


def test_f9_a_locally_open_circuit_stays_local_when_the_store_returns() -> None:
    fleet = Fleet(5, rate_policy(wait_duration_in_open=60.0))
    touch(fleet)
    fleet.partition(0)
    fleet.advance(5.0)
    fail(fleet.nodes[0], 4)
    for _ in range(3):
        for node in fleet.nodes[1:]:
            succeed(node)
    fleet.heal()
    fleet.advance(8.0)
    assert fleet.states("payments") == ["open"] + ["closed"] * 4
    assert record(fleet).st == "closed"


def test_f9_the_fleets_wait_replaces_that_of_a_process_which_opened_for_the_same_outage() -> None:
    fleet = Fleet(2, rate_policy())
    for node in fleet.nodes * 4:
        attempt(node, Boom())
    assert rejection(fleet.nodes[0]).source == "fleet"
    fleet.advance(10.0)
    until(fleet, lambda: all_closed(fleet), 2.0)
    assert fleet.nodes[0].breakers["payments"].snapshot().opened_in_a_row <= 1


def test_f9_after_a_partition_that_missed_a_whole_outage_old_failures_count_no_more() -> None:
    fleet = Fleet(4, rate_policy(minimum=4))
    touch(fleet)
    fleet.partition(0)
    fail(fleet.nodes[0], 3)
    for node in fleet.nodes[1:]:
        fail(node, 2) if circuit(node).state == "closed" else None
    fleet.advance(2.0)
    assert fleet.states("payments")[1:] == ["open"] * 3
    until(
        fleet,
        lambda: [attempt(node) for node in fleet.nodes[1:]] and record(fleet).st == "closed",
        14.0,
    )
    fleet.heal()
    fleet.advance(6.2)
    assert fleet.states("payments") == ["closed"] * 4
    assert circuit(fleet.nodes[0]).snapshot().window_failures == 0
    fleet.advance(10.0)
    assert fleet.states("payments") == ["closed"] * 4


def test_f9_late_results_of_before_the_outage_never_reopen() -> None:
    fleet = Fleet(3, rate_policy(permitted_calls_in_half_open=1))
    old = [circuit(node).acquire() for node in fleet.nodes for _ in range(10)]
    opened(fleet)
    fleet.advance(10.0)
    until(fleet, lambda: all_closed(fleet), 2.0)
    for permit in old:
        assert permit.failure(Boom()) is False
    fleet.advance(2.5)
    assert fleet.states("payments") == ["closed"] * 3
    assert record(fleet).st == "closed"


def test_f9_late_results_do_not_help_a_probe_either() -> None:
    fleet = Fleet(2, rate_policy())
    old = [circuit(node).acquire() for node in fleet.nodes for _ in range(5)]
    probing(fleet)
    for permit in old:
        assert permit.success() is False
    fleet.advance(SPREAD)
    assert (record(fleet).ok, record(fleet).st) == (0, "half_open")


def test_f9_degraded_while_the_fleet_closes_the_process_adopts_that() -> None:
    fleet = opened(Fleet(3, rate_policy(wait_duration_in_open=20.0)))
    fleet.partition(0)
    fleet.advance(20.0)
    until(fleet, lambda: [attempt(node) for node in fleet.nodes[1:]] and record(fleet).st == "closed", 5.0)
    fleet.heal()
    until(fleet, lambda: all_closed(fleet), 20.0 + 6.2)


def test_f9_degraded_while_the_fleet_opens_the_process_adopts_that() -> None:
    fleet = Fleet(3, rate_policy(wait_duration_in_open=60.0))
    touch(fleet)
    fleet.partition(0)
    fleet.advance(5.0)
    for node in fleet.nodes[1:]:
        fail(node, 2)
    fleet.advance(2.0)
    assert fleet.states("payments") == ["closed", "open", "open"]
    fleet.heal()
    fleet.advance(6.2)
    assert fleet.states("payments") == ["open"] * 3
    assert rejection(fleet.nodes[0]).source == "fleet"


def test_f9_two_registries_on_one_store_share_names_only_one_at_a_time() -> None:
    fleet = Fleet(1, rate_policy())
    store = FaultyStore(fleet.server, clock=fleet.clock)
    first = CircuitBreakers(rate_policy(), store=store, clock=fleet.clock)
    second = CircuitBreakers(rate_policy(), store=store, clock=fleet.clock)
    assert first["payments"].state == second["mails"].state == "closed"
    with pytest.raises(ConfigurationError, match="another registry"):
        second["payments"]
    assert "payments" not in second
    assert first["payments"].call(lambda: "ok") == "ok"


def test_f9_an_evicted_circuit_comes_back_as_the_fleet_knows_it() -> None:
    fleet = Fleet(2, row_policy(1, 60.0))
    node = fleet.nodes[0]
    breakers = CircuitBreakers(
        row_policy(1, 60.0),
        store=FaultyStore(fleet.server, clock=fleet.clock),
        clock=fleet.clock,
        idle_ttl=1.0,
    )
    assert breakers.store is not None
    assert breakers["payments"].state == "closed"
    fleet.advance(5.0)
    breakers.sweep()
    fleet.advance(5.0)
    breakers.sweep()
    assert "payments" not in breakers
    fail(node)
    breakers.store.session.tick()  # type: ignore[attr-defined]
    assert breakers["payments"].state == "open"
    fleet.advance(5.0)
    assert breakers.sweep() == 0


def test_f9_a_key_that_is_evicted_while_a_probe_runs_disturbs_nobody() -> None:
    fleet = Fleet(2, rate_policy())
    permit = probing(fleet)
    coordinator(fleet.server).circuits.clear()
    permit.success()
    fleet.advance(2.5)
    until(fleet, lambda: all_closed(fleet), 40.0)
