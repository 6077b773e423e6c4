"""What becomes of messages: handled, tried again, put aside, ignored."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any

import pytest

import cqrs
from cqrs.circuit_breaker import CircuitOpenError
from cqrs.consumers import Consumer, current_message
from cqrs.container import BuiltinContainer
from cqrs.exceptions import BrokerUnavailableError, ConfigurationError, MessageRefusedError
from cqrs.message_brokers.memory import MemoryMessageBroker
from cqrs.message_brokers.protocol import Message
from cqrs.testing import FakeClock
from tests.unit.consumers.support import (
    Counted,
    Mediator,
    PausableScript,
    ScriptedSource,
    consumer_of,
    failing,
    message,
    turns,
)


class Joined(cqrs.NotificationEvent[dict[str, int]], frozen=True):
    pass


async def test_events_reach_their_handlers_with_their_message_at_hand(clock: FakeClock) -> None:
    seen: list[Any] = []

    class Primary(cqrs.EventHandler[Joined]):
        async def handle(self, event: Joined) -> None:
            raise ConnectionError("the first choice is down")

    class Second(cqrs.EventHandler[Joined]):
        async def handle(self, event: Joined) -> None:
            received = current_message()
            assert received is not None
            seen.append((event.payload, received.headers["tenant"], received.message_id == event.event_id))

    events = cqrs.EventMap()
    events.bind(Joined, cqrs.EventHandlerFallback(Primary, Second))
    broker = MemoryMessageBroker(clock=clock, sleep=clock.sleep)
    event = Joined(event_name="Joined", payload={"user": 7}, headers={"tenant": "a"})
    mediator = cqrs.EventMediator(events, BuiltinContainer())

    async with Consumer(broker.source("users"), mediator, {"Joined": Joined}) as consumer:
        await broker.send_message(
            Message("Joined", "users", event.to_dict(), event.event_id, {"tenant": "a"})
        )
        await broker.settled()

    assert seen == [({"user": 7}, "a", True)]
    assert current_message() is None
    assert consumer.statistics.handled == 1
    assert broker.dead_letters() == []


async def test_a_message_is_acknowledged_after_its_handlers_not_before(clock: FakeClock) -> None:
    gate = asyncio.Event()
    source, mediator = ScriptedSource(message(1)), Mediator(lambda _: gate.wait())

    async with consumer_of(source, mediator, clock):
        await mediator.has_started(1)
        await turns()
        assert source.told_of("ack") == []
        gate.set()
        await source.told("ack", "1")

    assert source.calls == [("start",), ("ack", "1"), ("stop",), ("close",)]


async def test_a_failure_is_tried_again_by_the_broker_if_it_can(clock: FakeClock) -> None:
    source, mediator = ScriptedSource(message(1, attempt=3), gives_back=True), Mediator(failing(1))

    async with consumer_of(source, mediator, clock) as consumer:
        await source.told("retry", "1", 4.0)

    assert mediator.started == [1]
    assert source.told_of("release") == []
    assert consumer.statistics.retried == consumer.statistics.failed == 1


async def test_else_it_is_tried_again_in_process_after_growing_pauses(clock: FakeClock) -> None:
    source, mediator = ScriptedSource(message(1)), Mediator(failing(2))

    async with consumer_of(source, mediator, clock):
        await source.told("retry", "1", 1.0)
        await clock.elapse(0.9)
        assert mediator.started == [1]
        await clock.elapse(0.1)
        assert mediator.started == [1, 1]
        await clock.elapse(1.9)
        assert mediator.started == [1, 1]
        await clock.elapse(0.1)
        await source.told("ack", "1")

    assert mediator.started == [1, 1, 1]


async def test_a_poison_message_is_put_aside_after_its_attempts(clock: FakeClock) -> None:
    source, mediator = ScriptedSource(message(1)), Mediator(failing(99))

    async with consumer_of(source, mediator, clock, max_attempts=3) as consumer:
        await clock.elapse(10)
        await source.told("dead_letter", "1", 3)

    assert len(mediator.started) == 3
    assert source.reason == "ValueError: not now"
    assert source.told_of("ack") == source.told_of("release") == []
    assert consumer.statistics.dead_lettered == 1


async def test_attempts_that_the_broker_counted_count(clock: FakeClock) -> None:
    source, mediator = ScriptedSource(message(1, attempt=5)), Mediator(failing(99))

    async with consumer_of(source, mediator, clock, max_attempts=5):
        await source.told("dead_letter", "1", 5)

    assert mediator.started == [1]


def failing_for(poison: int) -> Any:
    async def function(number: int) -> None:
        if number == poison:
            raise ValueError("poison")

    return function


async def test_what_ends_the_process_each_time_is_put_aside_unhandled(clock: FakeClock) -> None:
    source, mediator = ScriptedSource(message(1, attempt=11)), Mediator()

    async with consumer_of(source, mediator, clock, max_attempts=5):
        await source.told("dead_letter", "1", 10)

    assert mediator.started == []
    assert "delivered 10 times" in source.reason


async def test_what_was_delivered_often_is_given_one_more_attempt(clock: FakeClock) -> None:
    source = ScriptedSource(message(1, attempt=10), message(2, attempt=6))

    async with consumer_of(source, Mediator(failing_for(2)), clock, max_attempts=5):
        await source.told("ack", "1")
        await source.told("dead_letter", "2", 6)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (message(1, body=b"{"), "cannot be read as Counted"),
        (message(1, body=b"{}"), "number"),
        (message(1, name="Lost"), "no event type has the name 'Lost'"),
        (message(1, name=None), "the message has no name"),
    ],
    ids=["no json", "no such event", "unknown name", "no name"],
)
async def test_what_cannot_be_read_is_put_aside_at_once(clock: FakeClock, broken: Any, reason: str) -> None:
    source, mediator = ScriptedSource(broken, message(2)), Mediator()

    async with consumer_of(source, mediator, clock):
        await source.told("dead_letter", "1", 1)
        await source.told("ack", "2")

    assert reason in source.reason
    assert mediator.started == [2]


async def test_unknown_names_can_be_ignored(clock: FakeClock) -> None:
    source = ScriptedSource(message(1, name="Lost"), message(2, body=b"{"))

    async with consumer_of(source, Mediator(), clock, unknown="ignore") as consumer:
        await source.told("ack", "1")
        await source.told("dead_letter", "2", 1)

    assert (consumer.statistics.ignored, consumer.statistics.handled) == (1, 0)


async def test_a_deserialization_error_of_a_handler_is_a_failure_like_others(clock: FakeClock) -> None:
    from cqrs.deserializers import DeserializeJsonError

    source = ScriptedSource(message(1))
    mediator = Mediator(failing(1, lambda: DeserializeJsonError("Answer", "of another service")))

    async with consumer_of(source, mediator, clock):
        await clock.elapse(1)
        await source.told("ack", "1")


async def test_a_name_may_become_known_later(clock: FakeClock) -> None:
    events: dict[str, Any] = {}
    source, mediator = ScriptedSource(), Mediator()

    async with Consumer(source, mediator, events):
        events["Counted"] = Counted
        source.feed(message(1))
        await source.told("ack", "1")


async def test_a_name_may_come_to_stand_for_another_type(clock: FakeClock) -> None:
    @dataclasses.dataclass
    class Newer:
        number: str

    seen: list[Any] = []

    class Noting:
        async def send(self, event: Any) -> None:
            seen.append(type(event))

    events: dict[str, Any] = {"Counted": Counted}
    source = ScriptedSource(message(1))
    async with Consumer(source, Noting(), events):
        await source.told("ack", "1")
        events["Counted"] = Newer
        source.feed(message(2))
        await source.told("ack", "2")

    assert seen == [Counted, Newer]


async def test_an_open_circuit_costs_no_attempt(clock: FakeClock) -> None:
    source = ScriptedSource(message(1), gives_back=True)
    rejections = failing(9, lambda: CircuitOpenError("shop", retry_after=30.0))

    async with consumer_of(source, Mediator(rejections), clock, max_attempts=2) as consumer:
        await turns()
        mediator_waits = clock.sleepers
        await clock.elapse(9 * 60)
        await source.told("ack", "1")

    assert mediator_waits >= 2
    assert source.told_of("retry") == []
    assert (consumer.statistics.rejected, consumer.statistics.failed) == (9, 0)


async def test_a_group_of_nothing_but_rejections_is_one(clock: FakeClock) -> None:
    def both() -> BaseException:
        return ExceptionGroup("", [CircuitOpenError("a", retry_after=5.0), CircuitOpenError("b")])

    def mixed() -> BaseException:
        return ExceptionGroup("", [CircuitOpenError("a", retry_after=5.0), ValueError()])

    source = ScriptedSource(message(1))
    async with consumer_of(source, Mediator(failing(1, both)), clock, max_attempts=1):
        await turns()
        await clock.elapse(4.9)
        assert source.told_of("ack") == []
        await clock.elapse(0.1)
        await source.told("ack", "1")
    source = ScriptedSource(message(1))
    async with consumer_of(source, Mediator(failing(1, mixed)), clock, max_attempts=1):
        await source.told("dead_letter", "1", 1)


async def test_a_rejection_that_says_not_how_long_is_waited_for_longer_each_time(clock: FakeClock) -> None:
    source = ScriptedSource(message(1))
    mediator = Mediator(failing(3, lambda: CircuitOpenError("shop")))

    async with consumer_of(source, mediator, clock):
        await clock.elapse(1 + 2 + 3.9)
        assert len(mediator.started) == 3
        await clock.elapse(0.1)
        await source.told("ack", "1")


async def test_a_failure_in_between_ends_the_growth_of_those_pauses(clock: FakeClock) -> None:
    errors = [CircuitOpenError("shop"), CircuitOpenError("shop"), ValueError(), CircuitOpenError("shop")]

    async def handle(_: int) -> None:
        if errors:
            raise errors.pop(0)

    source = ScriptedSource(message(1))
    async with consumer_of(source, Mediator(handle), clock):
        await clock.elapse(1 + 2 + 1 + 0.9)
        assert source.told_of("ack") == []
        await clock.elapse(0.1)
        await source.told("ack", "1")


@pytest.mark.parametrize(
    ("answer", "call"), [("dead_letter", ("dead_letter", "1", 1)), ("ignore", ("ack", "1"))]
)
async def test_on_error_may_decide(clock: FakeClock, answer: str, call: tuple[Any, ...]) -> None:
    asked: list[Any] = []

    def on_error(received: Any, error: Exception, attempt: int) -> Any:
        asked.append((received.position, str(error), attempt))
        return answer

    source = ScriptedSource(message(1))
    async with consumer_of(source, Mediator(failing(9)), clock, on_error=on_error):
        await source.told(*call)

    assert asked == [("1", "not now", 1)]


@pytest.mark.parametrize("wrong", ["raises", "nonsense", None, "retry"])
async def test_else_it_is_tried_again(clock: FakeClock, wrong: str | None) -> None:
    def on_error(*_: Any) -> Any:
        if wrong == "raises":
            raise LookupError("on_error itself")
        return wrong

    source = ScriptedSource(message(1))
    async with consumer_of(source, Mediator(failing(1)), clock, on_error=on_error):
        await clock.elapse(1)
        await source.told("ack", "1")


async def test_dead_letters_can_go_elsewhere(clock: FakeClock) -> None:
    aside: list[Any] = []

    async def dead_letter(received: Any, reason: str, attempts: int) -> None:
        aside.append((received.position, reason, attempts))

    source = ScriptedSource(message(1))
    async with consumer_of(
        source, Mediator(failing(9)), clock, dead_letter=dead_letter, max_attempts=1
    ) as consumer:
        await source.told("ack", "1")

    assert aside == [("1", "ValueError: not now", 1)]
    assert (consumer.statistics.dead_lettered, consumer.statistics.handled) == (1, 0)


@pytest.mark.parametrize("error", [BrokerUnavailableError, MessageRefusedError, OSError])
async def test_putting_aside_is_tried_until_it_succeeds(clock: FakeClock, error: type[Exception]) -> None:
    source, mediator = ScriptedSource(message(1)), Mediator(failing(9))
    source.errors["dead_letter"] = [error("dead", "no") for _ in range(3)]

    async with consumer_of(source, mediator, clock, max_attempts=1):
        await clock.elapse(1 + 2 + 4)
        await source.told("dead_letter", "1", 1)

    assert mediator.started == [1]


async def test_what_could_not_be_acknowledged_is_left_to_the_broker(clock: FakeClock) -> None:
    source, mediator = ScriptedSource(message(1, ordering="a"), message(2, ordering="a")), Mediator()
    source.errors["ack"] = [BrokerUnavailableError("numbers", "connection lost") for _ in range(3)]

    async with consumer_of(source, mediator, clock) as consumer:
        await clock.elapse(1 + 2)
        await source.told("ack", "2")

    assert mediator.started == [1, 2]
    assert (consumer.statistics.unsettled, consumer.statistics.handled) == (1, 1)
    assert source.told_of("release") == []


async def test_an_acknowledgement_is_tried_again_and_not_the_handlers(clock: FakeClock) -> None:
    source, mediator = ScriptedSource(message(1)), Mediator()
    source.errors["ack"] = [BrokerUnavailableError("numbers", "too slow"), OSError("hiccup")]

    async with consumer_of(source, mediator, clock):
        await clock.elapse(1 + 2)
        await source.told("ack", "1")

    assert mediator.started == [1]


async def test_what_could_not_be_given_back_is_tried_again_in_process(clock: FakeClock) -> None:
    source, mediator = ScriptedSource(message(1), gives_back=True), Mediator(failing(1))
    source.errors["retry"] = [BrokerUnavailableError("numbers", "not published")]

    async with consumer_of(source, mediator, clock):
        await clock.elapse(1)
        await source.told("ack", "1")

    assert mediator.started == [1, 1]


async def test_the_broker_is_told_what_is_still_in_work(clock: FakeClock) -> None:
    gate = asyncio.Event()
    source = ScriptedSource(message(1, ordering="a"), message(2, ordering="a"))
    source.errors["extend"] = [BrokerUnavailableError("numbers", "hiccup")]

    async with consumer_of(source, Mediator(lambda _: gate.wait()), clock, extend_interval=5.0):
        await clock.elapse(5)
        assert source.told_of("extend") == ["2"]
        await clock.elapse(5)
        assert source.told_of("extend") == ["2", "1", "2"]
        gate.set()
        await source.told("ack", "2")
        await clock.elapse(10)
        assert source.told_of("extend") == ["2", "1", "2"]


async def test_a_handler_that_hangs_is_cut_off(clock: FakeClock) -> None:
    cancelled: list[int] = []

    async def hang(number: int) -> None:
        if number == 1 and not cancelled:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.append(number)

    source = ScriptedSource(message(1), message(2))
    async with consumer_of(source, Mediator(hang), clock, handler_timeout=0.01):
        await source.told("retry", "1", 1.0)
        await source.told("ack", "2")
        await clock.elapse(1)
        await source.told("ack", "1")

    assert cancelled == [1]


async def test_the_reason_of_a_timeout_is_told(clock: FakeClock) -> None:
    source = ScriptedSource(message(1))
    arguments = {"handler_timeout": 0.01, "max_attempts": 1}

    async with consumer_of(source, Mediator(lambda _: asyncio.Event().wait()), clock, **arguments):
        await source.told("dead_letter", "1", 1)

    assert source.reason == "TimeoutError: the handlers did not end within 0.01 s"


async def test_a_timeout_error_of_the_handler_itself_stays_what_it_is(clock: FakeClock) -> None:
    source, mediator = ScriptedSource(message(1)), Mediator(failing(1, lambda: TimeoutError("its own")))

    async with consumer_of(source, mediator, clock, handler_timeout=60, max_attempts=1):
        await source.told("dead_letter", "1", 1)

    assert source.reason == "TimeoutError: its own"


async def test_a_handler_that_cancels_itself_costs_nobody_the_message(clock: FakeClock) -> None:
    async def suicide(number: int) -> None:
        if mediator.started.count(number) < 3:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

    source, mediator = ScriptedSource(message(1), message(2)), Mediator(suicide)
    async with consumer_of(source, mediator, clock, max_attempts=3):
        await clock.elapse(3)
        await source.told("ack", "1")
        await source.told("ack", "2")


async def test_a_cancelled_error_from_within_is_a_failure_in_the_end(clock: FakeClock) -> None:
    source = ScriptedSource(message(1))
    mediator = Mediator(failing(9, asyncio.CancelledError))

    async with consumer_of(source, mediator, clock, max_attempts=2) as consumer:
        await clock.elapse(1)
        await source.told("dead_letter", "1", 2)

    assert consumer.statistics.failed == 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"source": 7},
        {"mediator": 7},
        {"events": 7},
        {"events": {"Counted": "Counted"}},
        {"deserializer": 7},
        {"concurrency": 0},
        {"max_attempts": 0},
        {"dead_letter": 7},
        {"inbox": 7},
        {"on_error": 7},
        {"on_error": failing(1)},  # async: nobody would await its answer
        {"unknown": "perhaps"},
        {"backoff": 1.0},
        {"reconnect": 1.0},
        {"sleep": 1.0},
        {"handler_timeout": 0},
        {"max_pending": 3, "concurrency": 4},
        {"extend_interval": 0},
        {"stop_timeout": -1},
    ],
    ids=lambda it: next(iter(it)),
)
def test_bad_arguments_are_refused(arguments: dict[str, Any]) -> None:
    good: dict[str, Any] = {"source": ScriptedSource(), "mediator": Mediator(), "events": {}}

    with pytest.raises(ConfigurationError):
        Consumer(**{**good, **arguments})


def test_the_scripts_are_sources() -> None:
    from cqrs.message_brokers.receiving import MessageSource, PausableSource

    assert isinstance(ScriptedSource(), MessageSource)
    assert not isinstance(ScriptedSource(), PausableSource)
    assert isinstance(PausableScript(), PausableSource)
    assert json.loads(message(1).body) == {"number": 1}


async def test_a_deserializer_that_cancels_its_task_costs_attempts(clock: FakeClock) -> None:
    def deserializer(_: type[Any]) -> Any:
        def read(_: bytes) -> Any:
            raise asyncio.CancelledError

        return read

    source = ScriptedSource(message(1, ordering="a"), message(2, ordering="b", name="Unknown"))
    async with consumer_of(source, Mediator(), clock, deserializer=deserializer, max_attempts=2):
        await source.told("dead_letter", "2", 1)
        await clock.elapse(1)
        await source.told("dead_letter", "1", 2)


async def test_another_error_of_a_deserializer_costs_attempts(clock: FakeClock) -> None:
    """Its own failure, such as a registry of schemas that does not answer, says nothing about the message."""
    errors = [ConnectionError("the registry is down")]

    def read(body: bytes) -> Any:
        if errors:
            raise errors.pop()
        return Counted(**json.loads(body))

    source, mediator = ScriptedSource(message(1)), Mediator()
    async with consumer_of(source, mediator, clock, deserializer=lambda _: read) as consumer:
        await clock.elapse(1)
        await source.told("ack", "1")

    assert mediator.ended == [1]
    assert consumer.statistics.failed == 1
