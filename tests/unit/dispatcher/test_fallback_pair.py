"""The rules that request and event fallbacks share."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar

import pytest

import cqrs
from cqrs.exceptions import ConfigurationError
from tests.unit.dispatcher.breakers import CallBreaker

T = TypeVar("T")


class Ask(cqrs.Request):
    pass


class Other(cqrs.Request):
    pass


class Primary(cqrs.RequestHandler[Ask, int]):
    async def handle(self, request: Ask) -> int:
        return 1


class Fallback(cqrs.RequestHandler[Ask, int]):
    async def handle(self, request: Ask) -> int:
        return 2


class OtherRequest(cqrs.RequestHandler[Other, int]):
    async def handle(self, request: Other) -> int:
        return 3


class OtherResponse(cqrs.RequestHandler[Ask, str]):
    async def handle(self, request: Ask) -> str:
        return "4"


class Untyped(cqrs.RequestHandler):  # type: ignore[type-arg]
    async def handle(self, request: Any) -> Any:
        return 5


class HalfTyped(cqrs.RequestHandler[Ask, T], Generic[T]):
    async def handle(self, request: Ask) -> T:
        raise NotImplementedError


class Streaming(cqrs.StreamingRequestHandler[Ask, int]):
    async def handle(self, request: Ask) -> AsyncIterator[int]:
        yield 1


class Link(cqrs.CORRequestHandler[Ask, int]):
    async def handle(self, request: Ask) -> int | None:
        return await self.next(request)


class Happened(cqrs.DomainEvent):
    pass


class Else(cqrs.DomainEvent):
    pass


class OnHappened(cqrs.EventHandler[Happened]):
    async def handle(self, event: Happened) -> None: ...


class OnElse(cqrs.EventHandler[Else]):
    async def handle(self, event: Else) -> None: ...


class OnAnything(cqrs.EventHandler):  # type: ignore[type-arg]
    async def handle(self, event: Any) -> None: ...


class Plain:
    pass


REQUESTS: list[tuple[Any, Any, str]] = [
    (Primary(), Fallback, "primary and fallback must be handler classes"),
    (Primary, Fallback(), "primary and fallback must be handler classes"),
    (None, Fallback, "primary and fallback must be handler classes"),
    (Primary, Streaming, "must be the same handler base type"),
    (Streaming, Primary, "must be the same handler base type"),
    (Primary, Link, "must be the same handler base type"),
    (Plain, Fallback, r"primary \(Plain\) must be a subclass of .*must be the same handler base type"),
    (Primary, Plain, r"fallback \(Plain\) must be a subclass of .*must be the same handler base type"),
    (Untyped, Fallback, r"primary \(Untyped\) must be parameterized with concrete types"),
    (Primary, HalfTyped, r"fallback \(HalfTyped\) must be parameterized with concrete types"),
    (
        Primary,
        OtherRequest,
        "must handle the same request type: primary Primary handles Ask, fallback OtherRequest handles Other",
    ),
    (Primary, OtherResponse, "must have the same response type: primary Primary returns int"),
    (
        Primary,
        cqrs.RequestHandlerFallback(OtherRequest, OtherRequest),
        "must handle the same request type",
    ),
]


@pytest.mark.parametrize(("primary", "fallback", "message"), REQUESTS)
def test_handlers_that_do_not_fit_are_refused(primary: Any, fallback: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message) as caught:
        cqrs.RequestHandlerFallback(primary, fallback)
    assert isinstance(caught.value, ConfigurationError)
    assert "RequestHandlerFallback" in str(caught.value)


EVENTS: list[tuple[Any, Any, str]] = [
    (OnHappened(), OnHappened, "primary and fallback must be handler classes"),
    (Plain, OnHappened, r"primary \(Plain\) must be a subclass of EventHandler"),
    (OnHappened, Primary, r"fallback \(Primary\) must be a subclass of EventHandler"),
    (OnHappened, OnAnything, r"must be parameterized with a concrete event type"),
    (OnHappened, OnElse, "must handle the same event type: primary OnHappened handles Happened"),
    (
        OnHappened,
        cqrs.RequestHandlerFallback(Primary, Fallback),
        "nested fallback must be a EventHandlerFallback",
    ),
]


@pytest.mark.parametrize(("primary", "fallback", "message"), EVENTS)
def test_event_handlers_that_do_not_fit_are_refused(primary: Any, fallback: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        cqrs.EventHandlerFallback(primary, fallback)


def pair_classes() -> list[tuple[Any, Any, Any]]:
    return [
        (cqrs.RequestHandlerFallback, Primary, Fallback),
        (cqrs.RequestHandlerFallback, Streaming, Streaming),
        (cqrs.RequestHandlerFallback, Link, Link),
        (cqrs.EventHandlerFallback, OnHappened, OnHappened),
    ]


@pytest.mark.parametrize(("pair", "primary", "fallback"), pair_classes())
@pytest.mark.parametrize(
    "failures",
    [
        ConnectionError,
        [ConnectionError],
        (ConnectionError, "TimeoutError"),
        (ConnectionError(),),
        (asyncio.CancelledError,),
        (KeyboardInterrupt,),
        (BaseException,),
        None,
    ],
)
def test_failure_exceptions_must_be_a_tuple_of_exception_types(
    pair: Any, primary: Any, fallback: Any, failures: Any
) -> None:
    with pytest.raises(TypeError, match="failure_exceptions must be a tuple of Exception types"):
        pair(primary, fallback, failure_exceptions=failures)


class NoCheck:
    async def call(self, identifier: Any, func: Any, *args: Any, **kwargs: Any) -> Any: ...


@pytest.mark.parametrize(("pair", "primary", "fallback"), pair_classes())
@pytest.mark.parametrize("breaker", [object(), NoCheck(), CallBreaker, "breaker", 0])
def test_a_breaker_without_the_protocols_methods_is_refused(
    pair: Any, primary: Any, fallback: Any, breaker: Any
) -> None:
    with pytest.raises(
        TypeError, match="circuit_breaker must be an instance with the methods of ICircuitBreaker"
    ):
        pair(primary, fallback, circuit_breaker=breaker)


@pytest.mark.parametrize(("pair", "primary", "fallback"), pair_classes())
def test_declarations_are_frozen_and_equal_by_value(pair: Any, primary: Any, fallback: Any) -> None:
    breaker = CallBreaker()
    one = pair(primary, fallback, (ConnectionError,), breaker)
    same = pair(
        primary=primary, fallback=fallback, failure_exceptions=(ConnectionError,), circuit_breaker=breaker
    )
    assert one == same
    assert hash(one) == hash(same)
    assert one != pair(primary, fallback)
    assert one != pair(primary, fallback, (ConnectionError,), CallBreaker())
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.primary = fallback


def test_a_declaration_with_an_unhashable_breaker_is_hashable() -> None:
    @dataclasses.dataclass
    class Unhashable(CallBreaker):
        name: str = "x"

    assert Unhashable.__hash__ is None
    assert hash(cqrs.RequestHandlerFallback(Primary, Fallback, (), Unhashable()))


def test_the_defaults_let_every_exception_lead_to_the_fallback() -> None:
    pair = cqrs.RequestHandlerFallback(Primary, Fallback)
    assert pair.failure_exceptions == ()
    assert pair.circuit_breaker is None
    assert pair.after_items == "fallback"


def test_handlers_behind_generic_bases_and_mixins_fit() -> None:
    Req = TypeVar("Req")

    class Base(cqrs.RequestHandler[Req, int], Generic[Req]):
        async def handle(self, request: Req) -> int:
            return 1

    class Mixin:
        pass

    class Concrete(Mixin, Base[Ask]):
        pass

    assert cqrs.RequestHandlerFallback(Concrete, Fallback).primary is Concrete


def test_nested_fallbacks_are_asked_in_order() -> None:
    class Last(Fallback):
        pass

    inner = cqrs.RequestHandlerFallback(Fallback, Last, (TimeoutError,))
    outer = cqrs.RequestHandlerFallback(Primary, inner, (ConnectionError,))
    assert [handler for handler, _ in outer.attempts()] == [Primary, Fallback, Last]
    assert [pair for _, pair in outer.attempts()] == [outer, inner, None]


@pytest.mark.parametrize("value", ["restart", None, 1])
def test_after_items_has_two_values(value: Any) -> None:
    with pytest.raises(TypeError, match="after_items must be 'fallback' or 'raise'"):
        cqrs.RequestHandlerFallback(Streaming, Streaming, after_items=value)


def test_after_items_is_for_streams() -> None:
    with pytest.raises(TypeError, match="for streaming handlers only"):
        cqrs.RequestHandlerFallback(Primary, Fallback, after_items="raise")
