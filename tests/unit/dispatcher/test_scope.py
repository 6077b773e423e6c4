"""Scopes: opened when needed, once per dispatch, open until the events are done, always closed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

import cqrs
from cqrs.dispatcher.scope import DispatchScope, check_container
from cqrs.events import EventProcessor
from cqrs.exceptions import ConfigurationError
from cqrs.mediator import EventMediator, RequestMediator, StreamingRequestMediator
from cqrs.middlewares import MiddlewareChain
from tests.unit.dispatcher.breakers import CallBreaker

log: list[str] = []


@pytest.fixture(autouse=True)
def _clean() -> None:
    log.clear()


class Scopes:
    """A container with scopes: writes down their life, and in which of them a handler is resolved."""

    def __init__(self) -> None:
        self.opened = 0

    async def resolve(self, type_: type[Any]) -> Any:
        raise AssertionError("resolved outside of a scope")

    @contextlib.asynccontextmanager
    async def scope(self) -> AsyncIterator[Any]:
        self.opened += 1
        number = self.opened
        await asyncio.sleep(0)
        log.append(f"open {number}")

        class Resolver:
            async def resolve(self, type_: type[Any]) -> Any:
                log.append(f"{type_.__name__} in {number}")
                return type_()

        try:
            yield Resolver()
        except BaseException as error:
            log.append(type(error).__name__)
            raise
        finally:
            log.append(f"close {number}")


class Ask:
    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Happened:
    pass


class Recording(cqrs.RequestHandler[Ask, str]):
    events = [Happened()]  # type: ignore[assignment]  # simplest

    async def handle(self, request: Ask) -> str:
        if request.error is not None:
            raise request.error
        return "done"


class Fallback(Recording):
    async def handle(self, request: Ask) -> str:
        return "fallback"


class OnHappened(cqrs.EventHandler[Happened]):
    async def handle(self, event: Happened) -> None:
        await asyncio.sleep(0)
        log.append("handled")


class OnHappenedToo(OnHappened): ...


class Items(cqrs.StreamingRequestHandler[Ask, int]):
    async def handle(self, request: Ask) -> AsyncIterator[int]:
        yield 1
        yield 2


async def passing(request: Any, handle: Any) -> Any:
    return await handle(request)


def mediator(binding: Any = Recording, container: Any = None, **options: Any) -> RequestMediator:
    return RequestMediator(
        cqrs.RequestMap({Ask: binding}),
        container or Scopes(),
        event_map=cqrs.EventMap({Happened: [OnHappened]}),
        **options,
    )


@pytest.mark.parametrize("middlewares", [(), (passing,)])
async def test_one_scope_serves_the_request_and_its_events(middlewares: Any) -> None:
    await mediator(middleware_chain=MiddlewareChain(middlewares)).send(Ask())
    assert log == ["open 1", "Recording in 1", "OnHappened in 1", "handled", "close 1"]


async def test_each_request_has_a_scope_of_its_own() -> None:
    requests = mediator()
    await asyncio.gather(requests.send(Ask()), requests.send(Ask()))
    assert sorted(entry for entry in log if entry.startswith("Recording")) == [
        "Recording in 1",
        "Recording in 2",
    ]
    assert log.count("close 1") == log.count("close 2") == 1


@pytest.mark.parametrize("error", [ConnectionError(), asyncio.CancelledError()])
async def test_it_is_closed_after_an_error_and_told_of_it(error: BaseException) -> None:
    with pytest.raises(type(error)):
        await mediator().send(Ask(error))
    assert log == ["open 1", "Recording in 1", type(error).__name__, "close 1"]


async def test_the_fallback_comes_from_the_same_scope() -> None:
    pair = cqrs.RequestHandlerFallback(Recording, Fallback)
    assert await mediator(pair).send(Ask(ConnectionError())) == "fallback"
    assert log[:3] == ["open 1", "Recording in 1", "Fallback in 1"]
    assert log[-1] == "close 1"


async def test_a_scope_that_nobody_needs_is_not_opened() -> None:
    breaker = CallBreaker(0)

    class Refuses(Recording): ...

    pair = cqrs.RequestHandlerFallback(Refuses, Refuses, (), breaker)
    container = Scopes()
    with contextlib.suppress(Exception):
        await RequestMediator(cqrs.RequestMap(), container).send(Ask())
    assert container.opened == 0
    await mediator(pair, container).send(Ask())
    assert log.count("Refuses in 1") == 1, "the primary was not resolved, the fallback was"


async def test_a_failing_event_handler_closes_it_too() -> None:
    class Fails(OnHappened):
        async def handle(self, event: Happened) -> None:
            raise ConnectionError("event")

    requests = RequestMediator(
        cqrs.RequestMap({Ask: Recording}), Scopes(), event_map=cqrs.EventMap({Happened: [Fails]})
    )
    with pytest.raises(ConnectionError):
        await requests.send(Ask())
    assert log[-2:] == ["ConnectionError", "close 1"]


@pytest.mark.parametrize("steps", range(8))
async def test_a_cancellation_at_any_moment_closes_what_was_opened(steps: int) -> None:
    task = asyncio.create_task(mediator().send(Ask()))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert log.count("open 1") == log.count("close 1")


async def test_parallel_event_handlers_share_one_scope_that_is_opened_once() -> None:
    container = Scopes()

    class Many(cqrs.RequestHandler[Ask, str]):
        events = [Happened(), Happened(), Happened()]  # type: ignore[assignment]  # simplest

        async def handle(self, request: Ask) -> str:
            return "many"

    class PlainFactory(Scopes):
        def factory_for(self, type_: type[Any]) -> Any:
            return type_ if issubclass(type_, Many) else None

    container = PlainFactory()
    await mediator(Many, container, max_concurrent_event_handlers=3).send(Ask())
    assert container.opened == 1
    assert log.count("OnHappened in 1") == 3
    assert log[-1] == "close 1"


async def test_a_stream_keeps_its_scope_until_it_is_closed() -> None:
    streams = StreamingRequestMediator(cqrs.RequestMap({Ask: Items}), Scopes())
    async with contextlib.aclosing(streams.stream(Ask())) as items:  # type: ignore[type-var]
        async for _ in items:
            assert log == ["open 1", "Items in 1"]
            break
    assert log[2:] == ["GeneratorExit", "close 1"]


async def test_a_streams_scope_may_be_left_in_another_task() -> None:
    streams = StreamingRequestMediator(cqrs.RequestMap({Ask: Items}), Scopes())
    items: Any = streams.stream(Ask())
    await asyncio.create_task(anext(items))
    await asyncio.create_task(items.aclose())
    assert log[-1] == "close 1"


async def test_the_handlers_of_an_event_and_of_its_follow_ups_share_one_scope() -> None:
    class Second:
        pass

    class Leads(cqrs.EventHandler[Happened]):
        events = [Second()]  # type: ignore[assignment]  # simplest

        async def handle(self, event: Happened) -> None: ...

    class OnSecond(cqrs.EventHandler[Second]):
        async def handle(self, event: Second) -> None: ...

    events = cqrs.EventMap({Happened: [Leads, OnHappened], Second: [OnSecond]})
    await EventMediator(events, Scopes()).send(Happened())
    assert log == ["open 1", "Leads in 1", "OnHappened in 1", "handled", "OnSecond in 1", "close 1"]


async def test_an_emitter_opens_a_scope_per_event_and_a_processor_one_for_all() -> None:
    emitter = cqrs.EventEmitter(cqrs.EventMap({Happened: [OnHappened, OnHappenedToo]}), Scopes())
    await emitter.emit(Happened())
    await emitter.emit(Happened())
    assert log.count("close 1") == log.count("close 2") == 1
    log.clear()
    await EventProcessor(cqrs.EventMap(), emitter).emit_events([Happened(), Happened()])
    assert [entry for entry in log if entry.startswith(("open", "close"))] == ["open 3", "close 3"]


@pytest.mark.parametrize("limit", [1, 3])
async def test_a_processors_own_scope_is_closed_after_an_error(limit: int) -> None:
    class Fails(OnHappened):
        async def handle(self, event: Happened) -> None:
            raise ConnectionError

    emitter = cqrs.EventEmitter(cqrs.EventMap({Happened: [Fails]}), Scopes())
    with pytest.raises(ConnectionError):
        await EventProcessor(cqrs.EventMap(), emitter, limit).emit_events([Happened(), Happened()])
    assert log[-2:] == ["ConnectionError", "close 1"]


async def test_an_error_while_closing_reaches_the_caller() -> None:
    class Sore(Scopes):
        @contextlib.asynccontextmanager
        async def scope(self) -> AsyncIterator[Any]:
            async with super().scope() as resolver:
                yield resolver
            raise ConnectionError("cannot commit")

    with pytest.raises(ConnectionError, match="cannot commit"):
        await mediator(container=Sore()).send(Ask())


async def test_a_container_without_scopes_resolves_by_itself() -> None:
    class Bare:
        async def resolve(self, type_: type[Any]) -> Any:
            log.append(type_.__name__)
            return type_()

    assert await mediator(container=Bare()).send(Ask()) == "done"
    assert log == ["Recording", "OnHappened", "handled"]
    async with DispatchScope(Bare()) as scope:
        assert isinstance(await scope.resolve(OnHappened), OnHappened)


@pytest.mark.parametrize("container", [None, object(), Scopes, "container"])
def test_what_cannot_resolve_is_no_container(container: Any) -> None:
    with pytest.raises(ConfigurationError, match="a container must be an object with"):
        check_container(container)
    with pytest.raises(ConfigurationError):
        RequestMediator(cqrs.RequestMap(), container)
