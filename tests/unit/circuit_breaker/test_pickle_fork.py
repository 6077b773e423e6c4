"""Processes: errors travel, a fork goes on working, and pools need nothing special."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from cqrs.circuit_breaker import (
    CircuitBreaker,
    CircuitBreakerPolicy,
    CircuitOpenError,
    Mode,
    State,
    StateChanged,
)
from cqrs.testing import FakeClock

from .support import Boom, breaker, count_policy, do_nothing, fail, half_open, rejection, trip

FIELDS = ["name", "state", "reason", "retry_after", "last_failure", "source", "epoch"]


def fields(error: CircuitOpenError) -> dict[str, Any]:
    return {name: getattr(error, name) for name in FIELDS}


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_rejection_can_be_pickled(clock: FakeClock, protocol: int) -> None:
    circuit = breaker(count_policy(1), clock)
    with pytest.raises(Boom):
        circuit.call(_boom)
    error = rejection(circuit)
    copied = pickle.loads(pickle.dumps(error, protocol))
    assert fields(copied) == fields(error)
    assert str(copied) == str(error)
    assert copied.retry_after == 5.0


def test_a_rejection_can_be_copied_with_its_notes(clock: FakeClock) -> None:
    circuit = breaker(count_policy(1), clock)
    fail(circuit)
    error = rejection(circuit)
    error.add_note("seen in the checkout")
    assert fields(copy.copy(error)) == fields(error)
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["seen in the checkout"]


def test_every_kind_of_rejection_can_be_pickled(clock: FakeClock) -> None:
    circuit = breaker(clock=clock)
    half_open(circuit, clock)
    probe = circuit.acquire()
    probing = rejection(circuit)
    circuit.override(Mode.FORCED_OPEN, reason="maintenance")
    forced = rejection(circuit)
    for error in (probing, forced):
        assert fields(pickle.loads(pickle.dumps(error))) == fields(error)
    assert probe.settled is False


def test_events_policies_and_snapshots_can_be_pickled(clock: FakeClock) -> None:
    circuit = breaker(count_policy(1), clock)
    events: list[Any] = []
    circuit.add_listener(events.append, inline=True)
    fail(circuit)
    change = next(event for event in events if isinstance(event, StateChanged))
    assert pickle.loads(pickle.dumps(change)) == change
    assert pickle.loads(pickle.dumps(circuit.snapshot())) == circuit.snapshot()
    policy = CircuitBreakerPolicy(ignore=(KeyError,))
    assert pickle.loads(pickle.dumps(policy)) == policy


def _boom() -> None:
    raise Boom("down")


def _call_in_worker(failures: int) -> str:
    circuit = CircuitBreaker("worker", count_policy(2))
    for _ in range(failures):
        try:
            circuit.call(_boom)
        except Boom:
            pass
    circuit.call(do_nothing)
    return circuit.state.value


def test_a_process_pool_needs_nothing_special() -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(_call_in_worker, 1).result(60) == "open"
        failed = pool.submit(_call_in_worker, 2).exception(60)
    assert isinstance(failed, CircuitOpenError)
    assert (failed.name, failed.state) == ("worker", "open")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("listening", [False, True])
def test_a_fork_goes_on_working(clock: FakeClock, listening: bool) -> None:
    """Also when another thread was in the middle of a call, and a listener's thread stayed behind."""
    circuit = breaker(count_policy(2), clock)
    heard: list[Any] = []
    release, blocked = threading.Event(), threading.Event()

    def listener(event: Any) -> None:
        heard.append(event)
        if os.getpid() == parent:
            blocked.set()
            release.wait(30)

    parent = os.getpid()
    if listening:
        circuit.add_listener(listener)
        circuit.override(Mode.METRICS_ONLY)
        assert blocked.wait(30)
        circuit.clear_override()

    child = os.fork()
    if child == 0:
        status = 1
        try:
            heard.clear()
            trip(circuit)
            if rejection(circuit).retry_after == 5.0:
                clock.advance(5)
                circuit.call(do_nothing)
                told = circuit.flush_listeners(20) and any(isinstance(event, StateChanged) for event in heard)
                status = 0 if circuit.state is State.CLOSED and (told or not listening) else 2
        finally:
            os._exit(status)
    release.set()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert circuit.state is State.CLOSED
    circuit.call(do_nothing)
