"""Brokers that are away, refuse, hang or fail: what becomes of the messages, and of the others."""

from __future__ import annotations

from typing import Any

import pytest

from cqrs.circuit_breaker.timing import Backoff
from cqrs.exceptions import MessageRefusedError
from cqrs.message_brokers.protocol import Message
from cqrs.outbox.relay import OutboxRelay
from tests.integration.outbox.support import add, create_table, drain, execute, rows, statuses
from tests.servers.databases import Database
from tests.unit.outbox.brokers import BatchBroker, HangingBroker, SingleBroker
from tests.unit.outbox.events import joined, keyed

NO_WAIT = Backoff(initial=0.001, multiplier=1, max=0.001, jitter=0)


@pytest.fixture(autouse=True)
async def table(database: Database) -> None:
    await create_table(database)


def relay(database: Database, broker: Any, **options: Any) -> OutboxRelay:
    return OutboxRelay(database.session_factory, broker, **options)


async def test_a_message_that_fails_is_tried_again_and_given_up(database: Database) -> None:
    bad = joined("bad")
    await add(database, joined(), bad, joined())
    broker = SingleBroker(lambda message: ValueError("no") if message.message_id == bad.event_id else None)
    made = relay(database, broker, backoff=NO_WAIT)
    for attempt in range(1, 6):
        while not (await made.run_once()).claimed:
            pass
        row = (await rows(database))[1]
        assert (row.flush_counter, row.error) == (attempt, "ValueError: no")
    assert await statuses(database) == ["produced", "dead_letter", "produced"]
    assert (await made.run_once()).claimed == 0
    assert (made.statistics.failed, made.statistics.dead) == (4, 1)


@pytest.mark.parametrize("broker_class", [SingleBroker, BatchBroker])
async def test_a_refused_message_is_given_up_at_once_and_holds_up_nobody(
    database: Database, broker_class: type[SingleBroker]
) -> None:
    """Neither others, nor those of its own key."""
    await add(database, joined(), keyed("a"), keyed("a"), joined())
    refused = MessageRefusedError("topic", "too large")
    numbers = {row.event_id: row.id for row in await rows(database)}
    broker = broker_class(lambda message: refused if numbers[message.message_id] == 2 else None)
    made = relay(database, broker)
    await drain(made)
    assert await statuses(database) == ["produced", "dead_letter", "produced", "produced"]
    letter = (await rows(database))[1]
    assert "too large" in letter.error
    assert letter.flush_counter == 1
    assert (made.statistics.dead, made.statistics.failed) == (1, 0)


async def test_a_failed_row_waits_before_it_is_tried_again(database: Database) -> None:
    await add(database, joined())
    made = relay(database, SingleBroker(lambda message: ValueError("no")))
    await made.run_once()
    assert (await made.run_once()).claimed == 0
    await execute(database, "UPDATE outbox SET available_at = 1")
    assert (await made.run_once()).claimed == 1


async def test_rows_after_a_failed_one_of_their_key_wait_with_it(database: Database) -> None:
    await add(database, keyed("a"), keyed("a"), keyed("b"), keyed("a"))
    fails = [True]
    broker = SingleBroker(lambda message: ValueError() if message.key == "a" and fails[0] else None)
    made = relay(database, broker)
    await made.run_once()
    assert await statuses(database) == ["not_produced", "new", "produced", "new"]
    assert (await made.run_once()).claimed == 0
    fails[0] = False
    await execute(database, "UPDATE outbox SET available_at = 1")
    await made.run_once()
    expected = [row.event_id for row in await rows(database) if row.message_key == "a"]
    assert [message.message_id for message in broker.sent if message.key == "a"] == expected


async def test_a_broker_that_refuses_connections_burns_no_attempts(database: Database) -> None:
    await add(database, *[joined() for _ in range(50)])
    down = [True]
    broker = SingleBroker(lambda message: ConnectionRefusedError("down") if down[0] else None)
    made = relay(database, broker, batch_size=25)
    for _ in range(10):
        assert (await made.run_once()).is_outage
        await execute(database, "UPDATE outbox SET available_at = NULL")
    assert {row.flush_counter for row in await rows(database)} == {0}
    assert broker.calls < 250
    down[0] = False
    await drain(made)
    assert set(await statuses(database)) == {"produced"}
    assert made.statistics.outages == 10


async def test_a_topic_that_does_not_work_holds_up_no_other(database: Database) -> None:
    await add(database, *[joined(topic="bad") for _ in range(30)], *[joined() for _ in range(5)])
    broker = SingleBroker(lambda message: TimeoutError() if message.topic == "bad" else None)
    made = relay(database, broker, batch_size=10)
    for _ in range(4):
        await made.run_once()
    assert (await statuses(database))[30:] == ["produced"] * 5
    assert {row.flush_counter for row in await rows(database)} == {0, 1}  # and its own failures count


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("concurrency", "poisoned"), [(1, 1), (1, 8), (2, 1), (2, 12)])
async def test_messages_that_always_time_out_hold_up_no_others(
    database: Database, concurrency: int, poisoned: int
) -> None:
    """They are the oldest, more than are sent at once, and of the same topic as all others."""
    await add(database, *[joined("hangs") for _ in range(poisoned)], *[joined() for _ in range(5)])

    def behaviour(message: Message) -> Exception | None:
        return TimeoutError() if message.payload["payload"]["name"] == "hangs" else None

    made = relay(database, SingleBroker(behaviour), concurrency=concurrency)
    await drain(made)
    assert (await statuses(database))[poisoned:] == ["produced"] * 5


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_what_times_out_takes_its_key_along(database: Database) -> None:
    await add(database, *[keyed(name) for name in "abcabc"], *[joined() for _ in range(3)])
    made = relay(database, SingleBroker(lambda message: TimeoutError()), concurrency=1)
    assert (await made.run_once()).is_outage
    assert [row.available_at is None for row in await rows(database)] == [False] * 6 + [True] * 3
    assert {row.flush_counter for row in await rows(database)} == {0}


async def test_a_broker_that_hangs_is_cut_off_and_burns_no_attempts(database: Database) -> None:
    await add(database, joined(), joined())
    made = relay(database, HangingBroker(), send_timeout=0.01)
    assert (await made.run_once()).is_outage
    assert [(row.event_status, row.flush_counter, row.lease_owner) for row in await rows(database)] == [
        ("new", 0, None)
    ] * 2


async def test_one_message_that_hangs_among_others_is_counted(database: Database) -> None:
    await add(database, joined(), joined("hangs"), joined())
    broker = HangingBroker(lambda message: message.payload["payload"]["name"] == "hangs")
    await relay(database, broker, send_timeout=0.05).run_once()
    assert await statuses(database) == ["produced", "not_produced", "produced"]
