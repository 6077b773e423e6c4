"""F14: traffic returns everywhere at the same pace, without messages, and stops again if it must."""

from __future__ import annotations

import pytest

from cqrs.circuit_breaker import CircuitOpenError
from cqrs.testing import Fleet
from tests.fleet.support import (
    Boom,
    acquired,
    attempt,
    circuit,
    half_opened,
    ramp_policy,
    record,
    rejection,
    touch,
)


def ramping(fleet: Fleet) -> Fleet:
    half_opened(fleet)
    acquired(fleet).success()
    fleet.advance(0.0)
    return fleet


@pytest.mark.parametrize("push", [True, False])
def test_f14_every_process_admits_the_same_share(push: bool) -> None:
    fleet = ramping(Fleet(4, ramp_policy(duration=20.0, initial=0.2), push=push))
    fleet.advance(1.2)
    begin = record(fleet).ramp / 1e6
    while fleet.clock() - begin < 18.0:
        share = 0.2 + 0.8 * (fleet.clock() - begin) / 20.0
        for node in fleet.nodes:
            admitted = sum(attempt(node) == "ok" for _ in range(50))
            assert abs(admitted - 50 * share) < 1.001
        fleet.advance(1.7)


def test_f14_the_ramp_is_over_at_the_same_moment_everywhere_and_nobody_says_so() -> None:
    fleet = ramping(Fleet(3, ramp_policy(duration=10.0)))
    begin = record(fleet).ramp / 1e6
    fleet.advance(begin + 9.95 - fleet.clock())
    assert fleet.states("payments") == ["half_open"] * 3
    assert {circuit(node).phase for node in fleet.nodes} == {"ramping"}
    before = fleet.operations
    fleet.advance(0.1)
    assert fleet.states("payments") == ["closed"] * 3
    assert fleet.operations == before


def test_f14_a_process_that_comes_in_the_middle_joins_in_the_middle() -> None:
    fleet = ramping(Fleet(2, ramp_policy(duration=20.0)))
    begin = record(fleet).ramp / 1e6
    fleet.advance(begin + 10.0 - fleet.clock())
    fleet.restart(1)
    admitted = sum(attempt(fleet.nodes[1]) == "ok" for _ in range(100))
    assert abs(admitted - 55) <= 2


def test_f14_failures_during_the_ramp_reopen_under_a_smaller_minimum_and_for_longer() -> None:
    from cqrs.circuit_breaker import Backoff

    policy = ramp_policy(minimum=20, duration=20.0, initial=0.2).replace(
        wait_duration_in_open=Backoff(10.0, 2.0, 100.0, 0.0)
    )
    fleet = ramping(Fleet(2, policy))
    fleet.advance(1.0)
    failed = 0
    while record(fleet).st == "closed" and failed < 20:
        for node in fleet.nodes:
            failed += attempt(node, Boom()) == "failed"
        fleet.advance(0.3)
    assert failed <= 12  # of 20
    assert record(fleet).st == "open"
    assert record(fleet).wait == 20_000_000
    fleet.advance(0.5)
    assert fleet.states("payments") == ["open"] * 2


def test_f14_a_rejection_in_the_ramp_says_so() -> None:
    fleet = ramping(Fleet(2, ramp_policy(duration=20.0)))
    error: CircuitOpenError = rejection(fleet.nodes[1])
    assert error.state == "half_open"
    assert "of the calls pass" in error.reason
    assert error.retry_after is not None


def test_f14_after_the_ramp_an_opening_waits_no_longer_than_the_first() -> None:
    fleet = ramping(Fleet(2, ramp_policy(duration=5.0)))
    fleet.advance(6.0)
    assert fleet.states("payments") == ["closed"] * 2
    for _ in range(10):
        for node in fleet.nodes:
            attempt(node, Boom())
    fleet.advance(1.2)
    assert record(fleet).streak == 1


def test_f14_the_window_that_the_ramp_filled_is_kept() -> None:
    fleet = ramping(Fleet(2, ramp_policy(minimum=100, duration=5.0, initial=1.0)))
    touch(fleet)
    for _ in range(5):
        attempt(fleet.nodes[0])
    fleet.advance(5.1)
    attempt(fleet.nodes[0])
    assert circuit(fleet.nodes[0]).snapshot().window_calls >= 6
