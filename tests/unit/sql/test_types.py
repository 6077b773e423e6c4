"""Column types: what is written is read, on every database."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import StatementError

from cqrs._sql.types import BigIntegerKey, JsonText, LargeBytes, LargeText, PortableUuid, UtcDateTime
from tests.servers.databases import Database


def a_table(*columns: sa.Column[Any]) -> sa.Table:
    return sa.Table("things", sa.MetaData(), sa.Column("id", BigIntegerKey(), primary_key=True), *columns)


async def round_trip(database: Database, type_: Any, value: Any, literal: str | None = None) -> Any:
    table = a_table(sa.Column("value", type_))
    async with database.engine.begin() as connection:
        await connection.run_sync(table.metadata.create_all)
        if literal is None:
            await connection.execute(table.insert().values(value=value))
        else:
            await connection.execute(sa.text(f"INSERT INTO things (value) VALUES ({literal})"))
        return await connection.scalar(sa.select(table.c.value))


async def test_keys_count_up(database: Database) -> None:
    table = a_table()
    async with database.engine.begin() as connection:
        await connection.run_sync(table.metadata.create_all)
        await connection.execute(table.insert())
        await connection.execute(table.insert())
        assert list(await connection.scalars(sa.select(table.c.id).order_by(table.c.id))) == [1, 2]


async def test_uuids_come_back(database: Database) -> None:
    value = uuid.uuid4()
    assert await round_trip(database, PortableUuid(), value) == value


@pytest.mark.parametrize("digits", ["0" * 31 + "1", "f" * 32, "0123456789ab8def0123456789abcdef"])
async def test_uuids_of_no_known_version_come_back(database: Database, digits: str) -> None:
    value = uuid.UUID(digits)
    assert await round_trip(database, PortableUuid(), value) == value


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
@pytest.mark.parametrize("column", ["UUID", "CHAR(32)"])
async def test_either_column_that_mariadb_may_have_will_do(database: Database, column: str) -> None:
    known, new = uuid.uuid4(), uuid.uuid4()
    table = sa.table("things", sa.column("value", PortableUuid()))
    async with database.engine.begin() as connection:
        await connection.execute(sa.text(f"CREATE TABLE things (value {column} PRIMARY KEY)"))
        await connection.execute(sa.text(f"INSERT INTO things VALUES ('{known.hex}')"))
        await connection.execute(table.insert().values(value=new))
        for value in (known, new):
            found = await connection.scalars(sa.select(table.c.value).where(table.c.value == value))
            assert list(found) == [value]
        found = await connection.scalars(sa.select(table.c.value).where(table.c.value.in_([known, new])))
        assert set(found) == {known, new}


async def test_uuids_written_as_text_by_others_are_read(database: Database) -> None:
    value = uuid.uuid4()
    assert await round_trip(database, PortableUuid(), None, f"'{value.hex}'") == value


async def test_moments_keep_their_microseconds(database: Database) -> None:
    moment = datetime.datetime(2026, 3, 29, 1, 2, 3, 456789, tzinfo=datetime.UTC)
    read = await round_trip(database, UtcDateTime(), moment)
    assert read == moment
    assert read.utcoffset() == datetime.timedelta(0)


async def test_moments_of_other_zones_are_converted(database: Database) -> None:
    zone = datetime.timezone(datetime.timedelta(hours=9))
    moment = datetime.datetime(2026, 3, 29, 10, 0, 0, 1, tzinfo=zone)
    read = await round_trip(database, UtcDateTime(), moment)
    assert read == moment
    assert read.utcoffset() == datetime.timedelta(0)


async def test_moments_without_zone_are_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="has no time zone"):
        await round_trip(database, UtcDateTime(), datetime.datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("value", [b"\x00\xff'\\" * 50_000, b"", None])
async def test_bytes_come_back(database: Database, value: bytes | None) -> None:
    assert await round_trip(database, LargeBytes(), value) == value


async def test_large_texts_come_back(database: Database) -> None:
    assert await round_trip(database, LargeText(), "x" * 100_000) == "x" * 100_000


@pytest.mark.parametrize("column", [JsonText(), sa.Text()], ids=["json", "text"])
async def test_json_is_written_as_it_is_and_read_decoded(database: Database, column: Any) -> None:
    table = a_table(sa.Column("value", column))
    typed = sa.table("things", sa.column("value", JsonText()))
    async with database.engine.begin() as connection:
        await connection.run_sync(table.metadata.create_all)
        await connection.execute(typed.insert().values(value='{"a": ["\\ud83d\\ude00", null, 1.5]}'))
        assert await connection.scalar(sa.select(typed.c.value)) == {"a": ["😀", None, 1.5]}
