"""Stopping and being cancelled: what is at work may end, the rest is given back, nothing is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cqrs.consumers import Consumer
from cqrs.exceptions import BrokerUnavailableError, ConfigurationError
from cqrs.message_brokers.memory import MemoryMessageBroker
from cqrs.message_brokers.protocol import Message
from cqrs.message_brokers.receiving import ReceivedMessage
from cqrs.testing import FakeClock
from tests.unit.consumers.support import (
    SECOND,
    Counted,
    Mediator,
    ScriptedSource,
    consumer_of,
    failing,
    message,
    turns,
)


async def test_handlers_at_work_may_end_and_nothing_new_begins(clock: FakeClock) -> None:
    gate = asyncio.Event()
    source = ScriptedSource(message(1), message(2), message(3, ordering="a"), message(4, ordering="a"))
    mediator = Mediator(lambda _: gate.wait())
    consumer = consumer_of(source, mediator, clock, concurrency=2)
    await consumer.start()
    await mediator.has_started(1, 2)
    await turns()

    stopping = asyncio.ensure_future(consumer.stop(timeout=60))
    await source.told("stop")
    await turns()
    source.feed(message(5))
    assert consumer.is_running
    gate.set()
    await stopping

    assert not consumer.is_running
    assert mediator.ended == [1, 2]
    assert source.told_of("ack") == ["1", "2"]
    assert source.told_of("release") == ["4", "3"]
    assert source.calls[-1] == ("close",)
    assert consumer.statistics.in_hand == consumer.statistics.handling == 0


async def test_handlers_that_take_too_long_are_cancelled_and_given_back(clock: FakeClock) -> None:
    source, mediator = ScriptedSource(message(1)), Mediator(lambda _: asyncio.Event().wait())
    consumer = consumer_of(source, mediator, clock)
    await consumer.start()
    await mediator.has_started(1)

    await consumer.stop(timeout=0)

    assert mediator.running == 0
    assert source.told_of("ack") == []
    assert source.told_of("release") == ["1"]


async def test_the_time_for_handlers_is_limited(clock: FakeClock) -> None:
    source, mediator = ScriptedSource(message(1)), Mediator(lambda _: asyncio.Event().wait())
    consumer = consumer_of(source, mediator, clock, stop_timeout=0.01)
    await consumer.start()
    await mediator.has_started(1)

    await consumer.stop()

    assert source.told_of("release") == ["1"]


async def test_a_handler_that_succeeds_though_cancelled_is_acknowledged(clock: FakeClock) -> None:
    async def deaf(_: int) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

    source, mediator = ScriptedSource(message(1)), Mediator(deaf)
    consumer = consumer_of(source, mediator, clock)
    await consumer.start()
    await mediator.has_started(1)

    await consumer.stop(timeout=0)

    assert (source.told_of("ack"), source.told_of("release")) == (["1"], [])


async def test_a_handler_that_does_not_end_holds_up_no_stop(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("cqrs.consumers.hand.GRACE", 0.01)
    end = asyncio.Event()

    async def stubborn(_: int) -> None:
        while not end.is_set():
            try:
                await end.wait()
            except asyncio.CancelledError:
                pass

    source, mediator = ScriptedSource(message(1)), Mediator(stubborn)
    consumer = consumer_of(source, mediator, clock)
    await consumer.start()
    await mediator.has_started(1)

    await consumer.stop(timeout=0)

    assert mediator.running == 1
    assert source.told_of("release") == ["1"]
    assert "does not end though it was cancelled" in caplog.text
    assert consumer.statistics.in_hand == 0
    end.set()
    await source.told("ack", "1")


async def test_what_waits_for_its_next_attempt_is_given_back_at_once(clock: FakeClock) -> None:
    source, mediator = ScriptedSource(message(1)), Mediator(failing(9))
    consumer = consumer_of(source, mediator, clock)
    await consumer.start()
    await source.told("retry", "1", 1.0)
    await turns()

    await consumer.stop(timeout=3600)

    assert source.told_of("release") == ["1"]
    assert mediator.started == [1]


async def test_a_failure_while_stopping_is_not_waited_for(clock: FakeClock) -> None:
    gate = asyncio.Event()

    async def fail(_: int) -> None:
        await gate.wait()
        raise ValueError

    source, mediator = ScriptedSource(message(1)), Mediator(fail)
    consumer = consumer_of(source, mediator, clock)
    await consumer.start()
    await mediator.has_started(1)
    stopping = asyncio.ensure_future(consumer.stop(timeout=3600))
    await source.told("stop")
    await turns()

    gate.set()
    await stopping

    assert source.told_of("release") == ["1"]


async def test_cancelling_run_stops_gracefully(clock: FakeClock) -> None:
    gate = asyncio.Event()
    source, mediator = ScriptedSource(message(1), message(2)), Mediator(lambda _: gate.wait())
    consumer = consumer_of(source, mediator, clock)
    running = asyncio.ensure_future(consumer.run())
    await mediator.has_started(1)

    running.cancel()
    await source.told("stop")
    assert not running.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert source.told_of("ack") == ["1"]
    assert source.told_of("release") == ["2"]
    assert source.calls[-1] == ("close",)


async def test_cancelling_again_cancels_the_handlers(clock: FakeClock) -> None:
    source, mediator = ScriptedSource(message(1)), Mediator(lambda _: asyncio.Event().wait())
    consumer = consumer_of(source, mediator, clock, stop_timeout=3600)
    running = asyncio.ensure_future(consumer.run())
    await mediator.has_started(1)
    running.cancel()
    await source.told("stop")

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await source.told("close")

    assert mediator.running == 0
    assert source.told_of("release") == ["1"]


@pytest.mark.parametrize("at", range(40))
async def test_no_message_is_lost_whenever_it_is_cancelled(clock: FakeClock, at: int) -> None:
    """Cancel the program after ``at`` turns of the loop: what was yielded is settled or given back, once."""

    async def handle(number: int) -> None:
        await asyncio.sleep(0)
        if number == 2:
            raise ValueError
        await asyncio.sleep(0)

    class Slow(ScriptedSource):
        async def ack(self, message: ReceivedMessage) -> None:
            await asyncio.sleep(0)
            await super().ack(message)
            await asyncio.sleep(0)

    source = Slow(*(message(number, ordering=number % 2) for number in range(1, 7)))
    consumer = consumer_of(source, Mediator(handle), clock, concurrency=2, max_pending=3, stop_timeout=0)
    running = asyncio.ensure_future(consumer.run())
    await turns(at)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    settled = source.told_of("ack") + source.told_of("release")
    yielded = [str(number) for number in range(1, source.yielded + 1)]
    assert sorted(set(settled)) == yielded
    if source.calls:
        assert source.calls[-1] == ("close",)


@pytest.mark.parametrize("at", range(0, 60, 3))
async def test_a_consumer_whose_loop_ends_gives_back_what_it_can(at: int) -> None:
    """``asyncio.run`` cancels all tasks at once, the consumer's own ones too."""
    source = ScriptedSource(*(message(number, ordering=number % 2) for number in range(1, 7)))
    mediator = Mediator(lambda _: asyncio.sleep(0))

    async def main() -> None:
        consumer = Consumer(source, mediator, {"Counted": Counted}, concurrency=2)
        await consumer.start()
        await turns(at)

    await asyncio.to_thread(asyncio.run, main())

    settled = set(source.told_of("ack") + source.told_of("release"))
    assert settled == {str(number) for number in range(1, source.yielded + 1)}


