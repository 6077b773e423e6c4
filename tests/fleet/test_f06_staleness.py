"""F6: how soon a process acts on what the fleet has decided, and when it says that it no longer knows."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from cqrs.circuit_breaker import CircuitBreakers, Mode, StoreDegraded, StoreRecovered
from cqrs.testing import FakeClock, FaultyStore, Fleet, FleetNode
from tests.fleet.support import (
    Boom,
    acquired,
    attempt,
    circuit,
    fail,
    half_opened,
    opened,
    ramp_policy,
    rate_policy,
    row_policy,
    touch,
    until,
)


class StoreEvents:
    """Keeps what a node tells of its store."""

    def __init__(self, node: FleetNode | CircuitBreakers) -> None:
        self.told: list[Any] = []
        breakers = node.breakers if isinstance(node, FleetNode) else node
        breakers.add_listener(self, inline=True)

    def __call__(self, event: object) -> None:
        if isinstance(event, StoreDegraded | StoreRecovered):
            self.told.append(event)

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.told]


@pytest.mark.parametrize("interval", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("shards", [1, 4])
def test_f6_without_push_a_transition_is_known_after_one_interval(interval: float, shards: int) -> None:
    fleet = Fleet(5, row_policy(1, 60.0), push=False, sync_interval=interval, shards=shards)
    touch(fleet)
    fleet.advance(3 * interval)
    fail(fleet.nodes[0])
    assert circuit(fleet.nodes[0]).state == "open"
    until(fleet, lambda: fleet.states("payments") == ["open"] * 5, 1.1 * interval + 0.05, interval / 20)


def test_f6_with_push_a_transition_is_known_at_once() -> None:
    fleet = Fleet(5, row_policy(1, 60.0))
    touch(fleet)
    fail(fleet.nodes[0])
    assert fleet.states("payments") == ["open"] * 5


def test_f6_lost_messages_are_made_up_for_by_the_next_exchange() -> None:
    fleet = Fleet(2, row_policy(1, 60.0))
    touch(fleet)
    fleet.server.listeners.clear()
    fail(fleet.nodes[0])
    assert fleet.states("payments") == ["open", "closed"]
    fleet.advance(1.1)
    assert fleet.states("payments") == ["open", "open"]


def test_f6_a_circuit_that_a_process_makes_later_is_open_from_its_first_call_on() -> None:
    fleet = Fleet(2, row_policy(1, 60.0))
    fail(fleet.nodes[0])
    fleet.advance(1.2)
    assert "payments" not in fleet.nodes[1].breakers
    assert attempt(fleet.nodes[1]) == "rejected"


def test_f6_a_new_process_knows_more_circuits_than_one_answer_lists() -> None:
    fleet = Fleet(1, row_policy(1, 600.0))
    for number in range(1203):
        fail(fleet.nodes[0], name=f"c{number}")
    fleet.restart(0)
    fleet.advance(0.1)
    rejected = sum(attempt(fleet.nodes[0], name=f"c{number}") == "rejected" for number in range(1203))
    assert rejected == 1203


def test_f6_silence_is_said_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "cqrs.circuit_breaker")
    fleet = Fleet(2, rate_policy())
    touch(fleet)
    events = StoreEvents(fleet.nodes[0])
    fleet.partition(0)
    fleet.advance(3.0)
    assert events.kinds == []
    assert not fleet.nodes[0].store.health().degraded
    fleet.advance(20.0)
    assert events.kinds == ["StoreDegraded"]
    assert fleet.nodes[0].store.health().degraded
    fleet.heal()
    fleet.advance(10.0)
    assert events.kinds == ["StoreDegraded", "StoreRecovered"]
    assert not fleet.nodes[0].store.health().degraded
    assert len(caplog.records) == 2


@pytest.mark.parametrize("phase", ["half_open", "open", "ramping"])
def test_f6_degraded_is_said_once_in_every_state(phase: str) -> None:
    fleet = Fleet(2, ramp_policy(duration=60.0))
    events = [StoreEvents(node) for node in fleet.nodes]
    opened(fleet) if phase == "open" else half_opened(fleet)
    if phase == "ramping":
        acquired(fleet).success()
    fleet.partition([0, 1])
    for _ in range(60):
        for node in fleet.nodes:
            attempt(node)
        fleet.advance(0.5)
    fleet.heal()
    for _ in range(40):
        for node in fleet.nodes:
            attempt(node)
        fleet.advance(0.5)
    assert [each.kinds for each in events] == [["StoreDegraded", "StoreRecovered"]] * 2


def test_f6_a_store_that_is_first_used_long_after_it_was_made_is_not_degraded() -> None:
    clock = FakeClock()
    store = FaultyStore(clock=clock)
    breakers = CircuitBreakers(rate_policy(), store=store, clock=clock)
    events = StoreEvents(breakers)
    clock.advance(3600.0)
    breakers["payments"].call(lambda: None)
    assert events.kinds == []


def test_f6_a_hiccup_is_not_worth_an_event() -> None:
    fleet = Fleet(1, rate_policy())
    touch(fleet)
    events = StoreEvents(fleet.nodes[0])
    for _ in range(5):
        with fleet.nodes[0].store.error():
            fleet.advance(1.2)
        fleet.advance(2.5)
    assert events.kinds == []


def test_f6_slow_answers_do_not_degrade_and_those_that_are_too_slow_do() -> None:
    fleet = Fleet(1, rate_policy())
    touch(fleet)
    events = StoreEvents(fleet.nodes[0])
    with fleet.nodes[0].store.latency(0.2):
        fleet.advance(20.0)
    assert events.kinds == []
    with fleet.nodes[0].store.latency(0.3):
        fleet.advance(20.0)
    assert events.kinds == ["StoreDegraded"]


def test_f6_closing_and_starting_again_is_no_outage() -> None:
    fleet = Fleet(1, rate_policy())
    touch(fleet)
    events = StoreEvents(fleet.nodes[0])
    fleet.nodes[0].store.close()
    fleet.clock.advance(100.0)
    assert fleet.nodes[0].store.start(1.0)
    fleet.advance(3.0)
    assert events.kinds == []


def test_f6_health_says_how_many_live() -> None:
    fleet = Fleet(4, rate_policy())
    fleet.advance(2.5)
    assert fleet.nodes[0].store.health().living == 4
    fleet.kill([2, 3])
    fleet.advance(6.0)
    health = fleet.nodes[0].store.health()
    assert (health.living, health.degraded, health.started) == (2, False, True)
    assert health.age <= 1.1
    assert health.last_error == ""


def test_f6_an_override_reaches_all_within_the_same_time() -> None:
    fleet = Fleet(4, rate_policy(), push=False)
    touch(fleet)
    fleet.nodes[2].breakers.override("payments", Mode.FORCED_OPEN)
    assert circuit(fleet.nodes[2]).state == "forced_open"
    until(fleet, lambda: fleet.states("payments") == ["forced_open"] * 4, 1.15)


def test_f6_when_the_store_cannot_be_reached_at_first_the_process_goes_on_alone() -> None:
    clock = FakeClock()
    store = FaultyStore(clock=clock)
    breakers = CircuitBreakers(row_policy(2, 10.0), store=store, clock=clock)
    with store.partition():
        assert store.start(0.01) is False
        for _ in range(2):
            try:
                breakers["payments"].call(_fail)
            except Boom:
                pass
        assert breakers["payments"].state == "open"


def _fail() -> None:
    raise Boom


def test_f6_recovery_says_how_long_the_store_was_away() -> None:
    fleet = Fleet(1, rate_policy())
    touch(fleet)
    events = StoreEvents(fleet.nodes[0])
    fleet.partition(0)
    fleet.advance(30.0)
    fleet.heal()
    fleet.advance(10.0)
    assert 29.0 <= events.told[1].after <= 40.0
