"""The repository on every database: one contract."""

from __future__ import annotations

import time
from typing import Any

import pytest
import sqlalchemy as sa

from cqrs.compressors import ZlibCompressor
from cqrs.exceptions import ConfigurationTypeError, MessageRefusedError, OutboxedEventError
from cqrs.outbox.models import OutboxModel
from cqrs.outbox.repository import EventStatus
from cqrs.outbox.sqlalchemy import SqlAlchemyOutboxedEventRepository
from cqrs.outbox.statements import statements_for
from tests.integration.outbox.support import (
    add,
    create_table,
    execute,
    repository,
    rows,
    set_payload,
    statuses,
)
from tests.servers.databases import Database
from tests.unit.outbox.events import joined, keyed, paid


@pytest.fixture(autouse=True)
async def table(database: Database) -> None:
    await create_table(database)


async def test_what_was_added_comes_back(database: Database) -> None:
    events = [joined("ada"), paid(7), keyed("bob", headers={"tenant": "äö"})]
    await add(database, *events, compressor=ZlibCompressor())
    async with repository(database, compressor=ZlibCompressor()) as outbox:
        found = await outbox.get_many()
        await outbox.commit()
    assert [each.event for each in found] == events
    assert {each.status for each in found} == {EventStatus.NEW}
    assert (found[2].key, found[2].headers) == ("bob", {"tenant": "äö"})
    assert found[1].event_id == events[1].event_id


async def test_a_rolled_back_event_was_never_there(database: Database) -> None:
    async with repository(database) as outbox:
        outbox.add(joined())
        await outbox.session.flush()
        await outbox.rollback()
        await outbox.commit()
    assert await rows(database) == []


async def test_an_event_is_refused_before_anything_is_written(database: Database) -> None:
    async with repository(database, max_payload_bytes=100) as outbox:
        with pytest.raises(OutboxedEventError, match="may have 100"):
            outbox.add(joined())
        assert not outbox.session.new


async def test_the_same_event_twice_is_an_error_of_the_database(database: Database) -> None:
    event = joined()
    await add(database, event)
    with pytest.raises(sa.exc.IntegrityError):
        await add(database, event)


async def test_leased_events_are_not_given_to_another(database: Database) -> None:
    await add(database, *[joined() for _ in range(5)])
    async with repository(database) as one, repository(database) as other:
        first = await one.get_many(3)
        await one.commit()
        second = await other.get_many(3)
        await other.commit()
        assert [event.id for event in (*first, *second)] == [1, 2, 3, 4, 5]
        assert await other.get_many() == []


async def test_topics_are_taken_apart(database: Database) -> None:
    await add(database, joined(topic="a"), joined(topic="b"), joined(topic="a"))
    async with repository(database) as outbox:
        assert [event.id for event in await outbox.get_many(topic="a")] == [1, 3]
        assert [event.id for event in await outbox.get_many()] == [2]


async def test_a_published_event_is_never_due_again(database: Database) -> None:
    await add(database, joined())
    async with repository(database) as outbox:
        (event,) = await outbox.get_many()
        await outbox.update_status(event.id, EventStatus.PRODUCED)
        await outbox.commit()
        assert await outbox.get_many() == []
    (row,) = await rows(database)
    assert (row.event_status, row.lease_owner, row.lease_expires_at) == ("produced", None, None)


async def test_failures_are_counted_and_waited_for(database: Database) -> None:
    await add(database, joined())
    for attempt in range(1, 6):
        async with repository(database) as outbox:
            (event,) = await outbox.get_many()
            assert event.attempts == attempt - 1
            await outbox.report_failure(event.id, ValueError("no such luck"))
            await outbox.commit()
            assert await outbox.get_many() == []
        (row,) = await rows(database)
        assert (row.flush_counter, row.error) == (attempt, "ValueError: no such luck")
        assert row.event_status == ("not_produced" if attempt < 5 else "dead_letter")
        assert attempt == 5 or row.available_at > time.time()
        await execute(database, "UPDATE outbox SET available_at = 0")


async def test_a_broker_that_is_away_costs_no_attempt(database: Database) -> None:
    await add(database, joined())
    async with repository(database) as outbox:
        (event,) = await outbox.get_many()
        await outbox.report_failure(event.id, ConnectionRefusedError())
        await outbox.commit()
        assert await outbox.get_many() == []
    (row,) = await rows(database)
    assert (row.event_status, row.flush_counter, row.lease_owner) == ("new", 0, None)


async def test_a_refused_event_is_a_dead_letter(database: Database) -> None:
    await add(database, joined())
    async with repository(database) as outbox:
        (event,) = await outbox.get_many()
        await outbox.report_failure(event.id, MessageRefusedError("topic", "too large"))
        await outbox.commit()
    (row,) = await rows(database)
    assert row.event_status == "dead_letter"
    assert "too large" in row.error


