"""What cannot open asynchronous sessions is refused before it is used."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from cqrs._sql.sessions import check_session_factory
from cqrs.exceptions import ConfigurationTypeError

ENGINE = create_async_engine("sqlite+aiosqlite://")


async def an_async_function() -> None: ...


@pytest.mark.parametrize("factory", [async_sessionmaker(ENGINE), lambda: AsyncSession(ENGINE), lambda x=1: x])
def test_factories_are_returned(factory: Any) -> None:
    assert check_session_factory(factory, "Storage") is factory


@pytest.mark.parametrize(
    ("factory", "named"),
    [
        (ENGINE, "an engine"),
        (create_engine("sqlite://"), "an engine"),
        (AsyncSession(ENGINE), "a session"),
        (Session(), "a session"),
        (async_scoped_session(async_sessionmaker(ENGINE), lambda: None), "a scoped session"),
        (sessionmaker(), "a factory of synchronous sessions"),
        (scoped_session(sessionmaker()), "a factory of synchronous sessions"),
        (AsyncSession, "the class AsyncSession"),
        (an_async_function, "an async function"),
        (lambda engine: AsyncSession(engine), "without arguments"),
        (None, "None"),
        ("sqlite://", "'sqlite://'"),
    ],
)
def test_other_things_are_refused(factory: Any, named: str) -> None:
    with pytest.raises(ConfigurationTypeError, match="Storage needs a session_factory, not") as caught:
        check_session_factory(factory, "Storage")
    assert named in str(caught.value)
    assert "async_sessionmaker(engine)" in str(caught.value)
