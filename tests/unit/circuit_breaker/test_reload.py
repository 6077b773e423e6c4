"""L16: another policy for a circuit that is in use."""

from __future__ import annotations

import pytest

from cqrs.circuit_breaker import Ramp, State, Verdict
from cqrs.testing import FakeClock, TransitionRecorder

from .support import breaker, count_policy, fail, half_open, settle, succeed, time_policy, trip


@pytest.mark.parametrize("state", ["closed", "open", "half_open"])
def test_l16_reload_never_changes_the_state_nor_the_era(clock: FakeClock, state: str) -> None:
    circuit = breaker(count_policy(8), clock)
    if state == "open":
        trip(circuit)
    elif state == "half_open":
        half_open(circuit, clock)
        settle(circuit, Verdict.IGNORED)
    else:
        fail(circuit, 3)
    before = (circuit.state, circuit.phase, circuit.era)
    circuit.reload(count_policy(2, failure_rate_threshold=0.25))
    assert (circuit.state, circuit.phase, circuit.era) == before


def test_l16_calls_in_flight_settle_under_the_new_policy() -> None:
    circuit = breaker(count_policy(8))
    permits = [circuit.acquire() for _ in range(2)]
    circuit.reload(count_policy(2))
    assert [permit.settle(Verdict.FAILURE) for permit in permits] == [True, True]
    assert circuit.state is State.OPEN


def test_l16_a_probe_settles_after_a_reload(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    half_open(circuit, clock)
    probe = circuit.acquire()
    circuit.reload(count_policy(9))
    assert probe.settle(Verdict.SUCCESS) is True
    assert circuit.state is State.CLOSED


def test_l16_the_open_deadline_stays(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    trip(circuit)
    circuit.reload(count_policy(4, wait_duration_in_open=60.0))
    assert circuit.snapshot().open_remaining == 5.0


@pytest.mark.parametrize(("old", "new", "kept"), [(8, 4, 4), (4, 8, 4), (8, 8, 8)])
def test_l16_count_windows_keep_the_newest_outcomes(old: int, new: int, kept: int) -> None:
    circuit = breaker(count_policy(old, failure_rate_threshold=1.0))
    outcomes = [Verdict.FAILURE, Verdict.FAILURE, Verdict.SUCCESS, Verdict.FAILURE] * 3
    settle(circuit, *outcomes)
    circuit.reload(count_policy(new, failure_rate_threshold=1.0))
    seen = circuit.snapshot()
    newest = outcomes[-kept:]
    assert (seen.window_calls, seen.window_failures) == (kept, newest.count(Verdict.FAILURE))
    settle(circuit, Verdict.SUCCESS)
    newest = [*outcomes[-kept:], Verdict.SUCCESS][-new:]
    seen = circuit.snapshot()
    assert (seen.window_calls, seen.window_failures) == (len(newest), newest.count(Verdict.FAILURE))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ((8.0, 4), (16.0, 8)),
        ((16.0, 8), (8.0, 4)),
        ((8.0, 4), (8.0, 8)),
        ((8.0, 8), (8.0, 2)),
        ((8.0, 4), (8.0, 4)),
    ],
)
def test_l16_time_windows_keep_the_newest_span_that_both_know(
    clock: FakeClock, old: tuple[float, int], new: tuple[float, int]
) -> None:
    def policy(shape: tuple[float, int]) -> object:
        return time_policy(*shape, minimum=1000)

    circuit = breaker(policy(old), clock)  # type: ignore[arg-type]
    settled: list[float] = []
    for _ in range(40):
        settled.append(clock())
        fail(circuit)
        clock.advance(0.5)
    circuit.reload(policy(new))  # type: ignore[arg-type]
    span, bucket = min(old[0], new[0]), max(old[0] / old[1], new[0] / new[1])
    certain = sum(at > clock() - span + 2 * bucket for at in settled)
    possible = sum(at > clock() - span - 2 * bucket for at in settled)
    seen = circuit.snapshot()
    assert certain <= seen.window_calls <= possible
    assert seen.window_failures == seen.window_calls
    clock.advance(new[0] + bucket)
    assert circuit.snapshot().window_calls == 0


