"""F4, F7: callers that go away while they ask for a probe, at every moment; and answers that come late."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitOpenError
from cqrs.testing import Fleet
from tests.fleet.cancelling import WAYS, Way
from tests.fleet.manual import Bench, Submission
from tests.fleet.support import (
    SPREAD,
    Boom,
    attempt,
    circuit,
    half_opened,
    live_permits,
    rate_policy,
    record,
)

MOMENTS = ["asked", "arrived", "answered", "running", "failed"]


def bench_on_half_open(policy: CircuitBreakerPolicy, **settings: Any) -> tuple[Fleet, Bench]:
    fleet = half_opened(Fleet(2, policy))
    bench = Bench(policy, fleet.server, fleet.clock, **settings)
    assert bench.breakers["payments"].state == "half_open"
    until_it_may_ask(fleet, bench)
    return fleet, bench


def until_it_may_ask(fleet: Fleet, bench: Bench) -> None:
    with pytest.raises(CircuitOpenError):
        bench.breakers["payments"].acquire()
    fleet.clock.advance(SPREAD)


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def settle_all(bench: Bench) -> None:
    for _ in range(10):
        for submission in list(bench.transport.requests):
            submission.answer() if submission.reply is None else submission.deliver()


@pytest.mark.parametrize("on_cancel", ["slow_if_exceeded", "failure"])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("way", WAYS)
async def test_f4_a_caller_that_goes_away_leaves_no_permit_behind(
    way: Way, moment: str, on_cancel: Any
) -> None:
    fleet, bench = bench_on_half_open(rate_policy(on_cancel=on_cancel, permit_lease=30.0))
    breaker, now, started = bench.breakers["payments"], asyncio.Event(), asyncio.Event()

    @breaker
    async def call() -> None:
        started.set()
        await asyncio.sleep(3600)

    caller = asyncio.ensure_future(way(call, now))
    await turns()
    acquire = bench.transport.only("acquire")
    if moment == "arrived":
        acquire.carry()
    elif moment in ("answered", "running"):
        acquire.answer()
    if moment == "running":
        await turns()
        assert started.is_set()
    now.set()
    await caller
    ran = started.is_set()
    assert ran is (moment == "running") or moment == "answered"  # there, some ways are slower than the answer
    if moment == "asked":
        acquire.answer()
    elif moment == "arrived":
        acquire.deliver()
    elif moment == "failed":
        acquire.carry().fail()
        bench.store.sync()
        bench.store.sync()
    settle_all(bench)
    assert live_permits(fleet) == 0
    assert record(fleet).bad == int(ran and on_cancel == "failure")  # else the dependency was not reached
    assert breaker.snapshot().in_flight == 0
    fleet.clock.advance(SPREAD)
    settle_all(bench)
    assert await admitted(bench)


async def admitted(bench: Bench) -> bool:
    """Whether another call becomes a probe."""

    @bench.breakers["payments"]
    async def call() -> str:
        return "ok"

    task = asyncio.ensure_future(call())
    await turns()
    settle_all(bench)
    return await task == "ok"


async def test_f4_a_denied_candidate_is_rejected_and_leaves_no_trace() -> None:
    fleet, bench = bench_on_half_open(rate_policy())
    held = [permit for node in fleet.nodes if (permit := circuit(node).try_acquire())]
    fleet.advance(SPREAD)
    held += [permit for node in fleet.nodes if (permit := circuit(node).try_acquire())]
    assert live_permits(fleet) == 1
    with pytest.raises(CircuitOpenError) as caught:
        task = asyncio.ensure_future(acquire_async(bench))
        await turns()
        settle_all(bench)
        await task
    assert caught.value.source == "fleet"
    assert bench.breakers["payments"].snapshot().in_flight == 0
    assert len(held) == 1


async def acquire_async(bench: Bench) -> Any:
    async with bench.breakers["payments"].permit() as permit:
        return permit


async def test_f4_a_candidate_waits_no_longer_than_the_command_timeout() -> None:
    _, bench = bench_on_half_open(rate_policy(), command_timeout=0.01)
    with pytest.raises(CircuitOpenError):
        await acquire_async(bench)
    assert bench.breakers["payments"].snapshot().in_flight == 0


def test_f4_a_blocking_candidate_waits_no_longer_either() -> None:
    _, bench = bench_on_half_open(rate_policy(), command_timeout=0.01)
    with pytest.raises(CircuitOpenError):
        bench.breakers["payments"].acquire()
    assert bench.breakers["payments"].snapshot().in_flight == 0


def granted_too_late(lease: float = 10.0) -> tuple[Fleet, Bench]:
    """A process whose store is a bit slow: the permit came when the call had stopped waiting for it."""
    fleet, bench = bench_on_half_open(rate_policy(permit_lease=lease), command_timeout=0.01)
    with pytest.raises(CircuitOpenError):
        bench.breakers["payments"].acquire()
    bench.transport.only("acquire").answer()
    assert live_permits(fleet) == 1
    return fleet, bench


def test_f4_a_permit_that_came_too_late_serves_the_next_call() -> None:
    fleet, bench = granted_too_late()
    probe = bench.breakers["payments"].acquire()  # at once, and without asking
    assert bench.transport.requests == []
    assert bench.breakers["payments"].try_acquire() is None
    assert probe.success()
    settle_all(bench)
    assert live_permits(fleet) == 0


async def test_f4_a_permit_that_came_too_late_serves_a_task_as_well() -> None:
    _, bench = granted_too_late()
    async with bench.breakers["payments"].permit() as probe:
        assert probe.kind == "probe"
    assert "settle" in bench.transport.only().kinds


def test_f4_a_permit_that_came_too_late_goes_back_when_no_call_comes() -> None:
    fleet, bench = granted_too_late()
    fleet.clock.advance(1.5)
    bench.store.tick()
    settle_all(bench)
    assert live_permits(fleet) == 0


def test_f4_a_permit_that_came_too_late_is_of_no_use_when_its_lease_is_old() -> None:
    fleet, bench = granted_too_late(lease=1.0)
    fleet.clock.advance(0.6)
    assert bench.breakers["payments"].try_acquire() is None  # it has to ask anew
    assert "acquire" in bench.transport.requests[-1].kinds


def test_f4_a_permit_that_came_too_late_is_of_no_use_in_another_epoch() -> None:
    fleet, bench = granted_too_late()
    fleet.nodes[0].breakers.reset("payments")
    bench.store.sync()
    assert bench.breakers["payments"].state == "closed"
    assert bench.breakers["payments"].call(int) == 0


def test_f4_a_permit_that_came_too_late_is_given_back_by_who_leaves() -> None:
    fleet, bench = granted_too_late()
    bench.transport.on_submit = lambda submission: submission.answer()
    bench.store.close()
    assert live_permits(fleet) == 0


@pytest.mark.parametrize("fate", ["fails", "fails after it arrived"])
def test_f7_an_acquire_that_fails_is_a_rejection_and_never_the_callers_error(fate: str) -> None:
    fleet, bench = bench_on_half_open(rate_policy(permit_lease=30.0))

    def on_submit(submission: Submission) -> None:
        if "acquire" in submission.kinds:
            if fate != "fails":
                submission.carry()
            submission.fail(OSError("broken pipe"))

    bench.transport.on_submit = on_submit
    with pytest.raises(CircuitOpenError):
        bench.breakers["payments"].acquire()
    for _ in range(2):
        bench.store.sync()
        settle_all(bench)
    assert live_permits(fleet) == 0
    assert attempt(fleet.nodes[0]) in ("ok", "rejected")


def test_f4_a_call_that_finds_the_circuit_closed_by_then_passes_without_a_permit() -> None:
    fleet, bench = bench_on_half_open(rate_policy(permitted_calls_in_half_open=1))

    def on_submit(submission: Submission) -> None:
        if "acquire" in submission.kinds:
            while record(fleet).st != "closed":
                attempt(fleet.nodes[0])
                fleet.clock.advance(SPREAD)
            submission.answer()

    bench.transport.on_submit = on_submit
    assert bench.breakers["payments"].call(lambda: "ok") == "ok"
    assert bench.breakers["payments"].state == "closed"
    assert live_permits(fleet) == 0


def test_f4_a_call_that_finds_the_circuit_open_again_is_rejected() -> None:
    fleet, bench = bench_on_half_open(rate_policy(permitted_calls_in_half_open=1))

    def on_submit(submission: Submission) -> None:
        if "acquire" in submission.kinds:
            while attempt(fleet.nodes[0], Boom()) != "failed":
                fleet.clock.advance(SPREAD)
            assert record(fleet).st == "open"
            submission.answer()

    bench.transport.on_submit = on_submit
    with pytest.raises(CircuitOpenError) as caught:
        bench.breakers["payments"].acquire()
    assert caught.value.state == "open"


def test_f4_a_granted_probe_counts_although_a_message_came_before_its_answer() -> None:
    """The change that the acquire caused is published before the answer arrives."""
    policy = rate_policy(permitted_calls_in_half_open=1)
    fleet, bench = bench_on_half_open(policy)
    messages = bench.transport.messages

    def on_submit(submission: Submission) -> None:
        if "acquire" in submission.kinds:
            submission.carry()
            while messages:
                bench.store.session.message(messages.pop(0))
            submission.deliver()
        else:
            submission.answer()

    bench.transport.on_submit = on_submit
    assert bench.breakers["payments"].call(lambda: "ok") == "ok"
    assert record(fleet).st == "closed"


def test_f4_an_answer_in_another_thread_releases_the_caller() -> None:
    _, bench = bench_on_half_open(rate_policy())
    asked, outcome = threading.Event(), []
    bench.transport.on_submit = lambda submission: asked.set()
    caller = threading.Thread(target=lambda: outcome.append(bench.breakers["payments"].call(lambda: "ok")))
    caller.start()
    assert asked.wait(5)
    bench.transport.only("acquire").answer()
    caller.join(5)
    assert outcome == ["ok"]


async def test_f4_sync_and_async_callers_share_one_permit() -> None:
    fleet, bench = bench_on_half_open(rate_policy())
    task = asyncio.ensure_future(acquire_async(bench))
    await turns()
    for _ in range(3):
        with pytest.raises(CircuitOpenError):
            bench.breakers["payments"].acquire()
    bench.transport.only("acquire").answer()
    await task
    settle_all(bench)
    assert record(fleet).ok == 1


async def test_f4_a_loop_that_is_gone_when_the_answer_comes_disturbs_nobody() -> None:
    fleet, bench = bench_on_half_open(rate_policy())

    async def ask() -> None:
        asyncio.ensure_future(acquire_async(bench))  # noqa: RUF006
        await turns()

    await asyncio.to_thread(lambda: asyncio.run(ask()))
    settle_all(bench)
    assert live_permits(fleet) == 0


async def test_f4_a_probe_that_runs_too_long_fails_by_its_timeout() -> None:
    fleet, bench = bench_on_half_open(rate_policy(probe_timeout=0.01))

    @bench.breakers["payments"]
    async def call() -> None:
        await asyncio.sleep(3600)

    task = asyncio.ensure_future(call())
    await turns()
    bench.transport.only("acquire").answer()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(task, 5)
    settle_all(bench)
    assert record(fleet).bad == 1


def test_f4_the_wait_for_the_store_does_not_make_a_probe_slow() -> None:
    policy = rate_policy(slow_call_duration_threshold=1.0, permitted_calls_in_half_open=1)
    fleet, bench = bench_on_half_open(policy)

    def on_submit(submission: Submission) -> None:
        if "acquire" in submission.kinds:
            fleet.clock.advance(1.5)
        submission.answer()

    bench.transport.on_submit = on_submit
    assert bench.breakers["payments"].call(lambda: "ok") == "ok"
    assert record(fleet).st == "closed"
