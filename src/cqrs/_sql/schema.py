"""Bringing tables that an earlier version has created up to date."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateColumn, CreateIndex

from cqrs._sql.library import sa
from cqrs.exceptions import ConfigurationError

__all__ = ["add_missing_columns", "create_tables"]

logger = logging.getLogger(__name__)

_LOCK = 0x686F6C6466617374  # any number of our own: "holdfast"


def add_missing_columns(connection: sa.Connection, tables: Iterable[sa.Table]) -> list[str]:
    """Add the columns and indexes that tables of the database lack, and return what was added.

    Nothing else is changed: columns that the model does not know stay, and types and constraints are not
    compared. Several processes may do this at once. On a large table an index takes its time, during which
    nobody can write: let a migration of your own make it beforehand, where that matters.

    Call it in a transaction: ``await connection.run_sync(add_missing_columns, tables)``.

    Args:
        connection: a synchronous connection, as ``AsyncConnection.run_sync`` gives it.
        tables: the tables as they should be, for instance ``SagaBase.metadata.sorted_tables``.

    Returns:
        ``"table.column"`` and ``"index on table"``, in the order in which they were added.

    Raises:
        ConfigurationError: a table does not exist, or a column can neither be null nor has a default.
    """
    added: list[str] = []
    _wait_for_others(connection)
    for table in tables:
        columns = _columns(connection, table)
        for column in table.columns:
            if column.name not in columns:
                _add_column(connection, table, column)
                added.append(f"{table.name}.{column.name}")
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            if index.name not in _indexes(connection, table):
                _add_index(connection, table, index)
                added.append(f"{index.name} on {table.name}")
    if added:
        logger.info("added to the database: %s", ", ".join(added))
    return added


def create_tables(connection: sa.Connection, tables: Iterable[sa.Table]) -> list[str]:
    """Create the tables that do not exist, and add to the others what they lack; return what was added.

    Several processes may do this at once. Call it as ``add_missing_columns``.

    Raises:
        ConfigurationError: as ``add_missing_columns``.
    """
    wanted = list(tables)
    _wait_for_others(connection)
    for table in wanted:
        if not _exists(connection, table):
            try:
                table.create(connection, checkfirst=True)
            except DBAPIError:
                if connection.dialect.name == "postgresql" or not _exists(connection, table):
                    raise
    return add_missing_columns(connection, wanted)


def _wait_for_others(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        # IF NOT EXISTS alone may still meet what another transaction is creating.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def _exists(connection: sa.Connection, table: sa.Table) -> bool:
    return sa.inspect(connection).has_table(table.name, schema=table.schema)


def _columns(connection: sa.Connection, table: sa.Table) -> set[str]:
    if not _exists(connection, table):
        raise ConfigurationError(
            f"there is no table {table.fullname!r} in this database; create it first, for instance with "
            "`await connection.run_sync(metadata.create_all)`"
        )
    found = sa.inspect(connection).get_columns(table.name, schema=table.schema)
    return {column["name"] for column in found}


def _indexes(connection: sa.Connection, table: sa.Table) -> set[str | None]:
    found = sa.inspect(connection).get_indexes(table.name, schema=table.schema)
    return {index["name"] for index in found}


def _add_column(connection: sa.Connection, table: sa.Table, column: sa.Column[object]) -> None:
    if not column.nullable and column.server_default is None:
        raise ConfigurationError(
            f"column {table.name}.{column.name} is missing and cannot be added to a table with rows: "
            "it is NOT NULL and has no default in the database; add it by a migration of your own"
        )
    dialect = connection.dialect
    definition = CreateColumn(column).compile(dialect=dialect)
    name = dialect.identifier_preparer.format_table(table)
    _unless_there(
        connection,
        f"ALTER TABLE {name} ADD COLUMN {_if_not_exists(dialect)}{definition}",
        lambda: column.name in _columns(connection, table),
    )


def _add_index(connection: sa.Connection, table: sa.Table, index: sa.Index) -> None:
    statement = CreateIndex(index, if_not_exists=connection.dialect.name in ("postgresql", "sqlite"))
    text = str(statement.compile(dialect=connection.dialect))
    _unless_there(connection, text, lambda: index.name in _indexes(connection, table))


def _if_not_exists(dialect: sa.Dialect) -> str:
    knows = dialect.name == "postgresql" or getattr(dialect, "is_mariadb", False)
    return "IF NOT EXISTS " if knows else ""


def _unless_there(connection: sa.Connection, statement: str, is_there: Callable[[], bool]) -> None:
    """Execute a statement whose error does not matter if another process has done the same meanwhile."""
    try:
        connection.exec_driver_sql(statement)
    except DBAPIError:
        # Within a transaction of PostgreSQL nothing could be asked any more; there IF NOT EXISTS serves.
        if connection.dialect.name == "postgresql" or not is_there():
            raise