def test_l16_from_a_count_window_to_a_time_window_keeps_what_fits(clock: FakeClock) -> None:
    circuit = breaker(count_policy(8), clock)
    fail(circuit, 3)
    circuit.reload(time_policy(8.0, minimum=8))
    seen = circuit.snapshot()
    assert (seen.window_calls, seen.window_failures) == (3, 3)
    clock.advance(8)
    assert circuit.snapshot().window_calls == 0


def test_l16_from_a_time_window_to_a_count_window_keeps_what_fits(clock: FakeClock) -> None:
    circuit = breaker(time_policy(8.0, minimum=100), clock)
    fail(circuit, 6)
    succeed(circuit, 6)
    circuit.reload(count_policy(8, failure_rate_threshold=1.0))
    seen = circuit.snapshot()
    assert seen.window_calls == 8
    assert seen.window_failures <= 6
    settle(circuit, *[Verdict.SUCCESS] * 8)
    assert circuit.snapshot().window_failures == 0


def test_l16_the_new_thresholds_hold_from_the_next_outcome_on() -> None:
    circuit = breaker(count_policy(8))
    fail(circuit, 3)
    circuit.reload(count_policy(4))
    assert circuit.state is State.CLOSED
    fail(circuit)
    assert circuit.state is State.OPEN


def test_l16_the_run_of_failures_survives_a_reload() -> None:
    circuit = breaker(count_policy(100, consecutive_failures=5))
    fail(circuit, 2)
    circuit.reload(count_policy(100, consecutive_failures=3))
    fail(circuit)
    assert circuit.state is State.OPEN


def test_l16_slow_calls_count_after_a_threshold_was_added(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2), clock)
    circuit.reload(count_policy(2, slow_call_duration_threshold=1.0))
    for _ in range(2):
        permit = circuit.acquire()
        clock.advance(2)
        permit.settle(Verdict.SUCCESS)
    assert circuit.state is State.OPEN


def test_l16_a_quick_call_in_flight_at_a_reload_is_not_slow(clock: FakeClock) -> None:
    circuit = breaker(count_policy(4), clock)
    permits = [circuit.acquire() for _ in range(4)]
    circuit.reload(count_policy(4, slow_call_duration_threshold=1.0))
    for permit in permits:
        assert permit.settle(Verdict.SUCCESS) is True
    assert (circuit.state, circuit.snapshot().slow) == (State.CLOSED, 0)


def test_l16_failures_that_were_not_in_a_row_do_not_become_so() -> None:
    circuit = breaker(count_policy(4, failure_rate_threshold=1.0))
    for _ in range(4):
        settle(circuit, Verdict.SUCCESS, Verdict.FAILURE)
    circuit.reload(count_policy(4, failure_rate_threshold=1.0, consecutive_failures=3))
    fail(circuit)
    assert circuit.state is State.CLOSED
    fail(circuit)
    assert circuit.state is State.OPEN


def test_l16_calls_in_flight_at_a_reload_settle_though_timing_began_after_them(clock: FakeClock) -> None:
    circuit = breaker(count_policy(4), clock)
    permits = [circuit.acquire() for _ in range(3)]
    circuit.reload(count_policy(4, slow_call_duration_threshold=1.0))
    clock.advance(60)
    assert [permit.settle(Verdict.SUCCESS) for permit in permits] == [True] * 3
    assert circuit.snapshot().in_flight == 0


