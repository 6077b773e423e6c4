"""Concurrency: order where it is asked for, never too many handlers, never too much in memory."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from cqrs.circuit_breaker import CircuitOpenError
from cqrs.testing import FakeClock
from tests.unit.consumers.support import (
    Mediator,
    PausableScript,
    ScriptedSource,
    consumer_of,
    failing,
    message,
    turns,
)


async def test_never_more_handlers_than_allowed(clock: FakeClock) -> None:
    source = ScriptedSource(*(message(number) for number in range(20)))
    mediator = Mediator(lambda _: turns(3))

    async with consumer_of(source, mediator, clock, concurrency=3):
        for number in range(20):
            await source.told("ack", str(number))

    assert mediator.most == 3


async def test_messages_of_an_ordering_follow_each_other(clock: FakeClock) -> None:
    gates = {1: asyncio.Event(), 3: asyncio.Event()}
    source = ScriptedSource(message(1, ordering="a"), message(2, ordering="a"), message(3, ordering="b"))

    async def handle(number: int) -> None:
        if number in gates:
            await gates[number].wait()

    mediator = Mediator(handle)
    async with consumer_of(source, mediator, clock, concurrency=8):
        await mediator.has_started(1, 3)
        await turns()
        assert mediator.started == [1, 3]
        gates[1].set()
        await source.told("ack", "2")
        gates[3].set()
        await source.told("ack", "3")


async def test_a_poison_message_blocks_its_own_ordering_alone(clock: FakeClock) -> None:
    async def handle(number: int) -> None:
        if number == 1:
            raise ValueError("poison")

    source = ScriptedSource(message(1, ordering="a"), message(2, ordering="a"), message(3, ordering="b"))
    mediator = Mediator(handle)
    async with consumer_of(source, mediator, clock, concurrency=1, max_attempts=3):
        await source.told("ack", "3")
        assert mediator.ended == [3]
        await clock.elapse(1 + 2)
        await source.told("ack", "2")

    assert source.calls.index(("dead_letter", "1", 3)) < source.calls.index(("ack", "2"))


async def test_a_waiting_message_takes_no_slot(clock: FakeClock) -> None:
    rejected = failing(99, lambda: CircuitOpenError("shop", retry_after=60.0))

    async def handle(number: int) -> None:
        if number == 1:
            await rejected(number)

    source = ScriptedSource(*(message(number) for number in (1, 2, 3)))
    async with consumer_of(source, Mediator(handle), clock, concurrency=1):
        await source.told("ack", "3")
        await source.told("ack", "2")


async def test_no_more_is_taken_than_may_be_held(clock: FakeClock) -> None:
    gate = asyncio.Event()
    source = ScriptedSource(*(message(number) for number in range(50)))

    async with consumer_of(source, Mediator(lambda _: gate.wait()), clock, max_pending=5) as consumer:
        await turns(200)
        assert source.yielded == consumer.statistics.in_hand == 5
        gate.set()
        while len(source.told_of("ack")) < 50:
            await asyncio.sleep(0)
            assert consumer.statistics.in_hand <= 5

    assert consumer.statistics.in_hand == 0


async def test_an_ordering_that_waits_is_paused_where_that_is_possible(clock: FakeClock) -> None:
    source = PausableScript(message(1, ordering="a"))
    async with consumer_of(source, Mediator(failing(2)), clock):
        await source.told("pause", "a")
        assert source.told_of("resume") == []
        await clock.elapse(1 + 2)
        await source.told("resume", "a")
        assert source.told_of("ack") == ["1"]


async def test_an_ordering_with_too_much_to_do_is_paused_until_half_is_done(clock: FakeClock) -> None:
    gates = [asyncio.Event() for _ in range(6)]
    source = PausableScript(*(message(number, ordering="a") for number in range(6)))

    async with consumer_of(source, Mediator(lambda number: gates[number].wait()), clock, max_pending=16):
        await source.told("pause", "a")
        for number in range(3):
            assert source.told_of("resume") == []
            gates[number].set()
            await source.told("ack", str(number))
            await turns()
        assert source.told_of("resume") == ["a"]
        assert set(source.told_of("pause")) == {"a"}  # each time: it may have lost it for a moment
        for gate in gates:
            gate.set()
        await source.told("ack", "5")


@given(
    orderings=st.lists(st.sampled_from([None, "a", "b", "c"]), min_size=1, max_size=25),
    concurrency=st.integers(1, 4),
    room=st.integers(0, 6),
    failures=st.lists(st.integers(0, 2), min_size=25, max_size=25),
    steps=st.lists(st.integers(1, 4), min_size=25, max_size=25),
)
def test_order_holds_whatever_happens(
    orderings: list[str | None], concurrency: int, room: int, failures: list[int], steps: list[int]
) -> None:
    """Each message is handled to its end; those of an ordering in their order, and never two at once."""
    clock = FakeClock()
    count = len(orderings)

    async def main() -> None:
        left = list(failures)
        at_work: dict[str, int] = {}

        async def handle(number: int) -> None:
            ordering = orderings[number]
            if ordering is not None:
                assert at_work.setdefault(ordering, number) == number
            await turns(steps[number])
            at_work.pop(ordering or "", None)
            if left[number]:
                left[number] -= 1
                raise ValueError

        source = ScriptedSource(*(message(number, ordering=each) for number, each in enumerate(orderings)))
        mediator = Mediator(handle)
        arguments = {"concurrency": concurrency, "max_pending": concurrency + room}
        async with consumer_of(source, mediator, clock, **arguments):
            while len(source.told_of("ack")) < count:
                await clock.elapse(1)
        assert mediator.most <= concurrency
        assert sorted(mediator.ended) == list(range(count))
        for ordering in "abc":
            mine = [number for number in mediator.ended if orderings[number] == ordering]
            assert mine == sorted(mine)

    asyncio.run(main())
