"""Dependencies with a lifetime stay open as long as they are needed, and are closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

import cqrs
from cqrs.container import BuiltinContainer, Lifetime
from cqrs.requests.bootstrap import bootstrap_streaming
from tests.integration.dispatch.messages import Journal, Order, Ordered, Reply, mediator_of


class Session:
    open = True


def session_container(log: list[str]) -> BuiltinContainer:
    async def session() -> AsyncIterator[Session]:
        opened = Session()
        log.append("open")
        try:
            yield opened
        finally:
            opened.open = False
            log.append("close")

    return BuiltinContainer().register(Session, session, lifetime=Lifetime.SCOPED)


class UseSession(cqrs.RequestHandler[Order, Reply]):
    act: Callable[[], Any] | None = None

    def __init__(self, session: Session) -> None:
        self.session = session
        self.recorded: list[Any] = []

    @property
    def events(self) -> list[Any]:
        return self.recorded

    async def handle(self, request: Order) -> Reply:
        assert self.session.open
        self.recorded.append(Ordered(number=request.number))
        if self.act is not None:
            await type(self).act()  # type: ignore[misc]
        return Reply(by="session")


class CheckSession(cqrs.EventHandler[Ordered]):
    def __init__(self, session: Session, journal: Journal) -> None:
        self.session = session
        self.journal = journal

    async def handle(self, event: Ordered) -> None:
        self.journal.append(self.session.open)


async def test_a_scopes_dependencies_are_open_through_the_events_and_closed_after_them() -> None:
    log: list[str] = []
    journal = Journal()
    mediator = mediator_of(UseSession, CheckSession, container=session_container(log), journal=journal)
    await mediator.send(Order())
    assert journal == [True]
    assert log == ["open", "close"]


async def test_a_scope_is_closed_after_an_error() -> None:
    async def fail() -> None:
        raise ConnectionError("refused")

    class Failing(UseSession):
        act = fail

    log: list[str] = []
    with pytest.raises(ConnectionError):
        await mediator_of(Failing, container=session_container(log)).send(Order())
    assert log == ["open", "close"]


async def test_a_scope_is_closed_after_a_cancellation() -> None:
    started = asyncio.Event()

    async def hang() -> None:
        started.set()
        await asyncio.Event().wait()

    class Hanging(UseSession):
        act = hang

    log: list[str] = []
    task = asyncio.create_task(mediator_of(Hanging, container=session_container(log)).send(Order()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["open", "close"]


async def test_a_streams_scope_is_open_between_items_and_closed_when_it_is_left() -> None:
    class Items(cqrs.StreamingRequestHandler[Order, Reply]):
        def __init__(self, session: Session) -> None:
            self.session = session

        async def handle(self, request: Order) -> AsyncIterator[Reply]:
            for _ in range(3):
                assert self.session.open
                yield Reply(by="items")

    log: list[str] = []
    mediator = bootstrap_streaming(
        session_container(log), queries_mapper=lambda mapper: mapper.bind(Order, Items)
    )
    stream = mediator.stream(Order())
    await anext(stream)
    await anext(stream)
    assert log == ["open"]
    await stream.aclose()
    assert log == ["open", "close"]
