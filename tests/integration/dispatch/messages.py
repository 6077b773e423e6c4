"""Messages and handlers that the tests of dispatch share."""

from __future__ import annotations

from typing import Any

import cqrs
from cqrs.container import BuiltinContainer
from cqrs.requests.bootstrap import bootstrap


class Reply(cqrs.Response):
    by: str


class Order(cqrs.Request[Reply]):
    number: int = 0


class Ordered(cqrs.DomainEvent):
    number: int


class Shipped(cqrs.DomainEvent):
    number: int


class Recording(cqrs.RequestHandler[Order, Reply]):
    """Records one ``Ordered`` per call."""

    def __init__(self) -> None:
        self.recorded: list[Any] = []

    @property
    def events(self) -> Any:
        return self.recorded

    async def handle(self, request: Order) -> Reply:
        self.recorded.append(Ordered(number=request.number))
        return Reply(by=type(self).__name__)


class Journal(list[Any]):
    """Where event handlers write."""


class WriteOrdered(cqrs.EventHandler[Ordered]):
    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    async def handle(self, event: Ordered) -> None:
        self.journal.append(event.number)


def mediator_of(
    handler: Any,
    *event_handlers: Any,
    container: BuiltinContainer | None = None,
    journal: Journal | None = None,
    **options: Any,
) -> cqrs.RequestMediator:
    container = BuiltinContainer() if container is None else container
    container.register_instance(Journal, Journal() if journal is None else journal)

    def events(mapper: cqrs.EventMap) -> None:
        for event_handler in event_handlers:
            mapper.bind(Ordered, event_handler)

    return bootstrap(
        container,
        commands_mapper=lambda mapper: mapper.bind(Order, handler),
        domain_events_mapper=events,
        **options,
    )


class Many(cqrs.Request[Reply]):
    count: int


class RecordMany(cqrs.RequestHandler[Many, Reply]):
    def __init__(self) -> None:
        self.recorded: list[Any] = []

    @property
    def events(self) -> list[Any]:
        return self.recorded

    async def handle(self, request: Many) -> Reply:
        self.recorded = [Ordered(number=n) for n in range(request.count)]
        return Reply(by="many")


class Pair:
    def __init__(self, *handlers: type[Any]) -> None:
        self.handlers = handlers


class RecordTwo(cqrs.RequestHandler[Order, Reply]):
    @property
    def events(self) -> list[Any]:
        return [Ordered(number=0), Ordered(number=1)]

    async def handle(self, request: Order) -> Reply:
        return Reply(by="two")


class ByNumber(cqrs.EventHandler[Ordered]):
    """Hands event n to the n-th handler of the pair."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair

    async def handle(self, event: Ordered) -> None:
        await self.pair.handlers[event.number]().handle(event)
