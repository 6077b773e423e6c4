"""The clock of the database: one for all machines, with fractions of seconds."""

from __future__ import annotations

import datetime
import time

import pytest
import sqlalchemy as sa

from cqrs._sql.clock import epoch_now, utc_now
from tests.servers.databases import Database

# The database is on this machine, so that both clocks are one.
NEAR = 5.0


async def test_it_is_now_in_seconds_since_1970(database: Database) -> None:
    async with database.engine.connect() as connection:
        before = time.time()
        value = await connection.scalar(sa.select(epoch_now()))
        after = time.time()
    assert isinstance(value, float)
    assert before - 0.002 <= value <= after + 0.002


async def test_it_has_fractions_and_goes_on_within_a_transaction(database: Database) -> None:
    async with database.engine.begin() as connection:
        seen = {await connection.scalar(sa.select(epoch_now()))}
        while len(seen) < 3:
            seen.add(await connection.scalar(sa.select(epoch_now())))
    assert any(value % 1 for value in seen)
    assert max(seen) - min(seen) < NEAR


async def test_it_can_be_calculated_with(database: Database) -> None:
    async with database.engine.connect() as connection:
        row = (await connection.execute(sa.select(epoch_now() + 30.5, epoch_now(), epoch_now() < 1.0))).one()
    assert row[0] - row[1] == pytest.approx(30.5, abs=0.1)
    assert not row[2]


async def test_a_moment_is_aware_and_in_utc(database: Database) -> None:
    async with database.engine.connect() as connection:
        now, earlier = (await connection.execute(sa.select(utc_now(), utc_now(90.25)))).one()
    assert now.utcoffset() == earlier.utcoffset() == datetime.timedelta(0)
    assert abs(now.timestamp() - time.time()) < NEAR
    assert (now - earlier).total_seconds() == pytest.approx(90.25, abs=0.1)


@pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)
async def test_the_time_zone_of_the_session_does_not_matter(database: Database) -> None:
    zone = {"postgres": "SET TIME ZONE 'Asia/Tokyo'", "mariadb": "SET time_zone = '+09:00'"}[database.kind]
    async with database.engine.connect() as connection:
        await connection.execute(sa.text(zone))
        now, seconds = (await connection.execute(sa.select(utc_now(), epoch_now()))).one()
    assert abs(now.timestamp() - time.time()) < NEAR
    assert abs(seconds - time.time()) < NEAR


def test_other_databases_get_standard_sql() -> None:
    assert str(sa.select(utc_now(1.5))).startswith("SELECT (CURRENT_TIMESTAMP - :seconds_ago_1 * INTERVAL")
    assert str(sa.select(utc_now())) == "SELECT CURRENT_TIMESTAMP AS utc_now_1"
