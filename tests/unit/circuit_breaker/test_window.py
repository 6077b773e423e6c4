"""L1: which outcomes the sliding windows count."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.circuit_breaker import CircuitBreaker, CountWindow, TimeWindow, Verdict
from cqrs.testing import FakeClock

from .support import breaker, count_policy, fail, settle, succeed, time_policy

NEVER = {"failure_rate_threshold": 1.0}


def counts(circuit: CircuitBreaker) -> tuple[int, int]:
    seen = circuit.snapshot()
    return seen.window_calls, seen.window_failures


def test_l01_count_window_keeps_exactly_the_newest_outcomes() -> None:
    circuit = breaker(count_policy(3, **NEVER))
    outcomes = [
        Verdict.FAILURE,
        Verdict.SUCCESS,
        Verdict.SUCCESS,
        Verdict.FAILURE,
        Verdict.SUCCESS,
        Verdict.SUCCESS,
    ]
    for position, verdict in enumerate(outcomes, start=1):
        settle(circuit, verdict)
        newest = outcomes[max(0, position - 3) : position]
        assert counts(circuit) == (len(newest), newest.count(Verdict.FAILURE))


def test_l01_count_window_does_not_expire_with_time(clock: FakeClock) -> None:
    circuit = breaker(count_policy(5), clock)
    fail(circuit, 2)
    clock.advance(1e6)
    assert counts(circuit) == (2, 2)


@pytest.mark.parametrize("offset", [0.0, 0.125, 1.0, 1.875])
def test_l01_time_window_drops_an_outcome_with_its_bucket(offset: float) -> None:
    clock = FakeClock(1000.0 + offset)  # 2 s buckets start at even seconds
    circuit = breaker(time_policy(8.0, buckets=4), clock)
    fail(circuit)
    clock.advance(8.0 - offset - 0.125)
    assert counts(circuit) == (1, 1)
    clock.advance(0.125)
    assert counts(circuit) == (0, 0)


moves = st.lists(
    st.tuples(st.sampled_from(["ok", "fail", "wait", "back"]), st.integers(0, 160)), min_size=1, max_size=60
)


@given(moves=moves, buckets=st.sampled_from([1, 2, 3, 8]))
def test_l01_time_window_equals_the_multiset_of_live_buckets(
    moves: list[tuple[str, int]], buckets: int
) -> None:
    width = 2.0
    clock = FakeClock(4096.0)
    circuit = breaker(
        time_policy(width * buckets, buckets=buckets, minimum=10_000, failure_rate_threshold=1.0), clock
    )
    seen, outcomes = clock(), list[tuple[int, bool]]()
    for move, eighths in moves:
        if move == "wait":
            clock.advance(eighths / 8)
        elif move == "back":
            clock.step_back(eighths / 8)
        else:
            settle(circuit, Verdict.FAILURE if move == "fail" else Verdict.SUCCESS)
            seen = max(seen, clock())
            outcomes.append((math.floor(seen / width), move == "fail"))
        newest = math.floor(max(seen, clock()) / width)
        live = [failed for bucket, failed in outcomes if newest - buckets < bucket]
        if clock() >= seen:
            assert counts(circuit) == (len(live), sum(live))


def test_l01_a_clock_that_stands_still_loses_nothing(clock: FakeClock) -> None:
    circuit = breaker(time_policy(8.0, buckets=4, minimum=10_000), clock)
    succeed(circuit, 500)
    fail(circuit, 500)
    assert counts(circuit) == (1000, 500)


@pytest.mark.parametrize("jump", [0.125, 5.0, 30.0, 900.0])
def test_l01_a_clock_that_steps_back_neither_removes_nor_duplicates(clock: FakeClock, jump: float) -> None:
    circuit = breaker(time_policy(8.0, buckets=4, minimum=10_000), clock)
    fail(circuit, 3)
    clock.step_back(jump)
    assert counts(circuit) == (3, 3)
    succeed(circuit, 2)
    assert counts(circuit) == (5, 3)
    clock.advance(jump)
    assert counts(circuit) == (5, 3)
    clock.advance(8.0)
    assert counts(circuit) == (0, 0)


def test_l01_an_idle_hour_leaves_an_empty_window(clock: FakeClock) -> None:
    circuit = breaker(time_policy(8.0, buckets=4), clock)
    fail(circuit, 3)
    clock.advance(3600)
    assert counts(circuit) == (0, 0)
    fail(circuit, 1)
    assert counts(circuit) == (1, 1)


def test_l01_idle_time_costs_nothing_however_long(clock: FakeClock) -> None:
    circuit = breaker(time_policy(1.0, buckets=10), clock)
    for _ in range(100):  # walking the 10**10 buckets in between would take hours
        succeed(circuit)
        clock.advance(1e9)
    assert circuit.snapshot().succeeded == 100


def test_l01_the_cost_of_an_outcome_does_not_grow_with_the_window() -> None:
    def cost(window: CountWindow | TimeWindow) -> float:
        circuit = breaker(count_policy(20, sliding_window=window))
        succeed(circuit, 200)
        best = math.inf
        for _ in range(5):
            start = time.perf_counter()
            succeed(circuit, 200)
            best = min(best, time.perf_counter() - start)
        return best

    small = cost(CountWindow(20)) + cost(TimeWindow(30.0, buckets=10))
    large = cost(CountWindow(50_000)) + cost(TimeWindow(30.0, buckets=1_000))
    assert large < 5 * small  # a sum over the window would be a hundred times slower


def test_l01_a_window_smaller_than_the_burst_still_opens() -> None:
    circuit = breaker(count_policy(4, minimum_number_of_calls=2))
    fail(circuit, 2)
    assert circuit.state == "open"


def test_l01_a_window_larger_than_the_minimum_opens_at_the_minimum() -> None:
    circuit = breaker(count_policy(100, minimum_number_of_calls=3))
    fail(circuit, 2)
    assert circuit.state == "closed"
    fail(circuit)
    assert circuit.state == "open"
