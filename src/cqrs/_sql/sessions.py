"""Checking what shall open sessions, before the first of them is needed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias, cast

from cqrs._sql.library import aio, orm, sa
from cqrs.exceptions import ConfigurationTypeError

__all__ = ["SessionFactory", "check_session_factory"]

SessionFactory: TypeAlias = Callable[[], aio.AsyncSession]
"""A function without arguments that returns a new session, best an ``async_sessionmaker``."""

_ADVICE = "give it async_sessionmaker(engine), with an engine of create_async_engine"


def check_session_factory(session_factory: object, owner: str) -> SessionFactory:
    """Return ``session_factory`` if it can open asynchronous sessions, as far as can be told without trying.

    Args:
        session_factory: what the user has given.
        owner: the class that needs it, for the text of the error.

    Raises:
        ConfigurationTypeError: it is something else, such as an engine, a session or a synchronous factory.
    """
    wrong = _what_is_wrong(session_factory)
    if wrong is not None:
        raise ConfigurationTypeError(f"{owner} needs a session_factory, not {wrong}: {_ADVICE}")
    return cast("SessionFactory", session_factory)


def _what_is_wrong(factory: Any) -> str | None:
    if isinstance(factory, (aio.AsyncEngine, sa.Engine)):
        return "an engine"
    if isinstance(factory, aio.async_scoped_session):
        return "a scoped session, which several tasks would share"
    if isinstance(factory, (aio.AsyncSession, orm.Session)):
        return "a session, which only one task could use"
    if isinstance(factory, aio.async_sessionmaker):
        return None
    if isinstance(factory, (orm.sessionmaker, orm.scoped_session)):
        return "a factory of synchronous sessions"
    if isinstance(factory, type):
        return f"the class {factory.__name__}"
    if not callable(factory):
        return repr(factory)
    if inspect.iscoroutinefunction(factory) or inspect.isasyncgenfunction(factory):
        return "an async function"
    return _wrong_signature(factory)


def _wrong_signature(factory: Callable[..., Any]) -> str | None:
    try:
        inspect.signature(factory).bind()
    except TypeError:
        return f"{factory!r}, which cannot be called without arguments"
    except ValueError:
        pass  # a builtin does not tell
    return None
