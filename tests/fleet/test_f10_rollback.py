"""F10: a store that loses its last writes, or all: epochs are never used twice, old permits are void."""

from __future__ import annotations

import pytest

from cqrs.testing import Fleet
from tests.fleet.support import (
    SPREAD,
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
    row_policy,
    touch,
    until,
)


def all_closed(fleet: Fleet) -> bool:
    for node in fleet.living():
        attempt(node)
    return record(fleet).st == "closed" and fleet.states("payments") == ["closed"] * len(fleet.living())


@pytest.mark.parametrize("reconnect", [True, False])
@pytest.mark.parametrize("push", [True, False])
def test_f10_an_opening_that_was_lost_wedges_nobody(reconnect: bool, push: bool) -> None:
    fleet = Fleet(3, row_policy(3, 10.0), push=push)
    touch(fleet)
    fleet.advance(2.5)
    fleet.snapshot()
    opened(fleet)
    fleet.rollback(reconnect=reconnect)
    until(fleet, lambda: all_closed(fleet), 10.0 + 10.0 + 2.0)


@pytest.mark.parametrize("reconnect", [True, False])
@pytest.mark.parametrize("push", [True, False])
def test_f10_a_pushed_change_that_was_lost_before_any_poll_wedges_nobody(reconnect: bool, push: bool) -> None:
    """Nobody has polled the change, so nobody can tell the store that it has gone back."""
    fleet = Fleet(3, row_policy(3 if push else 1, 10.0), push=push)
    touch(fleet)
    fleet.advance(2.5)
    fleet.snapshot()
    for node in fleet.nodes:
        fail(node)
    assert "open" in fleet.states("payments")
    fleet.rollback(reconnect=reconnect)
    until(fleet, lambda: all_closed(fleet), 10.0 + 10.0 + 2.0)


@pytest.mark.parametrize("reconnect", [True, False])
def test_f10_a_closing_that_was_lost_wedges_nobody(reconnect: bool) -> None:
    fleet = Fleet(3, rate_policy(permitted_calls_in_half_open=1))
    half_opened(fleet)
    permit = acquired(fleet)
    fleet.snapshot()
    permit.success()
    assert fleet.states("payments") == ["closed"] * 3
    fleet.rollback(reconnect=reconnect)
    until(fleet, lambda: all_closed(fleet), 40.0)
    fleet.advance(20.0)
    assert all_closed(fleet)


@pytest.mark.parametrize("reconnect", [True, False])
def test_f10_epochs_only_grow(reconnect: bool) -> None:
    fleet = Fleet(2, row_policy(2, 5.0))
    opened(fleet)
    until(fleet, lambda: all_closed(fleet), 25.0)
    fleet.snapshot()
    seen: list[int] = []
    for _ in range(5):
        opened(fleet)
        seen.append(record(fleet).ep)
        fleet.rollback(reconnect=reconnect)
        until(fleet, lambda: all_closed(fleet), 25.0)
    assert seen == sorted(set(seen))


def test_f10_a_settlement_of_what_was_rolled_back_is_void() -> None:
    fleet = Fleet(2, rate_policy(permit_lease=60.0))
    half_opened(fleet)
    fleet.snapshot()
    permit = acquired(fleet)
    fleet.rollback()
    fleet.advance(1.2)
    permit.success()
    fleet.advance(1.2)
    assert record(fleet).ok == 0
    assert live_permits(fleet) == 0


def test_f10_a_probe_granted_before_the_snapshot_counts_after_it() -> None:
    fleet = Fleet(2, rate_policy())
    permit = probing(fleet)
    fleet.advance(1.2)
    fleet.snapshot()
    fleet.rollback()
    permit.success()
    assert record(fleet).ok == 1


def test_f10_after_a_flush_everything_of_before_is_void() -> None:
    fleet = Fleet(2, rate_policy(permit_lease=60.0))
    permit = probing(fleet)
    incarnation = record(fleet).inc
    fleet.flush()
    fleet.advance(1.2)
    until(fleet, lambda: all_closed(fleet), 40.0)
    fleet.advance(12.0)
    opened(fleet)
    assert record(fleet).inc not in ("", incarnation)
    before = record(fleet).copy()
    permit.success()
    assert (record(fleet).ok, record(fleet).bad) == (before.ok, before.bad)


@pytest.mark.parametrize("losses", [1, 3])
def test_f10_the_ramp_survives_a_failover(losses: int) -> None:
    fleet = Fleet(2, ramp_policy(duration=20.0))
    half_opened(fleet)
    permit = acquired(fleet)
    for _ in range(losses):
        fleet.snapshot()
        permit.success()
        fleet.rollback()
        fleet.advance(1.5)
    until(fleet, lambda: all_closed(fleet), 60.0)


def test_f10_reports_are_pooled_again_after_a_failover() -> None:
    fleet = Fleet(4, rate_policy(minimum=8))
    touch(fleet)
    fleet.snapshot()
    opened(fleet)
    until(fleet, lambda: all_closed(fleet), 14.0)
    fleet.advance(10.0)
    fleet.rollback()
    fleet.advance(2.0)
    for _ in range(2):
        for node in fleet.nodes:
            attempt(node, Boom())
    fleet.advance(4.5)
    assert record(fleet).st == "open"
    assert fleet.states("payments") == ["open"] * 4


def test_f10_failures_in_a_row_count_once_over_a_failover() -> None:
    fleet = Fleet(2, row_policy(4, 60.0))
    touch(fleet)
    fail(fleet.nodes[0])
    fleet.snapshot()
    fail(fleet.nodes[1])
    fleet.rollback()
    fleet.advance(3.0)
    fail(fleet.nodes[0])
    fleet.advance(SPREAD)
    assert fleet.states("payments") == ["closed", "closed"]
    assert circuit(fleet.nodes[0]).state == "closed"