def test_l16_calls_in_flight_at_a_reload_settle_though_timing_ended_after_them(clock: FakeClock) -> None:
    circuit = breaker(count_policy(4, slow_call_duration_threshold=1.0), clock)
    permits = [circuit.acquire() for _ in range(3)]
    clock.advance(60)
    circuit.reload(count_policy(4))
    assert [permit.settle(Verdict.SUCCESS) for permit in permits] == [True] * 3
    succeed(circuit, 3)
    assert (circuit.state, circuit.snapshot().in_flight) == (State.CLOSED, 0)


def test_l16_the_policy_is_the_new_one() -> None:
    circuit, policy = breaker(), count_policy(7)
    circuit.reload(policy)
    assert circuit.policy is policy


def test_l16_slow_calls_of_before_do_not_open_under_a_policy_without_a_limit(clock: FakeClock) -> None:
    policy = count_policy(4, slow_call_rate_threshold=0.75)
    circuit = breaker(policy.replace(slow_call_duration_threshold=2.0), clock)
    for _ in range(3):
        permit = circuit.acquire()
        clock.advance(2)
        permit.success()
    assert circuit.snapshot().window_slow == 3
    circuit.reload(policy)
    succeed(circuit)
    assert circuit.snapshot().window_calls == 4
    assert circuit.state is State.CLOSED


def test_l16_a_policy_without_a_limit_explains_no_slow_calls(clock: FakeClock) -> None:
    timed = count_policy(4, slow_call_duration_threshold=2.0)
    circuit = breaker(timed, clock)
    circuit.reload(count_policy(4, sliding_window=None, consecutive_failures=2))
    assert [condition.name for condition in circuit.explain().conditions] == ["consecutive_failures"]


@pytest.mark.parametrize("buckets", [2, 4, 8])
def test_l16_after_a_clock_that_stepped_back_what_the_window_holds_lasts_as_long(
    clock: FakeClock, buckets: int
) -> None:
    circuit = breaker(time_policy(8.0, buckets=4, minimum=100), clock)
    fail(circuit)
    clock.step_back(100)
    circuit.reload(time_policy(8.0, buckets=buckets, minimum=100))
    assert circuit.snapshot().window_failures == 1
    clock.advance(103.875)
    assert circuit.snapshot().window_failures == 1
    clock.advance(6)
    assert circuit.snapshot().window_failures == 0


def test_l16_from_a_count_window_to_a_time_window_slow_calls_are_kept_as_such(clock: FakeClock) -> None:
    timed = {"slow_call_duration_threshold": 2.0, "slow_call_rate_threshold": 1.0}
    circuit = breaker(count_policy(8, failure_rate_threshold=1.0, **timed), clock)
    for verdict in (Verdict.SUCCESS, Verdict.FAILURE):
        permit = circuit.acquire()
        clock.advance(2)
        permit.settle(verdict)
    succeed(circuit, 3)
    fail(circuit)
    circuit.reload(time_policy(8.0, minimum=100, **timed))
    seen = circuit.snapshot()
    assert (seen.window_calls, seen.window_failures, seen.window_slow) == (6, 2, 2)
    clock.advance(7.875)
    assert circuit.snapshot().window_calls == 6
    clock.advance(0.125)
    assert circuit.snapshot().window_calls == 0


def test_l16_from_a_time_window_to_a_count_window_the_oldest_go_first(clock: FakeClock) -> None:
    timed = {"slow_call_duration_threshold": 1.0, "slow_call_rate_threshold": 1.0}
    circuit = breaker(time_policy(8.0, minimum=100, **timed), clock)
    fail(circuit, 2)
    clock.advance(2)
    permit = circuit.acquire()
    clock.advance(2)
    permit.success()
    succeed(circuit, 2)
    circuit.reload(count_policy(4, failure_rate_threshold=1.0, **timed))
    seen = circuit.snapshot()
    assert (seen.window_calls, seen.window_failures, seen.window_slow) == (4, 1, 1)
    succeed(circuit)
    seen = circuit.snapshot()
    assert (seen.window_calls, seen.window_failures, seen.window_slow) == (4, 0, 1)
    succeed(circuit, 3)
    assert circuit.snapshot().window_slow == 0


