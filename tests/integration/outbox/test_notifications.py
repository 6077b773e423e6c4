"""LISTEN and NOTIFY: rows are published as soon as they are committed."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from cqrs.outbox.relay import OutboxRelay
from cqrs.outbox.sqlalchemy import SqlAlchemyOutboxedEventRepository
from cqrs.testing import FakeClock
from tests.integration.outbox.support import add, count_statements, create_table, repository, until
from tests.servers.databases import Database
from tests.unit.outbox.brokers import SingleBroker
from tests.unit.outbox.events import joined

pytestmark = pytest.mark.parametrize("database", ["postgres"], indirect=True)


@pytest.fixture(autouse=True)
async def table(database: Database) -> None:
    await create_table(database)


def relay(database: Database, broker: Any, clock: FakeClock, **options: Any) -> OutboxRelay:
    """Return a relay whose time stands still, so that it never polls a second time by itself."""
    return OutboxRelay(database.session_factory, broker, clock=clock, sleep=clock.sleep, **options)


async def test_a_commit_wakes_the_relay(database: Database, clock: FakeClock) -> None:
    broker = SingleBroker()
    async with relay(database, broker, clock) as made:
        await until(lambda: made.statistics.wakes > 0)  # it listens
        for number in range(1, 4):
            await add(database, joined(), joined())
            await until(lambda number=number: len(broker.sent) == 2 * number)
    assert made.statistics.wakes >= 4


async def test_a_rollback_wakes_nobody_and_a_transaction_once(database: Database) -> None:
    executed = count_statements(database.engine)
    heard = 0

    def hear(*_: Any) -> None:
        nonlocal heard
        heard += 1

    async with database.engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        await driver.add_listener("holdfast_outbox", hear)
        async with repository(database) as outbox:
            outbox.add(joined())
            await outbox.session.flush()
            await outbox.rollback()
            for _ in range(3):
                outbox.add(joined())
                await outbox.session.flush()
            await outbox.commit()
            async with outbox.session.begin_nested() as savepoint:
                outbox.add(joined())
                await outbox.session.flush()
                await savepoint.rollback()
            outbox.add(joined())
            await outbox.commit()
        await until(lambda: heard == 2)
        await driver.fetchval("SELECT 1")
        assert heard == 2
        await driver.remove_listener("holdfast_outbox", hear)
    notified = [statement for statement in executed if "pg_notify" in statement]
    assert len(notified) == 4  # one rolled back, one, one rolled back with its savepoint, one


async def test_nobody_is_notified_who_does_not_want_it(database: Database) -> None:
    executed = count_statements(database.engine)
    await add(database, joined(), notify=False)
    assert not any("pg_notify" in statement for statement in executed)


async def test_the_listening_connection_leaves_the_pool_alone(database: Database, clock: FakeClock) -> None:
    engine = database.create_engine(database.url, pool_size=1, max_overflow=0, pool_timeout=5)
    from sqlalchemy.ext.asyncio import async_sessionmaker

    broker = SingleBroker()
    made = OutboxRelay(async_sessionmaker(engine), broker, clock=clock, sleep=clock.sleep)
    async with made:
        await until(lambda: made.statistics.wakes > 0)
        await add(database, joined())
        await until(lambda: len(broker.sent) == 1)
    assert made.statistics.errors == 0


async def test_a_lost_connection_is_made_again(database: Database, clock: FakeClock) -> None:
    broker = SingleBroker()
    async with relay(database, broker, clock) as made:
        await until(lambda: made.statistics.wakes > 0)
        wakes = made.statistics.wakes
        async with database.engine.begin() as connection:
            await connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE query LIKE 'LISTEN%' AND pid <> pg_backend_pid()"
                )
            )
        await until(lambda: clock.sleepers >= 2)  # the relay and the listener
        clock.advance(3)
        await until(lambda: made.statistics.wakes > wakes)
        wakes = made.statistics.wakes
        await add(database, joined())
        await until(lambda: len(broker.sent) == 1)
        assert made.statistics.wakes > wakes


async def test_polling_goes_on_beside_it(database: Database, clock: FakeClock) -> None:
    broker = SingleBroker()
    async with relay(database, broker, clock, listen=False):
        await until(lambda: clock.sleepers > 0)
        await add(database, joined())
        await asyncio.sleep(0)
        assert broker.sent == []
        for _ in range(math.ceil(5 / 1)):
            clock.advance(1)
            await asyncio.sleep(0)
        await until(lambda: len(broker.sent) == 1)


async def test_a_relay_sleeps_on_while_others_have_work(database: Database, clock: FakeClock) -> None:
    broker = SingleBroker()
    async with relay(database, broker, clock, topics=["mine"]) as made:
        await until(lambda: made.statistics.wakes > 0)
        await until(lambda: clock.sleepers > 0)
        wakes, queries = made.statistics.wakes, made.statistics.queries
        await add(database, joined(topic="other"))
        await add(database, joined(topic="other"), joined(topic="mine"))
        await until(lambda: len(broker.sent) == 1)
        assert made.statistics.wakes == wakes + 1
        assert made.statistics.queries == queries + 2  # one claim, one settlement


async def test_a_topic_is_told_once_per_transaction(database: Database) -> None:
    executed = count_statements(database.engine)
    await add(database, joined(topic="a"), joined(topic="b"), joined(topic="a"), joined(topic="b"))
    assert len([statement for statement in executed if "pg_notify" in statement]) == 2


async def test_two_phases_go_without_notifications(database: Database) -> None:
    """PREPARE TRANSACTION refuses them."""
    executed = count_statements(database.engine)
    async with database.engine.connect() as connection:
        await connection.run_sync(sa.Connection.begin_twophase)
        async with AsyncSession(connection) as session:
            SqlAlchemyOutboxedEventRepository(session).add(joined())
            await session.flush()
            await session.rollback()
    assert any("INSERT INTO outbox" in statement for statement in executed)
    assert not any("pg_notify" in statement for statement in executed)


async def test_a_relay_that_cannot_listen_polls_and_says_so_once(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import asyncpg

    refusals = 0

    async def refuse(*_: Any) -> None:
        nonlocal refusals
        refusals += 1
        raise asyncpg.InsufficientPrivilegeError("no LISTEN here") if refusals < 4 else asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(asyncpg.Connection, "add_listener", refuse)
        broker = SingleBroker()
        async with relay(database, broker, clock) as made:
            for number in range(1, 6):
                await until(lambda number=number: refusals == number)
                await until(lambda: clock.sleepers >= 2)  # the relay and the listener
                clock.advance(30)
            assert made.statistics.wakes == 0
            await add(database, joined())
            await until(lambda: clock.sleepers >= 1)
            clock.advance(5)
            await until(lambda: len(broker.sent) == 1)
            patch.undo()
            await until(lambda: clock.advance(30) or made.statistics.wakes > 0)
    told = [record for record in caplog.records if "cannot listen for new rows" in record.message]
    assert [record.levelname for record in told].count("WARNING") == 1
    assert "no LISTEN here" in told[0].message


async def test_a_peer_that_says_nothing_any_more_is_found_out(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cqrs.outbox.listening._CHECK_EVERY", 0.02)
    monkeypatch.setattr("cqrs.outbox.listening._CHECK_TIMEOUT", 0.02)
    async with relay(database, SingleBroker(), clock) as made:
        await until(lambda: made.statistics.wakes > 0)
        await until(lambda: clock.sleepers == 1)
        database.server.freeze()
        try:
            await until(lambda: clock.sleepers == 2)  # the listener too, before it connects again
        finally:
            database.server.thaw()
        monkeypatch.setattr("cqrs.outbox.listening._CHECK_TIMEOUT", 10)
        wakes = made.statistics.wakes
        await until(lambda: clock.advance(1) or made.statistics.wakes > wakes)
