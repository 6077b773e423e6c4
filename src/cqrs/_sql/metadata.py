"""What an application gives for its tables: a declarative base of SQLAlchemy, or its ``MetaData``."""

from __future__ import annotations

from typing import Any

from cqrs._sql.library import sa
from cqrs.exceptions import ConfigurationTypeError

__all__ = ["metadata_of"]


def metadata_of(base: Any) -> sa.MetaData:
    """Return the metadata that tables are put into.

    Raises:
        ConfigurationTypeError: ``base`` is neither a declarative base nor a ``MetaData``.
    """
    metadata: object = base if isinstance(base, sa.MetaData) else getattr(base, "metadata", None)
    if not isinstance(metadata, sa.MetaData):
        raise ConfigurationTypeError(
            f"base must be a declarative base of SQLAlchemy or a MetaData, not {base!r}"
        )
    return metadata
