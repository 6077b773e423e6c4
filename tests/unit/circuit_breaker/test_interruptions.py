"""What comes in the middle of a change: signals, finalisers, a thread that cannot be started."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from cqrs.circuit_breaker import CircuitBreaker, CircuitBreakerPolicy, CircuitEvent, State, Verdict
from cqrs.circuit_breaker.listeners import ListenerHub
from cqrs.testing import FakeClock

from .support import Boom, boom, fail, succeed


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals need it")
def test_a_signal_while_events_are_queued_does_not_end_the_circuit(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    circuit = CircuitBreaker("payments", CircuitBreakerPolicy.consecutive(1, ttl=1.0), clock=clock)
    circuit.add_listener(lambda event: None, inline=True)
    queue = ListenerHub.enqueue

    def interrupted(self: ListenerHub, events: list[CircuitEvent]) -> None:
        monkeypatch.setattr(ListenerHub, "enqueue", queue)
        signal.raise_signal(signal.SIGINT)
        queue(self, events)

    monkeypatch.setattr(ListenerHub, "enqueue", interrupted)
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            fail(circuit)
    finally:
        signal.signal(signal.SIGINT, previous)
    clock.advance(1)
    succeed(circuit)
    assert circuit.state is State.CLOSED


def test_thousands_of_calls_abandoned_at_a_bad_moment_are_all_settled(clock: FakeClock) -> None:
    circuit = CircuitBreaker("payments", clock=clock)

    @circuit
    def numbers() -> Iterator[int]:
        yield 1
        yield 2

    streams = [numbers() for _ in range(3000)]
    for stream in streams:
        next(stream)
    held, released = threading.Event(), threading.Event()

    def hold() -> None:
        with circuit.gate.lock:
            held.set()
            released.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(30)
    stream = streams[0]
    streams.clear()
    del stream  # finalisers run while another thread is in the middle of a change
    released.set()
    holder.join(30)
    with pytest.raises(Boom):
        circuit.call(boom)
    assert circuit.snapshot().in_flight == 0
    assert circuit.snapshot().succeeded == 3000


def test_a_listener_whose_thread_cannot_start_hears_it_later(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[CircuitEvent] = []
    circuit = CircuitBreaker(
        "payments", CircuitBreakerPolicy.consecutive(1), clock=clock, listeners=[heard.append]
    )

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(Boom):  # the call's own error, not the thread's
            circuit.call(boom)
    assert heard == []
    assert "no thread could be started" in caplog.text
    circuit.reset()
    assert circuit.flush_listeners(30)
    assert [type(event).__name__ for event in heard][:2] == ["StateChanged", "CallFailed"]


@pytest.mark.parametrize("rule", ["record_result", "classify"])
async def test_l13_the_end_of_a_stream_is_no_result_to_be_judged(clock: FakeClock, rule: str) -> None:
    def judge(value: object) -> Verdict:
        raise AssertionError(f"asked about {value!r}")

    policy = CircuitBreakerPolicy.consecutive(1, **{rule: judge})
    circuit = CircuitBreaker("payments", policy, clock=clock)

    @circuit
    def numbers() -> Iterator[int]:
        yield 1

    @circuit
    async def more_numbers():  # type: ignore[no-untyped-def]
        yield 1

    assert list(numbers()) == [1]
    assert [number async for number in more_numbers()] == [1]
    assert circuit.state is State.CLOSED
    assert circuit.snapshot().succeeded == 2
