"""The clock of the database, as SQL expressions: leases of several machines need one clock.

PostgreSQL reads it whenever an expression is evaluated; MySQL, MariaDB and SQLite once per statement, so
that a statement which has waited for a lock sees a time slightly in the past: a lease then looks alive for
longer than it is, never for shorter. The resolution is 1 ms on SQLite, 1 us elsewhere.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from cqrs._sql.library import sa
from cqrs._sql.types import UtcDateTime

__all__ = ["epoch_now", "utc_now"]


class epoch_now(FunctionElement[float]):
    """The present time of the database in seconds since 1970, as a double with fractions.

    >>> print(sa.select(epoch_now() + 30.0))
    SELECT EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) + :param_1 AS anon_1
    """

    type: sa.types.TypeEngine[float] = sa.Double()
    inherit_cache = True
    name = "epoch_now"


class utc_now(FunctionElement[Any]):
    """The present time of the database, or that of ``seconds`` ago, for a ``UtcDateTime`` column."""

    type = UtcDateTime()
    inherit_cache = True
    name = "utc_now"

    def __init__(self, seconds_ago: float = 0.0) -> None:
        if seconds_ago:
            super().__init__(sa.bindparam("seconds_ago", float(seconds_ago), sa.Double(), unique=True))
        else:
            super().__init__()


@compiles(epoch_now)
def _epoch(element: Any, compiler: Any, **kw: Any) -> str:
    return "EXTRACT(EPOCH FROM CURRENT_TIMESTAMP)"


@compiles(epoch_now, "postgresql")
def _epoch_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    # Not CURRENT_TIMESTAMP, which stands still within a transaction.
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


@compiles(epoch_now, "mysql", "mariadb")
def _epoch_mysql(element: Any, compiler: Any, **kw: Any) -> str:
    # Not UNIX_TIMESTAMP(NOW(6)): the hour in which a session's time zone goes back exists twice.
    return "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1E6)"


@compiles(epoch_now, "sqlite")
def _epoch_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    # unixepoch('subsec') would need SQLite 3.42.
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(utc_now)
def _utc(element: Any, compiler: Any, **kw: Any) -> str:
    seconds = _seconds_ago(element, compiler, kw)
    return f"(CURRENT_TIMESTAMP - {seconds} * INTERVAL '1' SECOND)" if seconds else "CURRENT_TIMESTAMP"


@compiles(utc_now, "postgresql")
def _utc_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    seconds = _seconds_ago(element, compiler, kw)
    return f"(clock_timestamp() - make_interval(secs => {seconds}))" if seconds else "clock_timestamp()"


@compiles(utc_now, "mysql", "mariadb")
def _utc_mysql(element: Any, compiler: Any, **kw: Any) -> str:
    seconds = _seconds_ago(element, compiler, kw)
    if not seconds:
        return "UTC_TIMESTAMP(6)"
    return f"(UTC_TIMESTAMP(6) - INTERVAL CAST({seconds} * 1000000 AS SIGNED) MICROSECOND)"


@compiles(utc_now, "sqlite")
def _utc_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    # Six digits: SQLAlchemy reads the text after the dot as microseconds, whatever its length.
    seconds = _seconds_ago(element, compiler, kw)
    offset = f", printf('-%.3f seconds', {seconds})" if seconds else ""
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now'{offset}) || '000')"


def _seconds_ago(element: Any, compiler: Any, kw: dict[str, Any]) -> str:
    return "".join(compiler.process(clause, **kw) for clause in element.clauses)
