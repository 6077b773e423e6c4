"""Cancelling a call is neutral, in whichever of the five ways it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from cqrs.circuit_breaker import CircuitBreaker, State, Verdict
from cqrs.testing import FakeClock

from .support import Boom, breaker, count_policy, do_nothing, fail, half_open, settle

Cancel = Callable[[CircuitBreaker], Awaitable[None]]


async def hang() -> None:
    await asyncio.Event().wait()


async def by_task_cancel(circuit: CircuitBreaker) -> None:
    task = asyncio.ensure_future(circuit.call(hang))
    await asyncio.sleep(0)
    assert circuit.snapshot().in_flight == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_timeout_scope(circuit: CircuitBreaker) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await circuit.call(hang)


async def by_wait_for(circuit: CircuitBreaker) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(circuit.call(hang), 0.001)


async def by_task_group_sibling(circuit: CircuitBreaker) -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise Boom("sibling")

    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(circuit.call(hang))
            group.create_task(fails())


async def by_aclose(circuit: CircuitBreaker) -> None:
    """Close a stream before its first item: its task is cancelled while it waits, then it is closed."""

    @circuit
    async def items() -> AsyncIterator[int]:
        await hang()
        yield 1

    stream = items()
    task = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    assert circuit.snapshot().in_flight == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await stream.aclose()  # type: ignore[attr-defined]


WAYS = [by_task_cancel, by_timeout_scope, by_wait_for, by_task_group_sibling, by_aclose]


@pytest.mark.parametrize("cancel", WAYS)
async def test_five_cancellations_do_not_open_a_healthy_circuit(cancel: Cancel) -> None:
    circuit = breaker(count_policy(1, consecutive_failures=1))
    for _ in range(5):
        await cancel(circuit)
    seen = circuit.snapshot()
    assert (seen.state, seen.failed, seen.window_calls, seen.in_flight) == (State.CLOSED, 0, 0, 0)
    assert seen.cancelled == 5


@pytest.mark.parametrize("cancel", WAYS)
async def test_a_cancelled_probe_returns_its_permit_in_the_same_tick(
    clock: FakeClock, cancel: Cancel
) -> None:
    circuit = breaker(clock=clock)
    half_open(circuit, clock)
    era_of_probe = None
    for _ in range(5):
        await cancel(circuit)
        assert circuit.snapshot().in_flight == 0
        assert circuit.state is State.HALF_OPEN
        era_of_probe = circuit.era if era_of_probe is None else era_of_probe
        assert circuit.era == era_of_probe
    circuit.call(do_nothing)
    assert circuit.state is State.CLOSED


@pytest.mark.parametrize("cancel", WAYS)
async def test_a_cancellation_does_not_break_a_run_of_failures(cancel: Cancel) -> None:
    circuit = breaker(count_policy(20, consecutive_failures=2))
    fail(circuit)
    await cancel(circuit)
    fail(circuit)
    assert circuit.state is State.OPEN


async def test_a_cancelled_context_manager_is_neutral() -> None:
    circuit = breaker(count_policy(1))

    async def guarded() -> None:
        async with circuit.permit():
            await hang()

    task = asyncio.ensure_future(guarded())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    seen = circuit.snapshot()
    assert (seen.state, seen.cancelled, seen.in_flight) == (State.CLOSED, 1, 0)


async def cancel_after(circuit: CircuitBreaker, clock: FakeClock, seconds: float) -> None:
    task = asyncio.ensure_future(circuit.call(hang))
    await asyncio.sleep(0)
    clock.advance(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("on_cancel", "seconds", "slow", "failures"),
    [
        ("slow_if_exceeded", 1.875, 0, 0),
        ("slow_if_exceeded", 2.125, 1, 0),
        ("ignore", 2.125, 0, 0),
        ("failure", 1.875, 0, 1),
    ],
)
async def test_what_a_cancelled_call_counts_as_is_a_choice(
    clock: FakeClock, on_cancel: str, seconds: float, slow: int, failures: int
) -> None:
    policy = count_policy(20, slow_call_duration_threshold=2.0, on_cancel=on_cancel)
    circuit = breaker(policy, clock)
    await cancel_after(circuit, clock, seconds)
    seen = circuit.snapshot()
    assert (seen.window_slow, seen.window_failures, seen.in_flight) == (slow, failures, 0)


@pytest.mark.parametrize(
    ("on_cancel", "expected"), [("slow_if_exceeded", State.OPEN), ("ignore", State.CLOSED)]
)
async def test_a_brown_out_in_which_every_caller_gives_up_opens_the_circuit(
    clock: FakeClock, on_cancel: str, expected: State
) -> None:
    policy = count_policy(4, slow_call_duration_threshold=2.0, on_cancel=on_cancel)
    circuit = breaker(policy, clock)
    for _ in range(4):
        await cancel_after(circuit, clock, 3.0)
    assert circuit.state is expected


async def test_a_cancelled_call_still_raises_cancelled_when_it_counts_as_failure() -> None:
    circuit = breaker(count_policy(1, on_cancel="failure"))
    await by_task_cancel(circuit)
    assert circuit.state is State.OPEN


async def test_a_probe_that_hangs_is_cut_off_and_fails(clock: FakeClock) -> None:
    circuit = breaker(count_policy(probe_timeout=0.01), clock)
    half_open(circuit, clock)
    with pytest.raises(TimeoutError):
        await circuit.call(hang)
    assert circuit.state is State.OPEN


async def test_a_probe_cut_off_by_its_own_timeout_fails_whatever_is_recorded(clock: FakeClock) -> None:
    circuit = breaker(count_policy(probe_timeout=0.01, record=(ConnectionError,)), clock)
    half_open(circuit, clock)
    with pytest.raises(TimeoutError):
        await circuit.call(hang)
    assert circuit.state is State.OPEN


async def test_an_outer_cancellation_of_a_timed_probe_is_still_a_cancellation(clock: FakeClock) -> None:
    circuit = breaker(count_policy(probe_timeout=59.0), clock)
    half_open(circuit, clock)
    await by_task_cancel(circuit)
    assert (circuit.state, circuit.snapshot().cancelled) == (State.HALF_OPEN, 1)


async def test_only_probes_are_cut_off(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = breaker(count_policy(probe_timeout=0.5), clock)
    limits: list[float | None] = []
    timeout = asyncio.timeout

    def noted(seconds: float | None) -> asyncio.Timeout:
        limits.append(seconds)
        return timeout(seconds)

    monkeypatch.setattr(asyncio, "timeout", noted)

    async def answer() -> str:
        return "done"

    assert await circuit.call(answer) == "done"
    assert limits == []
    half_open(circuit, clock)
    assert await circuit.call(answer) == "done"
    assert limits == [0.5]


def test_settling_as_cancelled_by_hand_is_neutral() -> None:
    circuit = breaker(count_policy(1))
    assert circuit.acquire().settle(Verdict.CANCELLED) is True
    seen = circuit.snapshot()
    assert (seen.state, seen.cancelled, seen.window_calls) == (State.CLOSED, 1, 0)


@pytest.mark.parametrize("verdict", [Verdict.SUCCESS, Verdict.IGNORED, Verdict.INCONCLUSIVE])
def test_where_cancelled_calls_are_failures_only_they_are(verdict: Verdict) -> None:
    circuit = breaker(count_policy(2, on_cancel="failure", failure_rate_threshold=1.0))
    settle(circuit, *[verdict] * 5)
    seen = circuit.snapshot()
    assert (seen.state, seen.failed, seen.cancelled) == (State.CLOSED, 0, 0)
    settle(circuit, Verdict.CANCELLED, Verdict.CANCELLED)
    seen = circuit.snapshot()
    assert (seen.state, seen.failed, seen.cancelled) == (State.OPEN, 2, 0)


@pytest.mark.parametrize(
    ("on_cancel", "seconds", "state"),
    [
        ("ignore", 2.0, State.HALF_OPEN),
        ("slow_if_exceeded", 1.875, State.HALF_OPEN),
        ("slow_if_exceeded", 2.0, State.OPEN),
        ("failure", 0.0, State.OPEN),
    ],
)
def test_a_cancelled_probe_speaks_against_recovery_only_where_it_counts(
    clock: FakeClock, on_cancel: str, seconds: float, state: State
) -> None:
    policy = count_policy(2, on_cancel=on_cancel, slow_call_duration_threshold=2.0)
    circuit = breaker(policy, clock)
    half_open(circuit, clock)
    probe = circuit.acquire()
    clock.advance(seconds)
    assert probe.settle(Verdict.CANCELLED) is True
    assert circuit.state is state
