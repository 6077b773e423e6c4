"""L5 to L8: how a half-open circuit admits probes, and how it always comes to a verdict."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator

import pytest

from cqrs.circuit_breaker import CircuitOpenError, State, Trip, Verdict
from cqrs.testing import FakeClock, TransitionRecorder

from .support import Boom, boom, breaker, count_policy, do_nothing, half_open, is_rejected, rejection, settle

NEUTRAL = [Verdict.IGNORED, Verdict.CANCELLED, Verdict.INCONCLUSIVE]


def test_l06_the_wait_is_over_exactly_at_the_deadline(clock: FakeClock) -> None:
    circuit = breaker(count_policy(1), clock)
    settle(circuit, Verdict.FAILURE)
    clock.advance(4.875)
    assert circuit.state is State.OPEN
    assert is_rejected(circuit)
    clock.advance(0.125)
    assert circuit.state is State.HALF_OPEN
    assert circuit.phase == "probing"
    assert not is_rejected(circuit)


@pytest.mark.parametrize(("permitted", "at_once"), [(1, 1), (3, 1), (3, 2), (3, 3), (10, 4)])
def test_l05_probe_caps_hold_one_by_one(clock: FakeClock, permitted: int, at_once: int) -> None:
    policy = count_policy(
        2, permitted_calls_in_half_open=permitted, max_concurrent_probes=at_once, failure_rate_threshold=1.0
    )
    circuit = breaker(policy, clock)
    half_open(circuit, clock)
    live = [circuit.acquire() for _ in range(at_once)]
    assert is_rejected(circuit)
    decided = 0
    while circuit.state is State.HALF_OPEN:
        assert decided + len(live) <= permitted
        live.pop(0).settle(Verdict.FAILURE)  # the threshold is 1: only the last one decides
        decided += 1
        if circuit.state is not State.HALF_OPEN:
            break
        while (permit := circuit.try_acquire()) is not None:
            live.append(permit)
            assert len(live) <= at_once
            assert decided + len(live) <= permitted
    assert (circuit.state, decided) == (State.OPEN, permitted)


@pytest.mark.parametrize("verdict", NEUTRAL)
def test_l05_probe_that_ends_neutral_returns_its_permit_unconsumed(
    clock: FakeClock, verdict: Verdict
) -> None:
    circuit = breaker(count_policy(2, permitted_calls_in_half_open=6), clock)
    half_open(circuit, clock)
    for _ in range(5):
        probe = circuit.acquire()
        assert circuit.try_acquire() is None
        assert probe.settle(verdict) is True
        assert circuit.state is State.HALF_OPEN
    settle(circuit, *[Verdict.SUCCESS] * 3)
    assert circuit.state is State.HALF_OPEN


@pytest.mark.parametrize("verdict", [Verdict.IGNORED, Verdict.CANCELLED])
def test_l05_many_ignored_probes_neither_close_nor_open(clock: FakeClock, verdict: Verdict) -> None:
    circuit = breaker(clock=clock)
    half_open(circuit, clock)
    settle(circuit, *[verdict] * 20)
    assert circuit.state is State.HALF_OPEN


def test_l05_probes_that_never_reach_the_dependency_reopen_in_a_row(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2, permitted_calls_in_half_open=3, failure_rate_threshold=1.0), clock)
    half_open(circuit, clock)
    settle(circuit, Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE, Verdict.FAILURE)
    settle(circuit, Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE)
    assert circuit.state is State.HALF_OPEN
    settle(circuit, Verdict.INCONCLUSIVE)
    assert circuit.state is State.OPEN


async def test_l05_probe_caps_hold_for_500_tasks(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    half_open(circuit, clock)
    running = most = reached = 0
    release = asyncio.Event()

    async def dependency() -> None:
        nonlocal running, most, reached
        running += 1
        reached += 1
        most = max(most, running)
        await release.wait()
        running -= 1

    calls = [asyncio.create_task(circuit.call(dependency)) for _ in range(500)]
    await asyncio.sleep(0)
    release.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert (most, reached) == (1, 1)
    assert sum(isinstance(result, CircuitOpenError) for result in results) == 499
    assert circuit.state is State.CLOSED


def test_l05_probe_caps_hold_for_50_threads(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    half_open(circuit, clock)
    barrier, all_tried = threading.Barrier(50), threading.Event()
    counter, reached, tried = threading.Lock(), 0, 0

    def note_attempt() -> None:
        nonlocal tried
        with counter:
            tried += 1
            if tried == 49:
                all_tried.set()

    def dependency() -> None:
        nonlocal reached
        with counter:
            reached += 1
        assert all_tried.wait(30)

    def caller() -> None:
        barrier.wait(30)
        try:
            circuit.call(dependency)
        except CircuitOpenError:
            note_attempt()

    threads = [threading.Thread(target=caller) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (reached, tried) == (1, 49)
    assert circuit.state is State.CLOSED


def test_l06_half_open_ends_after_the_longest_wait_whatever_the_probes_do(clock: FakeClock) -> None:
    circuit = breaker(
        count_policy(2, permitted_calls_in_half_open=5, max_wait_duration_in_half_open=20.0), clock
    )
    half_open(circuit, clock)
    hung = circuit.acquire()
    clock.advance(20.125)
    assert is_rejected(circuit)
    assert circuit.state is State.OPEN
    assert circuit.snapshot().open_remaining == 5.0
    assert hung.settle(Verdict.SUCCESS) is False


def test_l06_half_open_may_end_closed(clock: FakeClock) -> None:
    policy = count_policy(2, max_wait_duration_in_half_open=20.0, on_half_open_timeout="closed")
    circuit = breaker(policy, clock)
    half_open(circuit, clock)
    hung = circuit.acquire()
    clock.advance(20.125)
    assert not is_rejected(circuit)
    assert circuit.state is State.CLOSED
    assert hung.settle(Verdict.FAILURE) is False


def test_l06_reading_the_state_changes_nothing_but_reports_what_holds(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2, max_wait_duration_in_half_open=20.0), clock)
    half_open(circuit, clock)
    before = circuit.era
    for _ in range(3):
        assert circuit.state is State.HALF_OPEN
        assert circuit.snapshot().state is State.HALF_OPEN
        circuit.explain()
    assert circuit.era == before
    probe = circuit.acquire()
    clock.advance(20.125)
    assert circuit.state is State.OPEN
    assert circuit.state is State.OPEN
    assert probe.settle(Verdict.IGNORED) in (True, False)


def test_l06_a_circuit_nobody_calls_still_shows_when_it_would_admit_again(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    half_open(circuit, clock)
    clock.advance(86_400)
    assert circuit.state is State.HALF_OPEN
    assert not is_rejected(circuit)


def test_l06_a_probe_that_raises_something_odd_does_not_wedge(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    for error in [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError]:
        half_open(circuit, clock)

        def odd(error: type[BaseException] = error) -> None:
            raise error

        with pytest.raises(error):
            circuit.call(odd)
        assert circuit.state is State.HALF_OPEN
        circuit.call(do_nothing)
        assert circuit.state is State.CLOSED


def test_l06_a_probe_whose_classifier_raises_is_a_failure(clock: FakeClock) -> None:
    def broken(outcome: object) -> None:
        raise RuntimeError("bug in the classifier")

    circuit = breaker(count_policy(2, classify=broken), clock)
    half_open(circuit, clock)
    assert circuit.call(lambda: 7) == 7
    assert circuit.state is State.OPEN


def test_l06_a_broken_classifier_may_count_for_nothing(clock: FakeClock) -> None:
    def broken(result: object) -> bool:
        raise RuntimeError("bug in the classifier")

    circuit = breaker(count_policy(2, record_result=broken, on_classifier_error="ignore"), clock)
    half_open(circuit, clock)
    assert circuit.call(lambda: 7) == 7
    assert circuit.state is State.HALF_OPEN
    assert circuit.snapshot().in_flight == 0
    assert not is_rejected(circuit)


def test_l06_a_probe_whose_listener_raises_settles_all_the_same(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    half_open(circuit, clock)

    def broken(event: object) -> None:
        raise RuntimeError("bug in the listener")

    circuit.add_listener(broken, inline=True)
    assert circuit.call(lambda: 7) == 7
    assert circuit.state is State.CLOSED


def test_l06_a_probe_whose_generator_is_abandoned_returns_its_permit(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    half_open(circuit, clock)

    @circuit
    def numbers() -> Iterator[int]:
        yield 1
        yield 2

    stream = numbers()
    assert next(stream) == 1
    assert circuit.try_acquire() is None
    del stream
    gc.collect()
    assert circuit.snapshot().in_flight == 0
    assert circuit.state is not State.OPEN
    assert not is_rejected(circuit)


def test_l06_a_probe_whose_thread_dies_is_replaced_in_the_end(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2, permitted_calls_in_half_open=3, max_probe_duration=10.0), clock)
    half_open(circuit, clock)
    thread = threading.Thread(target=circuit.acquire)
    thread.start()
    thread.join(30)
    gc.collect()
    clock.advance(10.125)
    assert not is_rejected(circuit)


def test_l07_a_probe_that_outlives_its_lease_is_lost_and_replaced(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2, permitted_calls_in_half_open=2, max_probe_duration=10.0), clock)
    half_open(circuit, clock)
    hung = circuit.acquire()
    clock.advance(9.875)
    assert is_rejected(circuit)
    clock.advance(0.25)
    assert circuit.snapshot().lost == 0  # reclaimed by the next admission, not by reading
    second = circuit.acquire()
    assert circuit.snapshot().lost == 1
    assert hung.settle(Verdict.FAILURE) is False
    assert circuit.state is State.HALF_OPEN
    assert circuit.try_acquire() is None
    assert second.settle(Verdict.SUCCESS) is True


@pytest.mark.parametrize("permitted", [1, 2, 3])
def test_l07_as_many_lost_probes_in_a_row_as_permitted_reopen(clock: FakeClock, permitted: int) -> None:
    policy = count_policy(
        2,
        permitted_calls_in_half_open=permitted,
        max_probe_duration=5.0,
        max_wait_duration_in_half_open=3600.0,
    )
    circuit = breaker(policy, clock)
    half_open(circuit, clock)
    hung = []
    for _ in range(permitted):
        assert circuit.state is State.HALF_OPEN
        hung.append(circuit.acquire())
        clock.advance(5.125)
    assert circuit.try_acquire() is None
    assert circuit.state is State.OPEN
    assert circuit.snapshot().lost == permitted


def test_l07_a_probe_that_answers_breaks_the_run_of_lost_ones(clock: FakeClock) -> None:
    policy = count_policy(
        2,
        permitted_calls_in_half_open=2,
        max_probe_duration=5.0,
        max_wait_duration_in_half_open=3600.0,
        failure_rate_threshold=1.0,
    )
    circuit = breaker(policy, clock)
    half_open(circuit, clock)
    lost = circuit.acquire()
    clock.advance(5.125)
    settle(circuit, Verdict.FAILURE)
    also_lost = circuit.acquire()
    clock.advance(5.125)
    assert not is_rejected(circuit)
    assert circuit.state is State.HALF_OPEN
    assert (lost.settle(Verdict.SUCCESS), also_lost.settle(Verdict.SUCCESS)) == (False, False)


@pytest.mark.parametrize(
    ("permitted", "threshold", "verdicts", "expected"),
    [
        (3, 0.5, "s", State.HALF_OPEN),
        (3, 0.5, "ss", State.CLOSED),  # one failure of three would not reach the half
        (3, 0.5, "f", State.HALF_OPEN),
        (3, 0.5, "ff", State.OPEN),
        (3, 0.5, "sf", State.HALF_OPEN),
        (3, 0.5, "sfs", State.CLOSED),
        (3, 0.5, "sff", State.OPEN),
        (4, 0.5, "ss", State.HALF_OPEN),
        (4, 0.5, "sss", State.CLOSED),
        (4, 0.5, "ff", State.OPEN),
        (4, 0.25, "f", State.OPEN),
        (4, 0.25, "sss", State.HALF_OPEN),
        (4, 0.25, "ssss", State.CLOSED),
        (3, 1.0, "s", State.CLOSED),
        (3, 1.0, "ff", State.HALF_OPEN),
        (3, 1.0, "ffs", State.CLOSED),
        (3, 1.0, "fff", State.OPEN),
        (1, 0.5, "s", State.CLOSED),
        (1, 0.5, "f", State.OPEN),
    ],
)
def test_l08_early_verdict_comes_as_soon_as_the_rest_cannot_change_it(
    clock: FakeClock, permitted: int, threshold: float, verdicts: str, expected: State
) -> None:
    policy = count_policy(2, permitted_calls_in_half_open=permitted, failure_rate_threshold=threshold)
    circuit = breaker(policy, clock)
    half_open(circuit, clock)
    for position, letter in enumerate(verdicts):
        assert circuit.state is State.HALF_OPEN, f"decided before probe {position}"
        settle(circuit, Verdict.SUCCESS if letter == "s" else Verdict.FAILURE)
    assert circuit.state is expected


@pytest.mark.parametrize("permitted", [3, 4])
def test_l08_slow_probes_reopen(clock: FakeClock, permitted: int) -> None:
    policy = count_policy(
        2,
        permitted_calls_in_half_open=permitted,
        slow_call_duration_threshold=2.0,
        slow_call_rate_threshold=0.5,
    )
    circuit = breaker(policy, clock)
    half_open(circuit, clock)
    for expected in [State.HALF_OPEN, State.OPEN]:
        probe = circuit.acquire()
        clock.advance(3)
        assert probe.settle(Verdict.SUCCESS) is True
        assert circuit.state is expected


def test_l08_a_failed_probe_raises_its_own_error_and_reopens(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    half_open(circuit, clock)
    with pytest.raises(Boom):
        circuit.call(boom)
    assert circuit.state is State.OPEN
    assert rejection(circuit).retry_after == 5.0


def test_l08_a_rejection_while_probing_says_when_to_come_back(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2, max_probe_duration=30.0), clock)
    half_open(circuit, clock)
    probe = circuit.acquire()
    error = rejection(circuit)
    assert error.state == "half_open"
    assert error.retry_after is None or 0 <= error.retry_after <= 60.0
    probe.settle(Verdict.SUCCESS)


def test_l08_a_rejection_while_probing_waits_for_the_oldest_probe_but_a_second_at_most(
    clock: FakeClock,
) -> None:
    policy = count_policy(2, permitted_calls_in_half_open=3, max_concurrent_probes=2, max_probe_duration=30.0)
    circuit = breaker(policy, clock)
    half_open(circuit, clock)
    circuit.acquire()
    clock.advance(0.25)
    circuit.acquire()
    error = rejection(circuit)
    assert (error.reason, error.retry_after) == ("2 of 3 probes are running", 1.0)
    assert (error.source, error.epoch) == ("local", circuit.era)
    clock.advance(29.25)
    assert rejection(circuit).retry_after == 0.5  # the oldest runs for 29.5 of 30 s


def test_l08_a_rejection_after_all_probes_of_a_smaller_policy_says_a_second(clock: FakeClock) -> None:
    policy = count_policy(2, permitted_calls_in_half_open=5)
    circuit = breaker(policy, clock)
    half_open(circuit, clock)
    settle(circuit, Verdict.SUCCESS)
    circuit.reload(policy.replace(permitted_calls_in_half_open=1))
    error = rejection(circuit)
    assert (error.reason, error.retry_after) == ("0 of 1 probes are running", 1.0)


def test_l05_probes_are_numbered_from_one_in_each_half_open_era(clock: FakeClock) -> None:
    policy = count_policy(2, permitted_calls_in_half_open=4, max_concurrent_probes=2)
    circuit = breaker(policy, clock)
    closed = circuit.acquire()
    assert (closed.kind, closed.id) == ("lane", 0)
    closed.ignore()
    for _ in range(2):
        half_open(circuit, clock)
        first, second = circuit.acquire(), circuit.acquire()
        first.failure()
        third = circuit.acquire()
        assert [permit.kind for permit in (first, second, third)] == ["probe"] * 3
        assert [permit.id for permit in (first, second, third)] == [1, 2, 3]
        second.failure()
        assert circuit.state is State.OPEN


@pytest.mark.parametrize(
    ("verdicts", "state", "why", "figures"),
    [
        ("sss", State.CLOSED, "3 of 4 probes succeeded", (3, 0, 0)),
        ("sfss", State.CLOSED, "3 of 4 probes succeeded", (3, 1, 0)),
        ("sff", State.OPEN, "2 of 4 probes failed", (1, 2, 0)),
        ("fSS", State.OPEN, "2 of 4 probes were slow", (2, 1, 2)),
        ("Fsst", State.OPEN, "a call asked for it", (2, 2, 1)),
    ],
)
def test_l08_the_verdict_of_the_probes_is_told_with_its_figures(
    clock: FakeClock, verdicts: str, state: State, why: str, figures: tuple[int, int, int]
) -> None:
    """s, f: success, failure; capitals are slow; t trips."""
    policy = count_policy(2, permitted_calls_in_half_open=4, slow_call_duration_threshold=2.0).replace(
        slow_call_rate_threshold=0.5
    )
    circuit = breaker(policy, clock)
    recorder = TransitionRecorder()
    circuit.add_listener(recorder, inline=True)
    half_open(circuit, clock)
    for letter in verdicts:
        probe = circuit.acquire()
        clock.advance(2 if letter.isupper() else 0)
        if letter == "t":
            probe.settle(Trip())
        else:
            probe.settle(Verdict.SUCCESS if letter in "sS" else Verdict.FAILURE)
    assert circuit.state is state
    told = recorder.changes[-1]
    assert (told.to_state, told.reason) == (state, why)
    assert tuple(told.evidence[name] for name in ("succeeded", "failed", "slow")) == figures


def test_l07_an_opening_by_lost_or_unreached_probes_says_so(clock: FakeClock) -> None:
    policy = count_policy(2, permitted_calls_in_half_open=2, max_probe_duration=5.0)
    circuit = breaker(policy, clock)
    recorder = TransitionRecorder()
    circuit.add_listener(recorder, inline=True)
    half_open(circuit, clock)
    for _ in range(2):
        circuit.acquire()
        clock.advance(5)
    assert is_rejected(circuit)
    told = recorder.changes[-1]
    assert (told.to_state, told.reason) == (State.OPEN, "2 probes in a row were lost")
    assert told.evidence["lost"] == 2
    half_open(circuit, clock)
    settle(circuit, Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE)
    told = recorder.changes[-1]
    assert (told.to_state, told.reason) == (State.OPEN, "2 probes in a row never reached it")
    assert told.evidence["inconclusive"] == 2


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ("s", State.HALF_OPEN),
        ("ss", State.HALF_OPEN),  # two slow ones of four would reach the half
        ("sss", State.CLOSED),
        ("Ss", State.HALF_OPEN),
        ("Sss", State.HALF_OPEN),
        ("Ssss", State.CLOSED),
        ("SsS", State.OPEN),
    ],
)
def test_l08_the_verdict_on_slow_probes_is_as_early(clock: FakeClock, verdicts: str, expected: State) -> None:
    policy = count_policy(
        2,
        permitted_calls_in_half_open=4,
        failure_rate_threshold=1.0,
        slow_call_duration_threshold=2.0,
        slow_call_rate_threshold=0.5,
    )
    circuit = breaker(policy, clock)
    half_open(circuit, clock)
    for letter in verdicts:
        assert circuit.state is State.HALF_OPEN
        probe = circuit.acquire()
        clock.advance(2 if letter.isupper() else 0)
        probe.success()
    assert circuit.state is expected


def test_l08_without_a_duration_the_rate_of_slow_calls_is_not_looked_at(clock: FakeClock) -> None:
    untimed = count_policy(
        2, permitted_calls_in_half_open=3, failure_rate_threshold=1.0, slow_call_rate_threshold=0.25
    )
    circuit = breaker(untimed, clock)
    half_open(circuit, clock)
    settle(circuit, Verdict.SUCCESS)
    assert circuit.state is State.CLOSED


def test_l08_slow_probes_of_before_do_not_open_under_a_policy_without_a_duration(clock: FakeClock) -> None:
    policy = count_policy(2, permitted_calls_in_half_open=4, slow_call_rate_threshold=0.5)
    circuit = breaker(policy.replace(slow_call_duration_threshold=2.0), clock)
    half_open(circuit, clock)
    probe = circuit.acquire()
    clock.advance(2)
    probe.success()
    circuit.reload(policy.replace(slow_call_rate_threshold=0.25))
    settle(circuit, Verdict.SUCCESS)
    assert circuit.state is State.HALF_OPEN
    settle(circuit, Verdict.SUCCESS)
    assert circuit.state is State.CLOSED


def test_l06_half_open_is_over_at_its_very_end(clock: FakeClock) -> None:
    circuit = breaker(
        count_policy(2, permitted_calls_in_half_open=5, max_wait_duration_in_half_open=20.0), clock
    )
    half_open(circuit, clock)
    settle(circuit, Verdict.SUCCESS)
    clock.advance(19.875)
    settle(circuit, Verdict.SUCCESS)
    assert circuit.state is State.HALF_OPEN
    clock.advance(0.125)
    assert circuit.state is State.OPEN
    before = circuit.snapshot().rejected
    assert is_rejected(circuit)
    assert circuit.snapshot().open_remaining == 5.0
    assert circuit.snapshot().rejected == before + 1


def test_l05_calls_that_no_probe_is_left_for_are_counted_as_rejected(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    half_open(circuit, clock)
    circuit.acquire()
    for number in range(1, 4):
        assert is_rejected(circuit)
        assert circuit.snapshot().rejected == number
