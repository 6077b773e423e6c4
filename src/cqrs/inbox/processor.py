"""Handling each message once: its registration and its effects in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import itertools
import logging
import random
import uuid
from collections.abc import Awaitable, Callable, Generator
from datetime import timedelta
from typing import Generic, TypeVar

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from cqrs._sql.clock import utc_now
from cqrs._sql.errors import is_transient
from cqrs._sql.library import aio, sa
from cqrs._sql.sessions import SessionFactory, check_session_factory
from cqrs.circuit_breaker import validation
from cqrs.exceptions import ConfigurationError, ConfigurationTypeError
from cqrs.inbox.models import InboxModel
from cqrs.inbox.repository import checked_consumer, checked_message_id
from cqrs.inbox.sqlalchemy import SqlAlchemyInboxRepository

__all__ = ["InboxProcessor", "Processed", "current_session"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

_MOST_TRIES = 10
_FIRST_WAIT = 0.01

_session: contextvars.ContextVar[aio.AsyncSession | None] = contextvars.ContextVar(
    "cqrs.inbox.session", default=None
)


def current_session() -> aio.AsyncSession | None:
    """Return the session of the message that is handled now; for containers that build its handlers."""
    return _session.get()


@dataclasses.dataclass(frozen=True, slots=True)
class Processed(Generic[T]):
    """What became of a message.

    Attributes:
        is_duplicate: it was handled earlier, and the handler did not run.
        result: what the handler returned; ``None`` for a duplicate.
    """

    is_duplicate: bool
    result: T | None = None


class InboxProcessor:
    """Runs handlers of messages so that each message has its effects once, however often it is delivered.

    That holds for effects in the database of the session. Others, such as calls of services, happen again
    when the process dies between them and the commit: give those the id of the message as idempotency key.

    ::

        processor = InboxProcessor(async_sessionmaker(engine), "mailer")
        await processor.process(message.message_id, lambda session: handle(message, session))

    Args:
        session_factory: opens sessions, best an ``async_sessionmaker``.
        consumer: who handles the messages, 1 to 190 characters; the same in all processes that share the
            work.

    Raises:
        ConfigurationTypeError: an argument is of the wrong kind.
    """

    def __init__(self, session_factory: SessionFactory, consumer: str) -> None:
        self._session_factory = check_session_factory(session_factory, "InboxProcessor")
        self._consumer = checked_consumer(consumer)

    async def process(
        self,
        message_id: uuid.UUID | str,
        handler: Callable[[aio.AsyncSession], Awaitable[T]],
        *,
        event_name: str | None = None,
    ) -> Processed[T]:
        """Call ``handler(session)`` unless the message was handled before, and commit both together.

        An error of the handler, or a cancellation, undoes the registration too: the message is handled when
        it is delivered again. The handler neither commits nor rolls back, except savepoints; it is refused.

        Args:
            message_id: identity of the message; a UUID, or a text of 1 to 190 characters.
            handler: does its work in the session that it is given; also that of ``current_session()``.
            event_name: what the message tells, for people.

        Raises:
            ConfigurationTypeError: an argument is of the wrong kind.
            ConfigurationError: the handler has ended the transaction, or there is none (AUTOCOMMIT).
            Exception: what the handler raised, or an error of the database.
        """
        identity = checked_message_id(message_id)
        if not callable(handler):
            raise ConfigurationTypeError(f"handler must be a function of a session, not {handler!r}")
        async with self._session_factory() as session:
            inbox = SqlAlchemyInboxRepository(session)
            if not await self._register(inbox, identity, event_name):
                await session.commit()
                logger.info("%s has handled message %s before, and skips it", self._consumer, identity)
                return Processed(is_duplicate=True)
            token = _session.set(session)
            try:
                with _undivided(session):
                    result = await handler(session)
            finally:
                _session.reset(token)
            await session.flush()
            await inbox.finish(self._consumer, identity)
            await session.commit()
        return Processed(is_duplicate=False, result=result)

    async def _register(
        self, inbox: SqlAlchemyInboxRepository, identity: str, event_name: str | None
    ) -> bool:
        for attempt in itertools.count(1):
            try:
                return await inbox.register(self._consumer, identity, event_name=event_name)
            except DBAPIError as error:
                # On MySQL, several that wait for one that is rolled back lock each other out: one of them
                # gets on, and the others are told to try again. Nothing has been done yet.
                if not is_transient(error) or attempt == _MOST_TRIES:
                    raise
                await inbox.session.rollback()
                # At random: those that have hit each other must not do so again.
                await asyncio.sleep(_FIRST_WAIT * attempt * random.random())
        raise AssertionError("unreachable")

    async def purge(self, older_than: float | timedelta, *, chunk: int = 1000) -> int:
        """Forget messages of this consumer that were received long ago; return how many.

        Args:
            older_than: seconds, or ``timedelta``; longer than any broker could deliver a message again.
            chunk: rows deleted in one transaction, at least 1.

        Raises:
            PolicyError: an argument is out of range.
        """
        seconds = validation.seconds("older_than", older_than, strict=False)
        size = validation.count("chunk", chunk)
        table = InboxModel.__table__
        old = (
            sa.select(table.c.id)
            .where(table.c.consumer == self._consumer, table.c.received_at < utc_now(seconds))
            .order_by(table.c.id)
            .limit(size)
        )
        total = 0
        while True:
            async with self._session_factory() as session:
                connection = await session.connection(bind_arguments={"mapper": InboxModel})
                ids = list((await connection.execute(old)).scalars())
                if ids:
                    await connection.execute(table.delete().where(table.c.id.in_(ids)))
                await session.commit()
            total += len(ids)
            if len(ids) < size:
                return total


@contextlib.contextmanager
def _undivided(session: aio.AsyncSession) -> Generator[None]:
    """Refuse that the transaction in which a message is registered ends before its handler does.

    Raises:
        ConfigurationError: it did.
    """
    inner = session.sync_session
    transaction = inner.get_transaction()

    def refuse(_: object) -> None:
        if not inner.in_nested_transaction():
            raise ConfigurationError(
                "a handler of an inbox must not commit: if it failed afterwards, its message would count as "
                "handled; the inbox commits when the handler returns"
            )

    event.listen(inner, "before_commit", refuse)
    try:
        yield
    finally:
        event.remove(inner, "before_commit", refuse)
    if inner.get_transaction() is not transaction:
        raise ConfigurationError(
            "the handler has rolled its transaction back, or closed its session, and returned as if it had "
            "succeeded: nothing of it remains; let it raise, or use session.begin_nested()"
        )
