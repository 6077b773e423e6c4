"""Tables of an earlier version get the columns and indexes that they lack."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from cqrs._sql.schema import add_missing_columns, create_tables
from cqrs._sql.types import BigIntegerKey
from cqrs.exceptions import ConfigurationError
from tests.servers.databases import Database


def old() -> sa.Table:
    return sa.Table("parcels", sa.MetaData(), sa.Column("id", BigIntegerKey(), primary_key=True))


def new(*more: Any) -> sa.Table:
    return sa.Table(
        "parcels",
        sa.MetaData(),
        sa.Column("id", BigIntegerKey(), primary_key=True),
        sa.Column("owner", sa.String(50)),
        sa.Column("order", sa.Integer, nullable=False, server_default=sa.text("7")),
        *more,
        sa.Index("ix_parcels_owner", "owner"),
    )


ADDED = ["parcels.owner", "parcels.order", "ix_parcels_owner on parcels"]


async def create(database: Database, table: sa.Table) -> None:
    async with database.engine.begin() as connection:
        await connection.run_sync(table.metadata.create_all)


async def update(database: Database, table: sa.Table) -> list[str]:
    async with database.engine.begin() as connection:
        return await connection.run_sync(add_missing_columns, [table])


async def test_what_is_missing_is_added_and_said(database: Database) -> None:
    await create(database, old())
    async with database.engine.begin() as connection:
        await connection.execute(old().insert())
    assert await update(database, new()) == ADDED
    async with database.engine.begin() as connection:
        assert (await connection.execute(sa.select(new()))).one() == (1, None, 7)
        await connection.execute(new().insert().values(owner="me", order=3))
        indexes = await connection.run_sync(lambda sync: sa.inspect(sync).get_indexes("parcels"))
    assert [index["name"] for index in indexes] == ["ix_parcels_owner"]


async def test_a_second_time_there_is_nothing_to_add(database: Database) -> None:
    await create(database, old())
    await update(database, new())
    assert await update(database, new()) == []


async def test_unknown_columns_stay(database: Database) -> None:
    await create(database, new(sa.Column("private", sa.Integer)))
    assert await update(database, new()) == []
    async with database.engine.begin() as connection:
        columns = await connection.run_sync(lambda sync: sa.inspect(sync).get_columns("parcels"))
    assert "private" in [column["name"] for column in columns]


async def test_several_processes_may_do_it_at_once(database: Database) -> None:
    await create(database, old())
    await asyncio.gather(*(update(database, new()) for _ in range(5)))
    assert await update(database, new()) == []


async def test_a_missing_table_is_not_overlooked(database: Database) -> None:
    with pytest.raises(ConfigurationError, match=r"no table 'parcels'.*create_all"):
        await update(database, new())


async def test_a_column_that_rows_cannot_have_is_refused_before_the_database_does(database: Database) -> None:
    await create(database, old())
    with pytest.raises(ConfigurationError, match=r"parcels\.weight is missing.*NOT NULL"):
        await update(database, new(sa.Column("weight", sa.Integer, nullable=False)))


async def test_missing_tables_are_created_and_others_brought_up_to_date(database: Database) -> None:
    await create(database, old())
    other = sa.Table("letters", sa.MetaData(), sa.Column("id", BigIntegerKey(), primary_key=True))

    async def run() -> list[str]:
        async with database.engine.begin() as connection:
            return await connection.run_sync(create_tables, [other, new()])

    results = await asyncio.gather(*(run() for _ in range(4)))
    assert ADDED in results
    async with database.engine.begin() as connection:
        assert (await connection.execute(sa.select(other))).all() == []
