"""The type of the payload column."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

from cqrs._sql.library import sa

__all__ = ["PayloadBytes"]

_MYSQL = ("mysql", "mariadb")


class PayloadBytes(TypeDecorator[bytes]):
    """Bytes: MEDIUMBLOB (up to 16 MiB) on MySQL and MariaDB, where they are sent as hexadecimal digits.

    aiomysql 0.3 cannot send bytes when PyMySQL is 1.2 or newer.
    """

    impl = sa.LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name in _MYSQL:
            return dialect.type_descriptor(mysql.MEDIUMBLOB())
        return dialect.type_descriptor(sa.LargeBinary())

    def bind_processor(self, dialect: sa.Dialect) -> Any:
        """Return what makes a parameter of bytes."""
        return bytes.hex if dialect.name in _MYSQL else super().bind_processor(dialect)

    def bind_expression(self, bindparam: sa.BindParameter[bytes]) -> sa.ColumnElement[bytes]:
        """Return the parameter as SQL."""
        return _sent(bindparam)


class _sent(FunctionElement[bytes]):
    type: sa.types.TypeEngine[bytes] = sa.LargeBinary()
    inherit_cache = True
    name = "sent"


@compiles(_sent)
def _as_it_is(element: Any, compiler: Any, **kw: Any) -> str:
    return str(compiler.process(element.clauses.clauses[0], **kw))


@compiles(_sent, *_MYSQL)
def _as_digits(element: Any, compiler: Any, **kw: Any) -> str:
    return f"UNHEX({compiler.process(element.clauses.clauses[0], **kw)})"