def test_l16_a_circuit_that_gets_a_window_begins_with_an_empty_one(clock: FakeClock) -> None:
    row = count_policy(sliding_window=None, consecutive_failures=9)
    circuit = breaker(row, clock)
    fail(circuit, 2)
    succeed(circuit, 2)
    for policy in (count_policy(4), row, time_policy(8.0), row):
        circuit.reload(policy.replace(consecutive_failures=9))
        seen = circuit.snapshot()
        assert (seen.window_calls, seen.window_failures, seen.window_slow) == (0, 0, 0)
        fail(circuit)
        succeed(circuit)
        assert circuit.snapshot().window_calls == (0 if policy is row else 2)


def test_l16_a_shorter_run_may_open_a_circuit_whose_new_window_is_empty(clock: FakeClock) -> None:
    circuit = breaker(count_policy(sliding_window=None, consecutive_failures=9), clock)
    recorder = TransitionRecorder()
    circuit.add_listener(recorder, inline=True)
    fail(circuit, 2)
    circuit.reload(count_policy(4, consecutive_failures=2, slow_call_duration_threshold=2.0))
    assert circuit.state is State.CLOSED
    assert circuit.try_acquire() is None
    assert circuit.state is State.OPEN
    (told,) = recorder.changes
    assert (told.reason, told.evidence["calls"]) == ("2 failures in a row", 0)
    assert not {"failure_rate", "slow_rate"} & set(told.evidence)


def test_l16_from_a_time_window_to_a_count_window_all_buckets_are_kept_in_order(clock: FakeClock) -> None:
    timed = {"slow_call_duration_threshold": 1.0, "slow_call_rate_threshold": 1.0}
    circuit = breaker(time_policy(8.0, minimum=100, **timed), clock)
    for _ in range(3):  # a slow failure and a success in each bucket
        permit = circuit.acquire()
        clock.advance(1)
        permit.failure()
        succeed(circuit)
        clock.advance(1)
    circuit.reload(count_policy(6, failure_rate_threshold=1.0, **timed))
    seen = circuit.snapshot()
    assert (seen.window_calls, seen.window_failures, seen.window_slow) == (6, 3, 3)
    for left in (2, 1, 0):
        succeed(circuit, 2)
        seen = circuit.snapshot()
        assert (seen.window_calls, seen.window_failures, seen.window_slow) == (6, left, left)


def test_l16_a_count_window_keeps_its_order_however_often_its_size_changes(clock: FakeClock) -> None:
    circuit = breaker(count_policy(4, failure_rate_threshold=1.0), clock)
    outcomes: list[Verdict] = []
    for size in (6, 3, 5, 5, 8):
        for verdict in (Verdict.SUCCESS, Verdict.FAILURE, Verdict.SUCCESS, Verdict.SUCCESS):
            settle(circuit, verdict)
            outcomes.append(verdict)
            seen = circuit.snapshot()
            outcomes = outcomes[-circuit.policy.minimum_number_of_calls :]  # which is the size
            assert (seen.window_calls, seen.window_failures) == (
                len(outcomes),
                outcomes.count(Verdict.FAILURE),
            )
        circuit.reload(count_policy(size, failure_rate_threshold=1.0))


def test_l16_in_a_ramp_too_the_new_thresholds_hold_from_the_next_outcome_on(clock: FakeClock) -> None:
    policy = count_policy(8, recovery_ramp=Ramp(8.0, 0.5))
    circuit = breaker(policy, clock)
    half_open(circuit, clock)
    succeed(circuit)
    for _ in range(3):
        assert circuit.try_acquire() is None
        fail(circuit)
    circuit.reload(policy.replace(minimum_number_of_calls=3))
    assert circuit.try_acquire() is None
    permit = circuit.acquire()
    assert circuit.phase == "ramping"
    permit.success()
    assert circuit.state is State.OPEN
