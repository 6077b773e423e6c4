"""F11: an override of the fleet ends by itself. The store notices with the first word on the circuit."""

from __future__ import annotations

import pytest

from cqrs.circuit_breaker import CircuitBreakerPolicy, Mode
from cqrs.testing import Fleet
from tests.fleet.manual import Bench
from tests.fleet.support import (
    Boom,
    attempt,
    circuit,
    coordinator,
    fail,
    rate_policy,
    record,
    row_policy,
    succeed,
    touch,
)

MODES = [Mode.FORCED_OPEN, Mode.DISABLED, Mode.METRICS_ONLY]


def expired(
    policy: CircuitBreakerPolicy, mode: Mode = Mode.FORCED_OPEN, nodes: int = 2, **options: bool
) -> Fleet:
    """Return a fleet in which an override has just ended, and nobody has called since."""
    fleet = Fleet(nodes, policy, **options)
    touch(fleet)
    fleet.nodes[0].breakers.override("payments", mode, ttl=30)
    fleet.advance(15.0)
    for node in fleet.nodes:
        attempt(node, Boom())  # what happens under the override does not count
    fleet.advance(15.1)
    assert record(fleet).ov == mode.value
    return fleet


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("threshold", [1, 3])
def test_f11_the_first_failure_after_it_counts_in_a_row(threshold: int, mode: Mode) -> None:
    fleet = expired(row_policy(threshold, 60.0), mode)
    fail(fleet.nodes[0], threshold)
    assert record(fleet).st == "open"
    assert fleet.states("payments") == ["open"] * 2
    assert record(fleet).why == ("1 failure" if threshold == 1 else f"{threshold} failures in a row")


@pytest.mark.parametrize("mode", MODES)
def test_f11_the_first_failures_after_it_count_whichever_process_they_happen_in(mode: Mode) -> None:
    fleet = expired(row_policy(3, 60.0), mode, nodes=3)
    for node in fleet.nodes:
        fail(node)
    assert fleet.states("payments") == ["open"] * 3


@pytest.mark.parametrize("push", [True, False])
def test_f11_all_figures_after_it_count(push: bool) -> None:
    fleet = expired(rate_policy(minimum=8), push=push)
    for node in fleet.nodes:
        fail(node, 4)
    fleet.advance(3.5)
    assert record(fleet).st == "open"
    assert record(fleet).why == "8 of 8 calls of the fleet failed"


def test_f11_without_push_the_first_failures_after_it_count_too() -> None:
    fleet = expired(row_policy(3, 60.0), push=False)
    fail(fleet.nodes[0])
    fail(fleet.nodes[1], 2)
    fleet.advance(3.5)
    assert record(fleet).st == "open"


def test_f11_what_a_success_ended_after_it_stays_ended() -> None:
    fleet = expired(row_policy(3, 60.0), nodes=3)
    fail(fleet.nodes[0])
    fail(fleet.nodes[1])
    succeed(fleet.nodes[2])
    fail(fleet.nodes[0])
    fail(fleet.nodes[1])
    assert record(fleet).st == "closed"
    fail(fleet.nodes[2])
    assert record(fleet).st == "open"


def test_f11_a_process_that_has_opened_by_itself_after_it_stays_so_and_says_so() -> None:
    fleet = expired(rate_policy(minimum=4), nodes=3)
    fail(fleet.nodes[0], 4)
    assert circuit(fleet.nodes[0]).state == "open"
    for node in fleet.nodes[1:]:
        succeed(node, 2)
    fleet.advance(2.5)
    assert attempt(fleet.nodes[0]) == "rejected"
    assert attempt(fleet.nodes[1]) == "ok"
    pool = coordinator(fleet.server).reports[next(iter(coordinator(fleet.server).reports))]
    assert (pool.sums.f, pool.sums.u) == (4, 1)


def test_f11_a_reset_after_it_forgets_what_failed_since() -> None:
    fleet = expired(row_policy(3, 60.0))
    fail(fleet.nodes[0], 2)
    fleet.nodes[1].breakers.reset("payments")
    fail(fleet.nodes[0], 2)
    assert record(fleet).st == "closed"
    fail(fleet.nodes[0])
    assert record(fleet).st == "open"


def test_f11_the_report_that_ended_it_is_made_again_once() -> None:
    fleet = Fleet(1, row_policy(3, 60.0))
    bench = Bench(row_policy(3, 60.0), fleet.server, fleet.clock)
    bench.breakers["payments"].call(lambda: None)
    touch(fleet)
    fleet.nodes[0].breakers.override("payments", Mode.FORCED_OPEN, ttl=10)
    bench.store.sync()
    fleet.clock.advance(10.1)
    before = fleet.operations["report"]
    with pytest.raises(ZeroDivisionError):
        bench.breakers["payments"].call(lambda: 1 // 0)
    for _ in range(6):
        bench.store.tick()
        for each in list(bench.transport.requests):
            each.answer()
    assert fleet.operations["report"] - before == 2
    assert next(iter(coordinator(fleet.server).reports.values())).row == 1
