"""Chains of middlewares: order, once per message, around requests, streams and events."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator
from typing import Any

import pytest

import cqrs
from cqrs.container import BuiltinContainer
from cqrs.dispatcher import EventDispatcher
from cqrs.mediator import EventMediator, RequestMediator, StreamingRequestMediator
from cqrs.middlewares import LoggingMiddleware, Middleware, MiddlewareChain
from tests.unit.dispatcher.breakers import CallBreaker

log: list[str] = []


@pytest.fixture(autouse=True)
def _clean() -> None:
    log.clear()


class Ask:
    pass


class Happened:
    pass


class Fails(cqrs.RequestHandler[Ask, str]):
    async def handle(self, request: Ask) -> str:
        log.append("primary")
        raise ConnectionError("primary")


class Answers(cqrs.RequestHandler[Ask, str]):
    def __init__(self) -> None:
        self.recorded: list[object] = []

    @property
    def events(self) -> list[object]:
        return self.recorded

    async def handle(self, request: Ask) -> str:
        log.append("fallback")
        self.recorded.append(Happened())
        return "answer"


class Items(cqrs.StreamingRequestHandler[Ask, int]):
    async def handle(self, request: Ask) -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            log.append("closed")


class FailingItems(cqrs.StreamingRequestHandler[Ask, int]):
    async def handle(self, request: Ask) -> AsyncIterator[int]:
        yield 0
        raise ConnectionError("lost")


class OnHappened(cqrs.EventHandler[Happened]):
    async def handle(self, event: Happened) -> None:
        log.append("event")


class OnHappenedToo(OnHappened): ...


class Named(Middleware):
    def __init__(self, name: str = "m") -> None:
        self.name = name

    async def __call__(self, request: Any, handle: Any) -> Any:
        log.append(f"{self.name} in")
        response = await handle(request)
        log.append(f"{self.name} out {response}")
        return response


def mediator(binding: Any, *middlewares: Any) -> RequestMediator:
    return RequestMediator(
        cqrs.RequestMap({Ask: binding}),
        BuiltinContainer(),
        middleware_chain=MiddlewareChain(middlewares),
        event_map=cqrs.EventMap({Happened: [OnHappened]}),
    )


async def test_the_first_is_outermost_and_events_come_after_all() -> None:
    await mediator(Answers, Named("a"), Named("b")).send(Ask())
    assert log == ["a in", "b in", "fallback", "b out answer", "a out answer", "event"]


async def test_they_run_once_around_primary_and_fallback() -> None:
    pair = cqrs.RequestHandlerFallback(Fails, Answers)
    assert await mediator(pair, Named()).send(Ask()) == "answer"
    assert log == ["m in", "primary", "fallback", "m out answer", "event"]


@pytest.mark.parametrize("after", [False, True])
async def test_their_errors_are_no_failure_of_the_dependency(after: bool) -> None:
    async def forbid(request: Any, handle: Any) -> Any:
        if after:
            await handle(request)
        raise PermissionError("forbidden")

    class Works(Answers):
        async def handle(self, request: Ask) -> str:
            log.append("primary")
            return "primary"

    breaker = CallBreaker(1)
    requests = mediator(cqrs.RequestHandlerFallback(Works, Answers, (), breaker), forbid)
    for _ in range(3):
        with pytest.raises(PermissionError):
            await requests.send(Ask())
    assert "fallback" not in log
    assert "event" not in log
    assert set(breaker.outcomes) <= {"success"}


async def test_a_middleware_may_answer_without_the_handler() -> None:
    async def cached(request: Any, handle: Any) -> Any:
        return "cached"

    assert await mediator(Answers, cached).send(Ask()) == "cached"
    assert log == []


async def test_a_middleware_that_retries_delivers_the_events_of_the_success() -> None:
    attempts: list[int] = []

    class Flaky(Answers):
        async def handle(self, request: Ask) -> str:
            attempts.append(1)
            answer = await super().handle(request)
            if len(attempts) < 3:
                raise ConnectionError("flaky")
            return answer

    async def retry(request: Any, handle: Any) -> Any:
        while True:
            try:
                return await handle(request)
            except ConnectionError:
                continue

    await mediator(Flaky, retry).send(Ask())
    assert log.count("event") == 1


async def test_a_middleware_that_handles_twice_delivers_the_events_of_both() -> None:
    async def twice(request: Any, handle: Any) -> Any:
        await handle(request)
        return await handle(request)

    await mediator(Answers, twice).send(Ask())
    assert log == ["fallback", "fallback", "event", "event"]


async def test_a_middleware_may_send_requests_of_its_own() -> None:
    class Other:
        pass

    class OtherHandler(cqrs.RequestHandler[Other, str]):
        @property
        def events(self) -> list[object]:
            return [Other()]

        async def handle(self, request: Other) -> str:
            return "other"

    async def ask_first(request: Any, handle: Any) -> Any:
        if isinstance(request, Ask):
            log.append(await requests.send(Other()))
        return await handle(request)

    requests = RequestMediator(
        cqrs.RequestMap({Ask: Answers, Other: OtherHandler}),
        BuiltinContainer(),
        middleware_chain=MiddlewareChain([ask_first]),
        event_map=cqrs.EventMap({Happened: [OnHappened]}),
    )
    assert await requests.send(Ask()) == "answer"
    assert log == ["other", "fallback", "event"]


async def test_a_middleware_that_leaves_the_context_is_told_that_events_would_be_lost() -> None:
    async def escape(request: Any, handle: Any) -> Any:
        return await asyncio.create_task(handle(request), context=contextvars.Context())

    with pytest.raises(RuntimeError, match="the events of the request would be lost"):
        await mediator(Answers, escape).send(Ask())


async def test_they_are_composed_once_per_request_type_not_per_request() -> None:
    composed = 0

    class Counting(MiddlewareChain):
        def wrap(self, handle: Any) -> Any:
            nonlocal composed
            composed += 1
            return super().wrap(handle)

    requests = RequestMediator(
        cqrs.RequestMap({Ask: Answers}), BuiltinContainer(), middleware_chain=Counting([Named()])
    )
    for _ in range(5):
        await requests.send(Ask())
    assert composed == 1


async def test_one_that_is_added_later_takes_part() -> None:
    chain = MiddlewareChain()
    requests = RequestMediator(cqrs.RequestMap({Ask: Answers}), BuiltinContainer(), middleware_chain=chain)
    await requests.send(Ask())
    chain.add(Named)
    await requests.send(Ask())
    chain.set([])
    await requests.send(Ask())
    assert log == ["fallback", "m in", "fallback", "m out answer", "fallback"]


def test_classes_are_made_and_nonsense_is_refused() -> None:
    class NeedsMore(Named):
        def __init__(self, name: str, more: int) -> None: ...

    assert isinstance(MiddlewareChain([Named]).middlewares[0], Named)
    with pytest.raises(TypeError, match="NeedsMore cannot be made without arguments"):
        MiddlewareChain([NeedsMore])
    with pytest.raises(TypeError, match="must be callable"):
        MiddlewareChain(["nonsense"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="middleware_chain must be a MiddlewareChain"):
        RequestMediator(cqrs.RequestMap(), BuiltinContainer(), middleware_chain=[Named()])  # type: ignore[arg-type]


async def test_idle_ones_are_left_out_and_called_when_they_are_not() -> None:
    class Idle(Named):
        idle = True

        def is_idle(self) -> bool:
            return self.idle

    one, two = Idle("one"), Idle("two")
    requests = mediator(Answers, one, two)
    await requests.send(Ask())
    assert log == ["fallback", "event"]
    two.idle = False
    await requests.send(Ask())
    assert log[2:] == ["one in", "two in", "fallback", "two out answer", "one out answer", "event"]


async def test_a_subclass_that_overrides_the_call_alone_is_not_left_out() -> None:
    class Counting(LoggingMiddleware):
        async def __call__(self, request: Any, handle: Any) -> Any:
            log.append("counted")
            return await super().__call__(request, handle)

    await mediator(Answers, Counting()).send(Ask())
    assert [item async for item in streams(Items, Counting()).stream(Ask())] == [1, 2]
    assert log == ["counted", "fallback", "event", "counted", "closed"]


def streams(binding: Any, *middlewares: Any) -> StreamingRequestMediator:
    return StreamingRequestMediator(
        cqrs.RequestMap({Ask: binding}), BuiltinContainer(), middleware_chain=MiddlewareChain(middlewares)
    )


async def test_a_stream_is_one_call_that_lasts_as_long_as_the_stream() -> None:
    async for item in streams(Items, Named("a"), Named("b")).stream(Ask()):
        log.append(str(item))
    assert log == ["a in", "b in", "1", "2", "closed", "b out None", "a out None"]


async def test_the_streaming_form_sees_the_items() -> None:
    class Doubling(Named):
        async def stream(self, request: Any, handle: Any) -> AsyncIterator[int]:
            async for item in handle(request):
                yield 2 * item

    assert [item async for item in streams(Items, Named(), Doubling()).stream(Ask())] == [2, 4]
    assert log == ["m in", "closed", "m out None"]


async def test_their_errors_around_a_stream_lead_to_no_fallback() -> None:
    async def forbid(request: Any, handle: Any) -> Any:
        await handle(request)
        raise PermissionError("forbidden")

    breaker = CallBreaker(1)
    binding = cqrs.RequestHandlerFallback(Items, Items, (), breaker)
    seen: list[int] = []
    with pytest.raises(PermissionError):
        async for item in streams(binding, forbid).stream(Ask()):
            seen.append(item)
    assert seen == [1, 2]
    assert breaker.outcomes == ["success"]


async def test_they_see_the_error_of_a_stream() -> None:
    async def replace(request: Any, handle: Any) -> Any:
        try:
            await handle(request)
        except ConnectionError as error:
            raise TimeoutError from error

    with pytest.raises(TimeoutError):
        async for item in streams(FailingItems, replace).stream(Ask()):
            log.append(str(item))
    assert log == ["0"]


async def test_they_run_once_around_all_handlers_of_an_event() -> None:
    events = cqrs.EventMap({Happened: [OnHappened, OnHappenedToo]})
    chain = MiddlewareChain([Named()])
    await EventMediator(events, BuiltinContainer(), chain).send(Happened())
    assert log == ["m in", "event", "event", "m out None"]
    chain.set([])
    await EventDispatcher(events, BuiltinContainer(), chain).dispatch(Happened())
    assert log[4:] == ["event", "event"]


def test_logging_middleware_is_a_middleware_with_all_forms() -> None:
    assert MiddlewareChain([LoggingMiddleware]).idleness() is not None