async def test_a_stop_before_the_source_has_answered(clock: FakeClock) -> None:
    class Stuck(ScriptedSource):
        async def start(self) -> None:
            await asyncio.Event().wait()

    source = Stuck(message(1))
    async with consumer_of(source, Mediator(), clock):
        await turns()

    assert source.calls == [("stop",), ("close",)]


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("start", "the intake of the consumer does not end"),
        ("extend", "the heartbeat of the consumer does not end"),
        ("stop", "the source did not stop cleanly"),
        ("close", "the source did not close cleanly"),
    ],
)
async def test_a_source_that_does_not_answer_holds_up_no_stop(
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
    told: str,
) -> None:
    monkeypatch.setattr("cqrs.consumers.consumer.CLOSING", 0.01)
    end = asyncio.Event()

    async def stubborn(*_: Any) -> None:
        while not end.is_set():
            try:
                await end.wait()
            except asyncio.CancelledError:
                if method in ("stop", "close"):  # whoever calls them waits for them
                    raise

    source = ScriptedSource(message(1))
    monkeypatch.setattr(source, method, stubborn)
    mediator = Mediator(lambda _: asyncio.Event().wait())
    consumer = consumer_of(source, mediator, clock)
    await consumer.start()
    if method != "start":
        await mediator.has_started(1)
    await clock.elapse(10)

    await consumer.stop(timeout=0)

    assert not consumer.is_running
    assert told in caplog.text
    assert source.told_of("release") == ([] if method == "start" else ["1"])
    end.set()
    await turns()


