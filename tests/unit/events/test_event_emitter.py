"""Where an event goes: to its handlers, to the broker, or nowhere."""

from __future__ import annotations

from typing import Any

import pytest

import cqrs
from cqrs.container import BuiltinContainer
from cqrs.events import EventEmitter, EventMap
from cqrs.exceptions import ConfigurationError, ResolutionError
from cqrs.message_brokers.protocol import Message
from tests.unit.dispatcher.breakers import CallBreaker

log: list[Any] = []


@pytest.fixture(autouse=True)
def _clean() -> None:
    log.clear()


class Joined(cqrs.DomainEvent):
    name: str = "Ada"


class PlainEvent(cqrs.Event):
    pass


class Anything:
    pass


class Announced(cqrs.NotificationEvent[dict[str, int]]):
    pass


class First(cqrs.EventHandler[Any]):
    async def handle(self, event: Any) -> None:
        log.append(type(self).__name__)


class Second(First): ...


class Third(First): ...


class Broker:
    def __init__(self) -> None:
        self.sent: list[Message] = []

    async def send_message(self, message: Message) -> None:
        self.sent.append(message)


def emitter(bindings: dict[type, Any], broker: Any = None) -> EventEmitter:
    return EventEmitter(EventMap(bindings), BuiltinContainer(), broker)


@pytest.mark.parametrize("kind", [Joined, PlainEvent, Anything])
async def test_an_event_reaches_its_handlers_in_the_order_in_which_they_were_bound(kind: Any) -> None:
    assert await emitter({kind: [Second, First, Third]}).emit(kind()) == []
    assert log == ["Second", "First", "Third"]


async def test_an_event_that_nothing_is_bound_to_is_for_nobody() -> None:
    assert await emitter({Joined: [First]}).emit(Anything()) == []
    assert log == []


async def test_a_handler_that_is_bound_later_takes_part() -> None:
    events = EventMap({Joined: [First]})
    emit = EventEmitter(events, BuiltinContainer()).emit
    await emit(Joined())
    events.bind(Joined, Second)
    await emit(Joined())
    assert log == ["First", "First", "Second"]


async def test_follow_ups_are_returned_in_the_order_of_the_handlers() -> None:
    class Leads(First):
        @property
        def events(self) -> tuple[object, ...]:
            return (f"{type(self).__name__} 1", f"{type(self).__name__} 2")

    class LeadsToo(Leads): ...

    follow_ups = await emitter({Joined: [Leads, First, LeadsToo]}).emit(Joined())
    assert follow_ups == ["Leads 1", "Leads 2", "LeadsToo 1", "LeadsToo 2"]
    assert isinstance(follow_ups, list)


async def test_the_first_error_ends_it() -> None:
    class Fails(First):
        async def handle(self, event: Any) -> None:
            raise ConnectionError("mail")

    with pytest.raises(ConnectionError, match="mail"):
        await emitter({Joined: [First, Fails, Third]}).emit(Joined())
    assert log == ["First"]


class Sends(cqrs.EventHandler[Joined]):
    async def handle(self, event: Joined) -> None:
        log.append("sends")
        raise ConnectionError("mail")


class Queues(cqrs.EventHandler[Joined]):
    async def handle(self, event: Joined) -> None:
        log.append("queues")

    @property
    def events(self) -> list[object]:
        return [Anything()]


async def test_a_fallback_takes_over_and_its_events_follow() -> None:
    breaker = CallBreaker(2)
    pair = cqrs.EventHandlerFallback(Sends, Queues, (ConnectionError,), breaker)
    emit = emitter({Joined: [pair, First]}).emit
    for _ in range(3):
        (follow_up,) = await emit(Joined())
        assert isinstance(follow_up, Anything)
    assert log == ["sends", "queues", "First"] * 2 + ["queues", "First"]


async def test_a_notification_goes_to_the_broker_and_only_there() -> None:
    broker = Broker()
    event = Announced(event_name="announced", payload={"a": 1}, topic="news", headers={"trace": "x"})
    assert await emitter({Announced: [First]}, broker).emit(event) == []
    assert broker.sent == [Message("announced", "news", event.to_dict(), event.event_id, {"trace": "x"})]
    assert log == []


async def test_what_belongs_together_has_the_same_key() -> None:
    class Keyed(Announced):
        @property
        def partition_key(self) -> int:
            return self.payload["a"]

    broker = Broker()
    emit = emitter({}, broker).emit
    await emit(Keyed(event_name="announced", payload={"a": 7}))
    await emit(Announced(event_name="announced", payload={"a": 7}))
    assert [message.key for message in broker.sent] == ["7", None]


async def test_a_notification_without_a_broker_is_an_error() -> None:
    event = Announced(event_name="announced", payload={"a": 1})
    with pytest.raises(RuntimeError, match=r"notification event Announced.* cannot be sent"):
        await emitter({}).emit(event)


def test_a_broker_must_take_messages() -> None:
    with pytest.raises(ConfigurationError, match="send_message"):
        emitter({}, object())


async def test_a_handler_that_cannot_be_built_is_an_error_before_any_handler_runs() -> None:
    class Missing:
        pass

    class Needs(First):
        def __init__(self, missing: Missing) -> None: ...

    with pytest.raises(ResolutionError):
        await emitter({Joined: [First, Needs]}).emit(Joined())
    assert log == []
