"""L2 and L3: what opens a closed circuit, and how calls still in flight count."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from cqrs.circuit_breaker import CountWindow, Outcome, State, Trip, Verdict
from cqrs.circuit_breaker.phases import Lane
from cqrs.testing import FakeClock, TransitionRecorder, assert_trace

from .support import (
    Boom,
    Missing,
    boom,
    breaker,
    count_policy,
    do_nothing,
    fail,
    is_rejected,
    settle,
    succeed,
    time_policy,
)

SLOW = {"slow_call_duration_threshold": 2.0, "slow_call_rate_threshold": 0.75}


@pytest.mark.parametrize(("failures", "expected"), [(1, State.CLOSED), (2, State.OPEN), (3, State.OPEN)])
def test_l02_opens_when_the_failure_rate_reaches_the_threshold(failures: int, expected: State) -> None:
    circuit = breaker(count_policy(4, failure_rate_threshold=0.5))
    succeed(circuit, 4 - failures)
    fail(circuit, failures)
    assert circuit.state is expected


def test_l02_stays_closed_below_the_minimum_number_of_calls() -> None:
    circuit = breaker(count_policy(4))
    fail(circuit, 3)
    assert circuit.state is State.CLOSED


def test_l02_a_success_that_completes_the_minimum_opens_when_the_counts_justify_it() -> None:
    circuit = breaker(count_policy(4, failure_rate_threshold=0.5))
    fail(circuit, 3)
    succeed(circuit)
    assert circuit.state is State.OPEN


def test_l02_a_failure_that_left_the_window_does_not_count(clock: FakeClock) -> None:
    circuit = breaker(time_policy(8.0, minimum=4), clock)
    fail(circuit, 3)
    clock.advance(10)
    fail(circuit, 1)
    assert circuit.state is State.CLOSED


def test_l02_consecutive_failures_open_without_a_window() -> None:
    circuit = breaker(count_policy(sliding_window=None, consecutive_failures=3))
    fail(circuit, 2)
    succeed(circuit)
    fail(circuit, 2)
    assert circuit.state is State.CLOSED
    fail(circuit)
    assert circuit.state is State.OPEN


def test_l02_consecutive_failures_open_before_the_rate_may() -> None:
    circuit = breaker(count_policy(20, consecutive_failures=3))
    fail(circuit, 3)
    assert circuit.state is State.OPEN


def test_l02_the_rate_opens_before_consecutive_failures_may() -> None:
    circuit = breaker(count_policy(4, consecutive_failures=3))
    settle(circuit, Verdict.FAILURE, Verdict.SUCCESS, Verdict.FAILURE, Verdict.SUCCESS)
    assert circuit.state is State.OPEN


@pytest.mark.parametrize("neutral", [Verdict.IGNORED, Verdict.CANCELLED, Verdict.INCONCLUSIVE])
def test_l02_neutral_outcomes_neither_count_nor_reset_the_count(neutral: Verdict) -> None:
    circuit = breaker(count_policy(20, consecutive_failures=3))
    for _ in range(2):
        settle(circuit, Verdict.FAILURE, neutral)
    assert (circuit.state, circuit.snapshot().window_calls) == (State.CLOSED, 2)
    fail(circuit)
    assert circuit.state is State.OPEN


def test_l02_ignored_exceptions_neither_count_nor_reset_the_count() -> None:
    circuit = breaker(count_policy(20, consecutive_failures=2, ignore=(Missing,)))

    def missing() -> None:
        raise Missing

    for func, error in [(boom, Boom), (missing, Missing), (boom, Boom)]:
        with pytest.raises(error):
            circuit.call(func)
    assert circuit.state is State.OPEN
    assert (circuit.snapshot().failed, circuit.snapshot().ignored) == (2, 1)


@pytest.mark.parametrize(
    ("wanted", "granted"), [(None, 5.0), (0.5, 5.0), (7.0, 7.0), (20.0, 20.0), (900.0, 20.0)]
)
def test_l02_a_trip_verdict_opens_at_once_for_a_clamped_time(
    clock: FakeClock, wanted: float | None, granted: float
) -> None:
    from cqrs.circuit_breaker import Backoff

    def classify(outcome: Outcome) -> Verdict | Trip | None:
        return Trip(for_=wanted) if isinstance(outcome.exception, Boom) else None

    policy = count_policy(100, classify=classify, wait_duration_in_open=Backoff(5.0, 2.0, 20.0, jitter=0.0))
    circuit = breaker(policy, clock)
    with pytest.raises(Boom):
        circuit.call(boom)
    assert circuit.state is State.OPEN
    assert circuit.snapshot().open_remaining == granted


def test_l02_slow_successes_open_when_their_rate_reaches_the_threshold(clock: FakeClock) -> None:
    circuit = breaker(count_policy(4, **SLOW), clock)
    succeed(circuit)
    for expected in [State.CLOSED, State.CLOSED, State.OPEN]:
        assert circuit.state is State.CLOSED
        permit = circuit.acquire()
        clock.advance(3)
        permit.settle(Verdict.SUCCESS)
        assert circuit.state is expected
    assert circuit.snapshot().slow == 3


def test_l02_slow_calls_do_not_count_without_a_threshold(clock: FakeClock) -> None:
    circuit = breaker(count_policy(4), clock)
    for _ in range(8):
        permit = circuit.acquire()
        clock.advance(3600)
        permit.settle(Verdict.SUCCESS)
    assert circuit.state is State.CLOSED


def test_l02_the_call_that_trips_raises_its_own_exception() -> None:
    circuit = breaker(count_policy(1))
    error = Boom("mine")

    def fails() -> None:
        raise error

    with pytest.raises(Boom) as caught:
        circuit.call(fails)
    assert caught.value is error
    assert circuit.state is State.OPEN


def test_l02_in_flight_calls_do_not_dilute_the_failure_rate(clock: FakeClock) -> None:
    circuit = breaker(count_policy(4, **SLOW), clock)
    pending = [circuit.acquire() for _ in range(50)]
    succeed(circuit, 2)
    fail(circuit, 2)
    assert circuit.state is State.OPEN
    assert len(pending) == 50


def test_l03_calls_that_never_return_open_the_circuit(clock: FakeClock) -> None:
    circuit = breaker(count_policy(100, minimum_number_of_calls=20, **SLOW), clock)
    hung = [circuit.acquire() for _ in range(100)]
    assert not is_rejected(circuit)
    clock.advance(2.5)
    assert is_rejected(circuit)
    assert circuit.state is State.OPEN
    assert len(hung) == 100


def test_l03_overdue_calls_need_the_minimum_and_the_rate(clock: FakeClock) -> None:
    circuit = breaker(count_policy(8, minimum_number_of_calls=4, **SLOW), clock)
    hung = [circuit.acquire() for _ in range(3)]
    clock.advance(3)
    assert not is_rejected(circuit)  # 3 calls are fewer than the minimum of 4
    circuit.reset()
    succeed(circuit, 2)
    hung += [circuit.acquire() for _ in range(5)]
    clock.advance(3)
    hung.pop().settle(Verdict.IGNORED)
    assert not is_rejected(circuit)  # 4 of 6 are fewer than three quarters
    hung += [circuit.acquire() for _ in range(2)]
    clock.advance(3)
    assert is_rejected(circuit)  # 6 of 8
    assert len(hung) == 9


def test_l03_an_overdue_call_that_settles_is_replaced_not_added(clock: FakeClock) -> None:
    circuit = breaker(count_policy(8, minimum_number_of_calls=4, **SLOW), clock)
    hung = [circuit.acquire() for _ in range(3)]
    clock.advance(3)
    assert not is_rejected(circuit)
    for permit in hung:
        assert permit.settle(Verdict.SUCCESS) is True
        assert circuit.state is State.CLOSED  # three calls in all, counted once each
    assert not is_rejected(circuit)
    assert (circuit.snapshot().window_calls, circuit.snapshot().window_slow) == (3, 3)


def test_l03_an_overdue_call_is_counted_once_however_often_it_is_looked_at(clock: FakeClock) -> None:
    circuit = breaker(count_policy(8, minimum_number_of_calls=4, **SLOW), clock)
    hung = [circuit.acquire() for _ in range(3)]
    for _ in range(10):
        clock.advance(3)
        assert not is_rejected(circuit)
    assert len(hung) == 3


def test_l03_a_quick_success_is_evaluated_with_the_calls_that_are_overdue_by_then(clock: FakeClock) -> None:
    circuit = breaker(count_policy(8, minimum_number_of_calls=4, **SLOW), clock)
    hung = [circuit.acquire() for _ in range(3)]
    clock.advance(1)
    with circuit.permit():
        clock.advance(1)
    assert circuit.state is State.OPEN  # three overdue and one quick call: three quarters of four
    assert len(hung) == 3


@pytest.mark.parametrize("neutral", [Verdict.IGNORED, Verdict.INCONCLUSIVE])
def test_l03_an_overdue_call_that_ends_neutral_leaves_no_mark(clock: FakeClock, neutral: Verdict) -> None:
    circuit = breaker(count_policy(8, minimum_number_of_calls=4, **SLOW), clock)
    hung = [circuit.acquire() for _ in range(3)]
    clock.advance(3)
    assert not is_rejected(circuit)
    for permit in hung:
        permit.settle(neutral)
    late = circuit.acquire()
    clock.advance(3)
    assert not is_rejected(circuit)  # one overdue call, not four
    assert late.settle(Verdict.SUCCESS) is True


def test_l03_in_flight_calls_do_not_count_when_switched_off(clock: FakeClock) -> None:
    circuit = breaker(
        count_policy(100, minimum_number_of_calls=20, count_in_flight_slow=False, **SLOW), clock
    )
    hung = [circuit.acquire() for _ in range(100)]
    clock.advance(60)
    assert not is_rejected(circuit)
    assert len(hung) == 100


def test_l03_finding_overdue_calls_costs_each_admission_the_same(clock: FakeClock) -> None:
    import time

    def cost(in_flight: int) -> float:
        policy = count_policy(
            100_000, sliding_window=CountWindow(100_000), minimum_number_of_calls=100_000, **SLOW
        )
        circuit = breaker(policy, clock)
        hung = [circuit.acquire() for _ in range(in_flight)]
        clock.advance(3)
        is_rejected(circuit)  # pays once for the calls that became overdue
        best = float("inf")
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(100):
                is_rejected(circuit)
            best = min(best, time.perf_counter() - start)
        for permit in hung:
            permit.settle(Verdict.IGNORED)
        return best

    assert cost(10_000) < 8 * cost(10)


def told_opening(recorder: TransitionRecorder) -> tuple[str, dict[str, Any]]:
    """Return reason and figures of the one opening that was told."""
    assert_trace(recorder, ["closed -> open"])
    evidence = dict(recorder.changes[0].evidence)
    evidence.pop("last_failure", None)
    return recorder.changes[0].reason, evidence


def test_l02_an_opening_by_failures_tells_what_was_held_against_what(clock: FakeClock) -> None:
    circuit = breaker(count_policy(8, minimum_number_of_calls=4, failure_rate_threshold=0.75), clock)
    recorder = TransitionRecorder()
    circuit.add_listener(recorder, inline=True)
    succeed(circuit)
    fail(circuit, 3)
    assert told_opening(recorder) == (
        "3 of 4 calls failed",
        {
            "calls": 4,
            "failures": 3,
            "minimum": 4,
            "failure_rate": 0.75,
            "failure_rate_threshold": 0.75,
            "wait": 5.0,
            "streak": 1,
        },
    )


def test_l03_an_opening_by_slow_calls_tells_those_that_still_run(clock: FakeClock) -> None:
    circuit = breaker(count_policy(4, **SLOW), clock)
    recorder = TransitionRecorder()
    circuit.add_listener(recorder, inline=True)
    slow = circuit.acquire()
    running = [circuit.acquire() for _ in range(2)]
    clock.advance(2)
    slow.success()
    succeed(circuit)
    assert is_rejected(circuit)
    reason, evidence = told_opening(recorder)
    assert reason == "3 of 4 calls were slow"
    assert evidence == {
        "calls": 2,
        "failures": 0,
        "minimum": 4,
        "failure_rate": 0.0,
        "failure_rate_threshold": 0.5,
        "slow": 1,
        "overdue": 2,
        "slow_rate": 0.75,
        "slow_call_rate_threshold": 0.75,
        "wait": 5.0,
        "streak": 1,
    }
    assert [permit.success() for permit in running] == [False] * 2


def test_l03_an_opening_by_calls_of_which_none_has_returned_has_no_failure_rate(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2, **SLOW), clock)
    recorder = TransitionRecorder()
    circuit.add_listener(recorder, inline=True)
    running = [circuit.acquire() for _ in range(2)]
    clock.advance(2)
    assert is_rejected(circuit)
    reason, evidence = told_opening(recorder)
    assert reason == "2 of 2 calls were slow"
    assert (evidence["calls"], evidence["overdue"], evidence["slow_rate"]) == (0, 2, 1.0)
    assert "failure_rate" not in evidence
    assert [permit.success() for permit in running] == [False] * 2


@pytest.mark.parametrize(("limit", "reason"), [(1, "1 failure"), (2, "2 failures in a row")])
def test_l02_an_opening_by_failures_in_a_row_tells_their_number(limit: int, reason: str) -> None:
    circuit = breaker(count_policy(sliding_window=None, consecutive_failures=limit))
    recorder = TransitionRecorder()
    circuit.add_listener(recorder, inline=True)
    fail(circuit, limit)
    assert told_opening(recorder) == (
        reason,
        {"consecutive": limit, "consecutive_failures": limit, "wait": 5.0, "streak": 1},
    )


def test_l02_a_trip_counts_its_own_call_and_tells_all_conditions() -> None:
    circuit = breaker(count_policy(4, consecutive_failures=3, **SLOW))
    recorder = TransitionRecorder()
    circuit.add_listener(recorder, inline=True)
    circuit.acquire().settle(Trip())
    reason, evidence = told_opening(recorder)
    assert reason == "a call asked for it"
    assert (evidence["calls"], evidence["failures"], evidence["consecutive"]) == (1, 1, 1)
    assert (evidence["slow"], evidence["overdue"], evidence["slow_rate"]) == (0, 0, 0.0)


@pytest.mark.parametrize("windowed", [False, True])
@pytest.mark.parametrize("failures", [1, 2])
def test_l02_one_quick_success_ends_a_row_however_long(windowed: bool, failures: int) -> None:
    policy = count_policy(4, consecutive_failures=3, failure_rate_threshold=1.0)
    circuit = breaker(policy if windowed else policy.replace(sliding_window=None))
    for _ in range(4):
        circuit.call(do_nothing)
    for _ in range(3):
        for _ in range(failures):
            with pytest.raises(Boom):
                circuit.call(boom)
        assert circuit.snapshot().consecutive_failures == failures
        circuit.call(do_nothing)
        assert circuit.snapshot().consecutive_failures == 0
    assert circuit.state is State.CLOSED
    fail(circuit, 3)
    assert circuit.state is State.OPEN


def test_l03_a_success_that_completes_the_minimum_opens_though_only_running_calls_are_slow(
    clock: FakeClock,
) -> None:
    policy = count_policy(4, slow_call_duration_threshold=2.0, slow_call_rate_threshold=0.5)
    circuit = breaker(policy, clock)
    hung = [circuit.acquire(), circuit.acquire()]
    clock.advance(1)
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(circuit.permit())
        second.enter_context(circuit.permit())
        clock.advance(1)
        first.close()
        assert circuit.state is State.CLOSED
        second.close()
        assert circuit.state is State.OPEN
    assert [permit.success() for permit in hung] == [False] * 2


def test_l02_a_success_that_comes_just_before_it_is_watched_may_complete_the_minimum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    circuit = breaker(count_policy(2))
    original = Lane.set_watch

    def set_watch(lane: Lane, watch: bool) -> None:
        if watch and not lane.watch:
            circuit.call(do_nothing)  # as another thread might
        original(lane, watch)

    monkeypatch.setattr(Lane, "set_watch", set_watch)
    fail(circuit)
    assert circuit.state is State.OPEN


def test_l02_a_trip_opens_a_circuit_without_a_window_too() -> None:
    circuit = breaker(count_policy(sliding_window=None, consecutive_failures=9))
    circuit.acquire().settle(Trip())
    assert circuit.state is State.OPEN
