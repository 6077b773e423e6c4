"""The kinds of message that a fallback can answer, under one handle for the table of situations.

A world binds one message to a primary and its fallbacks. What each of them does is set from the test; what
was built, called, closed and delivered is written down.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

import cqrs
from cqrs.middlewares.base import MiddlewareChain
from tests.breakers import Rig

Act = Callable[[], Awaitable[None]]


class Role:
    """What one handler does: run ``act``, raise ``error`` if set; a stream yields ``items`` before."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.error: BaseException | None = None
        self.act: Act | None = None
        self.items = 1
        self.resolution_error: Exception | None = None
        self.built = 0
        self.called = 0
        self.closed = 0
        self.finished = 0
        self.cleared = 0

    async def behave(self) -> None:
        if self.act is not None:
            await self.act()
        if self.error is not None:
            raise self.error


class Happened(cqrs.DomainEvent):
    """What every handler records when it is called."""

    by: str


class Container:
    """Builds handler classes by calling them, and writes that down."""

    def __init__(self, roles: dict[type[Any], Role]) -> None:
        self._roles = roles
        self.keeps_instances = False
        self._instances: dict[type[Any], Any] = {}

    async def resolve(self, type_: type[Any]) -> Any:
        role = self._roles.get(type_)
        if role is not None:
            if role.resolution_error is not None:
                raise role.resolution_error
            role.built += 1
        if not self.keeps_instances:
            return type_()
        if type_ not in self._instances:
            self._instances[type_] = type_()
        return self._instances[type_]


class World(ABC):
    """One message, its primary, its fallbacks, and what happened to them.

    Args:
        rig: guards the primary.
        failure_exceptions: given to the declaration.
        depth: number of fallbacks; two make a chain of fallbacks.
        middlewares: run for each message.
        after_items: given to the declaration of a stream.
    """

    kind = ""

    def __init__(
        self,
        rig: Rig,
        failure_exceptions: tuple[type[Exception], ...] = (),
        *,
        depth: int = 1,
        middlewares: Sequence[Any] = (),
        after_items: str = "fallback",
    ) -> None:
        self.rig = rig
        self.primary = Role("primary")
        self.fallback = Role("fallback")
        self.second = Role("second")
        self.delivered: list[str] = []
        self.follow_up_error: Exception | None = None
        self.roles: dict[type[Any], Role] = {}
        self.middlewares = middlewares
        self.after_items = after_items
        self.container = Container(self.roles)
        used = (self.primary, self.fallback, self.second)[: depth + 1]
        classes = [self._handler(role) for role in used]
        self.roles.update(zip(classes, used, strict=True))
        self.primary_class = classes[0]
        declaration = self._declare(classes[-2], classes[-1], failure_exceptions)
        for handler in reversed(classes[:-2]):
            declaration = self._declare(handler, declaration, failure_exceptions)
        self._bind(declaration)

    @abstractmethod
    def _handler(self, role: Role) -> type[Any]:
        """Return a handler class that plays ``role``."""

    @abstractmethod
    def _declare(self, primary: Any, fallback: Any, failures: tuple[type[Exception], ...]) -> Any:
        """Return the declaration of the pair."""

    @abstractmethod
    def _bind(self, declaration: Any) -> None:
        """Bind the declaration to the message and build the mediator."""

    @abstractmethod
    async def send(self) -> str:
        """Send the message; returns the name of the role that answered (last)."""

    async def fail_until_open(self) -> None:
        """Let the primary fail until its circuit is open; ``fallback`` answers meanwhile."""
        await self.rig.trip(self.primary_class)

    def events(self) -> cqrs.EventMap:
        world = self

        class WriteDown(cqrs.EventHandler[Happened]):
            async def handle(self, event: Happened) -> None:
                world.delivered.append(event.by)
                if world.follow_up_error is not None:
                    raise world.follow_up_error

        events = cqrs.EventMap()
        events.bind(Happened, WriteDown)
        return events


def chain_of(middlewares: Sequence[Any]) -> MiddlewareChain:
    chain = MiddlewareChain()
    for middleware in middlewares:
        chain.add(middleware)
    return chain


class Answer(cqrs.Response):
    by: str


class RequestWorld(World):
    kind = "request"

    def _handler(self, role: Role) -> type[Any]:
        class Handler(cqrs.RequestHandler[Ask, Answer]):
            def __init__(self) -> None:
                self.recorded: list[cqrs.IEvent] = []

            @property
            def events(self) -> list[cqrs.IEvent]:
                return self.recorded

            async def handle(self, request: Ask) -> Answer:
                role.called += 1
                self.recorded.append(Happened(by=role.name))
                try:
                    await role.behave()
                finally:
                    role.closed += 1
                role.finished += 1
                return Answer(by=role.name)

        return Handler

    def _declare(self, primary: Any, fallback: Any, failures: tuple[type[Exception], ...]) -> Any:
        return cqrs.RequestHandlerFallback(primary, fallback, failures, self.rig.breaker)

    def _bind(self, declaration: Any) -> None:
        requests = cqrs.RequestMap()
        requests.bind(Ask, self._binding(declaration))
        events = self.events()
        self.mediator = cqrs.RequestMediator(
            requests,
            self.container,
            cqrs.EventEmitter(events, self.container),
            chain_of(self.middlewares),
            events,
        )

    def _binding(self, declaration: Any) -> Any:
        return declaration

    async def send(self) -> str:
        answer: Answer = await self.mediator.send(Ask())
        return answer.by