async def test_errors_of_a_source_that_stops_are_told_not_raised(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    source, mediator = ScriptedSource(message(1)), Mediator(lambda _: asyncio.Event().wait())
    for method in ("stop", "close", "release"):
        source.errors[method] = [BrokerUnavailableError("numbers", "gone")]
    consumer = consumer_of(source, mediator, clock)
    await consumer.start()
    await mediator.has_started(1)

    await consumer.stop(timeout=0)

    assert "did not stop cleanly" in caplog.text
    assert "did not close cleanly" in caplog.text
    assert not consumer.is_running


async def test_it_can_be_started_again(clock: FakeClock) -> None:
    source, mediator = ScriptedSource(message(1)), Mediator()
    consumer = consumer_of(source, mediator, clock)
    async with consumer:
        await source.told("ack", "1")
        with pytest.raises(RuntimeError, match="runs already"):
            await consumer.start()
    source.feed(message(2))

    async with consumer:
        await source.told("ack", "2")

    await consumer.stop()


async def test_stop_without_start_is_nothing(clock: FakeClock) -> None:
    source = ScriptedSource()

    await consumer_of(source, Mediator(), clock).stop()

    assert source.calls == []


async def test_stopping_in_the_middle_and_going_on_elsewhere(clock: FakeClock) -> None:
    broker = MemoryMessageBroker(clock=clock, sleep=clock.sleep)
    gate = asyncio.Event()
    first, second = Mediator(lambda _: gate.wait()), Mediator()
    arguments: dict[str, Any] = {"sleep": clock.sleep}
    one = Consumer(broker.source("numbers"), first, {"Counted": Counted}, concurrency=2, **arguments)
    for number in range(5):
        await broker.send_message(Message("Counted", "numbers", {"number": number}))
    await one.start()
    await first.has_started(0, 1)

    await one.stop(timeout=0)
    async with Consumer(broker.source("numbers"), second, {"Counted": Counted}, **arguments):
        await broker.settled()

    assert first.ended == []
    assert second.ended == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("error", [ConfigurationError("no such topic"), ImportError("no library")])
async def test_a_source_that_cannot_work_ends_the_consumer(clock: FakeClock, error: Exception) -> None:
    source = ScriptedSource()
    source.errors["start"] = [error]

    with pytest.raises(type(error)) as caught:
        await consumer_of(source, Mediator(), clock).run()

    assert caught.value is error
    assert source.calls[-1] == ("close",)


class Own(BaseException):
    """What is no error of a handler, and ends the program that does not expect it."""


async def test_what_no_handler_may_raise_ends_the_consumer_and_gives_back(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    source = ScriptedSource(message(1), message(2, ordering="a"))
    with pytest.raises(Own):
        await consumer_of(source, Mediator(failing(1, Own)), clock).run()

    assert sorted(source.told_of("release")) == ["1", "2"]
    assert source.calls[-1] == ("close",)
    assert "the consumer ends: Own()" in caplog.text


async def test_a_deserializer_that_raises_it_ends_the_consumer_likewise(clock: FakeClock) -> None:
    def read(_: bytes) -> Any:
        raise Own

    source = ScriptedSource(message(1))
    with pytest.raises(Own):
        await consumer_of(source, Mediator(), clock, deserializer=lambda _: read).run()

    assert source.told_of("release") == ["1"]


async def test_what_ends_each_consumer_is_put_aside_in_the_end(clock: FakeClock) -> None:
    """It comes back as another attempt, others that were in hand with it do not."""
    broker = MemoryMessageBroker(clock=clock, sleep=clock.sleep)
    for number in (1, 2):
        await broker.send_message(Message("Counted", "numbers", {"number": number}))
    poison = Mediator(lambda number: failing(1, Own)(number) if number == 1 else turns(10))

    def another() -> Consumer:
        arguments: dict[str, Any] = {"sleep": clock.sleep, "backoff": SECOND, "stop_timeout": 0}
        return Consumer(broker.source("numbers"), poison, {"Counted": Counted}, max_attempts=1, **arguments)

    for pause in (1, 2):
        with pytest.raises(Own):
            await another().run()
        await clock.elapse(pause)
    async with another():
        await broker.settled()

    (letter,) = broker.dead_letters()
    assert (letter.message.body, letter.attempts) == (b'{"number":1}', 2)
    assert poison.started.count(1) == 2
    assert poison.ended == [2]
