"""L4: a permit settles once, and only in the era in which it was given."""

from __future__ import annotations

import pytest

from cqrs.circuit_breaker import CircuitOpenError, State, Verdict
from cqrs.testing import FakeClock

from .support import Boom, breaker, count_policy, fail, half_open, rejection, succeed, trip

DECISIVE = [Verdict.SUCCESS, Verdict.FAILURE]


def test_l04_a_permit_settles_exactly_once() -> None:
    circuit = breaker()
    permit = circuit.acquire()
    assert permit.settle(Verdict.FAILURE) is True
    for verdict in Verdict:
        assert permit.settle(verdict) is False
    seen = circuit.snapshot()
    assert (seen.failed, seen.succeeded, seen.window_calls, seen.in_flight) == (1, 0, 1, 0)


def test_l04_a_permit_tells_its_era() -> None:
    circuit = breaker()
    assert circuit.acquire().era == circuit.era


@pytest.mark.parametrize("verdict", list(Verdict))
def test_l04_a_call_from_before_the_outage_changes_no_later_era(clock: FakeClock, verdict: Verdict) -> None:
    circuit = breaker(count_policy(2), clock)
    stragglers = [circuit.acquire() for _ in range(3)]
    trip(circuit)
    opened = circuit.era
    clock.advance(1)
    assert stragglers.pop().settle(verdict) is False
    assert (circuit.state, circuit.era, circuit.snapshot().open_remaining) == (State.OPEN, opened, 4.0)

    clock.advance(4)
    probe = circuit.acquire()
    probing = circuit.era
    assert stragglers.pop().settle(verdict) is False
    assert (circuit.state, circuit.era) == (State.HALF_OPEN, probing)
    assert circuit.try_acquire() is None  # the straggler did not give the probe's place away

    assert probe.settle(Verdict.SUCCESS) is True
    assert circuit.state is State.CLOSED
    assert stragglers.pop().settle(verdict) is False
    seen = circuit.snapshot()
    assert (seen.window_calls, seen.late, seen.in_flight) == (0, 3, 0)


@pytest.mark.parametrize("verdict", DECISIVE)
def test_l04_a_straggler_does_not_refill_a_later_half_open_round(clock: FakeClock, verdict: Verdict) -> None:
    circuit = breaker(count_policy(2, permitted_calls_in_half_open=2, max_concurrent_probes=1), clock)
    half_open(circuit, clock)
    old_probe = circuit.acquire()
    circuit.reset()
    half_open(circuit, clock)
    probe = circuit.acquire()
    assert old_probe.settle(verdict) is False
    assert circuit.try_acquire() is None
    assert probe.settle(Verdict.SUCCESS) is True
    assert circuit.state is State.HALF_OPEN


def test_l04_two_failures_that_race_to_trip_count_one_opening(clock: FakeClock) -> None:
    circuit = breaker(count_policy(2), clock)
    first, second, third = (circuit.acquire() for _ in range(3))
    assert first.settle(Verdict.FAILURE) is True
    assert second.settle(Verdict.FAILURE) is True
    opened = circuit.era
    assert third.settle(Verdict.FAILURE) is False
    assert (circuit.era, circuit.snapshot().late) == (opened, 1)


@pytest.mark.parametrize("change", ["reset", "override", "clear"])
def test_l04_every_operator_action_begins_an_era(change: str) -> None:
    from cqrs.circuit_breaker import Mode

    circuit = breaker()
    if change == "clear":
        circuit.override(Mode.METRICS_ONLY)
    before, permit = circuit.era, circuit.acquire()
    {
        "reset": circuit.reset,
        "override": lambda: circuit.override(Mode.DISABLED),
        "clear": circuit.clear_override,
    }[change]()
    assert circuit.era == before + 1
    assert permit.settle(Verdict.FAILURE) is False


def test_l04_the_manual_form_takes_the_first_verdict_given() -> None:
    circuit = breaker()
    with circuit.permit() as permit:
        permit.failure(Boom("seen in the answer"))
    assert (circuit.snapshot().failed, circuit.snapshot().succeeded) == (1, 0)
    with pytest.raises(Boom), circuit.permit() as permit:
        permit.success()
        raise Boom("afterwards")
    assert (circuit.snapshot().failed, circuit.snapshot().succeeded) == (1, 1)


@pytest.mark.parametrize(
    ("method", "counter"), [("success", "succeeded"), ("failure", "failed"), ("ignore", "ignored")]
)
async def test_l04_the_manual_form_offers_a_method_per_verdict(method: str, counter: str) -> None:
    circuit = breaker()
    for _ in range(2):
        async with circuit.permit() as permit:
            getattr(permit, method)(*[Boom()] if method == "failure" else [])
    assert getattr(circuit.snapshot(), counter) == 2
    assert circuit.snapshot().in_flight == 0


