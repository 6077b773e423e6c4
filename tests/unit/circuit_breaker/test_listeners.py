"""What a circuit tells, and that no listener can disturb anybody."""

from __future__ import annotations

import dataclasses
import logging
import threading

import pytest

from cqrs.circuit_breaker import (
    CallFailed,
    CallRejected,
    CircuitBreaker,
    CircuitBreakers,
    CircuitEvent,
    CircuitOpenError,
    OverrideChanged,
    PolicyReloaded,
    ProbesLost,
    State,
    StateChanged,
    Verdict,
)
from cqrs.testing import FakeClock, TransitionRecorder, assert_trace

from .support import Boom, boom, breaker, count_policy, do_nothing, fail, half_open, succeed, trip


def test_an_opening_is_announced_with_its_evidence(clock: FakeClock) -> None:
    circuit = breaker(count_policy(4), clock)
    events: list[object] = []
    circuit.add_listener(events.append, inline=True)
    clock.advance(2)
    succeed(circuit)
    fail(circuit, 3)
    changes = [event for event in events if isinstance(event, StateChanged)]
    assert len(changes) == 1
    change = changes[0]
    assert (change.name, change.from_state, change.to_state) == ("payments", State.CLOSED, State.OPEN)
    assert (change.era, change.at) == (circuit.era, 1002.0)
    assert change.reason
    assert 0.75 in change.evidence.values()  # the failure rate


def test_events_are_immutable(clock: FakeClock) -> None:
    circuit = breaker(count_policy(1), clock)
    events: list[object] = []
    circuit.add_listener(events.append, inline=True)
    fail(circuit)
    for event in events:
        with pytest.raises(dataclasses.FrozenInstanceError):
            event.name = "other"  # type: ignore[attr-defined]


def test_failures_and_rejections_are_announced(clock: FakeClock) -> None:
    circuit = breaker(count_policy(1), clock)
    events: list[object] = []
    circuit.add_listener(events.append, inline=True)
    with pytest.raises(Boom):
        circuit.call(boom)
    clock.advance(2)
    assert circuit.try_acquire() is None
    failed = [event for event in events if isinstance(event, CallFailed)]
    rejected = [event for event in events if isinstance(event, CallRejected)]
    assert [event.failure for event in failed] == ["Boom: down"]
    assert [(event.state, event.retry_after) for event in rejected] == [(State.OPEN, 3.0)]


def test_a_result_that_is_a_failure_is_announced() -> None:
    circuit = breaker(count_policy(record_result=lambda status: status >= 500))
    events: list[object] = []
    circuit.add_listener(events.append, inline=True)
    assert circuit.call(lambda: 503) == 503
    assert sum(isinstance(event, CallFailed) for event in events) == 1


def test_lost_probes_are_announced(clock: FakeClock) -> None:
    circuit = breaker(count_policy(1, permitted_calls_in_half_open=2, max_probe_duration=5.0), clock)
    half_open(circuit, clock)
    events: list[object] = []
    circuit.add_listener(events.append, inline=True)
    circuit.acquire()
    clock.advance(5.125)
    succeed(circuit)
    assert [event.count for event in events if isinstance(event, ProbesLost)] == [1]


def test_a_reload_is_announced() -> None:
    circuit = breaker()
    events: list[object] = []
    circuit.add_listener(events.append, inline=True)
    circuit.reload(count_policy(9))
    assert sum(isinstance(event, PolicyReloaded) for event in events) == 1


def test_a_whole_life_is_announced_in_order(clock: FakeClock) -> None:
    recorder = TransitionRecorder()
    circuit = breaker(count_policy(1), clock, listeners=[recorder])
    trip(circuit)
    clock.advance(5)
    fail(circuit)
    clock.advance(5)
    succeed(circuit)
    assert circuit.flush_listeners(30)
    assert_trace(
        recorder,
        [
            "closed -> open",
            "open -> half_open",
            "half_open -> open",
            "open -> half_open",
            "half_open -> closed",
        ],
    )


def test_a_listener_that_raises_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    circuit = breaker(count_policy(1))
    seen: list[object] = []

    def broken(event: object) -> None:
        raise RuntimeError("bug in the listener")

    for inline in (True, False):
        circuit.add_listener(broken, inline=inline)
        circuit.add_listener(seen.append, inline=inline)
    with pytest.raises(Boom):
        circuit.call(boom)
    assert circuit.flush_listeners(30)
    assert sum(isinstance(event, StateChanged) for event in seen) == 2
    assert any(record.levelno >= logging.WARNING for record in caplog.records)


