"""Streams as probes: the permit is held and renewed until the end of the stream, whatever that is."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from cqrs.circuit_breaker import CircuitOpenError
from cqrs.testing import Fleet
from tests.fleet.support import (
    SPREAD,
    Boom,
    attempt,
    circuit,
    half_opened,
    live_permits,
    rate_policy,
    record,
    until,
)


def streaming(policy: Any = None) -> tuple[Fleet, Any, Any]:
    """Return a half-open fleet, and a stream of its first node by a generator and an async one."""
    fleet = half_opened(Fleet(2, policy or rate_policy(permit_lease=3.0)))
    assert attempt(fleet.nodes[0]) == "rejected"
    fleet.advance(SPREAD)

    @circuit(fleet.nodes[0])
    def numbers() -> Iterator[int]:
        yield from range(3)

    @circuit(fleet.nodes[0])
    async def numbers_async() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    return fleet, numbers, numbers_async


def test_a_stream_asks_for_its_permit_at_the_first_item() -> None:
    fleet, numbers, _ = streaming()
    stream = numbers()
    assert fleet.operations["acquire"] == 0
    assert next(stream) == 0
    assert live_permits(fleet) == 1
    stream.close()


def test_a_slow_consumer_keeps_the_permit_and_a_finished_stream_settles_it() -> None:
    fleet, numbers, _ = streaming()
    stream = numbers()
    for number in range(3):
        assert next(stream) == number
        for _ in range(50):
            fleet.advance(0.1)
            assert live_permits(fleet) == 1
            assert attempt(fleet.nodes[1]) == "rejected"
    with pytest.raises(StopIteration):
        next(stream)
    assert (live_permits(fleet), record(fleet).ok) == (0, 1)


def test_a_stream_that_fails_in_the_middle_is_a_failed_probe() -> None:
    fleet, _, _ = streaming()

    @circuit(fleet.nodes[0])
    def broken() -> Iterator[int]:
        yield 1
        raise Boom

    stream = broken()
    assert next(stream) == 1
    with pytest.raises(Boom):
        next(stream)
    assert (live_permits(fleet), record(fleet).bad) == (0, 1)


@pytest.mark.parametrize("how", ["close", "collect", "throw"])
def test_a_stream_that_is_left_gives_its_permit_back(how: str) -> None:
    fleet, numbers, _ = streaming()
    stream = numbers()
    assert next(stream) == 0
    if how == "close":
        stream.close()
    elif how == "throw":
        with pytest.raises(Boom):
            stream.throw(Boom())
    else:
        del stream
        gc.collect()
    assert live_permits(fleet) == 0
    assert (record(fleet).ok, record(fleet).bad) == ((0, 1) if how == "throw" else (1, 0))


@pytest.mark.parametrize("how", ["aclose", "cancel", "finish"])
async def test_an_async_stream_gives_its_permit_back(how: str) -> None:
    fleet, _, numbers = streaming()
    stream = numbers()
    assert await anext(stream) == 0
    if how == "aclose":
        await stream.aclose()
    elif how == "finish":
        assert [item async for item in stream] == [1, 2]
    else:

        async def consume() -> None:
            async for _ in stream:
                await asyncio.sleep(3600)

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await stream.aclose()
    assert live_permits(fleet) == 0
    assert record(fleet).ok == 1


def test_an_endless_stream_is_given_up_after_max_probe_duration() -> None:
    policy = rate_policy(permit_lease=3.0, max_probe_duration=20.0, max_wait_duration_in_half_open=200.0)
    fleet, numbers, _ = streaming(policy)
    stream = numbers()
    assert next(stream) == 0
    fleet.advance(18.0)
    assert live_permits(fleet) == 1
    until(fleet, lambda: attempt(fleet.nodes[1]) == "ok", 2.0 + 3.0 + 1.3)
    assert [*stream] == [1, 2]  # its consumer does not notice
    assert record(fleet).ok <= 2


def test_a_stream_of_a_killed_process_is_replaced() -> None:
    fleet, numbers, _ = streaming()
    stream = numbers()
    assert next(stream) == 0
    fleet.kill(0)
    until(fleet, lambda: attempt(fleet.nodes[1]) == "ok", 3.2)
    stream.close()


def test_a_rejected_stream_is_rejected_at_its_first_item() -> None:
    fleet, numbers, _ = streaming()
    first, second = numbers(), numbers()
    assert next(first) == 0
    with pytest.raises(CircuitOpenError):
        next(second)
    first.close()
    assert live_permits(fleet) == 0