async def test_an_expired_lease_lets_another_take_over_and_the_first_changes_nothing(
    database: Database,
) -> None:
    await add(database, joined())
    async with repository(database) as slow, repository(database) as quick:
        (event,) = await slow.get_many()
        await slow.commit()
        await execute(database, "UPDATE outbox SET lease_expires_at = 1")
        (again,) = await quick.get_many()
        await quick.commit()
        await slow.report_failure(event.id, ValueError())
        await slow.commit()
        assert (await rows(database))[0].flush_counter == 0
        await quick.update_status(again.id, EventStatus.PRODUCED)
        await quick.commit()
        await slow.report_failure(event.id, ValueError())
        await slow.commit()
    assert await statuses(database) == ["produced"]


async def test_undecodable_rows_at_the_head_block_nothing(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await add(database, *[joined() for _ in range(6)])
    await set_payload(database, b"\x00", 1, 2)
    await execute(database, "UPDATE outbox SET event_name = 'gone' WHERE id = 3")
    await execute(database, "UPDATE outbox SET headers = '[' WHERE id = 4")
    async with repository(database) as outbox:
        found = await outbox.get_many(2)
        await outbox.commit()
    assert [event.id for event in found] == [5, 6]
    assert await statuses(database) == ["dead_letter"] * 4 + ["new"] * 2
    assert "'gone' is not registered" in (await rows(database))[2].error
    assert "row 3 (gone) of the outbox is a dead letter" in caplog.text


@pytest.mark.parametrize("status", ["NEW", "NOT_PRODUCED", "not_produced"])
async def test_rows_of_other_programs_are_published(database: Database, status: str) -> None:
    await add(database, joined())
    await execute(database, "UPDATE outbox SET event_status = :status", status=status)
    async with repository(database) as outbox:
        (event,) = await outbox.get_many()
        assert event.status == status.lower()
        await outbox.update_status(event.id, EventStatus.PRODUCED)
        await outbox.commit()
    assert await statuses(database) == ["produced"]


async def test_a_status_can_be_set_by_number_alone(database: Database) -> None:
    await add(database, joined(), joined())
    async with repository(database) as outbox:
        await outbox.update_status(1, EventStatus.PRODUCED)
        await outbox.update_status(2, EventStatus.DEAD_LETTER)
        await outbox.commit()
    assert await statuses(database) == ["produced", "dead_letter"]


@pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
async def test_the_backlog_is_read_by_its_own_index(database: Database) -> None:
    """Old rows cost nothing, and the backlog is not sorted."""
    statements = statements_for(OutboxModel.__table__, database.engine.dialect.name)
    async with database.engine.connect() as connection:
        compiled = statements.claim.compile(dialect=database.engine.dialect)  # type: ignore[union-attr]
        values: dict[str, Any] = {"token": "t", "lease": 30.0, "attempts": 5, "size": 10}
        if database.kind == "postgres":
            await connection.execute(sa.text("SET enable_sort = off"))
        prefix = "EXPLAIN " if database.kind == "postgres" else "EXPLAIN QUERY PLAN "
        plan = await connection.exec_driver_sql(*_explained(prefix, compiled, values))
        text = "\n".join(str(line) for line in plan.all())
    assert "ix_outbox_waiting" in text
    assert "Sort" not in text
    assert "TEMP B-TREE" not in text


def _explained(prefix: str, compiled: Any, values: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
    parameters = compiled.construct_params(values)
    return prefix + compiled.string, tuple(parameters[name] for name in compiled.positiontup)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("wrong", [None, "sqlite://", object()])
async def test_what_is_no_session_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationTypeError, match="AsyncSession"):
        SqlAlchemyOutboxedEventRepository(wrong)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_repository_remembers_the_last_leases_only(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A producer lives as long as its process, with one repository."""
    monkeypatch.setattr("cqrs.outbox.sqlalchemy._REMEMBERED", 4)
    await add(database, *[joined() for _ in range(9)])
    async with repository(database) as outbox:
        sizes: list[int] = []
        while events := await outbox.get_many(3):
            await outbox.commit()
            for event in events:
                await outbox.update_status(event.id, EventStatus.PRODUCED)
            await outbox.commit()
            sizes.append(len(outbox._claimed))
        assert sizes == [3, 4, 4]
    assert await statuses(database) == ["produced"] * 9


async def test_a_savepoint_takes_its_events_with_it(database: Database) -> None:
    kept = [joined(), joined(), joined()]
    async with repository(database) as outbox:
        outbox.add(kept[0])
        await outbox.session.flush()
        savepoint = await outbox.session.begin_nested()
        outbox.add(joined())
        await outbox.session.flush()
        await savepoint.rollback()
        async with outbox.session.begin_nested():
            outbox.add(kept[1])
        await outbox.commit()
        outbox.add(kept[0])
        with pytest.raises(sa.exc.IntegrityError):
            await outbox.commit()
        await outbox.rollback()
        outbox.add(kept[2])  # the session can be used again
        await outbox.commit()
    assert [row.event_id for row in await rows(database)] == [event.event_id for event in kept]
