"""Binding requests."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from typing import Any, Generic, TypedDict, TypeVar

import pytest

import cqrs
from cqrs.exceptions import RequestHandlerTypeError


class Ask(cqrs.Request):
    pass


class AskMore(Ask):
    pass


class Other(cqrs.Request):
    pass


class Handler(cqrs.RequestHandler[Ask, int]):
    async def handle(self, request: Ask) -> int:
        return 1


class OtherHandler(cqrs.RequestHandler[Other, int]):
    async def handle(self, request: Other) -> int:
        return 2


class Both(cqrs.RequestHandler[Ask | Other, int]):
    async def handle(self, request: Ask | Other) -> int:
        return 3


class Stream(cqrs.StreamingRequestHandler[Ask, int]):
    async def handle(self, request: Ask) -> AsyncIterator[int]:
        yield 1


class Link(cqrs.CORRequestHandler[Ask, int]):
    async def handle(self, request: Ask) -> int | None:
        return await self.next(request)


class OtherLink(cqrs.CORRequestHandler[Other, int]):
    async def handle(self, request: Other) -> int | None:
        return await self.next(request)


class OnEvent(cqrs.EventHandler[Ask]):
    async def handle(self, event: Ask) -> None: ...


PAIR = cqrs.RequestHandlerFallback(Handler, Handler)
LINK_PAIR = cqrs.RequestHandlerFallback(Link, Link)


@pytest.mark.parametrize("binding", [Handler, Both, Stream, PAIR, [Link], [LINK_PAIR, Link], (Link, Link)])
def test_what_answers_a_request_can_be_bound(binding: Any) -> None:
    requests = cqrs.RequestMap()
    requests.bind(Ask, binding)
    assert requests[Ask] == (list(binding) if isinstance(binding, tuple) else binding)


def test_rebinding_is_refused_with_the_documented_message() -> None:
    requests = cqrs.RequestMap()
    requests.bind(Ask, Handler)
    with pytest.raises(KeyError, match="Ask'> already exists in registry"):
        requests.bind(Ask, Handler)


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        (
            Handler(),
            "cannot be bound to Ask: it must be a subclass of RequestHandler or StreamingRequestHandler",
        ),
        (int, "int cannot be bound to Ask"),
        (None, "None cannot be bound to Ask"),
        (OnEvent, "OnEvent cannot be bound to Ask"),
        (Link, "bind the links of a chain as a list"),
        (LINK_PAIR, "bind the links of a chain as a list"),
        ([], "has no links"),
        ([Handler], "Handler cannot be bound to Ask: it must be a subclass of CORRequestHandler"),
        ([Link, PAIR], "Handler cannot be bound to Ask: it must be a subclass of CORRequestHandler"),
        (OtherHandler, "OtherHandler handles Other and cannot be bound to the request type Ask"),
        ([Link, OtherLink], "OtherLink handles Other and cannot be bound to the request type Ask"),
        (
            cqrs.RequestHandlerFallback(OtherHandler, OtherHandler),
            "OtherHandler handles Other and cannot be bound to the request type Ask",
        ),
    ],
)
def test_what_does_not_answer_the_request_is_refused_at_once(binding: Any, message: str) -> None:
    requests = cqrs.RequestMap()
    with pytest.raises(RequestHandlerTypeError if "handles" not in message else TypeError, match=message):
        requests.bind(Ask, binding)
    assert requests == {}


def test_a_handler_of_a_base_class_may_serve_a_subclass_but_not_the_other_way_round() -> None:
    class MoreHandler(cqrs.RequestHandler[AskMore, int]):
        async def handle(self, request: AskMore) -> int:
            return 1

    requests = cqrs.RequestMap()
    requests.bind(AskMore, Handler)
    with pytest.raises(TypeError, match="MoreHandler handles AskMore"):
        requests.bind(Ask, MoreHandler)


def test_a_handler_that_declares_nothing_concrete_may_be_bound_to_anything() -> None:
    T = TypeVar("T")

    class Generically(cqrs.RequestHandler[T, Any], Generic[T]):
        async def handle(self, request: T) -> Any: ...

    class Anything(cqrs.RequestHandler[Any, Any]):
        async def handle(self, request: Any) -> Any: ...

    requests = cqrs.RequestMap()
    requests.bind(Ask, Generically)
    requests.bind(Other, Anything)


@pytest.mark.parametrize("request_type", ["Ask", Ask(), Ask | Other, None])
def test_a_request_type_must_be_a_class(request_type: Any) -> None:
    with pytest.raises(TypeError, match="the request type to bind must be a class"):
        cqrs.RequestMap().bind(request_type, Both)


def test_a_typed_dict_cannot_be_told_apart_by_type() -> None:
    class Payload(TypedDict):
        number: int

    with pytest.raises(TypeError, match="Payload is a TypedDict"):
        cqrs.RequestMap().bind(Payload, Handler)


@pytest.mark.parametrize(
    "write",
    [
        lambda requests: requests.__setitem__(Ask, Handler),
        lambda requests: requests.update({Ask: Handler}),
        lambda requests: requests.update([(Ask, Handler)]),
        lambda requests: requests.__ior__({Ask: Handler}),
        lambda requests: requests.bind(Ask, Handler),
    ],
)
def test_every_way_to_write_binds_and_refuses_to_rebind(write: Any) -> None:
    requests = cqrs.RequestMap()
    write(requests)
    assert requests == {Ask: Handler}
    with pytest.raises(KeyError, match="already exists in registry"):
        write(requests)


@pytest.mark.parametrize(
    "write",
    [
        lambda requests: requests.__setitem__(Ask, OtherHandler),
        lambda requests: requests.update({Ask: OtherHandler}),
        lambda requests: requests.setdefault(Ask, OtherHandler),
        lambda requests: requests.setdefault(Ask),
        lambda requests: requests.__ior__({Ask: OtherHandler}),
        lambda requests: cqrs.RequestMap({Ask: OtherHandler}),
        lambda requests: cqrs.RequestMap.fromkeys([Ask], OtherHandler),
    ],
)
def test_every_way_to_write_checks_the_handler(write: Any) -> None:
    requests = cqrs.RequestMap()
    with pytest.raises(TypeError):
        write(requests)
    assert requests == {}


@pytest.mark.parametrize(
    "remove",
    [
        lambda requests: requests.__delitem__(Ask),
        lambda requests: requests.pop(Ask),
        lambda requests: requests.pop(Other, None),
        lambda requests: requests.popitem(),
        lambda requests: requests.clear(),
    ],
)
def test_nothing_is_ever_removed(remove: Any) -> None:
    requests = cqrs.RequestMap({Ask: Handler})
    with pytest.raises(TypeError, match="RequestMap has no deletion"):
        remove(requests)
    assert requests == {Ask: Handler}


def test_setdefault_returns_what_is_bound() -> None:
    requests = cqrs.RequestMap()
    assert requests.setdefault(Ask, Handler) is Handler
    assert requests.setdefault(Ask, Both) is Handler


def test_a_copy_is_a_map_of_its_own() -> None:
    requests = cqrs.RequestMap({Ask: Handler})
    for other in (requests.copy(), copy.copy(requests), copy.deepcopy(requests)):
        assert type(other) is cqrs.RequestMap
        other.bind(Other, OtherHandler)
    assert requests == {Ask: Handler}


def test_a_decorator_binds_and_returns_the_class() -> None:
    requests = cqrs.RequestMap()

    @requests.handles(Ask)
    class Decorated(Handler):
        pass

    assert requests == {Ask: Decorated}
