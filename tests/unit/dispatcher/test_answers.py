"""That a fallback answered is visible: to the caller, to middlewares, in streams, in the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

import cqrs
from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers, CircuitOpenError
from cqrs.container import BuiltinContainer
from cqrs.dispatcher import current_fallback
from cqrs.mediator import RequestMediator, StreamingRequestMediator
from cqrs.middlewares import MiddlewareChain
from tests.unit.dispatcher.breakers import CallBreaker


class Ask:
    def __init__(self, *, fails: bool) -> None:
        self.fails = fails


class Plain:
    pass


class Nested:
    pass


class Primary(cqrs.RequestHandler[Ask, str]):
    async def handle(self, request: Ask) -> str:
        if request.fails:
            raise ConnectionError("secret of the request")
        return "primary"


class Fallback(cqrs.RequestHandler[Ask, str]):
    async def handle(self, request: Ask) -> str:
        return "fallback"


class PlainHandler(cqrs.RequestHandler[Plain, str]):
    async def handle(self, request: Plain) -> str:
        assert current_fallback() is None, "the next request starts anew"
        return "plain"


MEDIATORS: list[RequestMediator] = []


class NestedHandler(cqrs.RequestHandler[Nested, str]):
    async def handle(self, request: Nested) -> str:
        await MEDIATORS[-1].send(Ask(fails=True))
        assert current_fallback() is not None
        return "nested"


def mediator(*middlewares: Any, breaker: Any = None) -> RequestMediator:
    requests = cqrs.RequestMap(
        {
            Ask: cqrs.RequestHandlerFallback(Primary, Fallback, circuit_breaker=breaker),
            Plain: PlainHandler,
            Nested: NestedHandler,
        }
    )
    made = RequestMediator(requests, BuiltinContainer(), middleware_chain=MiddlewareChain(middlewares))
    MEDIATORS.append(made)
    return made


async def transparent(request: Any, handle: Any) -> Any:
    return await handle(request)


@pytest.mark.parametrize("middlewares", [(), (transparent,)])
async def test_the_caller_sees_it_until_the_next_request(middlewares: Any) -> None:
    requests = mediator(*middlewares)
    assert current_fallback() is None
    assert await requests.send(Ask(fails=True)) == "fallback"
    answer = current_fallback()
    assert answer is not None
    assert (answer.message_type, answer.primary, answer.handler) == (Ask, Primary, Fallback)
    assert (answer.position, answer.reason, answer.error_type) == (1, "error", ConnectionError)
    await requests.send(Ask(fails=False))
    assert current_fallback() is None
    await requests.send(Ask(fails=True))
    await requests.send(Plain())
    assert current_fallback() is None


@pytest.mark.parametrize("middlewares", [(), (transparent,)])
async def test_a_request_inside_a_handler_does_not_speak_for_the_outer_one(middlewares: Any) -> None:
    await mediator(*middlewares).send(Nested())
    assert current_fallback() is None


async def test_tasks_do_not_see_each_others() -> None:
    requests = mediator()

    async def send(fails: bool) -> bool:
        await requests.send(Ask(fails=fails))
        await asyncio.sleep(0)
        return current_fallback() is not None

    assert await asyncio.gather(*(send(number % 2 == 0) for number in range(6))) == [True, False] * 3
    assert current_fallback() is None


async def test_a_middleware_sees_it() -> None:
    seen: list[bool] = []

    async def look(request: Any, handle: Any) -> Any:
        before = current_fallback()
        response = await handle(request)
        seen.append((before, current_fallback()) != (None, None) and before is None)
        return response

    requests = mediator(look)
    await requests.send(Ask(fails=True))
    await requests.send(Ask(fails=False))
    await requests.send(Ask(fails=True))
    assert seen == [True, False, True]


async def test_a_middleware_that_uses_a_task_passes_it_on() -> None:
    async def in_a_task(request: Any, handle: Any) -> Any:
        return await asyncio.create_task(handle(request))

    await mediator(in_a_task).send(Ask(fails=True))
    assert current_fallback() is not None


async def test_an_open_circuit_is_another_reason_than_an_error() -> None:
    requests = mediator(breaker=CallBreaker(1))
    reasons: list[str] = []
    for _ in range(2):
        await requests.send(Ask(fails=True))
        answer = current_fallback()
        assert answer is not None
        reasons.append(answer.reason)
    assert reasons == ["error", "circuit_open"]


async def test_a_native_rejection_is_kept_without_its_frames() -> None:
    breakers = CircuitBreakers(CircuitBreakerPolicy.consecutive(threshold=1))
    requests = mediator(breaker=breakers)
    for _ in range(2):
        await requests.send(Ask(fails=True))
    answer = current_fallback()
    assert answer is not None
    assert answer.rejection is not None
    assert answer.rejection.retry_after is not None
    assert answer.rejection.__traceback__ is None
    assert "is open" in answer.error
    assert answer.error_type is CircuitOpenError


async def test_one_warning_tells_who_answered_and_why(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    await mediator().send(Ask(fails=True))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    fields = vars(record)
    assert fields["message_type"] == "Ask"
    assert fields["primary_handler"] == "Primary"
    assert fields["fallback_handler"] == "Fallback"
    assert fields["fallback_position"] == 1
    assert fields["fallback_reason"] == "error"
    assert fields["error_type"] == "ConnectionError"
    assert "secret" not in caplog.text


async def test_an_open_circuit_is_one_warning_until_the_primary_is_called_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "cqrs.dispatcher.answers")
    breaker = CallBreaker(1)
    requests = mediator(breaker=breaker)
    for _ in range(5):
        await requests.send(Ask(fails=True))
    breaker.failures = 0
    for _ in range(3):
        await requests.send(Ask(fails=True))
    told = [(record.levelname, vars(record)["fallback_reason"]) for record in caplog.records]
    once = [("WARNING", "error"), ("WARNING", "circuit_open")]
    assert told == [*once, *[("DEBUG", "circuit_open")] * 3, *once, ("DEBUG", "circuit_open")]


async def test_an_error_whose_text_cannot_be_had_disturbs_nothing() -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    class Fails(Primary):
        async def handle(self, request: Ask) -> str:
            raise Unprintable

    requests = cqrs.RequestMap({Ask: cqrs.RequestHandlerFallback(Fails, Fallback)})
    await RequestMediator(requests, BuiltinContainer()).send(Ask(fails=True))
    answer = current_fallback()
    assert answer is not None
    assert "RuntimeError" in answer.error


class Items:
    pass


class LiveItems(cqrs.StreamingRequestHandler[Items, int]):
    async def handle(self, request: Items) -> AsyncIterator[int]:
        yield 1
        raise ConnectionError("gone")


class StoredItems(cqrs.StreamingRequestHandler[Items, int]):
    async def handle(self, request: Items) -> AsyncIterator[int]:
        yield 1
        yield 2


@pytest.mark.parametrize("middlewares", [(), (transparent,)])
async def test_a_stream_tells_it_from_the_first_item_of_the_fallback_on(middlewares: Any) -> None:
    streams = StreamingRequestMediator(
        cqrs.RequestMap({Items: cqrs.RequestHandlerFallback(LiveItems, StoredItems)}),
        BuiltinContainer(),
        middleware_chain=MiddlewareChain(middlewares),
    )
    for _ in range(2):
        seen = [(item, current_fallback() is not None) async for item in streams.stream(Items())]
        assert seen == [(1, False), (1, True), (2, True)]
        assert current_fallback() is not None


async def test_two_streams_in_turn_each_speak_for_themselves() -> None:
    class Healthy(cqrs.StreamingRequestHandler[Plain, int]):
        async def handle(self, request: Plain) -> AsyncIterator[int]:
            for number in range(3):
                yield number

    streams = StreamingRequestMediator(
        cqrs.RequestMap({Items: cqrs.RequestHandlerFallback(LiveItems, StoredItems), Plain: Healthy}),
        BuiltinContainer(),
    )
    failing, healthy = aiter(streams.stream(Items())), aiter(streams.stream(Plain()))
    seen: list[bool] = []
    for _ in range(3):
        for stream in (failing, healthy):
            await anext(stream)
            seen.append(current_fallback() is not None)
    assert seen == [False, False, True, False, True, False]
