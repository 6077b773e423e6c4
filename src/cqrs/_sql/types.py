"""Column types that mean the same on SQLite, PostgreSQL, MySQL and MariaDB."""

from __future__ import annotations

import datetime
import json
import uuid
from typing import Any

from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

from cqrs._sql.library import sa

__all__ = ["BigIntegerKey", "ExactText", "JsonText", "LargeBytes", "LargeText", "PortableUuid", "UtcDateTime"]


class PortableUuid(TypeDecorator[uuid.UUID]):
    """A ``uuid.UUID``: UUID on PostgreSQL, 32 hexadecimal digits elsewhere.

    Also on MariaDB, whose own type UUID refuses a quarter of all numbers of 128 bits, such as digests; a
    column of that type serves as well.
    """

    impl = sa.Uuid
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        return dialect.type_descriptor(sa.Uuid(native_uuid=dialect.name not in ("mysql", "mariadb")))


def BigIntegerKey() -> sa.types.TypeEngine[int]:
    """Return the type of a key that counts up; SQLite counts INTEGER keys only."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def LargeText() -> sa.types.TypeEngine[str]:
    """Return a type for text of any length; plain TEXT ends at 64 KiB on MySQL."""
    return sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


class ExactText(TypeDecorator[str]):
    """Text that is equal only if every character is: MySQL takes ``a``, ``A``, ``ä`` and ``a `` for the same.

    There it is stored as the bytes of its UTF-8 form, the only type of MySQL and MariaDB that ignores neither
    case nor blanks at the end.
    """

    impl = sa.String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self._bytes = 4 * length

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.VARBINARY(self._bytes))
        return dialect.type_descriptor(self.impl_instance)

    def bind_processor(self, dialect: sa.Dialect) -> None:
        """Return nothing: text is sent as text, in UTF-8, which any driver can."""

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        """Return what makes text of bytes."""
        return _as_text


def _as_text(value: Any) -> Any:
    return value.decode(errors="backslashreplace") if isinstance(value, (bytes, bytearray)) else value


class _from_hex(FunctionElement[bytes]):
    """Bytes as they are sent: as hexadecimal digits where the driver cannot send bytes."""

    type: sa.types.TypeEngine[bytes] = sa.LargeBinary()
    inherit_cache = True
    name = "from_hex"


@compiles(_from_hex)
def _hex(element: Any, compiler: Any, **kw: Any) -> str:
    sent = "".join(compiler.process(clause, **kw) for clause in element.clauses)
    return f"UNHEX({sent})" if _needs_hex(compiler.dialect) else sent


def _needs_hex(dialect: sa.Dialect) -> bool:
    # With PyMySQL 1.2, on which it builds, aiomysql 0.3 raises TypeError for every parameter of type bytes.
    return dialect.driver == "aiomysql"


class LargeBytes(TypeDecorator[bytes]):
    """Bytes, up to 4 GiB on MySQL, where plain BLOB ends at 64 KiB."""

    impl = sa.LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        large = dialect.name in ("mysql", "mariadb")
        return dialect.type_descriptor(mysql.LONGBLOB() if large else sa.LargeBinary())

    def bind_expression(self, bindparam: Any) -> Any:
        """Wrap what is sent."""
        return _from_hex(bindparam)

    def bind_processor(self, dialect: sa.Dialect) -> Any:
        """Return what makes bytes ready to be sent."""
        return _to_hex if _needs_hex(dialect) else super().bind_processor(dialect)


def _to_hex(value: bytes | None) -> str | None:
    return None if value is None else bytes(value).hex()


class UtcDateTime(TypeDecorator[datetime.datetime]):
    """A moment: always aware, in UTC, with microseconds.

    TIMESTAMP WITH TIME ZONE on PostgreSQL; elsewhere a date and time without zone, which is that of UTC.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(sa.DateTime(timezone=True))

    def process_bind_param(
        self, value: datetime.datetime | None, dialect: sa.Dialect
    ) -> datetime.datetime | None:
        """Convert to UTC.

        Raises:
            ValueError: ``value`` has no time zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone: use datetime.now(timezone.utc) or the like")
        value = value.astimezone(datetime.UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(
        self, value: datetime.datetime | None, dialect: sa.Dialect
    ) -> datetime.datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            return value.replace(tzinfo=datetime.UTC)
        return value.astimezone(datetime.UTC)


class JsonText(TypeDecorator[Any]):
    """A JSON column to which text is given that is JSON already; what is read is decoded.

    A column of kind text serves as well. Let the text be ASCII (``json.dumps`` does by default): then the
    character set of the database does not matter.
    """

    impl = sa.JSON
    cache_ok = True

    def bind_processor(self, dialect: sa.Dialect) -> None:
        """Return nothing: the text goes to the database as it is."""

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        """Return the decoder; some drivers decode by themselves."""
        return _decoded


def _decoded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, (str, bytes, bytearray)) else value
