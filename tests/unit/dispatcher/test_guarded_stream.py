"""The guarded step of streams: breakers of both kinds, events, closing, whose failure it is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

import cqrs
from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers
from cqrs.container import BuiltinContainer
from cqrs.dispatcher.streaming import StreamingRequestDispatcher
from cqrs.exceptions import ResolutionError
from tests.unit.dispatcher.breakers import CallBreaker, NaiveBreaker, Rejected


class Ask:
    pass


log: list[str] = []
ERRORS: dict[str, BaseException] = {}


@pytest.fixture(autouse=True)
def _clean() -> None:
    log.clear()
    ERRORS.clear()


class Stream(cqrs.StreamingRequestHandler[Ask, str]):
    """Yields two items, then raises if told so; records an event before each item."""

    def __init__(self) -> None:
        self.recorded: list[object] = []

    @property
    def events(self) -> list[object]:
        return self.recorded

    def clear_events(self) -> None:
        log.append("clear")
        self.recorded = []

    async def handle(self, request: Ask) -> AsyncGenerator[str, None]:
        name = type(self).__name__
        log.append(f"{name} begins")
        try:
            if f"{name} at once" in ERRORS:
                raise ERRORS[f"{name} at once"]
            for number in range(2):
                self.recorded.append(f"{name}{number} made")
                yield f"{name}{number}"
            self.recorded.append(f"{name} ends")
            if name in ERRORS:
                raise ERRORS[name]
        finally:
            log.append(f"{name} closed")


class P(Stream): ...


class F(Stream): ...


class G(Stream): ...


class Guard(CallBreaker):
    """A breaker whose ``guard`` keeps async generators what they are."""

    def guard(self, identifier: Any, func: Any) -> Any:
        async def guarded(*args: Any) -> AsyncIterator[Any]:
            if self.is_open:
                self.outcomes.append("rejected")
                raise Rejected("open")
            try:
                async with contextlib.aclosing(func(*args)) as items:
                    async for item in items:
                        yield item
            except Exception:
                self.failures += 1
                self.outcomes.append("failure")
                raise
            except BaseException as error:
                self.outcomes.append(type(error).__name__)
                raise
            self.outcomes.append("success")

        return guarded


BREAKERS = [CallBreaker, NaiveBreaker, Guard]


def dispatcher(binding: Any, container: Any = None) -> StreamingRequestDispatcher:
    return StreamingRequestDispatcher(cqrs.RequestMap({Ask: binding}), container or BuiltinContainer())


async def items(streams: StreamingRequestDispatcher) -> list[str]:
    async with contextlib.aclosing(streams.dispatch(Ask())) as results:  # type: ignore[type-var]
        return [result.response async for result in results]


def pair(breaker: Any = None, **options: Any) -> Any:
    return cqrs.RequestHandlerFallback(P, F, circuit_breaker=breaker, **options)


@pytest.mark.parametrize("kind", BREAKERS)
async def test_a_stream_is_one_call_of_the_breaker(kind: Any) -> None:
    breaker = kind(99)
    streams = dispatcher(pair(breaker))
    assert await items(streams) == ["P0", "P1"]
    ERRORS["P"] = ConnectionError("late")
    assert await items(streams) == ["P0", "P1", "F0", "F1"]
    ERRORS["P at once"] = ConnectionError("early")
    assert await items(streams) == ["F0", "F1"]
    assert breaker.outcomes == ["success", "failure", "failure"]


@pytest.mark.parametrize("kind", BREAKERS)
async def test_ten_failing_streams_with_a_threshold_of_two_reach_the_primary_twice(kind: Any) -> None:
    ERRORS["P at once"] = ConnectionError("down")
    breaker = kind(2)
    streams = dispatcher(pair(breaker))
    for _ in range(10):
        assert await items(streams) == ["F0", "F1"]
    assert log.count("P begins") == 2
    assert log.count("F closed") == 10


async def test_a_native_breaker_guards_streams() -> None:
    ERRORS["P"] = ConnectionError("down")
    breakers = CircuitBreakers(CircuitBreakerPolicy.consecutive(threshold=2))
    streams = dispatcher(pair(breakers))
    for _ in range(10):
        await items(streams)
    assert log.count("P begins") == 2
    (name,) = breakers
    assert name == f"{P.__module__}.P"


@pytest.mark.parametrize("kind", BREAKERS)
async def test_leaving_early_is_no_failure_and_closes_everything_at_once(kind: Any) -> None:
    breaker = kind(1)
    async with contextlib.aclosing(dispatcher(pair(breaker)).dispatch(Ask())) as results:  # type: ignore[type-var]
        async for _ in results:
            break
    assert log == ["P begins", "clear", "P closed"]
    assert "failure" not in breaker.outcomes
    assert len(breaker.outcomes) == 1
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("breaker", [None, CallBreaker(1), Guard(1)])
async def test_what_the_consumer_throws_in_is_not_the_primarys_failure(breaker: Any) -> None:
    results: Any = dispatcher(pair(breaker)).dispatch(Ask())
    await anext(results)
    with pytest.raises(ConnectionError, match="consumer"):
        await results.athrow(ConnectionError("consumer"))
    assert "F begins" not in log
    assert log[-1] == "P closed"
    if breaker is not None:
        assert "failure" not in breaker.outcomes


async def test_the_fallback_is_not_begun_before_the_primary_is_closed() -> None:
    ERRORS["P"] = ConnectionError("late")
    await items(dispatcher(pair()))
    assert log.index("P closed") < log.index("F begins")


async def test_an_error_outside_failure_exceptions_is_raised_after_the_items() -> None:
    ERRORS["P"] = error = ValueError("mine")
    seen: list[str] = []
    with pytest.raises(ValueError) as caught:
        async for result in dispatcher(pair(failure_exceptions=(ConnectionError,))).dispatch(Ask()):
            seen.append(result.response)
    assert caught.value is error
    assert seen == ["P0", "P1"]
    assert "F begins" not in log


async def test_after_items_raise_raises_once_items_were_delivered() -> None:
    streams = dispatcher(pair(after_items="raise"))
    ERRORS["P at once"] = ConnectionError("early")
    assert await items(streams) == ["F0", "F1"]
    del ERRORS["P at once"]
    ERRORS["P"] = ConnectionError("late")
    with pytest.raises(ConnectionError, match="late"):
        await items(streams)
    assert log.count("F begins") == 1


async def test_fallbacks_of_streams_form_chains() -> None:
    ERRORS.update({"P": ConnectionError("p"), "F at once": TimeoutError("f")})
    nested = cqrs.RequestHandlerFallback(P, cqrs.RequestHandlerFallback(F, G))
    streams = dispatcher(nested)
    results = [result async for result in streams.dispatch(Ask())]
    assert [result.response for result in results] == ["P0", "P1", "G0", "G1"]
    assert [len(result.fallbacks) for result in results] == [0, 0, 1, 1]
    answer = results[-1].fallback
    assert answer is not None
    assert (answer.primary, answer.handler, answer.position, answer.error) == (P, G, 2, "p")


async def test_when_the_fallback_fails_too_its_error_has_the_primarys_as_cause() -> None:
    ERRORS.update({"P": ConnectionError("p"), "F": TimeoutError("f")})
    with pytest.raises(TimeoutError) as caught:
        await items(dispatcher(pair()))
    assert caught.value.__cause__ is ERRORS["P"]


async def test_a_fallback_with_an_empty_stream_answered_too() -> None:
    class Empty(Stream):
        async def handle(self, request: Ask) -> AsyncGenerator[str, None]:
            return
            yield

    ERRORS["P at once"] = ConnectionError("p")
    record: list[Any] = []
    assert await items(dispatcher(cqrs.RequestHandlerFallback(P, Empty))) == record
    assert cqrs.current_fallback() is not None


async def test_events_belong_to_the_item_they_were_recorded_for_and_are_cleared_once_per_item() -> None:
    ERRORS["P"] = ConnectionError("p")
    results = [result async for result in dispatcher(pair()).dispatch(Ask())]
    assert [result.events for result in results] == [("P0 made",), ("P1 made",), ("F0 made",), ("F1 made",)]
    assert log.count("clear") == 4


@pytest.mark.parametrize("kind", BREAKERS)
async def test_a_missing_registration_is_neither_counted_nor_answered(kind: Any) -> None:
    class Container:
        async def resolve(self, type_: type[Any]) -> Any:
            raise ResolutionError(type_.__name__)

    breaker = kind(1)
    for _ in range(3):
        with pytest.raises(ResolutionError, match="P"):
            await items(dispatcher(pair(breaker), Container()))
    assert not breaker.is_open
    assert "failure" not in breaker.outcomes


@pytest.mark.parametrize("kind", [CallBreaker, Guard])
async def test_cancelling_the_consumer_is_no_failure(kind: Any) -> None:
    class Hangs(Stream):
        async def handle(self, request: Ask) -> AsyncGenerator[str, None]:
            yield "item"
            try:
                await asyncio.Event().wait()
            finally:
                log.append("closed")

    breaker = kind(1)
    hanging = cqrs.RequestHandlerFallback(Hangs, F, circuit_breaker=breaker)

    async def consume() -> None:
        async with contextlib.aclosing(dispatcher(hanging).dispatch(Ask())) as results:  # type: ignore[type-var]
            async for _ in results:
                log.append("item")

    task = asyncio.create_task(consume())
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["clear", "item", "closed"]
    assert "failure" not in breaker.outcomes
    assert "F begins" not in log
    assert len(asyncio.all_tasks()) == 1


async def test_a_failure_frees_its_frames() -> None:
    import gc
    import weakref

    class Canary:
        pass

    canaries: list[weakref.ref[Canary]] = []

    class Fails(Stream):
        async def handle(self, request: Ask) -> AsyncGenerator[str, None]:
            canary = Canary()
            canaries.append(weakref.ref(canary))
            yield "item"
            raise ConnectionError("lost")

    gc.disable()
    try:
        await items(dispatcher(cqrs.RequestHandlerFallback(Fails, F)))
        assert canaries[0]() is None
    finally:
        gc.enable()
