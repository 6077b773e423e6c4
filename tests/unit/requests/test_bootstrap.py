"""Wiring: what is given where, once, and refused early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import di
import pytest

import cqrs
from cqrs.container import BuiltinContainer
from cqrs.exceptions import ConfigurationError
from cqrs.message_brokers.devnull import MESSAGE_BUS
from cqrs.message_brokers.protocol import Message
from cqrs.requests.bootstrap import (
    bootstrap,
    bootstrap_streaming,
    setup_event_emitter,
    setup_mediator,
    setup_streaming_mediator,
)

log: list[Any] = []


@pytest.fixture(autouse=True)
def _clean() -> None:
    log.clear()


class Command:
    pass


class Query:
    pass


class Happened:
    pass


class Announced(cqrs.NotificationEvent[dict[str, int]]):
    pass


class OnCommand(cqrs.RequestHandler[Command, str]):
    @property
    def events(self) -> tuple[object, ...]:
        return (Happened(), Announced(event_name="announced", payload={}))

    async def handle(self, request: Command) -> str:
        return "command"


class OnQuery(cqrs.StreamingRequestHandler[Query, str]):
    async def handle(self, request: Query) -> AsyncIterator[str]:
        yield "query"


class OnHappened(cqrs.EventHandler[Happened]):
    async def handle(self, event: Happened) -> None:
        log.append("event")


class Broker:
    async def send_message(self, message: Message) -> None:
        log.append(f"sent {message.message_name}")


def commands(mapper: cqrs.RequestMap) -> None:
    log.append("commands")
    mapper.bind(Command, OnCommand)


def queries(mapper: cqrs.RequestMap) -> None:
    log.append("queries")
    mapper.bind(Query, OnQuery)


def events(mapper: cqrs.EventMap) -> None:
    log.append("events")
    mapper.bind(Happened, OnHappened)


class Counting:
    async def __call__(self, request: Any, handle: Any) -> Any:
        log.append("middleware")
        return await handle(request)


async def test_everything_given_by_position_arrives() -> None:
    mediator = bootstrap(
        BuiltinContainer(),
        Broker(),
        [Counting],
        commands,
        events,
        queries,
        [lambda: log.append("up")],
        2,
        True,
    )
    assert sorted(log) == ["commands", "events", "queries", "up"]
    log.clear()
    assert await mediator.send(Command()) == "command"
    assert log[0] == "middleware"
    assert sorted(log[1:]) == ["event", "sent announced"]


async def test_streams_are_wired_the_same_way() -> None:
    mediator = bootstrap_streaming(
        BuiltinContainer(),
        Broker(),
        [Counting()],
        commands,
        events,
        queries,
        [lambda: log.append("up")],
        2,
        True,
    )
    assert sorted(log) == ["commands", "events", "queries", "up"]
    log.clear()
    assert [item async for item in mediator.stream(Query())] == ["query"]
    assert log == ["middleware"]


async def test_without_a_broker_notifications_end_in_the_devnull_broker() -> None:
    MESSAGE_BUS.clear()
    await bootstrap(BuiltinContainer(), commands_mapper=commands).send(Command())
    assert [message.message_name for message in MESSAGE_BUS] == ["announced"]


async def test_two_calls_wire_two_independent_mediators() -> None:
    container = BuiltinContainer()
    one = bootstrap(container, commands_mapper=commands, domain_events_mapper=events, message_broker=Broker())
    two = bootstrap(container, commands_mapper=commands)
    log.clear()
    await two.send(Command())
    assert log == []
    await one.send(Command())
    assert log == ["event", "sent announced"]


async def test_the_container_of_a_library_is_wrapped() -> None:
    assert await bootstrap(di.Container(), commands_mapper=commands).send(Command()) == "command"


async def test_the_parts_can_be_set_up_one_by_one() -> None:
    container = BuiltinContainer()
    emitter = setup_event_emitter(container, events, Broker())
    mediator = setup_mediator(emitter, container, [Counting], commands, queries)
    streams = setup_streaming_mediator(emitter, container, [], commands, queries)
    log.clear()
    await mediator.send(Command())
    assert log == ["middleware", "event", "sent announced"]
    assert [item async for item in streams.stream(Query())] == ["query"]


async def test_async_startup_is_awaited_at_first_use_even_if_that_is_cancelled() -> None:
    gate = asyncio.Event()

    async def connect() -> None:
        log.append("connecting")
        await gate.wait()
        log.append("connected")

    mediator = bootstrap(BuiltinContainer(), commands_mapper=commands, on_startup=[connect])
    first = asyncio.create_task(mediator.send(Command()))
    for _ in range(3):
        await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    others = [asyncio.create_task(mediator.send(Command())) for _ in range(3)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*others) == ["command"] * 3
    assert log == ["commands", "connecting", "connected"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"di_container": object()},
        {"di_container": BuiltinContainer},
        {"di_container": BuiltinContainer(), "message_broker": object()},
        {"di_container": BuiltinContainer(), "middlewares": [42]},
        {"di_container": BuiltinContainer(), "on_startup": ["connect"]},
        {"di_container": BuiltinContainer(), "max_concurrent_event_handlers": 0},
        {"di_container": BuiltinContainer(), "event_errors": "ignore"},
    ],
)
@pytest.mark.parametrize("wire", [bootstrap, bootstrap_streaming])
def test_wrong_arguments_are_refused_when_wiring(wire: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        wire(**arguments)
