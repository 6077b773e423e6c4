"""F5: only the clock of the store is compared in it, and no step of any clock holds a circuit for longer."""

from __future__ import annotations

import pytest

from cqrs.circuit_breaker import Mode
from cqrs.testing import Fleet
from tests.fleet.support import (
    acquired,
    attempt,
    circuit,
    half_opened,
    live_permits,
    opened,
    probing,
    ramp_policy,
    rate_policy,
    record,
    rejection,
    row_policy,
    until,
)

HOUR = 3600.0


def recovers(fleet: Fleet) -> bool:
    for node in fleet.living():
        attempt(node)
    return fleet.states("payments") == ["closed"] * len(fleet.living())


@pytest.mark.parametrize("skew", [HOUR, -HOUR, 0.3])
def test_f5_processes_whose_clocks_differ_open_and_probe_together(skew: float) -> None:
    fleet = Fleet(3, row_policy(3, 10.0))
    fleet.nodes[1].skew = skew
    opened(fleet)
    for node in fleet.nodes:
        wait = rejection(node).retry_after
        assert wait is not None
        assert 8.5 < wait < 10.0
    assert until(fleet, lambda: recovers(fleet), 11.0) >= 8.0


def test_f5_the_wall_clock_of_the_server_means_nothing_to_the_processes() -> None:
    fleet = Fleet(2, row_policy(3, 10.0))
    fleet.server_skew = 1_800_000_000.0
    opened(fleet)
    until(fleet, lambda: recovers(fleet), 11.0)


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_f5_a_step_of_the_servers_clock_holds_an_open_circuit_no_longer_than_max(step: float) -> None:
    fleet = opened(Fleet(3, row_policy(3, 10.0)))
    fleet.server_skew += step
    until(fleet, lambda: recovers(fleet), 10.0 + 1.3)


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_f5_a_step_of_the_servers_clock_does_not_wedge_half_open(step: float) -> None:
    fleet = Fleet(3, rate_policy(permit_lease=5.0))
    probing(fleet)
    fleet.kill(0)
    fleet.server_skew += step
    until(fleet, lambda: recovers(fleet), 10.0 + 60.0)


def test_f5_a_permit_that_expires_after_more_than_a_lease_is_reaped() -> None:
    fleet = Fleet(3, rate_policy(permit_lease=5.0))
    probing(fleet)
    fleet.kill(0)
    fleet.server_skew -= HOUR
    until(fleet, lambda: any(attempt(node) == "ok" for node in fleet.living()), 5.2)


def test_f5_a_probe_that_runs_when_the_server_steps_back_still_counts_or_is_late() -> None:
    fleet = Fleet(2, rate_policy())
    permit = probing(fleet)
    fleet.server_skew -= HOUR
    permit.success()
    fleet.advance(2.3)
    assert live_permits(fleet) == 0
    acquired(fleet, 1).success()
    assert fleet.states("payments") == ["closed"] * 2


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_f5_a_step_during_the_ramp_prolongs_it_by_no_more_than_its_length(step: float) -> None:
    fleet = Fleet(2, ramp_policy())
    half_opened(fleet)
    acquired(fleet).success()
    fleet.server_skew += step
    until(fleet, lambda: recovers(fleet), 10.5)


def test_f5_an_override_lasts_no_longer_than_its_ttl_whatever_the_servers_clock_does() -> None:
    fleet = Fleet(2, rate_policy())
    fleet.nodes[0].breakers.override("payments", Mode.FORCED_OPEN, ttl=60.0)
    fleet.server_skew -= HOUR
    fleet.advance(2.0)
    fleet.restart(1)
    assert circuit(fleet.nodes[1]).state == "forced_open"
    fleet.advance(61.0)
    assert [circuit(node).state for node in fleet.nodes] == ["closed", "closed"]


def test_f5_a_process_whose_clock_stands_still_asks_no_more_than_it_should() -> None:
    fleet = half_opened(Fleet(2, rate_policy()))
    for _ in range(100):
        attempt(fleet.nodes[0])
    assert fleet.operations["acquire"] <= 1


def test_f5_a_process_whose_clock_steps_back_keeps_exchanging() -> None:
    fleet = Fleet(2, row_policy(3, 10.0))
    fleet.nodes[1].skew = -0.5
    fleet.advance(3.0)
    before = fleet.commands
    fleet.advance(3.0)
    assert fleet.commands - before >= 4


def test_f5_reports_of_what_is_now_the_future_do_not_count() -> None:
    fleet = Fleet(2, rate_policy(minimum=8))
    for _ in range(6):
        attempt(fleet.nodes[0], ValueError())
    fleet.advance(1.2)
    fleet.kill(0)
    fleet.server_skew -= HOUR
    for _ in range(3):
        attempt(fleet.nodes[1], ValueError())
    fleet.advance(2.5)
    assert record(fleet).st == "closed"  # 3 of 3, and the six of before are gone
