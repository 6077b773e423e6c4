"""Events from outside: handlers, then their follow-ups."""

from __future__ import annotations

from typing import Any

import pytest

import cqrs
from cqrs.container import BuiltinContainer
from cqrs.dispatcher import EventDispatcher
from cqrs.events.bootstrap import bootstrap, setup_mediator
from cqrs.mediator import EventMediator
from cqrs.message_brokers.protocol import Message

log: list[Any] = []


@pytest.fixture(autouse=True)
def _clean() -> None:
    log.clear()


class Received(cqrs.NotificationEvent[dict[str, int]]):
    pass


class Second:
    pass


class OnReceived(cqrs.EventHandler[Received]):
    @property
    def events(self) -> list[object]:
        return [Second(), Received(event_name="again", payload={})]

    async def handle(self, event: Received) -> None:
        log.append(f"received {event.event_name}")


class OnSecond(cqrs.EventHandler[Second]):
    async def handle(self, event: Second) -> None:
        log.append("second")


class Broker:
    async def send_message(self, message: Message) -> None:
        log.append(f"sent {message.message_name}")


def mapper(events: cqrs.EventMap) -> None:
    log.append("mapped")
    events.bind(Received, OnReceived)
    events.bind(Second, OnSecond)


def event() -> Received:
    return Received(event_name="first", payload={"a": 1})


async def test_follow_ups_are_processed_and_notifications_go_to_the_broker() -> None:
    mediator = bootstrap(BuiltinContainer(), events_mapper=mapper, message_broker=Broker())
    await mediator.send(event())
    await mediator.send(event())
    assert log == ["mapped", *["received first", "second", "sent again"] * 2]


async def test_an_unknown_event_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    await setup_mediator(BuiltinContainer()).send(event())
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_async_startup_runs_before_the_first_event() -> None:
    async def connect() -> None:
        log.append("connected")

    mediator = bootstrap(
        BuiltinContainer(), events_mapper=mapper, on_startup=[connect, lambda: log.append("now")]
    )
    assert log == ["mapped", "now"] or log == ["now", "mapped"]
    await mediator.send(event())
    await mediator.send(event())
    assert log[2] == "connected"
    assert log.count("connected") == 1


async def test_a_dispatcher_of_the_users_own_is_asked() -> None:
    class Own(EventDispatcher):
        async def dispatch(self, event: Any) -> Any:
            log.append("own")
            return await super().dispatch(event)

    events = cqrs.EventMap({Second: [OnSecond]})
    await EventMediator(events, BuiltinContainer(), dispatcher_type=Own).send(Second())
    assert log == ["own", "second"]
