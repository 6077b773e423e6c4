"""The inbox on every database: one contract."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from typing import Any

import pytest
import sqlalchemy as sa

from cqrs.exceptions import ConfigurationError, ConfigurationTypeError
from cqrs.inbox.models import InboxModel, rebind_inbox_model
from cqrs.inbox.processor import InboxProcessor, Processed, current_session
from cqrs.inbox.sqlalchemy import SqlAlchemyInboxRepository
from tests.servers.databases import Database

NOTES = sa.Table("notes", sa.MetaData(), sa.Column("text", sa.String(100)))


@pytest.fixture(autouse=True)
async def table(database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.run_sync(InboxModel.metadata.create_all)
        await connection.run_sync(NOTES.metadata.create_all)


@pytest.fixture
def processor(database: Database) -> InboxProcessor:
    return InboxProcessor(database.session_factory, "mailer")


async def note(session: Any) -> str:
    await session.execute(NOTES.insert().values(text="handled"))
    return "done"


async def read(database: Database, table: sa.Table) -> list[Any]:
    async with database.engine.connect() as connection:
        return list((await connection.execute(sa.select(table))).all())


async def test_a_message_is_handled_once(database: Database, processor: InboxProcessor) -> None:
    message_id = uuid.uuid4()
    assert await processor.process(message_id, note, event_name="joined") == Processed(False, "done")
    assert await processor.process(message_id, note) == Processed(True)
    assert await processor.process(str(message_id), note) == Processed(True)
    assert len(await read(database, NOTES)) == 1
    (row,) = await read(database, InboxModel.__table__)
    assert (row.consumer, row.message_id, row.event_name) == ("mailer", str(message_id), "joined")
    assert (row.status, row.attempts) == ("handled", 3)
    assert row.handled_at >= row.received_at


async def test_each_consumer_handles_it(database: Database, processor: InboxProcessor) -> None:
    await processor.process("7", note)
    assert not (await InboxProcessor(database.session_factory, "other").process("7", note)).is_duplicate
    assert len(await read(database, NOTES)) == 2


@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError()])
async def test_a_failure_undoes_everything_and_it_can_be_delivered_again(
    database: Database, processor: InboxProcessor, error: BaseException
) -> None:
    async def fail(session: Any) -> None:
        await note(session)
        raise error

    with pytest.raises(type(error)) as caught:
        await processor.process("7", fail)
    assert caught.value is error
    assert await read(database, NOTES) == []
    assert await read(database, InboxModel.__table__) == []
    assert not (await processor.process("7", note)).is_duplicate


async def test_the_session_is_found_while_the_handler_runs(processor: InboxProcessor) -> None:
    seen: list[Any] = []

    async def handler(session: Any) -> None:
        seen.append(current_session() is session)

    await processor.process("7", handler)
    assert seen == [True]
    assert current_session() is None


@pytest.mark.parametrize("first_fails", [False, True])
async def test_of_concurrent_duplicates_exactly_one_takes_effect(
    database: Database, processor: InboxProcessor, first_fails: bool
) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()
    calls = 0

    async def slow(session: Any) -> None:
        nonlocal calls
        calls += 1
        is_first = calls == 1
        await note(session)
        begun.set()
        await may_end.wait()
        if first_fails and is_first:
            raise ValueError("no")

    first = asyncio.ensure_future(processor.process("7", slow))
    await begun.wait()
    others = [asyncio.ensure_future(processor.process("7", slow)) for _ in range(3)]
    await asyncio.wait(others, timeout=0.2)  # they wait for the first
    assert calls == 1
    may_end.set()
    results = await asyncio.gather(first, *others, return_exceptions=True)
    assert len(await read(database, NOTES)) == 1
    handled = [each for each in results if isinstance(each, Processed) and not each.is_duplicate]
    duplicates = [each for each in results if isinstance(each, Processed) and each.is_duplicate]
    assert len(handled) == 1
    assert len(duplicates) == (2 if first_fails else 3)


async def test_it_works_in_the_users_own_transaction(database: Database) -> None:
    async with database.session_factory.begin() as session:
        assert await SqlAlchemyInboxRepository(session).register("mailer", "7")
        assert not await SqlAlchemyInboxRepository(session).register("mailer", "7")
        await note(session)
    async with database.session_factory() as session:
        assert not await SqlAlchemyInboxRepository(session).register("mailer", "7")
        await session.rollback()
        assert await SqlAlchemyInboxRepository(session).register("mailer", "8")
        await session.rollback()
        assert await SqlAlchemyInboxRepository(session).register("mailer", "8")


async def test_old_messages_are_forgotten_in_chunks(database: Database, processor: InboxProcessor) -> None:
    for number in range(5):
        await processor.process(str(number), note)
    other = InboxProcessor(database.session_factory, "other")
    await other.process("0", note)
    assert await processor.purge(3600) == 0
    assert await processor.purge(0, chunk=2) == 5
    assert [row.consumer for row in await read(database, InboxModel.__table__)] == ["other"]
    assert not (await processor.process("0", note)).is_duplicate


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_wrong_arguments_are_refused(database: Database, processor: InboxProcessor) -> None:
    with pytest.raises(ConfigurationTypeError, match="session_factory"):
        InboxProcessor(database.engine, "mailer")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationTypeError, match="consumer"):
        InboxProcessor(database.session_factory, "")
    with pytest.raises(ConfigurationTypeError, match="handler"):
        await processor.process("7", None)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationTypeError, match="message is identified"):
        await processor.process(7, note)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationTypeError, match="AsyncSession"):
        SqlAlchemyInboxRepository(None)  # type: ignore[arg-type]


async def test_the_table_moves_into_the_metadata_of_the_application(
    database: Database, processor: InboxProcessor
) -> None:
    original, own = InboxModel.metadata, sa.MetaData()
    rebind_inbox_model(own, "handled_messages")
    try:
        async with database.engine.begin() as connection:
            await connection.run_sync(own.create_all)
        await processor.process("7", note)
        assert len(await read(database, own.tables["handled_messages"])) == 1
    finally:
        rebind_inbox_model(original, "inbox")


async def test_ids_are_the_same_only_if_every_character_is(
    database: Database, processor: InboxProcessor
) -> None:
    ids = ["abc", "ABC", "\u00e4bc", "abc ", " abc", "\N{GRINNING FACE}"]
    for message_id in ids:
        assert not (await processor.process(message_id, note)).is_duplicate
        assert (await processor.process(message_id, note)).is_duplicate
    assert not (await InboxProcessor(database.session_factory, "Mailer").process("abc", note)).is_duplicate
    assert [row.message_id for row in await read(database, InboxModel.__table__)] == [*ids, "abc"]


async def test_a_uuid_is_the_same_in_every_form(processor: InboxProcessor) -> None:
    message_id = uuid.uuid4()
    assert not (await processor.process(message_id, note)).is_duplicate
    for form in (str(message_id), str(message_id).upper(), message_id.hex):
        assert (await processor.process(form, note)).is_duplicate


async def test_a_session_without_transactions_is_refused(database: Database) -> None:
    from sqlalchemy.ext.asyncio import async_sessionmaker

    engine = database.create_engine(isolation_level="AUTOCOMMIT")
    with pytest.raises(ConfigurationError, match="AUTOCOMMIT"):
        await InboxProcessor(async_sessionmaker(engine), "mailer").process("7", note)
    assert await read(database, InboxModel.__table__) == []


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
async def test_a_handler_that_ends_the_transaction_is_refused(
    database: Database, processor: InboxProcessor, end: str
) -> None:
    async def handler(session: Any) -> None:
        await note(session)
        await getattr(session, end)()

    with pytest.raises(ConfigurationError, match="commit" if end == "commit" else "rolled"):
        await processor.process("7", handler)
    assert await read(database, NOTES) == []
    assert not (await processor.process("7", note)).is_duplicate


async def test_a_handler_may_use_savepoints(database: Database, processor: InboxProcessor) -> None:
    async def handler(session: Any) -> None:
        async with session.begin_nested():
            await note(session)
        with pytest.raises(ValueError, match="no"):
            async with session.begin_nested():
                await note(session)
                raise ValueError("no")

    await processor.process("7", handler)
    assert len(await read(database, NOTES)) == 1
    assert (await processor.process("7", handler)).is_duplicate


async def test_many_that_wait_for_failing_ones_handle_it_once(
    database: Database, processor: InboxProcessor
) -> None:
    calls = 0

    async def handler(session: Any) -> None:
        nonlocal calls
        calls += 1
        await note(session)
        if calls <= 3:
            raise ValueError("no")

    works = [processor.process("7", handler) for _ in range(10)]
    results = await asyncio.gather(*works, return_exceptions=True)
    assert {type(each) for each in results} <= {ValueError, Processed}
    assert len(await read(database, NOTES)) == 1


@pytest.mark.parametrize("wrong", ["", "x" * 191, "a\0b", b"7"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_what_is_no_identity_is_refused(processor: InboxProcessor, wrong: Any) -> None:
    with pytest.raises(ConfigurationTypeError, match="a message is identified by"):
        await processor.process(wrong, note)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("busy", "tries"), [(True, 2), (False, 1)])
async def test_only_a_conflict_that_passes_is_tried_again(
    processor: InboxProcessor, monkeypatch: pytest.MonkeyPatch, busy: bool, tries: int
) -> None:
    driver = sqlite3.OperationalError("from the driver")
    driver.sqlite_errorcode = sqlite3.SQLITE_BUSY if busy else sqlite3.SQLITE_FULL
    register, calls = SqlAlchemyInboxRepository.register, 0

    async def failing_once(self: Any, *arguments: Any, **options: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise sa.exc.OperationalError("INSERT", {}, driver)
        return await register(self, *arguments, **options)

    monkeypatch.setattr(SqlAlchemyInboxRepository, "register", failing_once)
    if busy:
        assert not (await processor.process("7", note)).is_duplicate
    else:
        with pytest.raises(sa.exc.OperationalError, match="from the driver"):
            await processor.process("7", note)
    assert calls == tries
