"""Threads: the protected call runs without a lock, and a circuit is safe to share."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest

from cqrs.circuit_breaker import State, Verdict
from cqrs.testing import FakeClock

from .support import boom, breaker, count_policy, do_nothing, fail, half_open


def run_together(*targets: Any) -> None:
    threads = [threading.Thread(target=target, daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "deadlock"


@pytest.mark.parametrize("fields", [{}, {"slow_call_duration_threshold": 2.0}])
def test_ten_calls_run_at_once_in_ten_threads(fields: dict[str, Any]) -> None:
    circuit = breaker(count_policy(100, **fields))
    all_inside = threading.Barrier(10)  # passes only when ten threads are inside at once
    run_together(*[lambda: circuit.call(all_inside.wait, 20)] * 10)
    assert circuit.snapshot().succeeded == 10


def test_probes_run_at_once_too(clock: FakeClock) -> None:
    policy = count_policy(
        2, permitted_calls_in_half_open=4, max_concurrent_probes=4, failure_rate_threshold=1.0
    )
    circuit = breaker(policy, clock)
    half_open(circuit, clock)
    all_inside = threading.Barrier(4)
    run_together(*[lambda: circuit.call(all_inside.wait, 20)] * 4)
    assert circuit.state is State.CLOSED


def test_blocks_do_not_hold_the_lock() -> None:
    circuit = breaker()
    all_inside = threading.Barrier(5)

    def block() -> None:
        with circuit.permit():
            all_inside.wait(20)

    run_together(*[block] * 5)
    assert circuit.snapshot().succeeded == 5


def test_state_can_be_read_and_changed_while_calls_run() -> None:
    circuit = breaker()
    inside, leave = threading.Event(), threading.Event()

    def call() -> None:
        inside.set()
        assert leave.wait(20)

    def operator() -> None:
        assert inside.wait(20)
        circuit.snapshot()
        circuit.explain()
        circuit.reload(count_policy(9))
        circuit.reset()
        leave.set()

    run_together(lambda: circuit.call(call), operator)
    assert circuit.snapshot().late == 1


def test_a_permit_may_be_settled_by_another_thread() -> None:
    circuit = breaker(count_policy(1))
    permit = circuit.acquire()
    settled: list[bool] = []
    run_together(lambda: settled.append(permit.settle(Verdict.FAILURE)))
    assert settled == [True]
    assert circuit.state is State.OPEN


def test_only_one_of_many_threads_settles_a_permit() -> None:
    for policy in (count_policy(100_000), count_policy(100_000, slow_call_duration_threshold=2.0)):
        circuit = breaker(policy)
        for _ in range(50):
            permit = circuit.acquire()
            barrier, settled = threading.Barrier(4), list[bool]()

            def settle(
                permit: Any = permit, barrier: threading.Barrier = barrier, settled: list[bool] = settled
            ) -> None:
                barrier.wait(20)
                settled.append(permit.settle(Verdict.FAILURE))

            run_together(*[settle] * 4)
            assert sorted(settled) == [False, False, False, True]
        assert circuit.snapshot().failed == 50


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
def test_a_keyboard_interrupt_passes_through_and_trips_nothing() -> None:
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process ignores it
    circuit = breaker(count_policy(1, consecutive_failures=1))

    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)

    try:
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                circuit.call(interrupted)
    finally:
        signal.signal(signal.SIGINT, previous)
    seen = circuit.snapshot()
    assert (seen.state, seen.failed, seen.in_flight) == (State.CLOSED, 0, 0)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs POSIX signals")
def test_a_signal_handler_may_use_the_circuit(clock: FakeClock) -> None:
    """The handler runs in the middle of anything, also of the circuit's own code, in the same thread."""
    circuit = breaker(count_policy(3), clock)
    handled = 0

    def handler(signum: int, frame: object) -> None:
        nonlocal handled
        handled += 1
        try:
            circuit.call(boom)
        except Exception:
            pass
        circuit.snapshot()

    previous = signal.signal(signal.SIGUSR1, handler)
    main = threading.main_thread().ident
    assert main is not None
    stop = threading.Event()

    def interrupt() -> None:
        while not stop.is_set():
            signal.pthread_kill(main, signal.SIGUSR1)
            stop.wait(0.0005)

    sender = threading.Thread(target=interrupt, daemon=True)
    try:
        sender.start()
        rounds = 0
        while handled < 50 and rounds < 100_000:
            rounds += 1
            permit = circuit.try_acquire()
            if permit is not None:
                permit.settle(Verdict.FAILURE)
            else:
                circuit.reset()
    finally:
        stop.set()
        sender.join(30)
        signal.signal(signal.SIGUSR1, previous)
    assert handled >= 50
    circuit.reset()
    circuit.call(do_nothing)
    assert circuit.state is State.CLOSED
    circuit.reset()
    fail(circuit, 3)
    assert circuit.state is State.OPEN
