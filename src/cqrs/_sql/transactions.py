"""Short transactions that are tried again after deadlocks, conflicts and lost connections."""

from __future__ import annotations

import asyncio
import random as random_module
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, StatementError

from cqrs._sql.errors import is_disconnect, is_transient
from cqrs._sql.library import aio, sa
from cqrs._sql.sessions import SessionFactory
from cqrs.exceptions import ConfigurationError

__all__ = ["Transactions", "check_transactional"]

T = TypeVar("T")

MOST_TRIES = 6
FIRST_WAIT = 0.01
LONGEST_WAIT = 0.3


class Transactions:
    """Runs functions in a session and transaction of their own each.

    Args:
        session_factory: opens the sessions.
        table: says which of several engines a session is to use.
        sleep: waits between two tries.
    """

    def __init__(
        self,
        session_factory: SessionFactory,
        table: sa.Table,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._session_factory = session_factory
        self._table = table
        self._sleep = sleep

    async def run(self, work: Callable[[aio.AsyncConnection], Awaitable[T]], *, repeatable: bool = True) -> T:
        """Return what ``work(connection)`` returns, once its transaction is durable.

        It is called again, up to 6 times in all, after an error that says that nothing has happened; and once
        more after a lost connection.

        Args:
            work: must begin with a write if it writes at all: SQLite refuses a transaction that has read and
                then writes when another one has written in between.
            repeatable: whether it may be called again when it is unknown if it has had an effect.

        Raises:
            ConfigurationError: the connections are in AUTOCOMMIT mode.
            Exception: what ``work`` or the database raised last.
        """
        wait, may_reconnect = FIRST_WAIT, repeatable
        for tries_left in range(MOST_TRIES - 1, -1, -1):
            try:
                return await self._once(work)
            except DBAPIError as error:
                lost = is_disconnect(error)
                if tries_left == 0 or not (may_reconnect if lost else is_transient(error)):
                    raise
                may_reconnect = may_reconnect and not lost
            # At random: two that have hit each other must not do so again.
            await self._sleep(wait * (0.5 + random_module.random()))
            wait = min(wait * 2, LONGEST_WAIT)
        raise AssertionError("unreachable")

    async def _once(self, work: Callable[[aio.AsyncConnection], Awaitable[T]]) -> T:
        try:
            async with self._session_factory() as session, session.begin():
                connection = await session.connection(bind_arguments={"clause": self._table})
                check_transactional(connection)
                return await work(connection)
        except StatementError as error:
            # Contexts and messages are parameters, and the text of the error goes to logs.
            error.hide_parameters = True
            raise


def check_transactional(connection: aio.AsyncConnection | sa.Engine | sa.Connection) -> None:
    """Refuse connections on which every statement is durable by itself: here several must be, or none.

    Raises:
        ConfigurationError: the connection, or those of the engine, are in AUTOCOMMIT mode.
    """
    started = connection.sync_connection if isinstance(connection, aio.AsyncConnection) else connection
    # What create_engine was told.
    level = getattr(connection.dialect, "_on_connect_isolation_level", None)
    if started is not None and started.get_execution_options().get("isolation_level", level) == "AUTOCOMMIT":
        raise ConfigurationError(
            "the session gives connections in AUTOCOMMIT mode, which have no transactions; make it of an "
            "engine with another isolation_level"
        )
