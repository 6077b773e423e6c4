"""Dispatching events that came from outside."""

from __future__ import annotations

import logging

import pytest

import cqrs
from cqrs.container import BuiltinContainer
from cqrs.dispatcher import EventDispatcher
from cqrs.events import EventMap


class Happened:
    pass


class Fails(cqrs.EventHandler[Happened]):
    async def handle(self, event: Happened) -> None:
        raise ConnectionError("primary")


class Works(cqrs.EventHandler[Happened]):
    events = ["follow-up"]  # type: ignore[assignment]  # simplest

    async def handle(self, event: Happened) -> None: ...


async def test_the_result_tells_follow_ups_fallbacks_and_how_many_handled_it() -> None:
    pairs = [cqrs.EventHandlerFallback(Fails, Works), cqrs.EventHandlerFallback(Works, Fails)]
    dispatcher = EventDispatcher(EventMap({Happened: [*pairs, Works]}), BuiltinContainer())
    result = await dispatcher.dispatch(Happened())
    assert result.events == ("follow-up",) * 3
    assert result.handled == 3
    assert [answer.primary for answer in result.fallbacks] == [Fails]
    assert cqrs.current_fallback() == result.fallbacks[0]


async def test_an_unknown_event_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    dispatcher = EventDispatcher(EventMap(), BuiltinContainer())
    assert (await dispatcher.dispatch(Happened())).handled == 0
    (record,) = caplog.records
    assert (record.levelno, vars(record)["event_type"]) == (logging.WARNING, "Happened")


async def test_a_handler_that_is_bound_later_takes_part() -> None:
    events = EventMap()
    dispatcher = EventDispatcher(events, BuiltinContainer())
    await dispatcher.dispatch(Happened())
    events.bind(Happened, Works)
    assert (await dispatcher.dispatch(Happened())).handled == 1
