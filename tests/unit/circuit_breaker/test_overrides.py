"""L11: what an operator can force."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cqrs.circuit_breaker import (
    CircuitBreaker,
    Mode,
    OverrideChanged,
    State,
    StateChanged,
    Verdict,
    WouldOpen,
)
from cqrs.exceptions import ConfigurationError
from cqrs.testing import FakeClock

from .support import breaker, count_policy, fail, half_open, is_rejected, rejection, succeed, trip

FORCED = [Mode.FORCED_OPEN, Mode.DISABLED, Mode.METRICS_ONLY]


def in_state(name: str, clock: FakeClock) -> CircuitBreaker:
    circuit = breaker(clock=clock)
    if name == "open":
        trip(circuit)
    elif name == "half_open":
        half_open(circuit, clock)
        assert not is_rejected(circuit)
    return circuit


def test_l11_forced_open_rejects_everything(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    circuit.override(Mode.FORCED_OPEN, actor="ann", reason="maintenance")
    clock.advance(1e6)
    error = rejection(circuit)
    assert (circuit.state, error.state, error.retry_after) == (State.FORCED_OPEN, "forced_open", None)
    assert "maintenance" in error.reason


def test_l11_forced_open_with_expiry_says_when_to_come_back(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    circuit.override(Mode.FORCED_OPEN, ttl=30.0)
    clock.advance(10)
    assert rejection(circuit).retry_after == 20.0


@pytest.mark.parametrize("before", ["closed", "open", "half_open"])
def test_l11_disabled_admits_everything_and_records_nothing(clock: FakeClock, before: str) -> None:
    circuit = in_state(before, clock)
    circuit.override(Mode.DISABLED)
    fail(circuit, 100)
    seen = circuit.snapshot()
    assert (seen.state, seen.window_calls, seen.window_failures) == (State.DISABLED, 0, 0)


def test_l11_counters_and_events_keep_flowing_while_disabled(clock: FakeClock) -> None:
    from cqrs.circuit_breaker import CallFailed

    circuit = breaker(clock=clock)
    events: list[object] = []
    circuit.add_listener(events.append, inline=True)
    circuit.override(Mode.DISABLED)
    before = circuit.snapshot()
    fail(circuit, 3)
    succeed(circuit, 2)
    seen = circuit.snapshot()
    assert (seen.failed - before.failed, seen.succeeded - before.succeeded) == (3, 2)
    assert sum(isinstance(event, CallFailed) for event in events) == 3


@pytest.mark.parametrize("before", ["closed", "open", "half_open"])
def test_l11_metrics_only_admits_everything_and_says_once_when_it_would_open(
    clock: FakeClock, before: str
) -> None:
    circuit = in_state(before, clock)
    events: list[object] = []
    circuit.add_listener(events.append, inline=True)
    circuit.override(Mode.METRICS_ONLY)
    fail(circuit, 3)
    assert not any(isinstance(event, WouldOpen) for event in events)
    fail(circuit, 50)
    assert circuit.state is State.METRICS_ONLY
    assert sum(isinstance(event, WouldOpen) for event in events) == 1
    assert circuit.snapshot().window_failures == 4
    circuit.override(Mode.METRICS_ONLY)
    fail(circuit, 50)
    assert sum(isinstance(event, WouldOpen) for event in events) == 2


@pytest.mark.parametrize("mode", FORCED)
@pytest.mark.parametrize("before", ["closed", "open", "half_open"])
def test_l11_an_override_expires_into_closed_with_an_empty_window(
    clock: FakeClock, mode: Mode, before: str
) -> None:
    circuit = in_state(before, clock)
    circuit.override(mode, ttl=30.0)
    if mode is not Mode.FORCED_OPEN:
        fail(circuit, 3)
    clock.advance(29.875)
    assert circuit.state == mode.value
    clock.advance(0.125)
    assert circuit.state is State.CLOSED
    assert not is_rejected(circuit)
    assert circuit.snapshot().window_calls == 0


@pytest.mark.parametrize("mode", FORCED)
def test_l11_clearing_an_override_closes_with_an_empty_window(clock: FakeClock, mode: Mode) -> None:
    circuit = breaker(clock=clock)
    fail(circuit, 3)
    circuit.override(mode)
    circuit.clear_override()
    assert (circuit.state, circuit.snapshot().window_calls) == (State.CLOSED, 0)
    fail(circuit, 3)
    assert circuit.state is State.CLOSED


def test_l11_an_override_may_last_a_timedelta(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    circuit.override(Mode.FORCED_OPEN, ttl=timedelta(minutes=15))
    clock.advance(15 * 60 - 1)
    assert circuit.state is State.FORCED_OPEN
    clock.advance(1)
    assert circuit.state is State.CLOSED


@pytest.mark.parametrize("mode", FORCED)
def test_l11_a_call_admitted_before_the_override_does_not_settle_in_it(clock: FakeClock, mode: Mode) -> None:
    circuit = breaker(clock=clock)
    permit = circuit.acquire()
    circuit.override(mode)
    assert permit.settle(Verdict.FAILURE) is False
    assert circuit.snapshot().late == 1


@pytest.mark.parametrize("mode", [Mode.DISABLED, Mode.METRICS_ONLY])
def test_l11_a_call_admitted_in_the_override_does_not_settle_after_it(clock: FakeClock, mode: Mode) -> None:
    circuit = breaker(count_policy(1), clock)
    circuit.override(mode, ttl=10.0)
    permit, unnoticed = circuit.acquire(), circuit.acquire()
    clock.advance(10)
    unnoticed.settle(Verdict.FAILURE)
    assert circuit.state is State.CLOSED
    assert not is_rejected(circuit)
    assert permit.settle(Verdict.FAILURE) is False
    assert (circuit.state, circuit.snapshot().window_calls) == (State.CLOSED, 0)


def test_l11_a_later_override_replaces_an_earlier_one_and_its_expiry(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    circuit.override(Mode.FORCED_OPEN, ttl=10.0)
    circuit.override(Mode.DISABLED)
    clock.advance(100)
    assert circuit.state is State.DISABLED


def test_l11_an_override_without_a_reason_still_gives_one(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    circuit.override(Mode.FORCED_OPEN)
    assert "forced_open" in rejection(circuit).reason


def test_l11_an_override_is_announced_with_its_author(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    events: list[object] = []
    circuit.add_listener(events.append, inline=True)
    circuit.override(Mode.FORCED_OPEN, ttl=60.0, actor="ann", reason="INC-42")
    changed = [event for event in events if isinstance(event, OverrideChanged)]
    assert len(changed) == 1
    assert (changed[0].name, changed[0].actor, changed[0].reason) == ("payments", "ann", "INC-42")
    transitions = [event for event in events if isinstance(event, StateChanged)]
    assert [(event.from_state, event.to_state) for event in transitions] == [
        (State.CLOSED, State.FORCED_OPEN)
    ]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (Mode.ENABLED, State.CLOSED),
        (Mode.FORCED_OPEN, State.FORCED_OPEN),
        (Mode.DISABLED, State.DISABLED),
        (Mode.METRICS_ONLY, State.METRICS_ONLY),
    ],
)
def test_l11_a_circuit_may_start_in_any_mode(clock: FakeClock, mode: Mode, expected: State) -> None:
    assert breaker(count_policy(initial_mode=mode), clock).state is expected


@pytest.mark.parametrize("ttl", [0, -1.0, float("nan"), float("inf"), "soon", True])
def test_l11_an_override_with_a_senseless_expiry_is_refused(ttl: object) -> None:
    circuit = breaker()
    with pytest.raises((ValueError, TypeError)):
        circuit.override(Mode.FORCED_OPEN, ttl=ttl)  # type: ignore[arg-type]
    assert circuit.state is State.CLOSED


def test_l11_a_mode_that_is_none_is_refused() -> None:
    circuit = breaker()
    with pytest.raises((ConfigurationError, TypeError)):
        circuit.override("offen")  # type: ignore[arg-type]
    assert circuit.state is State.CLOSED


def test_l11_enabling_ends_an_override(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    circuit.override(Mode.FORCED_OPEN)
    circuit.override(Mode.ENABLED)
    assert circuit.state is State.CLOSED
    assert not is_rejected(circuit)


def test_reset_closes_from_every_state(clock: FakeClock) -> None:
    for before in ["closed", "open", "half_open"]:
        circuit = in_state(before, clock)
        circuit.reset()
        assert (circuit.state, circuit.snapshot().window_calls) == (State.CLOSED, 0)
        assert not is_rejected(circuit)


@pytest.mark.parametrize("windowed", [False, True])
def test_l11_a_disabled_circuit_counts_no_row_either(windowed: bool) -> None:
    policy = count_policy(4, consecutive_failures=2)
    circuit = breaker(policy if windowed else policy.replace(sliding_window=None))
    circuit.override(Mode.DISABLED)
    fail(circuit, 5)
    succeed(circuit)
    seen = circuit.snapshot()
    assert (seen.state, seen.consecutive_failures, seen.window_calls) == (State.DISABLED, 0, 0)
    assert (seen.failed, seen.succeeded) == (5, 1)
    fail(circuit)
    circuit.clear_override()
    fail(circuit)
    assert circuit.state is State.CLOSED
