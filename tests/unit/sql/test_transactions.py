"""Short transactions are tried again when that is safe, and only then."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, async_sessionmaker

from cqrs._sql.errors import is_disconnect, is_transient
from cqrs._sql.transactions import Transactions
from cqrs.exceptions import ConfigurationError
from tests.servers.databases import Database

NOTES = sa.Table("notes", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True, autoincrement=False))
PAIR = sa.Table(
    "pair",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("value", sa.Integer, nullable=False),
)


class Naps:
    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


class Driver(Exception):
    """An error of a driver, with what drivers put on errors."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args)
        vars(self).update(attributes)


def error(*args: Any, lost: bool = False, **attributes: Any) -> OperationalError:
    return OperationalError("SELECT 1", {}, Driver(*args, **attributes), connection_invalidated=lost)


BUSY = error("database is locked", sqlite_errorcode=sqlite3.SQLITE_BUSY)
LOST = error("gone", lost=True)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (BUSY, True),
        (error("snapshot", sqlite_errorcode=sqlite3.SQLITE_BUSY_SNAPSHOT), True),
        (error("constraint", sqlite_errorcode=sqlite3.SQLITE_CONSTRAINT), False),
        (error("deadlock", sqlstate="40P01"), True),
        (error("serialization", pgcode="40001"), True),
        (error("unique", sqlstate="23505"), False),
        (error(1213, "Deadlock found"), True),
        (error(1205, "Lock wait timeout"), True),
        (error(1062, "Duplicate entry"), False),
        (error(), False),
        (LOST, False),
        (ValueError("mine"), False),
    ],
)
def test_what_is_transient(raised: Exception, expected: bool) -> None:
    assert is_transient(raised) is expected


def test_what_is_a_disconnect() -> None:
    assert [is_disconnect(each) for each in (LOST, BUSY, ValueError())] == [True, False, False]


@pytest.fixture
async def transactions(database: Database) -> Transactions:
    async with database.engine.begin() as connection:
        await connection.run_sync(NOTES.metadata.create_all)
        await connection.run_sync(PAIR.metadata.create_all)
    return Transactions(database.session_factory, NOTES, Naps())


sqlite_only = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


async def count(transactions: Transactions) -> int:
    async def read(connection: AsyncConnection) -> int:
        return int(await connection.scalar(sa.select(sa.func.count()).select_from(NOTES)) or 0)

    return await transactions.run(read)


class Work:
    """Inserts a note, and raises what a test wants, one error per call."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self, connection: AsyncConnection) -> str:
        self.calls += 1
        await connection.execute(NOTES.insert().values(id=1))
        raised = self.errors.pop(0) if self.errors else None
        if raised is not None:
            raise raised
        return "done"


async def test_what_was_done_is_durable(transactions: Transactions) -> None:
    assert await transactions.run(Work()) == "done"
    assert await count(transactions) == 1


async def test_an_error_of_the_user_undoes_everything(transactions: Transactions) -> None:
    with pytest.raises(ValueError, match="mine"):
        await transactions.run(Work(ValueError("mine")))
    assert await count(transactions) == 0


@sqlite_only
async def test_transient_errors_are_tried_again_a_bounded_number_of_times(transactions: Transactions) -> None:
    work = Work(*[BUSY] * 5)
    assert await transactions.run(work) == "done"
    assert work.calls == 6
    assert await count(transactions) == 1


@sqlite_only
async def test_the_last_error_is_raised_in_the_end(transactions: Transactions) -> None:
    work = Work(*[BUSY] * 9)
    with pytest.raises(OperationalError) as caught:
        await transactions.run(work)
    assert caught.value is BUSY
    assert work.calls == 6


@sqlite_only
@pytest.mark.parametrize(("repeatable", "calls"), [(True, 2), (False, 1)])
async def test_a_lost_connection_is_replaced_once_if_that_is_safe(
    transactions: Transactions, repeatable: bool, calls: int
) -> None:
    work = Work(LOST, LOST, LOST)
    with pytest.raises(OperationalError):
        await transactions.run(work, repeatable=repeatable)
    assert work.calls == calls


async def test_connections_without_transactions_are_refused(database: Database) -> None:
    for engine in (
        database.create_engine(isolation_level="AUTOCOMMIT"),
        database.create_engine().execution_options(isolation_level="AUTOCOMMIT"),
    ):
        with pytest.raises(ConfigurationError, match="AUTOCOMMIT"):
            await Transactions(async_sessionmaker(engine), NOTES).run(Work())
    usual = database.create_engine(isolation_level="AUTOCOMMIT").execution_options(
        isolation_level="SERIALIZABLE"
    )
    async with usual.begin() as connection:
        await connection.run_sync(NOTES.metadata.create_all)
    assert await Transactions(async_sessionmaker(usual), NOTES).run(Work()) == "done"


async def test_other_errors_of_the_database_are_raised(transactions: Transactions) -> None:
    await transactions.run(Work())
    work = Work()
    with pytest.raises(IntegrityError):
        await transactions.run(work)
    assert work.calls == 1


async def test_what_was_sent_is_in_no_text_of_an_error(transactions: Transactions) -> None:
    async def work(connection: AsyncConnection) -> None:
        await connection.execute(sa.text("INSERT INTO nowhere VALUES (:card)"), {"card": "4111 1111"})

    with pytest.raises(DBAPIError, match="nowhere") as caught:
        await transactions.run(work)
    assert "4111 1111" not in str(caught.value)


@pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)
async def test_a_deadlock_is_resolved(transactions: Transactions) -> None:
    await transactions.run(_fill)
    both = asyncio.Barrier(2)
    met: set[int] = set()

    async def cross(first: int) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(_more(first))
            if first not in met:  # the second time there is nobody to meet
                met.add(first)
                await both.wait()
            await connection.execute(_more(3 - first))

        await transactions.run(work)

    await asyncio.gather(cross(1), cross(2))
    assert await transactions.run(_values) == [2, 2]


def _more(number: int) -> Any:
    return sa.update(PAIR).where(PAIR.c.id == number).values(value=PAIR.c.value + 1)


async def _fill(connection: AsyncConnection) -> None:
    await connection.execute(PAIR.insert(), [{"id": 1, "value": 0}, {"id": 2, "value": 0}])


async def _values(connection: AsyncConnection) -> list[int]:
    return list(await connection.scalars(sa.select(PAIR.c.value)))
