"""The inbox in a database, by SQLAlchemy: SQLite, PostgreSQL, MySQL, MariaDB."""

from __future__ import annotations

import functools
import uuid
from typing import Any

from sqlalchemy.dialects import mysql, postgresql, sqlite

from cqrs._sql.clock import utc_now
from cqrs._sql.library import aio, sa
from cqrs._sql.transactions import check_transactional
from cqrs.exceptions import ConfigurationError, ConfigurationTypeError
from cqrs.inbox.models import InboxModel
from cqrs.inbox.repository import InboxRepository, checked_consumer, checked_message_id

__all__ = ["SqlAlchemyInboxRepository"]


class SqlAlchemyInboxRepository(InboxRepository):
    """The inbox as one unit of work sees it: in the transaction of its session.

    ::

        async with session_factory.begin() as session:
            if await SqlAlchemyInboxRepository(session).register("mailer", message.message_id):
                ...  # changes in the same session

    Args:
        session: the session whose transaction also holds what handling the message changes.

    ``register`` raises a ``ConfigurationError`` when the session is in AUTOCOMMIT mode: a message would count
    as handled although its handling has failed.

    Raises:
        ConfigurationTypeError: it is no ``AsyncSession``.
    """

    def __init__(self, session: aio.AsyncSession) -> None:
        if not isinstance(session, (aio.AsyncSession, aio.async_scoped_session)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"the inbox needs an AsyncSession of SQLAlchemy, not {session!r}")
        self.session = session

    async def register(
        self, consumer: str, message_id: uuid.UUID | str, *, event_name: str | None = None
    ) -> bool:
        values = {
            "consumer": checked_consumer(consumer),
            "message_id": checked_message_id(message_id),
            "event_name": event_name,
        }
        connection = await self._connection()
        statement, tells_by_count = _register(InboxModel.__table__, connection.dialect.name)
        result = await connection.execute(statement, values)
        if tells_by_count:
            return bool(result.rowcount == 1)
        return bool(result.scalar_one() == 1)

    async def finish(self, consumer: str, message_id: uuid.UUID | str) -> None:
        table = InboxModel.__table__
        mine = sa.and_(table.c.consumer == consumer, table.c.message_id == checked_message_id(message_id))
        connection = await self._connection()
        await connection.execute(table.update().where(mine).values(status="handled", handled_at=utc_now()))

    async def _connection(self) -> aio.AsyncConnection:
        connection = await self.session.connection(bind_arguments={"mapper": InboxModel})
        check_transactional(connection)
        return connection


@functools.lru_cache(maxsize=64)
def _register(table: sa.Table, dialect: str) -> tuple[Any, bool]:
    """Return the statement that registers a message, and whether its row count tells if it is new.

    A duplicate is counted in ``attempts``. Unlike one that does nothing, this statement takes the same lock
    whether or not the row exists, so that those who wait for it do not end in a deadlock when the first one
    is rolled back; and it always tells which of both happened.
    """
    again = {"attempts": table.c.attempts + 1}
    if dialect in ("mysql", "mariadb"):  # 1: inserted, 2: updated
        return mysql.insert(table).on_duplicate_key_update(again), True
    if dialect not in ("postgresql", "sqlite"):
        raise ConfigurationError(f"the inbox knows SQLite, PostgreSQL, MySQL and MariaDB, not {dialect}")
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    keys = [table.c.consumer, table.c.message_id]
    return insert.on_conflict_do_update(index_elements=keys, set_=again).returning(table.c.attempts), False
