"""Many threads at once: no update is lost and no cap is exceeded, under any interleaving.

A test that cannot fail proves nothing: each has a control, in which the protection is taken away and the
same harness must see the damage.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import Any

import pytest

from cqrs.circuit_breaker import (
    CircuitBreaker,
    CircuitBreakerPolicy,
    CountWindow,
    Permit,
    State,
    TimeWindow,
    Verdict,
)
from cqrs.circuit_breaker.gate import Gate
from cqrs.testing import FakeClock

THREADS = 8


@pytest.fixture(autouse=True)
def frequent_switches() -> Iterator[None]:
    """Let threads take turns after every few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class NoLock:
    """Lets everybody in."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        return True

    def release(self) -> None:
        return

    def __enter__(self) -> bool:
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return


class UnprotectedGate(Gate):
    """A gate whose protection is taken away."""

    __slots__ = ()

    lock = NoLock()  # type: ignore[assignment]
    busy = property(lambda gate: False, lambda gate, value: None)  # type: ignore[assignment]


def together(*targets: Callable[[], object]) -> list[BaseException]:
    """Run the targets at once and return what they raised."""
    barrier, raised = threading.Barrier(len(targets)), list[BaseException]()

    def run(target: Callable[[], object]) -> None:
        barrier.wait(30)
        try:
            target()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(target,), daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "deadlock"
    return raised


def policy(**fields: Any) -> CircuitBreakerPolicy:
    defaults: dict[str, Any] = {
        "sliding_window": CountWindow(1_000_000),
        "minimum_number_of_calls": 1_000_000,
        "failure_rate_threshold": 1.0,
        "recovery_ramp": None,
        "permitted_calls_in_half_open": 3,
        "wait_duration_in_open": 1.0,
    }
    return CircuitBreakerPolicy(**(defaults | fields))


POLICIES = {
    "count window": policy(),
    "time window": policy(sliding_window=TimeWindow(1000.0, buckets=10)),
    "slow calls": policy(slow_call_duration_threshold=500.0),
    "slow calls, in flight": policy(
        sliding_window=TimeWindow(1000.0, buckets=10), slow_call_duration_threshold=500.0
    ),
    "judged results": policy(record_result=lambda result: result == "bad"),
}


@pytest.mark.parametrize("name", POLICIES)
def test_no_outcome_is_lost(name: str) -> None:
    circuit = CircuitBreaker("stress", POLICIES[name], clock=FakeClock())
    rounds = 400

    def fail() -> None:
        raise ConnectionError

    def work() -> None:
        for _ in range(rounds):
            circuit.call(int)
            try:
                circuit.call(fail)
            except ConnectionError:
                pass
            with circuit.permit():
                pass

    assert together(*[work] * THREADS) == []
    seen = circuit.snapshot()
    assert (seen.admitted, seen.succeeded, seen.failed) == (
        3 * rounds * THREADS,
        2 * rounds * THREADS,
        rounds * THREADS,
    )
    assert (seen.in_flight, seen.late, seen.rejected) == (0, 0, 0)
    assert (seen.window_calls, seen.window_failures) == (3 * rounds * THREADS, rounds * THREADS)


@pytest.mark.parametrize("name", POLICIES)
def test_every_call_is_accounted_for_while_eras_change(name: str) -> None:
    circuit = CircuitBreaker("stress", POLICIES[name], clock=FakeClock())
    changes, made = 0, list[int]()

    def operator() -> None:
        nonlocal changes
        for _ in range(3000):
            circuit.reset()
            changes += 1

    def work() -> None:
        calls = 0
        while changes < 3000 and calls < 100_000:
            circuit.call(int)
            calls += 1
        made.append(calls)

    assert together(operator, *[work] * (THREADS - 1)) == []
    seen = circuit.snapshot()
    assert seen.admitted == sum(made)
    assert seen.succeeded + seen.late == seen.admitted
    assert seen.in_flight == 0


def lost_updates(circuit: CircuitBreaker) -> int:
    """Return how many of the failures that several threads report do not arrive."""
    rounds = 300

    def work() -> None:
        for _ in range(rounds):
            circuit.acquire().settle(Verdict.FAILURE)

    raised = together(*[work] * THREADS)
    seen = circuit.snapshot()
    return len(raised) + abs(rounds * THREADS - seen.failed) + abs(rounds * THREADS - seen.window_failures)


def test_no_failure_is_lost() -> None:
    assert lost_updates(CircuitBreaker("stress", policy())) == 0


class SlowTotal(int):
    """A number whose addition lets another thread in between load and store."""

    def __add__(self, other: int) -> SlowTotal:
        time.sleep(0)
        return SlowTotal(int(self) + other)

    __iadd__ = __add__


def test_control_without_the_lock_failures_are_lost() -> None:
    for _ in range(20):
        circuit = CircuitBreaker("stress", policy())
        circuit.gate.__class__ = UnprotectedGate
        circuit.gate.machine.own_totals().failed = SlowTotal(0)
        if lost_updates(circuit):
            return
    pytest.fail("the harness does not notice that the lock is gone")


class Rush:
    """Threads that rush at a half-open circuit and count how many probes there are, at once and in all."""

    def __init__(self, circuit: CircuitBreaker) -> None:
        self.circuit = circuit
        self.era = circuit.era
        self.lock = threading.Lock()
        self.live = self.most = self.decided = 0

    def run(self) -> None:
        for attempt in range(12):
            permit = self.circuit.try_acquire()
            if permit is None or permit.era != self.era:
                continue
            # Failures do not decide before the last one, so that the whole round is played.
            decisive = attempt % 3 != 0
            with self.lock:
                self.live += 1
                self.most = max(self.most, self.live)
                self.decided += decisive
            time.sleep(0)
            with self.lock:
                self.live -= 1
            permit.settle(Verdict.FAILURE if decisive else Verdict.IGNORED)


def excess_probes(rounds: int, prepare: Callable[[CircuitBreaker], None] = lambda circuit: None) -> int:
    """Return by how much the caps of L5 were exceeded, over all rounds."""
    clock, excess = FakeClock(), 0
    half = policy(minimum_number_of_calls=1, permitted_calls_in_half_open=3, max_concurrent_probes=2)
    for _ in range(rounds):
        circuit = CircuitBreaker("stress", half, clock=clock)
        circuit.acquire().settle(Verdict.FAILURE)
        clock.advance(1)
        circuit.acquire().settle(Verdict.IGNORED)  # the era of the probes has begun
        prepare(circuit)
        rush = Rush(circuit)
        together(*[rush.run] * THREADS)
        excess += max(0, rush.most - 2) + max(0, rush.decided - 3)
    return excess


def unprotect(circuit: CircuitBreaker) -> None:
    """Take the protection away, and let another thread in between a look at the probes and one more grant."""
    circuit.gate.__class__ = UnprotectedGate
    half: Any = circuit.gate.machine.phase

    class Hesitant(dict[int, Any]):
        def __len__(self) -> int:
            size = super().__len__()
            time.sleep(0.0001)
            return size

    half.live = Hesitant(half.live)


def test_l05_probe_caps_hold_under_any_interleaving() -> None:
    assert excess_probes(40) == 0


def test_control_without_the_lock_the_probe_caps_are_exceeded() -> None:
    assert excess_probes(20, unprotect) > 0


def test_one_outage_is_one_opening() -> None:
    """However many threads fail at once, the circuit opens once, and every later failure is late."""
    for _ in range(20):
        circuit = CircuitBreaker("stress", policy(minimum_number_of_calls=4), clock=FakeClock())
        permits = [circuit.acquire() for _ in range(THREADS * 4)]
        shares = [permits[number::THREADS] for number in range(THREADS)]
        applied: list[bool] = []

        def settle(share: list[Permit], applied: list[bool] = applied) -> None:
            for permit in share:
                applied.append(permit.settle(Verdict.FAILURE))

        assert together(*[partial(settle, share) for share in shares]) == []
        seen = circuit.snapshot()
        assert (seen.state, seen.era, seen.opened_in_a_row) == (State.OPEN, 1, 1)
        assert (sum(applied), seen.late, seen.in_flight) == (4, len(permits) - 4, 0)


def test_rejections_are_all_counted() -> None:
    circuit = CircuitBreaker("stress", policy(minimum_number_of_calls=1), clock=FakeClock())
    circuit.acquire().settle(Verdict.FAILURE)

    def work() -> None:
        for _ in range(500):
            assert circuit.try_acquire() is None

    assert together(*[work] * THREADS) == []
    assert circuit.snapshot().rejected == 500 * THREADS


def test_calls_in_flight_are_still_watched_after_a_rush() -> None:
    """The list of running calls is shared without a lock: whatever the rush did, it must be whole."""
    for _ in range(10):
        clock = FakeClock()
        watched = policy(
            minimum_number_of_calls=900_000, slow_call_duration_threshold=1.0, slow_call_rate_threshold=1.0
        )
        circuit = CircuitBreaker("stress", watched, clock=clock)

        def work(circuit: CircuitBreaker = circuit, clock: FakeClock = clock) -> None:
            for number in range(150):
                first, second = circuit.acquire(), circuit.acquire()
                if number % 7 == 0:
                    clock.advance(0.5)
                second.success()
                first.success()

        assert together(*[work] * THREADS) == []
        hung = [circuit.acquire() for _ in range(5)]
        clock.advance(2)
        seen = circuit.snapshot()
        assert (seen.overdue, seen.in_flight) == (len(hung), len(hung))
        for permit in hung:
            permit.ignore()
        circuit.acquire().ignore()
        assert circuit.snapshot().overdue == 0
