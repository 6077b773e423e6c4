"""The relay on every database: one contract."""

from __future__ import annotations

import asyncio
import collections
from typing import Any

import pytest
import sqlalchemy as sa

from cqrs.compressors import ZlibCompressor
from cqrs.exceptions import ConfigurationError, ConfigurationTypeError
from cqrs.message_brokers.protocol import Message
from cqrs.outbox.relay import OutboxRelay
from cqrs.testing import FakeClock
from tests.integration.outbox.support import (
    add,
    count_statements,
    create_table,
    drain,
    execute,
    rows,
    set_payload,
    statuses,
    until,
)
from tests.servers.databases import Database
from tests.unit.outbox.brokers import BatchBroker, HangingBroker, SingleBroker
from tests.unit.outbox.events import joined, keyed, paid


@pytest.fixture(autouse=True)
async def table(database: Database) -> None:
    await create_table(database)


def relay(database: Database, broker: Any, **options: Any) -> OutboxRelay:
    return OutboxRelay(database.session_factory, broker, **options)


@pytest.mark.parametrize("broker_class", [SingleBroker, BatchBroker])
async def test_everything_is_published_once_as_it_was(
    database: Database, broker_class: type[SingleBroker]
) -> None:
    events = [joined("ada"), paid(7), keyed("bob", headers={"tenant": "äö"}), *[joined() for _ in range(20)]]
    await add(database, *events, compressor=ZlibCompressor())
    broker = broker_class()
    made = relay(database, broker, compressor=ZlibCompressor(), batch_size=10)
    await drain(made)
    sent = {message.message_id: message for message in broker.sent}
    assert list(sent) == [event.event_id for event in events] or broker_class is SingleBroker
    assert len(broker.sent) == len(sent) == len(events)
    message = sent[events[2].event_id]
    assert (message.message_name, message.topic, message.key) == ("keyed", "output_topic", "bob")
    assert message.headers == {"tenant": "äö"}
    assert message.payload["payload"] == {"name": "bob", "age": 0}
    assert set(await statuses(database)) == {"produced"}
    numbers = made.statistics
    assert (numbers.batches, numbers.claimed, numbers.published) == (3, 23, 23)


@pytest.mark.parametrize("broker_class", [SingleBroker, BatchBroker])
async def test_no_transaction_is_open_while_messages_are_sent(
    database: Database, broker_class: type[SingleBroker]
) -> None:
    await add(database, *[joined() for _ in range(5)])
    transactions: list[str] = []
    open_ones: list[int] = []
    for name in ("begin", "commit", "rollback"):
        sa.event.listen(database.engine.sync_engine, name, lambda _, name=name: transactions.append(name))

    def look(_: Message) -> None:
        ended = transactions.count("commit") + transactions.count("rollback")
        open_ones.append(transactions.count("begin") - ended)

    await drain(relay(database, broker_class(look), batch_size=2))

    assert open_ones == [0] * 5
    assert transactions.count("commit") >= 6, "one to lease and one to mark each batch"


async def test_two_relays_publish_nothing_twice(database: Database) -> None:
    await add(database, *[joined() for _ in range(200)])
    broker = SingleBroker()
    relays = [relay(database, broker, batch_size=7) for _ in range(2)]

    async def work(made: OutboxRelay) -> None:
        while "new" in await statuses(database):
            try:
                await made.run_once()
            except Exception:
                assert database.kind == "sqlite"  # a locked database; the running relay tries again

    await asyncio.gather(*(work(each) for each in relays))
    counts = collections.Counter(message.message_id for message in broker.sent)
    assert len(counts) == 200
    assert set(counts.values()) == {1}
    assert set(await statuses(database)) == {"produced"}


