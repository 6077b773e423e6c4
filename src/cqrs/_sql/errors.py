"""What errors of a database mean, whatever the driver."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

__all__ = ["in_short", "is_disconnect", "is_transient", "what_is_missing"]

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


def what_is_missing(error: BaseException) -> str | None:
    """Tell whether a statement named a ``"column"`` or a ``"table"`` that the database does not have."""
    original = error.orig if isinstance(error, DBAPIError) else None
    state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    number = original.args[0] if original is not None and original.args else None
    if state == "42703" or number == 1054 or "no such column" in str(original):
        return "column"
    if state == "42P01" or number == 1146 or "no such table" in str(original):
        return "table"
    return None


def in_short(error: BaseException) -> str:
    """Return what an error says, without statement and parameters, which may be somebody's secrets."""
    said = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    notes: list[str] = getattr(error, "__notes__", [])
    return "; ".join([f"{type(said).__qualname__}: {said}", *notes])
