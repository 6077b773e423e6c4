"""Binding events."""

from __future__ import annotations

from typing import Any

import pytest

import cqrs


class Happened(cqrs.DomainEvent):
    pass


class Else(cqrs.DomainEvent):
    pass


class One(cqrs.EventHandler[Happened]):
    async def handle(self, event: Happened) -> None: ...


class Two(One):
    pass


class OnElse(cqrs.EventHandler[Else]):
    async def handle(self, event: Else) -> None: ...


class Ask(cqrs.RequestHandler[Happened, None]):
    async def handle(self, request: Happened) -> None: ...


PAIR = cqrs.EventHandlerFallback(One, Two)


def test_handlers_are_kept_in_the_order_in_which_they_were_bound() -> None:
    events = cqrs.EventMap()
    for handler in (Two, PAIR, One):
        events.bind(Happened, handler)
    assert events[Happened] == [Two, PAIR, One]


@pytest.mark.parametrize("handler", [One, PAIR])
def test_the_same_item_twice_is_refused(handler: Any) -> None:
    events = cqrs.EventMap({Happened: handler})
    with pytest.raises(KeyError, match="already bound"):
        events.bind(Happened, handler)
    with pytest.raises(KeyError):
        events[Happened] = [handler]
    equal = cqrs.EventHandlerFallback(One, Two) if handler is PAIR else One
    with pytest.raises(KeyError):
        events.bind(Happened, equal)


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (One(), "must be a subclass of EventHandler"),
        (Ask, "must be a subclass of EventHandler"),
        (None, "must be a subclass of EventHandler"),
        (OnElse, "OnElse handles Else and cannot be bound to the event type Happened"),
        (cqrs.EventHandlerFallback(OnElse, OnElse), "OnElse handles Else and cannot be bound"),
    ],
)
def test_what_does_not_handle_the_event_is_refused_at_once(handler: Any, message: str) -> None:
    events = cqrs.EventMap()
    with pytest.raises(TypeError, match=message):
        events.bind(Happened, handler)
    with pytest.raises(TypeError, match=message):
        events[Happened] = [handler]
    assert events == {}


def test_every_way_to_write_adds() -> None:
    events = cqrs.EventMap({Happened: [One]})
    events[Happened] = [Two]
    events.update({Else: [OnElse]})
    events |= {Happened: PAIR}
    assert events == {Happened: [One, Two, PAIR], Else: [OnElse]}
    assert events.setdefault(Happened, OnElse) == [One, Two, PAIR]
    copied = events.copy()
    copied.bind(Happened, cqrs.EventHandlerFallback(Two, One))
    assert len(events[Happened]) == 3


@pytest.mark.parametrize("remove", ["__delitem__", "pop"])
def test_nothing_is_ever_removed(remove: str) -> None:
    events = cqrs.EventMap({Happened: [One]})
    with pytest.raises(TypeError, match="EventMap has no deletion"):
        getattr(events, remove)(Happened)


def test_a_decorator_binds_and_returns_the_class() -> None:
    events = cqrs.EventMap()

    @events.handles(Happened)
    class Decorated(One):
        pass

    assert events == {Happened: [Decorated]}
