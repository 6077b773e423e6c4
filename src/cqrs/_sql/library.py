"""SQLAlchemy, for all modules that need it: ``from cqrs._sql.library import aio, exc, orm, sa``."""

from __future__ import annotations

import importlib.util

_ADVICE = "pip install 'holdfast[sqlalchemy]'"

try:
    import sqlalchemy as sa
    from sqlalchemy import exc, orm
    from sqlalchemy.ext import asyncio as aio
except ImportError as error:
    raise ImportError(f"SQLAlchemy >= 2.0.30 is needed here: {_ADVICE}") from error

# SQLAlchemy 2.1 comes without it unless asked, and notices only at the first statement.
if importlib.util.find_spec("greenlet") is None:
    raise ImportError(f"SQLAlchemy needs greenlet for asyncio: {_ADVICE}")

__all__ = ["aio", "exc", "orm", "sa"]
