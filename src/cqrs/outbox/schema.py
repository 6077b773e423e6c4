"""Bringing a table that an earlier version, or another program, has made up to date."""

from __future__ import annotations

from cqrs._sql.library import sa
from cqrs._sql.schema import add_missing_columns
from cqrs.outbox.models import OutboxModel

__all__ = ["upgrade_outbox"]

_MYSQL = ("mysql", "mariadb")


def upgrade_outbox(connection: sa.Connection) -> list[str]:
    """Give the table of the outbox the columns and indexes that it lacks; return what was changed.

    Where the status is an enumeration of the database, it becomes text, as it has a new value now; where the
    payload of MySQL is a BLOB of 64 KiB, it becomes a larger one. Both rewrite the table: on a large one let
    a migration of your own do it when there is time.

    Call it in a transaction: ``await connection.run_sync(upgrade_outbox)``.

    Raises:
        ConfigurationError: the table does not exist.
    """
    table = OutboxModel.__table__
    changed: list[str] = []
    inspector = sa.inspect(connection)
    if inspector.has_table(table.name, schema=table.schema):
        types = {column["name"]: column["type"] for column in inspector.get_columns(table.name, table.schema)}
        changed += _status_as_text(connection, table, types.get("event_status"))
        changed += _larger_payload(connection, table, types.get("payload"))
    return changed + add_missing_columns(connection, [table])


def _status_as_text(connection: sa.Connection, table: sa.Table, found: object) -> list[str]:
    if not isinstance(found, sa.Enum):
        return []
    name = connection.dialect.identifier_preparer.format_table(table)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            f"ALTER TABLE {name} ALTER COLUMN event_status DROP DEFAULT, "
            "ALTER COLUMN event_status TYPE VARCHAR(32) USING lower(event_status::text), "
            "ALTER COLUMN event_status SET DEFAULT 'new'"
        )
    elif connection.dialect.name in _MYSQL:
        connection.exec_driver_sql(
            f"ALTER TABLE {name} MODIFY event_status VARCHAR(32) NOT NULL DEFAULT 'new'"
        )
    else:
        return []
    return [f"{table.name}.event_status as text"]


def _larger_payload(connection: sa.Connection, table: sa.Table, found: object) -> list[str]:
    if connection.dialect.name not in _MYSQL or str(found).split("(")[0].upper() not in ("BLOB", "TINYBLOB"):
        return []
    name = connection.dialect.identifier_preparer.format_table(table)
    connection.exec_driver_sql(f"ALTER TABLE {name} MODIFY payload LONGBLOB NOT NULL")
    return [f"{table.name}.payload as LONGBLOB"]
