"""Processes: errors travel, a fork goes on working, and pools need nothing special."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_fork_in_the_middle_of_a_change_leaves_the_child_a_working_circuit(clock: FakeClock) -> None:
    """The child has the lock that a thread of its parent holds, but not the thread."""
    inside, release = threading.Event(), threading.Event()
    main = threading.get_ident()

    def random() -> float:
        if threading.get_ident() != main:
            inside.set()
            release.wait(30)
        return 0.0

    circuit = breaker(count_policy(1), clock, random=random)
    thread = threading.Thread(target=fail, args=(circuit,), daemon=True)
    thread.start()
    assert inside.wait(30)

    child = os.fork()
    if child == 0:
        signal.alarm(20)  # kills the child if it hangs
        status = 1
        try:
            circuit.reset()
            circuit.snapshot()
            trip(circuit)
            status = 0 if circuit.state is State.OPEN else 2
        finally:
            os._exit(status)
    release.set()
    thread.join(30)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert circuit.state is State.OPEN


def test_streams_that_are_left_open_at_exit_leave_no_noise() -> None:
    code = """
import asyncio
from cqrs.circuit_breaker import CircuitBreaker
circuit = CircuitBreaker("payments")
@circuit
def numbers():
    yield 1
    yield 2
@circuit
async def anumbers():
    yield 1
    yield 2
left = numbers()
next(left)
async def main():
    global aleft
    aleft = anumbers()
    await anext(aleft)
asyncio.run(main())
"""
    finished = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", code],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