def test_l04_a_dropped_permit_is_neutral() -> None:
    circuit = breaker(count_policy(4, consecutive_failures=2))
    fail(circuit)
    with circuit.permit() as permit:
        permit.drop()
    seen = circuit.snapshot()
    assert (seen.window_calls, seen.succeeded, seen.failed, seen.in_flight) == (1, 0, 1, 0)
    fail(circuit)
    assert circuit.state is State.OPEN  # and it did not break the run of failures


@pytest.mark.parametrize("first", ["success", "drop"])
def test_l04_a_permit_that_has_ended_cannot_be_dropped(first: str) -> None:
    circuit = breaker()
    permit = circuit.acquire()
    assert getattr(permit, first)() is True
    before = circuit.snapshot()
    assert permit.drop() is False
    assert circuit.snapshot() == before


@pytest.mark.parametrize("on_cancel", ["slow_if_exceeded", "failure"])
def test_l04_a_dropped_permit_is_neutral_whatever_a_cancellation_is(clock: FakeClock, on_cancel: str) -> None:
    policy = count_policy(1, slow_call_duration_threshold=2.0, on_cancel=on_cancel)
    circuit = breaker(policy, clock)
    permit = circuit.acquire()
    clock.advance(60)
    permit.drop()
    seen = circuit.snapshot()
    assert (seen.state, seen.window_calls, seen.failed, seen.in_flight) == (State.CLOSED, 0, 0, 0)


@pytest.mark.parametrize(("answer", "counter"), [(500, "failed"), (200, "succeeded")])
def test_l04_classify_judges_a_result_in_the_manual_form(answer: int, counter: str) -> None:
    circuit = breaker(count_policy(record_result=lambda status: status >= 500))
    with circuit.permit() as permit:
        permit.classify(answer)
    assert getattr(circuit.snapshot(), counter) == 1


def test_l04_the_manual_form_infers_the_verdict_on_exit() -> None:
    circuit = breaker()
    with circuit.permit():
        pass
    with pytest.raises(Boom), circuit.permit():
        raise Boom
    assert (circuit.snapshot().succeeded, circuit.snapshot().failed) == (1, 1)


def test_l04_try_acquire_never_raises_and_acquire_does(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    trip(circuit)
    assert circuit.try_acquire() is None
    with pytest.raises(CircuitOpenError):
        circuit.acquire()
    assert circuit.snapshot().rejected == 2


def test_l04_permit_as_context_raises_the_rejection_on_entry(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    trip(circuit)
    entered = False
    with pytest.raises(CircuitOpenError), circuit.permit():
        entered = True
    assert not entered


def test_l04_a_permit_that_is_forgotten_does_not_change_the_state() -> None:
    circuit = breaker(count_policy(2))
    for _ in range(50):
        circuit.acquire()
    assert circuit.state is State.CLOSED
    succeed(circuit)
    assert circuit.state is State.CLOSED


def test_rejection_tells_everything_there_is_to_know(clock: FakeClock) -> None:
    circuit = breaker(count_policy(1), clock)
    with pytest.raises(Boom):
        circuit.call(_fail_with, Boom("refused"))
    clock.advance(1.5)
    error = rejection(circuit)
    assert (error.name, error.state, error.source, error.epoch) == ("payments", "open", "local", circuit.era)
    assert error.retry_after == 3.5
    assert error.last_failure == "Boom: refused"
    assert error.reason
    assert "payments" in str(error)
    assert "Boom: refused" in str(error)


def _fail_with(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("timed", [False, True])
def test_a_permit_that_is_dropped_after_its_era_is_late_once(clock: FakeClock, timed: bool) -> None:
    circuit = breaker(count_policy(slow_call_duration_threshold=2.0 if timed else None), clock)
    permits = [circuit.acquire() for _ in range(2)]
    trip(circuit)
    assert [permit.drop() for permit in permits * 2] == [False] * 4
    seen = circuit.snapshot()
    assert (seen.late, seen.in_flight) == (2, 0)


def test_a_probe_that_is_dropped_leaves_no_trace_but_room_for_the_next(clock: FakeClock) -> None:
    circuit = breaker(count_policy(), clock)
    half_open(circuit, clock)
    before = circuit.snapshot()
    probe = circuit.acquire()
    assert circuit.try_acquire() is None
    assert probe.drop() is True
    assert probe.drop() is False
    seen = circuit.snapshot()
    assert (seen.admitted, seen.in_flight, seen.late) == (before.admitted, 0, 0)
    assert circuit.acquire().success() is True
    assert circuit.state is State.CLOSED


def test_a_permit_that_is_dropped_is_overdue_no_longer(clock: FakeClock) -> None:
    circuit = breaker(count_policy(4, slow_call_duration_threshold=2.0, slow_call_rate_threshold=0.5), clock)
    hung, other = circuit.acquire(), circuit.acquire()
    clock.advance(2)
    succeed(circuit)
    assert circuit.snapshot().overdue == 2
    assert hung.drop() is True
    seen = circuit.snapshot()
    assert (seen.overdue, seen.in_flight, seen.admitted) == (1, 1, 2)
    succeed(circuit, 2)
    assert circuit.state is State.CLOSED  # one of four
    assert other.drop() is True
    assert circuit.snapshot().overdue == 0
