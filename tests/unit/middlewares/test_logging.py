"""The logging middleware costs nothing and disturbs nothing."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cqrs.middlewares import LoggingMiddleware
from cqrs.middlewares.logging import chain_with_logging

LOGGER = "cqrs.middlewares.logging"


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("cannot be rendered")

    def to_dict(self) -> dict[str, Any]:
        raise RuntimeError("cannot be rendered")


async def echo(request: Any) -> Any:
    return request


async def twice(request: Any) -> AsyncIterator[Any]:
    yield request
    yield request


async def test_request_and_response_are_fields_of_the_records(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    thing = Unprintable()
    assert await LoggingMiddleware()(thing, echo) is thing
    before, after = caplog.records
    assert vars(before)["request"] is thing
    assert vars(after)["response"] is thing
    assert "Unprintable" in before.getMessage()


async def test_a_stream_is_logged_with_the_number_of_its_items(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    assert [item async for item in LoggingMiddleware().stream(1, twice)] == [1, 1]
    assert vars(caplog.records[-1])["items"] == 2


async def test_nothing_stands_in_between_while_debug_is_off(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    made: list[Any] = []

    def handle(request: Any) -> Any:
        made.append(echo(request))
        return made[-1]

    middleware = LoggingMiddleware()
    assert middleware.is_idle()
    awaitable = middleware(1, handle)
    assert awaitable is made[0]
    await awaitable
    stream = twice(1)
    assert middleware.stream(1, lambda _: stream) is stream
    assert caplog.records == []


async def test_a_log_handler_that_raises_does_not_undo_the_command(caplog: pytest.LogCaptureFixture) -> None:
    class Raises(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            if record.levelno == logging.DEBUG:
                raise RuntimeError("full disk")
            return True

    logger = logging.Logger("own", logging.DEBUG)
    logger.addFilter(Raises())
    assert await LoggingMiddleware(logger)(1, echo) == 1


def test_it_is_put_around_the_others_unless_they_hold_one() -> None:
    async def other(request: Any, handle: Any) -> Any:
        return await handle(request)

    added = chain_with_logging([other]).middlewares
    assert isinstance(added[0], LoggingMiddleware)
    assert added[1] is other
    own = LoggingMiddleware()
    assert chain_with_logging([other, own]).middlewares == (other, own)
    assert len(chain_with_logging([other, LoggingMiddleware]).middlewares) == 2
    assert len(chain_with_logging(None).middlewares) == 1