async def test_undecodable_rows_at_the_head_block_nothing_and_are_told_once(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await add(database, *[joined() for _ in range(10)])
    await set_payload(database, b"[", 1, 2, 3)
    await execute(database, "UPDATE outbox SET event_name = 'gone' WHERE id IN (4, 5)")
    await execute(database, "UPDATE outbox SET headers = '[' WHERE id = 6")
    broker = BatchBroker()
    made = relay(database, broker, batch_size=4)
    await drain(made)
    assert len(broker.sent) == 4
    assert await statuses(database) == ["dead_letter"] * 6 + ["produced"] * 4
    assert made.statistics.dead == 6
    told = [record for record in caplog.records if "is a dead letter" in record.message]
    assert len(told) == 2  # one per event name
    assert "'gone' is not registered" in (await rows(database))[4].error


async def test_without_validation_only_the_json_is_looked_at(database: Database) -> None:
    await add(database, joined(), joined())
    await set_payload(database, b"{}", 1)
    await relay(database, SingleBroker()).run_once()
    assert await statuses(database) == ["dead_letter", "produced"]
    await execute(database, "UPDATE outbox SET event_status = 'new', available_at = NULL")
    await relay(database, SingleBroker(), validate=False).run_once()
    assert await statuses(database) == ["produced", "produced"]


async def test_only_the_topics_asked_for(database: Database) -> None:
    await add(database, joined(topic="a"), joined(topic="b"), joined(topic="c"))
    await drain(relay(database, SingleBroker(), topics=["a", "c"]))
    assert await statuses(database) == ["produced", "new", "produced"]


async def test_expired_leases_are_taken_over(database: Database) -> None:
    await add(database, joined(), joined())
    await execute(
        database,
        "UPDATE outbox SET lease_owner = 'killed', lease_expires_at = CASE WHEN id = 1 THEN 1 ELSE 1E12 END",
    )
    broker = SingleBroker()
    await drain(relay(database, broker))
    assert await statuses(database) == ["produced", "new"]


async def test_whoever_was_overtaken_changes_nothing(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Its lease ends while it publishes, and another relay takes the row."""
    await add(database, joined())

    class Slow(SingleBroker):
        async def send_message(self, message: Message) -> None:
            await execute(database, "UPDATE outbox SET lease_owner = 'other', lease_expires_at = 1E12")
            await super().send_message(message)

    made = relay(database, Slow())
    await made.run_once()
    (row,) = await rows(database)
    assert (row.event_status, row.lease_owner) == ("new", "other")
    assert made.statistics.overtaken == 1
    assert "the lease of 1 published rows had ended" in caplog.text


async def test_it_runs_until_it_is_stopped(database: Database) -> None:
    broker = SingleBroker()
    made = relay(database, broker, poll_interval=0.01, max_poll_interval=0.01)
    async with made:
        assert made.is_running
        with pytest.raises(ConfigurationError, match="runs already"):
            made.start()
        await add(database, joined())
        await until(lambda: bool(broker.sent))
    assert not made.is_running
    assert await statuses(database) == ["produced"]
    await made.stop()
    async with made:  # it can run again
        assert made.is_running


async def test_stop_lets_the_batch_end(database: Database) -> None:
    await add(database, *[joined() for _ in range(10)])
    begun, may_end = asyncio.Event(), asyncio.Event()

    class Slow(SingleBroker):
        async def send_message(self, message: Message) -> None:
            begun.set()
            await may_end.wait()
            await super().send_message(message)

    made = relay(database, Slow())
    made.start()
    await begun.wait()
    stopping = asyncio.ensure_future(made.stop(30))
    await asyncio.sleep(0)
    may_end.set()
    await stopping
    assert set(await statuses(database)) == {"produced"}


async def test_stop_gives_back_what_could_not_be_sent_in_time(database: Database) -> None:
    await add(database, *[joined() for _ in range(10)])
    broker = HangingBroker(lambda message: len(broker.sent) >= 4)
    made = relay(database, broker, concurrency=1)
    made.start()
    await broker.asked.wait()
    await made.stop(0)
    assert await statuses(database) == ["produced"] * 4 + ["new"] * 6
    assert {row.lease_owner for row in await rows(database)} == {None}
    assert not made.is_running


async def test_a_cancelled_run_gives_back_what_it_had_not_sent(database: Database) -> None:
    await add(database, *[joined() for _ in range(10)])
    broker = HangingBroker(lambda message: len(broker.sent) >= 4)
    made = relay(database, broker, concurrency=1)
    task = asyncio.ensure_future(made.run())
    await broker.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await statuses(database) == ["produced"] * 4 + ["new"] * 6
    assert {row.lease_owner for row in await rows(database)} == {None}
    assert not made.is_running


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_broker_may_stop_the_relay_that_uses_it(database: Database) -> None:
    await add(database, joined())

    class Last(SingleBroker):
        async def send_message(self, message: Message) -> None:
            await super().send_message(message)
            await made.stop()

    made = relay(database, Last(), concurrency=1)
    await made.run()
    assert await statuses(database) == ["produced"]


async def test_a_relay_stopped_before_it_began_has_begun_nothing(database: Database) -> None:
    made = relay(database, SingleBroker())
    await made.stop()  # nothing happens
    made.start()
    await made.stop()
    assert not made.is_running
    assert made.statistics.queries == 0


async def test_an_idle_relay_asks_no_more_than_twice_a_second(database: Database, clock: FakeClock) -> None:
    executed = count_statements(database.engine)
    made = relay(database, SingleBroker(), clock=clock, sleep=clock.sleep)
    task = asyncio.ensure_future(made.run())
    for _ in range(60):
        await until(lambda: clock.sleepers > 0)
        clock.advance(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    about_rows = [statement for statement in executed if "outbox" in statement]
    assert 10 <= len(about_rows) <= 60
    assert len(about_rows) == made.statistics.queries * (2 if database.kind == "mariadb" else 1)


async def test_an_error_of_the_database_does_not_end_it(
    database: Database, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await execute(database, "ALTER TABLE outbox RENAME TO elsewhere")
    broker = SingleBroker()
    made = relay(database, broker, clock=clock, sleep=clock.sleep, listen=False)
    task = made.start()
    for _ in range(3):
        await until(lambda: clock.sleepers > 0)
        clock.advance(30)
        await asyncio.sleep(0)
    await until(lambda: clock.sleepers > 0)
    assert "the outbox cannot be read" in caplog.text
    assert made.statistics.errors >= 3
    await execute(database, "ALTER TABLE elsewhere RENAME TO outbox")
    await add(database, joined())
    clock.advance(30)
    await until(lambda: bool(broker.sent))
    await made.stop()
    assert task.done()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_wrong_arguments_are_refused(database: Database) -> None:
    for wrong in (database.engine, None):
        with pytest.raises(ConfigurationTypeError, match="session_factory"):
            OutboxRelay(wrong, SingleBroker())  # type: ignore[arg-type]
    with pytest.raises(ConfigurationTypeError, match="send_message"):
        relay(database, object())
    with pytest.raises(ConfigurationTypeError, match="compress"):
        relay(database, SingleBroker(), compressor=object())
