"""Messages of a key keep their order, whichever relays send them in whichever batches."""

from __future__ import annotations

import asyncio
import collections
import random
from typing import Any

import pytest

from cqrs.circuit_breaker.timing import Backoff
from cqrs.message_brokers.protocol import Message
from cqrs.outbox.relay import OutboxRelay
from cqrs.outbox.relay_store import RelayStore
from cqrs.outbox.rows import Settlement, claim, connect
from tests.integration.outbox.support import add, create_table, execute, rows, until
from tests.servers.databases import Database
from tests.unit.outbox.brokers import SingleBroker
from tests.unit.outbox.events import joined, keyed


@pytest.fixture(autouse=True)
async def table(database: Database) -> None:
    await create_table(database)


def store(database: Database, **options: Any) -> RelayStore:
    return OutboxRelay(database.session_factory, SingleBroker(), **options)._store


async def test_a_row_waits_for_an_older_one_of_its_key_that_is_leased(database: Database) -> None:
    await add(database, keyed("a"), keyed("a"), keyed("b"), joined(), keyed("a", topic="other"))
    one = store(database, batch_size=1)
    assert [row.id for row in await one.claim("first")] == [1]
    assert [row.id for row in await store(database).claim("second")] == [3, 4, 5]
    await one.settle("first", Settlement(produced=[1]))
    assert [row.id for row in await one.claim("third")] == [2]


async def test_a_row_waits_for_an_older_one_of_its_key_that_waits(database: Database) -> None:
    await add(database, keyed("a"), keyed("a"), keyed("b"))
    await execute(
        database, "UPDATE outbox SET available_at = 9E12, event_status = 'not_produced' WHERE id = 1"
    )
    assert [row.id for row in await store(database).claim("first")] == [3]
    await execute(database, "UPDATE outbox SET event_status = 'dead_letter' WHERE id = 1")
    assert [row.id for row in await store(database).claim("second")] == [2]


async def test_retries_and_new_rows_are_taken_by_age(database: Database) -> None:
    await add(database, *[keyed("a") for _ in range(6)])
    await execute(database, "UPDATE outbox SET event_status = 'not_produced' WHERE id > 3")
    assert [row.id for row in await store(database, batch_size=4).claim("first")] == [1, 2, 3, 4]


@pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)
async def test_claims_at_the_same_moment_take_no_key_apart(database: Database) -> None:
    """The second one does not see the lease of the first, which is not committed yet."""
    await add(database, keyed("a"), keyed("a"), joined())
    options = {"isolation_level": "READ COMMITTED"}
    arguments: Any = {"size": 1, "lease_seconds": 30.0, "max_attempts": 5}
    async with database.session_factory() as one, database.session_factory() as two:
        first = await claim(await connect(one, **options), "first", **arguments)
        second = await claim(await connect(two, **options), "second", **{**arguments, "size": 5})
        await two.commit()
        await one.commit()
    assert [row.id for row in first] == [1]
    assert [row.id for row in second] == [3]
    assert [row.lease_owner for row in await rows(database)] == ["first", None, "second"]


async def test_the_order_survives_several_relays_and_failures(database: Database) -> None:
    events = [keyed(f"key {number % 5}") for number in range(120)]
    place = {event.event_id: number for number, event in enumerate(events)}
    await add(database, *events)
    chance = random.Random(1)

    class Flaky(SingleBroker):
        async def send_message(self, message: Message) -> None:
            for _ in range(chance.randrange(5)):
                await asyncio.sleep(0)
            if chance.random() < 0.05:
                raise ValueError("no")
            self.sent.append(message)

    broker = Flaky()
    again = Backoff(0.02, 1, 0.02, 0)
    options: Any = {"backoff": again, "pause": again, "max_attempts": 100, "listen": False}
    relays = [
        OutboxRelay(
            database.session_factory,
            broker,
            batch_size=10,
            poll_interval=0.01,
            max_poll_interval=0.01,
            **options,
        )
        for _ in range(3)
    ]
    for each in relays:
        each.start()
    await until(lambda: len(broker.sent) >= 120)
    for each in relays:
        await each.stop()
    order: dict[str | None, list[int]] = collections.defaultdict(list)
    for message in broker.sent:
        order[message.key].append(place[message.message_id])
    assert len(order) == 5
    assert all(numbers == sorted(numbers) for numbers in order.values())


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_the_time_for_a_queue_behind_one_row_grows_with_its_length(database: Database) -> None:
    """And not with its square, which would take longer than a lease; measured in steps of SQLite."""

    async def steps(length: int) -> int:
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        await execute(database, "DELETE FROM outbox")
        await add(database, *[keyed("a") for _ in range(length)])
        await execute(
            database,
            "UPDATE outbox SET available_at = 9E12, event_status = 'not_produced' "
            "WHERE id = (SELECT min(id) FROM outbox)",
        )
        async with database.session_factory() as session:
            connection = await connect(session)
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await driver.set_progress_handler(step, 100)
            found = await claim(connection, "token", size=500, lease_seconds=30, max_attempts=5)
            await driver.set_progress_handler(None, 0)
        assert found == []
        return count

    assert await steps(1200) < 8 * await steps(300)