class Ask(cqrs.Request[Answer]):
    pass


class LinkWorld(RequestWorld):
    """The pair is the second link of a chain of three; the first passes on, the third is never reached."""

    kind = "chain link"

    def _handler(self, role: Role) -> type[Any]:
        class Link(cqrs.CORRequestHandler[Ask, Answer]):
            def __init__(self) -> None:
                self.recorded: list[cqrs.IEvent] = []

            @property
            def events(self) -> list[cqrs.IEvent]:
                return self.recorded

            async def handle(self, request: Ask) -> Answer | None:
                role.called += 1
                self.recorded.append(Happened(by=role.name))
                try:
                    await role.behave()
                finally:
                    role.closed += 1
                role.finished += 1
                return Answer(by=role.name)

        return Link

    def _binding(self, declaration: Any) -> Any:
        class First(cqrs.CORRequestHandler[Ask, Answer]):
            async def handle(self, request: Ask) -> Answer | None:
                return await self.next(request)

        class Last(cqrs.CORRequestHandler[Ask, Answer]):
            async def handle(self, request: Ask) -> Answer | None:
                raise AssertionError("the last link was reached")

        return [First, declaration, Last]


class StreamWorld(World):
    kind = "stream"

    def _handler(self, role: Role) -> type[Any]:
        class Handler(cqrs.StreamingRequestHandler[Ask, Answer]):
            def __init__(self) -> None:
                self.recorded: list[cqrs.IEvent] = []

            @property
            def events(self) -> list[cqrs.IEvent]:
                return self.recorded

            def clear_events(self) -> None:
                role.cleared += 1
                self.recorded.clear()

            async def handle(self, request: Ask) -> AsyncIterator[Answer]:
                role.called += 1
                try:
                    for _ in range(role.items):
                        self.recorded.append(Happened(by=role.name))
                        yield Answer(by=role.name)
                    self.recorded.append(Happened(by=f"{role.name} after its items"))
                    await role.behave()
                finally:
                    for _ in range(5):
                        await asyncio.sleep(0)  # closing that nobody waits for would be seen as not closed
                    role.closed += 1
                role.finished += 1

        return Handler

    def _declare(self, primary: Any, fallback: Any, failures: tuple[type[Exception], ...]) -> Any:
        more: Any = {"after_items": self.after_items}
        return cqrs.RequestHandlerFallback(primary, fallback, failures, self.rig.breaker, **more)

    def _bind(self, declaration: Any) -> None:
        requests = cqrs.RequestMap()
        requests.bind(Ask, declaration)
        events = self.events()
        self.mediator = cqrs.StreamingRequestMediator(
            requests,
            self.container,
            cqrs.EventEmitter(events, self.container),
            chain_of(self.middlewares),
            events,
        )

    async def items(self) -> list[str]:
        """Send the message; returns who yielded each item."""
        got: list[str] = []
        async with aclosing(self.mediator.stream(Ask())) as answers:
            async for answer in answers:
                got.append(answer.by)
        return got

    async def send(self) -> str:
        return (await self.items() or ["nobody"])[-1]


class Told(cqrs.DomainEvent):
    pass


class EventWorld(World):
    """The events of its handlers are follow-ups."""

    kind = "event"

    def _handler(self, role: Role) -> type[Any]:
        class Handler(cqrs.EventHandler[Told]):
            def __init__(self) -> None:
                self.recorded: list[cqrs.IEvent] = []

            @property
            def events(self) -> list[cqrs.IEvent]:
                return self.recorded

            async def handle(self, event: Told) -> None:
                role.called += 1
                self.recorded.append(Happened(by=role.name))
                try:
                    await role.behave()
                finally:
                    role.closed += 1
                role.finished += 1

        return Handler

    def _declare(self, primary: Any, fallback: Any, failures: tuple[type[Exception], ...]) -> Any:
        return cqrs.EventHandlerFallback(primary, fallback, failures, self.rig.breaker)

    def _bind(self, declaration: Any) -> None:
        world = self
        events = self.events()
        events.bind(Told, declaration)

        class Tell(cqrs.RequestHandler[Ask, Answer]):
            def __init__(self) -> None:
                self.recorded: list[cqrs.IEvent] = []

            @property
            def events(self) -> list[cqrs.IEvent]:
                return self.recorded

            async def handle(self, request: Ask) -> Answer:
                world.told += 1
                self.recorded.append(Told())
                return Answer(by="teller")

        self.told = 0
        self.event_map = events
        requests = cqrs.RequestMap()
        requests.bind(Ask, Tell)
        self.mediator = cqrs.RequestMediator(
            requests,
            self.container,
            cqrs.EventEmitter(events, self.container),
            chain_of(self.middlewares),
            events,
        )

    def event_mediator(self, *middlewares: Any) -> cqrs.EventMediator:
        """Return a mediator for events that came from outside, with middlewares."""
        return cqrs.EventMediator(self.event_map, self.container, chain_of(middlewares))

    async def send(self) -> str:
        before = {role.name: role.finished for role in (self.primary, self.fallback, self.second)}
        await self.mediator.send(Ask())
        for role in (self.primary, self.fallback, self.second):
            if role.finished > before[role.name]:
                return role.name
        return "nobody"


WORLDS: dict[str, type[World]] = {
    world.kind: world for world in (RequestWorld, LinkWorld, StreamWorld, EventWorld)
}
