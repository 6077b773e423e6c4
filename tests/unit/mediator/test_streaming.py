"""Streaming: events before their item, clearing, closing, start-up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

import cqrs
from cqrs.container import BuiltinContainer, Lifetime
from cqrs.dispatcher import StreamingRequestDispatcher
from cqrs.dispatcher.exceptions import RequestHandlerDoesNotExist, RequestHandlerTypeError
from cqrs.dispatcher.startup import Startup
from cqrs.mediator import StreamingRequestMediator
from cqrs.middlewares import MiddlewareChain

log: list[Any] = []


@pytest.fixture(autouse=True)
def _clean() -> None:
    log.clear()


class Ask:
    pass


class Happened:
    def __init__(self, name: str) -> None:
        self.name = name


class OnHappened(cqrs.EventHandler[Happened]):
    async def handle(self, event: Happened) -> None:
        await asyncio.sleep(0)
        log.append(f"event {event.name}")


class Items(cqrs.StreamingRequestHandler[Ask, int]):
    def __init__(self) -> None:
        self.recorded: list[object] = []

    @property
    def events(self) -> list[object]:
        return self.recorded

    def clear_events(self) -> None:
        log.append("clear")
        self.recorded.clear()

    async def handle(self, request: Ask) -> AsyncGenerator[int, None]:
        try:
            for number in range(3):
                if number != 1:
                    self.recorded.append(Happened(str(number)))
                yield number
            self.recorded.append(Happened("end"))
        finally:
            log.append("closed")


class PlainItems(cqrs.StreamingRequestHandler[Ask, int]):
    async def handle(self, request: Ask) -> AsyncGenerator[int, None]:
        try:
            yield 0
            yield 1
        finally:
            log.append("closed")


class Single(cqrs.RequestHandler[Ask, int]):
    async def handle(self, request: Ask) -> int:
        return 1


class Link(cqrs.CORRequestHandler[Ask, int]):
    async def handle(self, request: Ask) -> int | None:
        return 1


async def passing(request: Any, handle: Any) -> Any:
    return await handle(request)


def mediator(binding: Any = Items, container: Any = None, **options: Any) -> StreamingRequestMediator:
    requests = cqrs.RequestMap({Ask: binding} if binding else {})
    events = cqrs.EventMap({Happened: [OnHappened]})
    return StreamingRequestMediator(requests, container or BuiltinContainer(), event_map=events, **options)


CHAINS = [None, MiddlewareChain([passing])]
BINDINGS = [Items, cqrs.RequestHandlerFallback(Items, Items)]


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("binding", BINDINGS)
async def test_the_events_of_an_item_are_processed_before_it_is_yielded(chain: Any, binding: Any) -> None:
    async for item in mediator(binding, middleware_chain=chain).stream(Ask()):
        log.append(f"item {item}")
    assert [entry for entry in log if entry != "clear"] == [
        "event 0",
        "item 0",
        "item 1",
        "event 2",
        "item 2",
        *(["closed", "event end"] if log[-1] == "event end" else ["event end", "closed"]),
    ]
    assert log.count("clear") == 3, "once per item"


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize(
    "binding", [*BINDINGS, PlainItems, cqrs.RequestHandlerFallback(PlainItems, PlainItems)]
)
async def test_everything_is_closed_when_the_stream_is(chain: Any, binding: Any) -> None:
    stream: Any = mediator(binding, middleware_chain=chain).stream(Ask())
    async with contextlib.aclosing(stream):
        async for _ in stream:
            break
    assert log[-1] == "closed"
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_failing_event_handler_ends_the_stream_and_leads_to_no_fallback(binding: Any) -> None:
    class Fails(OnHappened):
        async def handle(self, event: Happened) -> None:
            raise ConnectionError("event")

    streams = StreamingRequestMediator(
        cqrs.RequestMap({Ask: binding}), BuiltinContainer(), event_map=cqrs.EventMap({Happened: [Fails]})
    )
    with pytest.raises(ConnectionError, match="event"):
        await anext(aiter(streams.stream(Ask())))
    assert log == ["clear", "closed"]
    assert cqrs.current_fallback() is None


async def test_a_singleton_handler_repeats_no_events() -> None:
    container = BuiltinContainer().register(Items, lifetime=Lifetime.SINGLETON)
    streams = mediator(container=container)
    for _ in range(2):
        async for _ in streams.stream(Ask()):
            pass
    assert [entry for entry in log if entry.startswith("event")] == ["event 0", "event 2", "event end"] * 2


async def test_the_same_stream_may_run_many_times_at_once() -> None:
    streams = mediator(max_concurrent_event_handlers=4)

    async def consume() -> list[int]:
        return [item async for item in streams.stream(Ask())]

    assert await asyncio.gather(*(consume() for _ in range(5))) == [[0, 1, 2]] * 5


@pytest.mark.parametrize("steps", range(10))
@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_cancellation_at_any_moment_closes_everything(steps: int, binding: Any) -> None:
    async def consume() -> None:
        async for _ in mediator(binding).stream(Ask()):
            await asyncio.sleep(0)

    task = asyncio.create_task(consume())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    for _ in range(5):
        await asyncio.sleep(0)
    assert log.count("closed") == (1 if log else 0)
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("binding", [Single, [Link], cqrs.RequestHandlerFallback(Single, Single)])
def test_what_does_not_stream_is_asked_for_elsewhere(binding: Any) -> None:
    with pytest.raises(RequestHandlerTypeError, match=r"RequestMediator\.send"):
        mediator(binding).stream(Ask())


def test_a_request_that_nothing_is_bound_to_is_an_error_at_once() -> None:
    with pytest.raises(RequestHandlerDoesNotExist):
        mediator(None).stream(Ask())


async def test_async_startup_runs_before_the_first_item() -> None:
    async def connect() -> None:
        log.append("connected")

    streams = mediator(PlainItems, startup=Startup([connect]))
    stream = streams.stream(Ask())
    assert log == []
    assert [item async for item in stream] == [0, 1]
    assert log == ["connected", "closed"]


async def test_a_dispatcher_of_the_users_own_is_asked_for_each_stream() -> None:
    class Own(StreamingRequestDispatcher):
        def dispatch(self, request: Any) -> AsyncIterator[Any]:
            log.append("own")
            return super().dispatch(request)

    streams = mediator(dispatcher_type=Own)
    assert [item async for item in streams.stream(Ask())] == [0, 1, 2]
    assert [entry for entry in log if entry != "clear"] == ["own", "event 0", "event 2", "closed"]


async def test_dispatch_is_a_plain_call_that_yields_results() -> None:
    dispatcher = StreamingRequestDispatcher(cqrs.RequestMap({Ask: Items}), BuiltinContainer())
    results = [result async for result in dispatcher.dispatch(Ask())]
    assert [result.response for result in results] == [0, 1, 2]
    assert [len(result.events) for result in results] == [1, 0, 1]
