from __future__ import annotations

import datetime
from typing import Any

import pytest

from cqrs.circuit_breaker.timing import Backoff
from cqrs.exceptions import ConfigurationError, PolicyError
from cqrs.outbox.operations import dead_letters, purge_produced, requeue_dead_letters
from cqrs.outbox.relay import OutboxRelay
from tests.integration.outbox.support import add, create_table, execute, rows, statuses, until
from tests.servers.databases import Database
from tests.unit.outbox.brokers import SingleBroker
from tests.unit.outbox.events import joined, paid


@pytest.fixture(autouse=True)
async def table(database: Database) -> None:
    await create_table(database)


async def kill(database: Database, *numbers: int) -> None:
    for number in numbers:
        await execute(
            database,
            "UPDATE outbox SET event_status = 'dead_letter', flush_counter = 5, error = 'no' WHERE id = :id",
            id=number,
        )


async def test_dead_letters_are_shown(database: Database) -> None:
    events = [joined(), paid(), joined(), joined()]
    await add(database, *events)
    await kill(database, 1, 2)
    await execute(database, "UPDATE outbox SET event_status = 'NOT_PRODUCED', flush_counter = 5 WHERE id = 4")
    found = await dead_letters(database.session_factory)
    assert [each.id for each in found] == [1, 2, 4]
    first = found[0]
    assert (first.event_id, first.event_name, first.topic) == (
        events[0].event_id,
        "user_joined",
        "output_topic",
    )
    assert (first.attempts, first.error) == (5, "no")
    assert abs(first.created_at - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=10)
    assert [each.id for each in await dead_letters(database.session_factory, 1)] == [1]
    assert [each.id for each in await dead_letters(database.session_factory, event_name="paid")] == [2]


async def test_dead_letters_are_sent_again(database: Database) -> None:
    await add(database, joined(), paid(), joined(), joined())
    await kill(database, 1, 2, 3)
    assert await requeue_dead_letters(database.session_factory, [1, 4]) == 1
    assert await requeue_dead_letters(database.session_factory, event_name="paid") == 1
    assert [(row.event_status, row.flush_counter) for row in await rows(database)] == [
        ("new", 0),
        ("new", 0),
        ("dead_letter", 5),
        ("new", 0),
    ]
    await OutboxRelay(database.session_factory, SingleBroker()).run_once()
    assert await statuses(database) == ["produced", "produced", "dead_letter", "produced"]
    with pytest.raises(ConfigurationError, match="which dead letters"):
        await requeue_dead_letters(database.session_factory)


async def test_only_published_events_are_removed_and_only_old_ones(database: Database) -> None:
    await add(database, *[joined() for _ in range(7)])
    await execute(database, "UPDATE outbox SET event_status = 'PRODUCED' WHERE id <= 2")
    await execute(database, "UPDATE outbox SET event_status = 'produced' WHERE id BETWEEN 3 AND 5")
    await kill(database, 6)
    assert await purge_produced(database.session_factory, datetime.timedelta(hours=1)) == 0
    assert await purge_produced(database.session_factory, 0, chunk=2) == 5
    assert await statuses(database) == ["dead_letter", "new"]
    with pytest.raises(PolicyError, match="older_than"):
        await purge_produced(database.session_factory, -1)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_ids_are_numbers_and_no_payload_is_shown(database: Database) -> None:
    await add(database, joined("secret"))
    await kill(database, 1)
    for wrong in ("1", ["1"], [True]):
        with pytest.raises(PolicyError, match="ids"):
            await requeue_dead_letters(database.session_factory, wrong)  # type: ignore[arg-type]
    assert await statuses(database) == ["dead_letter"]
    (letter,) = await dead_letters(database.session_factory)
    assert b"secret" in letter.payload
    assert "secret" not in repr(letter)


async def test_removing_while_relays_publish_disturbs_nobody(database: Database) -> None:
    broker = SingleBroker()
    pause = Backoff(0.01, 1, 0.01, 0)
    options: Any = {"batch_size": 20, "poll_interval": 0.01, "max_poll_interval": 0.01, "pause": pause}
    relays = [OutboxRelay(database.session_factory, broker, **options) for _ in range(2)]
    for relay in relays:
        relay.start()
    removed = 0
    for _ in range(5):
        await add(database, *[joined() for _ in range(25)])
        removed += await purge_produced(database.session_factory, 0, chunk=10)
    await until(lambda: len(broker.sent) == 125)
    for relay in relays:
        await relay.stop()
    removed += await purge_produced(database.session_factory, 0, chunk=10)
    assert removed == 125
    assert len({message.message_id for message in broker.sent}) == len(broker.sent) == 125
