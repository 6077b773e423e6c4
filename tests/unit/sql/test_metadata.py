"""A declarative base or its metadata is taken, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase

from cqrs._sql.metadata import metadata_of
from cqrs.exceptions import ConfigurationTypeError


def test_either_will_do() -> None:
    class Base(DeclarativeBase):
        pass

    assert metadata_of(Base) is metadata_of(Base.metadata) is Base.metadata


@pytest.mark.parametrize("base", [object(), None, "public", sa.MetaData])
def test_anything_else_is_refused(base: Any) -> None:
    with pytest.raises(
        ConfigurationTypeError, match="must be a declarative base of SQLAlchemy or a MetaData"
    ):
        metadata_of(base)
