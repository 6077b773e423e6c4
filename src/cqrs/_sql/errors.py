"""What errors of a database mean, whatever the driver."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

__all__ = ["is_disconnect", "is_transient"]

_POSTGRESQL = frozenset({"40001", "40P01", "55P03"})  # serialization failure, deadlock, lock not available
_MYSQL = frozenset({1020, 1205, 1213})  # changed since it was read, lock wait timeout, deadlock
_SQLITE = frozenset({5, 6})  # SQLITE_BUSY, SQLITE_LOCKED


def is_transient(error: BaseException) -> bool:
    """Tell whether a transaction had no effect for a reason that passes: a deadlock, a conflict, a lock."""
    original = error.orig if isinstance(error, DBAPIError) else None
    if original is None:
        return False
    state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    if state is not None:
        return state in _POSTGRESQL
    # aiosqlite raises the errors of the sqlite3 module; an extended code has the plain one in its last byte.
    code = getattr(original, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _SQLITE
    number = original.args[0] if original.args else None
    return number in _MYSQL


def is_disconnect(error: BaseException) -> bool:
    """Tell whether the connection was lost: nobody knows whether the transaction has had an effect."""
    return isinstance(error, DBAPIError) and error.connection_invalidated
