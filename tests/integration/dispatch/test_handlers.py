"""Middlewares, event loops, generic handlers and missing registrations."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any, Generic, TypeVar

import pytest

import cqrs
from cqrs.container import BuiltinContainer
from cqrs.exceptions import ResolutionError
from cqrs.requests.bootstrap import bootstrap
from tests.breakers import native_consecutive_rig
from tests.integration.dispatch.messages import (
    Journal,
    Order,
    Recording,
    RecordTwo,
    Reply,
    WriteOrdered,
    mediator_of,
)


async def test_a_middleware_that_cannot_render_a_response_does_not_undo_a_committed_command() -> None:
    committed: list[int] = []

    class Unprintable:
        def __repr__(self) -> str:
            raise RuntimeError("cannot be rendered")

        __str__ = __repr__

        def to_dict(self) -> dict[str, Any]:
            raise RuntimeError("cannot be rendered")

    class Command:
        to_dict = Unprintable.to_dict

        def __repr__(self) -> str:
            raise RuntimeError("cannot be rendered")

    class Commit(cqrs.RequestHandler[Command, Any]):
        async def handle(self, request: Command) -> Any:
            committed.append(1)
            return Unprintable()

    logger = logging.getLogger("cqrs")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        mediator = bootstrap(BuiltinContainer(), commands_mapper=lambda mapper: mapper.bind(Command, Commit))
        assert isinstance(await mediator.send(Command()), Unprintable)
    finally:
        logger.setLevel(level)
    assert committed == [1]


@pytest.mark.parametrize("parallel", [False, True])
def test_a_mediator_serves_two_event_loops_in_turn_and_at_once(parallel: bool) -> None:
    journal = Journal()
    rig = native_consecutive_rig()
    mediator = mediator_of(
        cqrs.RequestHandlerFallback(Recording, RecordTwo, circuit_breaker=rig.breaker),
        WriteOrdered,
        journal=journal,
        max_concurrent_event_handlers=2,
        concurrent_event_handle_enable=parallel,
    )
    for number in range(2):
        asyncio.run(mediator.send(Order(number=number)))
    assert journal == [0, 1]
    both = threading.Barrier(2)

    def run() -> None:
        both.wait(30)
        for _ in range(20):
            asyncio.run(mediator.send(Order(number=5)))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert journal.count(5) == 40


RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")


class Audited:
    """A mixin that knows nothing of handlers."""


class Base(Audited, cqrs.RequestHandler[RequestT, ReplyT], Generic[ReplyT, RequestT]):
    """Its type variables in another order than the handler's."""


async def test_handlers_behind_generic_bases_and_mixins_are_recognised() -> None:
    class Primary(Base[Reply, Order]):
        async def handle(self, request: Order) -> Reply:
            raise ConnectionError

    class Fallback(Audited, Recording):
        pass

    mediator = mediator_of(cqrs.RequestHandlerFallback(Primary, Fallback))
    assert (await mediator.send(Order())).by == "Fallback"


def test_pairs_behind_generic_bases_are_checked() -> None:
    class Other(cqrs.Request[Reply]):
        pass

    class Primary(Base[Reply, Other]):
        async def handle(self, request: Other) -> Reply:
            return Reply(by="other")

    with pytest.raises(TypeError, match="must handle the same request type"):
        cqrs.RequestHandlerFallback(Primary, Recording)


async def test_a_missing_registration_is_no_dependency_failure() -> None:
    rig = native_consecutive_rig()

    class Unregistered:
        def __init__(self, url: str) -> None: ...

    class Broken(cqrs.RequestHandler[Order, Reply]):
        def __init__(self, dependency: Unregistered) -> None: ...

        async def handle(self, request: Order) -> Reply:
            return Reply(by="broken")

    for _ in range(rig.threshold * 2):
        with pytest.raises(ResolutionError):
            mediator = mediator_of(
                cqrs.RequestHandlerFallback(Broken, Recording, circuit_breaker=rig.breaker)
            )
            await mediator.send(Order())
    assert not await rig.rejects(Broken)
