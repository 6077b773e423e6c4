"""Handlers, maps and fallbacks that are declared wrongly are refused where they are declared."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypedDict, TypeVar
from unittest.mock import AsyncMock

import pytest

import cqrs
from cqrs.circuit_breaker import CircuitBreaker, CircuitBreakerPolicy, CircuitBreakers
from cqrs.exceptions import ConfigurationError


class Ask(cqrs.Request):
    pass


class AskMore(Ask):
    pass


class Other(cqrs.Request):
    pass


class Answer(cqrs.Response):
    text: str = ""


class Happened(cqrs.DomainEvent):
    pass


class Ended(cqrs.DomainEvent):
    pass


class OnAsk(cqrs.RequestHandler[Ask, Answer]):
    async def handle(self, request: Ask) -> Answer:
        return Answer()


class OnAskToo(cqrs.RequestHandler[Ask, Answer]):
    async def handle(self, request: Ask) -> Answer:
        return Answer()


class OnOther(cqrs.RequestHandler[Other, Answer]):
    async def handle(self, request: Other) -> Answer:
        return Answer()


class AskForNumber(cqrs.RequestHandler[Ask, int]):
    async def handle(self, request: Ask) -> int:
        return 1


class Untyped(cqrs.RequestHandler):  # type: ignore[type-arg]  # what is tested
    async def handle(self, request: Any) -> Any:
        return None


ResultT = TypeVar("ResultT")


class HalfTyped(cqrs.RequestHandler[Ask, ResultT], Generic[ResultT]):
    async def handle(self, request: Ask) -> ResultT:
        raise NotImplementedError


class Streams(cqrs.StreamingRequestHandler[Ask, Answer]):
    async def handle(self, request: Ask) -> Any:
        yield Answer()


class Link(cqrs.CORRequestHandler[Ask, Answer]):
    async def handle(self, request: Ask) -> Answer | None:
        return await self.next(request)


class OnHappened(cqrs.EventHandler[Happened]):
    async def handle(self, event: Happened) -> None:
        pass


class OnHappenedToo(cqrs.EventHandler[Happened]):
    async def handle(self, event: Happened) -> None:
        pass


class OnEnded(cqrs.EventHandler[Ended]):
    async def handle(self, event: Ended) -> None:
        pass


class UntypedEvent(cqrs.EventHandler):  # type: ignore[type-arg]  # what is tested
    async def handle(self, event: Any) -> None:
        pass


class Unrelated:
    async def handle(self, request: Any) -> None:
        pass


class Row(TypedDict):
    name: str


# ---------------------------------------------------------------------- binding


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (None, ["None", "Ask", "RequestHandler", "StreamingRequestHandler"]),
        (OnAsk(), ["OnAsk object", "Ask", "subclass"]),
        ("OnAsk", ["'OnAsk'", "Ask", "subclass"]),
        (lambda request: None, ["function", "Ask", "subclass"]),
        (cqrs.RequestHandler[Ask, Answer], ["RequestHandler[", "Ask", "subclass"]),
        (Unrelated, ["Unrelated", "Ask", "subclass of RequestHandler"]),
        (OnHappened, ["OnHappened", "Ask", "subclass of RequestHandler"]),
        (cqrs.RequestHandlerFallback, ["RequestHandlerFallback", "Ask", "subclass"]),
        (cqrs.EventHandlerFallback(OnHappened, OnHappenedToo), ["OnHappened", "Ask", "RequestHandler"]),
        (OnOther, ["OnOther handles Other", "Ask"]),
        (cqrs.RequestHandlerFallback(OnOther, OnOther), ["OnOther handles Other", "Ask"]),
        (Link, ["Link", "bind the links of a chain as a list"]),
        ([], ["chain", "Ask", "no links"]),
        ([OnAsk], ["OnAsk", "CORRequestHandler"]),
        ([Link, OnAsk], ["OnAsk", "CORRequestHandler"]),
        ([Link()], ["Link object", "CORRequestHandler"]),
        ((link for link in (Link, Link)), ["generator", "subclass"]),
    ],
)
def test_what_cannot_answer_a_request_is_not_bound(handler: Any, words: list[str]) -> None:
    requests = cqrs.RequestMap()

    with pytest.raises(ConfigurationError) as refusal:
        requests.bind(Ask, handler)

    assert isinstance(refusal.value, TypeError)
    assert all(word in str(refusal.value) for word in words), str(refusal.value)
    assert not requests


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (None, ["None", "Happened", "EventHandler"]),
        (OnHappened(), ["OnHappened object", "Happened", "EventHandler"]),
        (OnAsk, ["OnAsk", "Happened", "EventHandler"]),
        ([OnHappened, OnHappenedToo], ["OnHappened", "EventHandler"]),
        (OnEnded, ["OnEnded handles Ended", "Happened"]),
        (cqrs.RequestHandlerFallback(OnAsk, OnAskToo), ["OnAsk", "EventHandlerFallback"]),
    ],
)
def test_what_cannot_handle_an_event_is_not_bound(handler: Any, words: list[str]) -> None:
    events = cqrs.EventMap()

    with pytest.raises(ConfigurationError) as refusal:
        events.bind(Happened, handler)

    assert isinstance(refusal.value, TypeError)
    assert all(word in str(refusal.value) for word in words), str(refusal.value)
    assert not events


@pytest.mark.parametrize("bindings", [cqrs.RequestMap, cqrs.EventMap])
@pytest.mark.parametrize(
    ("message_type", "words"),
    [
        (None, "must be a class, not None"),
        ("Ask", "must be a class, not 'Ask'"),
        (Ask(), "must be a class, not Ask()"),
        (Ask | Other, "must be a class, not"),
        (cqrs.Request[Answer], "must be a class, not"),
        (Row, "Row is a TypedDict"),
    ],
)
def test_what_no_message_is_an_instance_of_is_not_bound(
    bindings: type[Any], message_type: Any, words: str
) -> None:
    handler = Untyped if bindings is cqrs.RequestMap else UntypedEvent

    with pytest.raises(ConfigurationError) as refusal:
        bindings().bind(message_type, handler)

    assert isinstance(refusal.value, TypeError)
    assert words in str(refusal.value)


REBINDINGS: list[Callable[[cqrs.RequestMap], object]] = [
    lambda requests: requests.bind(Ask, OnAskToo),
    lambda requests: requests.__setitem__(Ask, OnAskToo),
    lambda requests: requests.update({Ask: OnAskToo}),
    lambda requests: requests.update([(Ask, OnAskToo)]),
    lambda requests: requests.__ior__({Ask: OnAskToo}),
    lambda requests: requests.handles(Ask)(OnAskToo),
]


@pytest.mark.parametrize("rebind", REBINDINGS)
def test_no_way_to_write_replaces_a_binding(rebind: Callable[[cqrs.RequestMap], object]) -> None:
    requests = cqrs.RequestMap({Ask: OnAsk})

    with pytest.raises(KeyError, match=r"Ask'> already exists in registry"):
        rebind(requests)

    assert requests[Ask] is OnAsk
    assert requests.setdefault(Ask, OnAskToo) is OnAsk


# ---------------------------------------------------------------------- kinds of methods


class PlainHandle(cqrs.RequestHandler[Ask, Answer]):
    def handle(self, request: Ask) -> Answer:  # type: ignore[override]  # what is tested
        return Answer()


class YieldingHandle(cqrs.RequestHandler[Ask, Answer]):
    async def handle(self, request: Ask) -> Any:
        yield Answer()


class PlainLink(cqrs.CORRequestHandler[Ask, Answer]):
    def handle(self, request: Ask) -> Answer:  # type: ignore[override]  # what is tested
        return Answer()


class PlainEventHandle(cqrs.EventHandler[Happened]):
    def handle(self, event: Happened) -> None:  # type: ignore[override]  # what is tested
        pass


class ReturningStream(cqrs.StreamingRequestHandler[Ask, Answer]):
    async def handle(self, request: Ask) -> Any:
        return [Answer()]


class PlainGeneratorStream(cqrs.StreamingRequestHandler[Ask, Answer]):
    def handle(self, request: Ask) -> Any:
        yield Answer()


class EventsMethod(cqrs.RequestHandler[Ask, Answer]):
    def events(self) -> list[object]:  # type: ignore[override]  # what is tested
        return []

    async def handle(self, request: Ask) -> Answer:
        return Answer()


MISWRITTEN = [
    (PlainHandle, OnAsk, "PlainHandle.handle must be `async def`"),
    (YieldingHandle, OnAsk, "YieldingHandle.handle must be `async def`"),
    (EventsMethod, OnAsk, "EventsMethod.events must be a property"),
    (ReturningStream, Streams, "ReturningStream.handle must be an async generator"),
    (PlainGeneratorStream, Streams, "PlainGeneratorStream.handle must be an async generator"),
    (PlainLink, Link, "PlainLink.handle must be `async def`"),
]


@pytest.mark.parametrize(("handler", "healthy", "words"), MISWRITTEN)
def test_a_handler_that_can_never_work_is_not_bound(handler: Any, healthy: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        cqrs.RequestMap().bind(Ask, [handler] if issubclass(handler, cqrs.CORRequestHandler) else handler)


@pytest.mark.parametrize(("handler", "healthy", "words"), MISWRITTEN)
def test_a_fallback_does_not_hide_a_handler_that_can_never_work(
    handler: Any, healthy: Any, words: str
) -> None:
    for pair in ((handler, healthy), (healthy, handler)):
        with pytest.raises(ConfigurationError, match=words):
            cqrs.RequestHandlerFallback(*pair)


def test_an_event_handler_that_can_never_work_is_refused() -> None:
    words = "PlainEventHandle.handle must be `async def`"
    with pytest.raises(ConfigurationError, match=words):
        cqrs.EventMap().bind(Happened, PlainEventHandle)
    with pytest.raises(ConfigurationError, match=words):
        cqrs.EventHandlerFallback(PlainEventHandle, OnHappened)


class SaysAwaitable(cqrs.RequestHandler[Ask, Answer]):
    def handle(self, request: Ask) -> Awaitable[Answer]:  # type: ignore[override]  # allowed at run time
        return OnAsk().handle(request)


class Guarded(cqrs.RequestHandler[Ask, Answer]):
    @CircuitBreaker("bad-input")
    async def handle(self, request: Ask) -> Answer:
        return Answer()


class Mocked(cqrs.RequestHandler[Ask, Answer]):
    handle = AsyncMock()


@pytest.mark.parametrize("handler", [SaysAwaitable, Guarded, Mocked, cqrs.RequestHandler])
def test_unusual_handlers_that_can_work_are_bound(handler: Any) -> None:
    assert cqrs.RequestMap({Ask: handler})[Ask] is handler


# ---------------------------------------------------------------------- fallbacks


@pytest.mark.parametrize(
    ("primary", "fallback", "words"),
    [
        (OnAsk(), OnAskToo, ["must be handler classes", "primary is", "OnAsk object"]),
        (OnAsk, OnAskToo(), ["must be handler classes", "fallback is", "OnAskToo object"]),
        (OnAsk, None, ["must be handler classes", "fallback is None"]),
        (cqrs.RequestHandlerFallback(OnAsk, OnAskToo), OnAsk, ["must be handler classes", "primary is"]),
        (OnAsk, cqrs.EventHandlerFallback(OnHappened, OnHappenedToo), ["nested", "EventHandlerFallback"]),
        (OnAsk, Streams, ["same handler base type", "OnAsk is a RequestHandler", "Streams is a Streaming"]),
        (OnHappened, OnAsk, ["primary (OnHappened)", "must be a subclass of", "RequestHandler"]),
        (OnAsk, Unrelated, ["fallback (Unrelated)", "must be a subclass of"]),
        (
            OnAsk,
            Untyped,
            ["fallback (Untyped)", "must be parameterized with concrete types", "class Untyped("],
        ),
        (HalfTyped, OnAsk, ["primary (HalfTyped)", "must be parameterized with concrete types"]),
        (OnAsk, OnOther, ["same request type", "primary OnAsk handles Ask", "OnOther handles Other"]),
        (OnAsk, AskForNumber, ["same response type", "OnAsk returns Answer", "AskForNumber returns int"]),
    ],
)
def test_handlers_that_do_not_fit_together_are_refused(primary: Any, fallback: Any, words: list[str]) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        cqrs.RequestHandlerFallback(primary, fallback)

    assert isinstance(refusal.value, TypeError)
    assert "RequestHandlerFallback" in str(refusal.value)
    assert all(word in str(refusal.value) for word in words), str(refusal.value)


@pytest.mark.parametrize(
    "failures",
    [
        None,
        ValueError,
        [ValueError],
        {ValueError},
        (ValueError(),),
        ("ValueError",),
        ((ValueError,),),
        (BaseException,),
        (KeyboardInterrupt,),
        (asyncio.CancelledError,),
        lambda error: True,
    ],
)
@pytest.mark.parametrize(
    "declare",
    [
        lambda failures: cqrs.RequestHandlerFallback(OnAsk, OnAskToo, failures),
        lambda failures: cqrs.EventHandlerFallback(OnHappened, OnHappenedToo, failures),
    ],
)
def test_a_filter_that_is_no_tuple_of_exception_types_is_refused(
    declare: Callable[[Any], object], failures: Any
) -> None:
    with pytest.raises(
        ConfigurationError, match="failure_exceptions must be a tuple of Exception types"
    ) as refusal:
        declare(failures)

    assert isinstance(refusal.value, TypeError)


class OnlyCalls:
    async def call(self, identifier: Any, func: Any, *args: Any) -> Any:
        return await func(*args)


class AsksAsync(OnlyCalls):
    async def is_circuit_breaker_error(self, exc: Exception) -> bool:
        return False


@pytest.mark.parametrize(
    ("breaker", "words"),
    [
        (True, "not True"),
        ("payments", "not 'payments'"),
        (object(), "ICircuitBreaker"),
        (OnlyCalls(), "is_circuit_breaker_error"),
        (CircuitBreakers, "an instance"),
        (CircuitBreaker("one"), "such as CircuitBreakers"),
        (CircuitBreakerPolicy(), "such as CircuitBreakers"),
        (AsksAsync(), "AsksAsync.is_circuit_breaker_error must not be async"),
    ],
)
def test_an_object_that_is_no_circuit_breaker_is_refused(breaker: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match="circuit_breaker") as refusal:
        cqrs.RequestHandlerFallback(OnAsk, OnAskToo, circuit_breaker=breaker)

    assert isinstance(refusal.value, TypeError)
    assert words in str(refusal.value)


@pytest.mark.parametrize("typo", ["failure_exception", "breaker", "fallbacks", "after_item"])
def test_a_misspelled_argument_is_named(typo: str) -> None:
    with pytest.raises(TypeError, match=typo):
        cqrs.RequestHandlerFallback(OnAsk, OnAskToo, **{typo: ()})
