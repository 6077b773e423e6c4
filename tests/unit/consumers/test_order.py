"""Concurrency: order where it is asked for, never too many handlers, never too much in memory."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.circuit_breaker import CircuitOpenError
from cqrs.exceptions import BrokerUnavailableError
from cqrs.testing import FakeClock
from tests.unit.consumers.support import (
    Mediator,
    PausableScript,
    PostponingScript,
    RevocableScript,
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


def rejecting(retry_after: float, *numbers: int) -> Mediator:
    async def handle(number: int) -> None:
        if number in numbers:
            raise CircuitOpenError("shop", retry_after=retry_after)

    return Mediator(handle)


async def test_what_waits_long_for_a_circuit_goes_back_and_holds_up_nothing(clock: FakeClock) -> None:
    source = PostponingScript(*(message(number, ordering="a") for number in range(6)))
    async with consumer_of(source, rejecting(5.0, 0, 1, 2, 3, 4), clock, max_pending=2) as consumer:
        await source.told("ack", "5")

    assert [call for call in source.calls if call[0] == "postpone"] == [
        ("postpone", str(number), 5.0) for number in range(5)
    ]
    assert source.told_of("release") == source.told_of("retry") == []
    assert (consumer.statistics.released, consumer.statistics.rejected) == (5, 5)


@pytest.mark.parametrize("retry_after", [4.9, 61.0], ids=["short", "longer than the broker can"])
async def test_what_cannot_go_back_for_as_long_waits_here(clock: FakeClock, retry_after: float) -> None:
    source, mediator = PostponingScript(message(1)), rejecting(retry_after, 1)
    async with consumer_of(source, mediator, clock):
        await mediator.has_started(1)
        await clock.elapse(retry_after)
        assert mediator.started == [1, 1]
        assert source.told_of("release") == []

    assert source.told_of("release") == ["1"]


async def test_what_could_not_go_back_waits_here(clock: FakeClock) -> None:
    source, mediator = PostponingScript(message(1)), rejecting(30.0, 1)
    source.errors["postpone"] = [BrokerUnavailableError("numbers", "connection lost")]
    async with consumer_of(source, mediator, clock):
        await source.told("postpone failed", "1", 30.0)
        await clock.elapse(30)
        await source.told("postpone", "1", 30.0)

    assert mediator.started == [1, 1]


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


async def test_what_was_taken_back_before_its_turn_is_not_handled(clock: FakeClock) -> None:
    gate = asyncio.Event()
    numbers = range(1, 7)
    source = RevocableScript(*(message(number, ordering=number % 2) for number in numbers))
    mediator = Mediator(lambda number: gate.wait() if number == 1 else turns(1))
    async with consumer_of(source, mediator, clock, concurrency=2) as consumer:
        await source.told("ack", "6")
        source.revoked = {"1", "3", "5"}
        gate.set()
        await source.told("release", "5")
        source.feed(message(7, ordering=1))
        await source.told("ack", "7")

    assert sorted(mediator.ended) == [1, 2, 4, 6, 7]
    assert source.told_of("release") == ["3", "5"]
    assert (consumer.statistics.released, consumer.statistics.in_hand) == (2, 0)


async def test_what_is_taken_back_while_it_waits_for_a_slot_is_not_handled(clock: FakeClock) -> None:
    gate = asyncio.Event()
    source = RevocableScript(message(1), message(2))
    mediator = Mediator(lambda _: gate.wait())
    async with consumer_of(source, mediator, clock, concurrency=1):
        await mediator.has_started(1)
        await turns()
        source.revoked = {"2"}
        gate.set()
        await source.told("release", "2")

    assert mediator.started == [1]


async def test_what_is_taken_back_before_its_next_attempt_is_not_tried_again(clock: FakeClock) -> None:
    source = RevocableScript(message(1, ordering="a"), message(2, ordering="a"))
    mediator = Mediator(failing(1))
    async with consumer_of(source, mediator, clock):
        await source.told("retry", "1", 1.0)
        source.revoked = {"1"}
        source.errors["release"] = [ValueError("gone")]
        await clock.elapse(1)
        await source.told("release failed", "1")
        await clock.elapse(1)
        await source.told("ack", "2")

    assert mediator.started == [1, 2, 2]


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
