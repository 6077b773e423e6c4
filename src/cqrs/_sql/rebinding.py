"""Models whose table can be moved into the metadata of the application."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cqrs._sql.library import orm, sa
from cqrs._sql.metadata import metadata_of
from cqrs.exceptions import ConfigurationError, ConfigurationTypeError

__all__ = ["MovableModel"]


class MovableModel:
    """Maps a class to a table, and later to the same table in other metadata.

    Args:
        model: the class; its ``__table__`` and ``metadata`` follow the table.
        build: makes the table, given the metadata and a name.
        name: first name of the table.
        mapped: called after each mapping, for instance to listen to its events.
    """

    def __init__(
        self,
        model: Any,
        build: Callable[[sa.MetaData, str], sa.Table],
        name: str,
        mapped: Callable[[], None] = lambda: None,
    ) -> None:
        self._model = model
        self._build = build
        self._mapped = mapped
        self._registry = orm.registry()
        self._map(build(sa.MetaData(), name))

    def rebind(self, base: Any, table_name: str | None = None) -> None:
        """Move the table.

        Args:
            base: a declarative base of SQLAlchemy, or its ``MetaData``.
            table_name: another name; ``None``: the one it has.

        Raises:
            ConfigurationTypeError: an argument is of another kind.
            ConfigurationError: the metadata has a table of this name.
        """
        metadata = metadata_of(base)
        if table_name is not None and (not isinstance(table_name, str) or not table_name):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationTypeError(f"table_name must be a non-empty str, not {table_name!r}")
        old: sa.Table = self._model.__table__
        name = table_name or old.name
        if old.metadata is metadata and old.name == name:
            return
        if name in {table.name for table in metadata.tables.values()}:
            raise ConfigurationError(f"there is a table {name!r} in this metadata already; give a table_name")
        table = self._build(metadata, name)
        old.metadata.remove(old)
        self._registry.dispose()
        self._map(table)

    def _map(self, table: sa.Table) -> None:
        self._registry.map_imperatively(self._model, table)
        self._model.__table__ = table
        self._model.metadata = table.metadata
        self._mapped()
