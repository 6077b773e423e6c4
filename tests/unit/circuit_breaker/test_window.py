"""L1: which outcomes the sliding windows count."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.circuit_breaker import CircuitBreaker, CountWindow, Mode, TimeWindow, Verdict
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


OUTCOMES = st.sampled_from(["ok", "fail", "slow", "slow fail", "ignored"])


def record(circuit: CircuitBreaker, clock: FakeClock, outcome: str) -> None:
    """Settle one call; a slow one takes the second that the policies here allow."""
    if outcome == "ok":
        succeed(circuit)
        return
    permit = circuit.acquire()
    clock.advance(1.0 if "slow" in outcome else 0.0)
    if outcome == "ignored":
        permit.ignore()
    else:
        permit.settle(Verdict.FAILURE if "fail" in outcome else Verdict.SUCCESS)


def figures(circuit: CircuitBreaker) -> tuple[int, int, int]:
    seen = circuit.snapshot()
    return seen.window_calls, seen.window_failures, seen.window_slow


def figures_of(outcomes: list[str]) -> tuple[int, int, int]:
    counted = [outcome for outcome in outcomes if outcome != "ignored"]
    failed, slow = ("fail" in each for each in counted), ("slow" in each for each in counted)
    return len(counted), sum(failed), sum(slow)


TIMED = {
    "minimum_number_of_calls": 10_000,
    "slow_call_duration_threshold": 1.0,
    "slow_call_rate_threshold": 1.0,
}


@given(outcomes=st.lists(OUTCOMES, max_size=40), size=st.integers(1, 9), later=st.integers(1, 9))
def test_l01_count_windows_hold_the_newest_calls_by_kind_whatever_their_size_becomes(
    outcomes: list[str], size: int, later: int
) -> None:
    clock = FakeClock(4096.0)
    policy = count_policy(1, slow_call_duration_threshold=1.0)
    circuit = breaker(policy.replace(sliding_window=CountWindow(size)), clock)
    circuit.override(Mode.METRICS_ONLY)  # else it would open
    half = len(outcomes) // 2
    for outcome in outcomes[:half]:
        record(circuit, clock, outcome)
    counted = [outcome for outcome in outcomes[:half] if outcome != "ignored"][-size:]
    assert figures(circuit) == figures_of(counted)
    circuit.reload(policy.replace(sliding_window=CountWindow(later)))
    counted = counted[-later:]
    assert figures(circuit) == figures_of(counted)
    for outcome in outcomes[half:]:
        record(circuit, clock, outcome)
        counted = (counted + ([] if outcome == "ignored" else [outcome]))[-later:]
        assert figures(circuit) == figures_of(counted)


@given(
    outcomes=st.lists(st.tuples(OUTCOMES, st.integers(0, 24)), max_size=40),
    buckets=st.integers(1, 5),
    later=st.integers(1, 5),
)
def test_l01_time_windows_hold_the_newest_buckets_by_kind_however_many_they_become(
    outcomes: list[tuple[str, int]], buckets: int, later: int
) -> None:
    width = 2.0
    clock = FakeClock(4096.0)
    policy = time_policy(8.0, 4, **TIMED)
    circuit = breaker(policy.replace(sliding_window=TimeWindow(width * buckets, buckets=buckets)), clock)
    half = len(outcomes) // 2
    settled = list[tuple[int, str]]()
    most = buckets
    for position, (outcome, eighths) in enumerate(outcomes):
        if position == half:
            newest = math.floor(clock() / width)
            settled = [each for each in settled if each[0] > newest - buckets]  # the rest is forgotten
            circuit.reload(policy.replace(sliding_window=TimeWindow(width * later, buckets=later)))
            most = later
        record(circuit, clock, outcome)
        settled.append((math.floor(clock() / width), outcome))
        clock.advance(eighths / 8)
        newest = math.floor(clock() / width)
        assert figures(circuit) == figures_of([each for at, each in settled if at > newest - most])


def test_l01_a_quick_success_lands_in_the_bucket_of_its_moment(clock: FakeClock) -> None:
    circuit = breaker(time_policy(8.0, buckets=4, minimum=10_000), clock)

    @circuit
    def guarded() -> None:
        pass

    for _ in range(4):
        guarded()
        clock.advance(2)
    for left in (3, 2, 1, 0):
        assert counts(circuit) == (left, 0)
        clock.advance(2)


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


def test_l01_a_bucket_ends_at_its_end_though_the_quotient_is_rounded_down() -> None:
    width = 0.7
    begin, end = 2 * width, 3 * width
    assert math.floor(end / width) == 2  # not 3
    clock = FakeClock(begin)
    circuit = breaker(time_policy(width, buckets=1, minimum=100), clock)
    fail(circuit)
    clock.advance(end - begin)
    assert clock() == end
    assert counts(circuit) == (0, 0)
    fail(circuit)
    assert counts(circuit) == (1, 1)