def test_a_listener_that_blocks_delays_nobody_else() -> None:
    circuit = breaker(count_policy(1))
    release, blocked, seen = threading.Event(), threading.Event(), list[object]()

    def blocks(event: object) -> None:
        blocked.set()
        assert release.wait(30)

    circuit.add_listener(blocks)
    circuit.add_listener(seen.append, inline=True)
    with pytest.raises(Boom):
        circuit.call(boom)
    assert blocked.wait(30)
    assert circuit.state is State.OPEN
    assert circuit.try_acquire() is None
    assert any(isinstance(event, StateChanged) for event in seen)
    assert circuit.flush_listeners(0.01) is False
    release.set()
    assert circuit.flush_listeners(30) is True


@pytest.mark.parametrize("inline", [True, False])
def test_a_listener_may_use_the_circuit_that_told_it(inline: bool) -> None:
    circuit = breaker(count_policy(1))
    done: list[object] = []

    def reenters(event: object) -> None:
        if isinstance(event, StateChanged) and event.to_state is State.OPEN:
            circuit.snapshot()
            circuit.explain()
            circuit.reset()
            circuit.call(do_nothing)
            done.append(event)

    circuit.add_listener(reenters, inline=inline)
    with pytest.raises(Boom):
        circuit.call(boom)
    assert circuit.flush_listeners(30)
    assert len(done) == 1
    assert circuit.state is State.CLOSED


def test_a_listener_hears_events_in_order_from_many_threads(clock: FakeClock) -> None:
    recorder = TransitionRecorder()
    circuit = breaker(count_policy(1), clock)
    circuit.add_listener(recorder)
    barrier = threading.Barrier(8)

    def toggles() -> None:
        barrier.wait(30)
        for _ in range(50):
            circuit.reset()
            permit = circuit.try_acquire()
            if permit is not None:
                permit.settle(Verdict.FAILURE)

    threads = [threading.Thread(target=toggles) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert circuit.flush_listeners(30)
    eras = [change.era for change in recorder.changes]
    assert eras == sorted(eras)
    for earlier, later in zip(recorder.changes, recorder.changes[1:], strict=False):
        assert earlier.to_state is later.from_state


def test_a_removed_listener_hears_nothing_more() -> None:
    circuit = breaker(count_policy(1))
    seen: list[object] = []
    circuit.add_listener(seen.append, inline=True)
    circuit.remove_listener(seen.append)
    fail(circuit)
    assert seen == []


def test_a_healthy_call_tells_nobody() -> None:
    circuit = breaker()
    seen: list[object] = []
    circuit.add_listener(seen.append, inline=True)
    succeed(circuit, 10)
    assert seen == []


def test_no_thread_exists_while_no_event_waits() -> None:
    before = threading.active_count()
    circuit = breaker(count_policy(1))
    seen: list[object] = []
    circuit.add_listener(seen.append)
    succeed(circuit, 10)
    assert threading.active_count() == before
    fail(circuit)
    assert circuit.flush_listeners(30)
    for thread in threading.enumerate():
        if thread.name == "holdfast-listener":
            thread.join(30)
    assert threading.active_count() == before
    assert any(isinstance(event, StateChanged) for event in seen)


def test_a_listener_of_the_registry_hears_every_circuit(clock: FakeClock) -> None:
    recorder = TransitionRecorder()
    breakers = CircuitBreakers(count_policy(1), clock=clock)
    fail(breakers["early"])
    breakers["early"].reset()
    breakers.add_listener(recorder, inline=True)
    fail(breakers["early"])
    fail(breakers["late"])
    assert_trace(recorder, ["closed -> open", "closed -> open"])
    assert [change.name for change in recorder.changes] == ["early", "late"]
    breakers.remove_listener(recorder)
    fail(breakers["later still"])
    assert len(recorder.changes) == 2


def test_a_listener_given_at_construction_can_be_removed(clock: FakeClock) -> None:
    heard: list[CircuitEvent] = []
    circuit = CircuitBreaker("payments", clock=clock, listeners=[heard.append])
    circuit.reset()
    assert circuit.flush_listeners(30)
    told = len(heard)
    assert told > 0
    circuit.remove_listener(heard.append)
    circuit.reset()
    assert circuit.flush_listeners(30)
    assert len(heard) == told


def test_a_listener_that_wants_no_calls_hears_of_transitions_only(clock: FakeClock) -> None:
    breakers = CircuitBreakers(count_policy(1), clock=clock)
    changes: list[CircuitEvent] = []
    breakers.add_listener(changes.append, inline=True, calls=False)
    circuit = breakers["payments"]
    fail(circuit)
    with pytest.raises(CircuitOpenError):
        circuit(do_nothing)()
    assert not circuit.gate.listened(), "nobody pays for what nobody hears"
    everything: list[CircuitEvent] = []
    circuit.add_listener(everything.append, inline=True)
    with pytest.raises(CircuitOpenError):
        circuit(do_nothing)()
    circuit.reset()
    assert [type(event) for event in changes] == [StateChanged, StateChanged, OverrideChanged]
    assert [type(event) for event in everything] == [CallRejected, StateChanged, OverrideChanged]
    circuit.remove_listener(everything.append)
    assert not circuit.gate.listened()
