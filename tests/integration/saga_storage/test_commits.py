"""What a commit costs, and what becomes of it when the database does not answer as it should."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from cqrs.exceptions import SagaConcurrencyError
from cqrs.saga.storage import SagaStatus, SagaStepStatus
from cqrs.saga.storage.sqlalchemy import SqlAlchemySagaStorage
from tests.servers.databases import Database

RUNNING, COMPENSATING, COMPLETED = SagaStatus.RUNNING, SagaStatus.COMPENSATING, SagaStatus.COMPLETED
STARTED, DONE = SagaStepStatus.STARTED, SagaStepStatus.COMPLETED


async def execute(storage: SqlAlchemySagaStorage, steps: int = 3) -> uuid.UUID:
    """Write what a saga of so many steps writes."""
    saga_id = uuid.uuid4()
    async with storage.create_run() as run:
        await run.create_saga(saga_id, "Order", {"done": 0})
        await run.update_status(saga_id, RUNNING)
        for position in range(steps):
            await run.log_step(saga_id, f"Step{position}", "act", STARTED, position=position)
            await run.commit()
            await run.log_step(saga_id, f"Step{position}", "act", DONE, position=position)
            await run.update_context(saga_id, {"done": position + 1})
        await run.update_status(saga_id, COMPLETED)
        await run.commit()
        await run.release()
    return saga_id


@contextlib.contextmanager
def counted(database: Database) -> Iterator[dict[str, int]]:
    counts = {"commits": 0, "statements": 0, "rollbacks": 0}
    engine = database.engine.sync_engine

    def count(what: str) -> Callable[..., None]:
        def listener(*_: Any, **__: Any) -> None:
            counts[what] += 1

        return listener

    listeners = {
        "commit": count("commits"),
        "rollback": count("rollbacks"),
        "after_cursor_execute": count("statements"),
    }
    for name, listener in listeners.items():
        sa.event.listen(engine, name, listener)
    yield counts
    for name, listener in listeners.items():
        sa.event.remove(engine, name, listener)


async def test_a_saga_of_three_steps_costs_four_commits_of_two_statements(
    database: Database, storage: SqlAlchemySagaStorage
) -> None:
    with counted(database) as counts:
        saga_id = await execute(storage)
    assert counts == {"commits": 4, "statements": 8, "rollbacks": 0}
    assert (await storage.load_saga_state(saga_id))[:2] == (COMPLETED, {"done": 3})
    assert len(await storage.get_step_history(saga_id)) == 6


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
async def test_the_server_counts_the_same(database: Database, storage: SqlAlchemySagaStorage) -> None:
    query = sa.text("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")

    async def transactions() -> int:
        async with database.engine.connect() as connection:
            await connection.execute(sa.text("SELECT pg_stat_force_next_flush()"))
            await connection.rollback()
            return int(await connection.scalar(query) or 0)

    await execute(storage)  # new connections ask for things of their own
    before = await transactions()
    between = await transactions()
    for _ in range(10):
        await execute(storage)
    after = await transactions()
    assert after - between - (between - before) <= 10 * 5


async def test_no_connection_is_held_between_two_calls(
    database: Database, storage: SqlAlchemySagaStorage
) -> None:
    saga_id = uuid.uuid4()
    async with storage.create_run() as run:
        await run.create_saga(saga_id, "Order", {})
        await run.commit()
        await run.renew()
        await run.acquire(saga_id)
        assert database.engine.sync_engine.pool.checkedout() == 0  # type: ignore[attr-defined]


class Network:
    """Loses what is told: errors at the commit of a transaction, before or after it has happened."""

    def __init__(self) -> None:
        self.losses: list[str] = []

    def session(self, factory: async_sessionmaker[AsyncSession]) -> Callable[[], AsyncSession]:
        network = self

        class Session(AsyncSession):
            @contextlib.asynccontextmanager
            async def begin(self) -> AsyncIterator[Any]:  # type: ignore[override]
                loss = ""
                async with super().begin() as transaction:
                    yield transaction
                    if network.losses:
                        loss = network.losses.pop(0)
                    if loss == "request":
                        raise ConnectionError("the connection was lost before the commit")
                if loss == "reply":
                    raise ConnectionError("the connection was lost after the commit")

        return lambda: Session(factory.kw["bind"])


@pytest.fixture
async def network() -> Network:
    return Network()


@pytest.fixture
def unsure(database: Database, storage: SqlAlchemySagaStorage, network: Network) -> SqlAlchemySagaStorage:
    """A storage by a network that loses messages; ``storage`` sees what is durable."""
    return SqlAlchemySagaStorage(network.session(database.session_factory))


@pytest.mark.parametrize("loss", ["request", "reply"])
async def test_a_creation_can_be_committed_again(
    unsure: SqlAlchemySagaStorage, storage: SqlAlchemySagaStorage, network: Network, loss: str
) -> None:
    saga_id = uuid.uuid4()
    async with unsure.create_run() as run:
        await run.create_saga(saga_id, "Order", {"a": 1})
        await run.log_step(saga_id, "Charge", "act", STARTED, position=0)
        network.losses = [loss, loss]
        with pytest.raises(ConnectionError):
            await run.commit()
        if loss == "request":
            with pytest.raises(ConnectionError):
                await run.commit()
        network.losses.clear()
        await run.commit()
        await run.commit()
        assert await storage.load_saga_state(saga_id) == (SagaStatus.PENDING, {"a": 1}, 1)
        assert len(await storage.get_step_history(saga_id)) == 1
        await run.log_step(saga_id, "Charge", "act", DONE, position=0)
        await run.commit()
        assert len(await storage.get_step_history(saga_id)) == 2


@pytest.mark.parametrize("loss", ["request", "reply"])
@pytest.mark.parametrize("status", [RUNNING, COMPLETED])
async def test_a_commit_can_be_repeated(
    unsure: SqlAlchemySagaStorage,
    storage: SqlAlchemySagaStorage,
    network: Network,
    loss: str,
    status: SagaStatus,
) -> None:
    saga_id = uuid.uuid4()
    async with unsure.create_run() as run:
        await run.create_saga(saga_id, "Order", {"a": 1})
        await run.commit()
        await run.update_context(saga_id, {"a": 2})
        await run.update_status(saga_id, status)
        await run.log_step(saga_id, "Charge", "act", DONE, position=0)
        network.losses = [loss, loss]
        for _ in range(2):
            with contextlib.suppress(ConnectionError):
                await run.commit()
        await run.commit()
    assert await storage.load_saga_state(saga_id) == (status, {"a": 2}, 2)
    assert len(await storage.get_step_history(saga_id)) == 1


@pytest.mark.parametrize("loss", ["request", "reply"])
async def test_other_writes_may_follow_a_commit_that_nobody_knows_of(
    unsure: SqlAlchemySagaStorage, storage: SqlAlchemySagaStorage, network: Network, loss: str
) -> None:
    saga_id = uuid.uuid4()
    async with unsure.create_run() as run:
        await run.create_saga(saga_id, "Order", {"a": 1})
        await run.update_status(saga_id, RUNNING)
        await run.commit()
        await run.update_context(saga_id, {"a": 2})
        await run.log_step(saga_id, "Charge", "act", DONE, position=0)
        network.losses = [loss]
        with pytest.raises(ConnectionError):
            await run.commit()
        await run.rollback()
        await run.update_status(saga_id, COMPENSATING)
        await run.log_step(saga_id, "Charge", "compensate", STARTED, position=0)
        network.losses = [loss]
        with pytest.raises(ConnectionError):
            await run.commit()
        await run.commit()
        status, context, _ = await storage.load_saga_state(saga_id)
        assert (status, context) == (COMPENSATING, {"a": 2 if loss == "reply" else 1})
        lines = [line.action for line in await storage.get_step_history(saga_id)]
        assert lines == (["act", "compensate"] if loss == "reply" else ["compensate"])
        await run.log_step(saga_id, "Charge", "compensate", DONE, position=0)
        await run.commit()
        assert len(await storage.get_step_history(saga_id)) == len(lines) + 1


@pytest.mark.parametrize("writes", ["the same", "others"])
async def test_a_commit_that_was_overtaken_is_not_taken_for_a_success(
    unsure: SqlAlchemySagaStorage,
    storage: SqlAlchemySagaStorage,
    network: Network,
    pass_time: Any,
    writes: str,
) -> None:
    saga_id = uuid.uuid4()
    async with unsure.create_run() as zombie, storage.create_run() as other:
        await zombie.create_saga(saga_id, "Order", {})
        await zombie.commit()
        await zombie.update_status(saga_id, RUNNING)
        network.losses = ["request"]
        with pytest.raises(ConnectionError):
            await zombie.commit()
        await pass_time(1000)
        await other.acquire(saga_id)  # has the version that the zombie's commit would have
        if writes == "others":
            await zombie.rollback()
            await zombie.update_status(saga_id, COMPENSATING)
        with pytest.raises(SagaConcurrencyError):
            await zombie.commit()
        assert (await storage.load_saga_state(saga_id))[0] is SagaStatus.PENDING
        assert await other.renew() is True


async def test_another_creation_is_not_taken_for_the_one_that_nobody_knows_of(
    unsure: SqlAlchemySagaStorage, storage: SqlAlchemySagaStorage, network: Network
) -> None:
    saga_id = uuid.uuid4()
    async with unsure.create_run() as run:
        await run.create_saga(saga_id, "Order", {"a": 1})
        network.losses = ["reply"]
        with pytest.raises(ConnectionError):
            await run.commit()
        await run.rollback()
        await run.create_saga(saga_id, "Order", {"a": 2})
        with pytest.raises(SagaConcurrencyError, match="exists already"):
            await run.commit()
    assert (await storage.load_saga_state(saga_id))[1] == {"a": 1}


async def test_the_lease_of_a_creation_that_nobody_knows_of_can_be_released(
    unsure: SqlAlchemySagaStorage, storage: SqlAlchemySagaStorage, network: Network
) -> None:
    saga_id = uuid.uuid4()
    async with unsure.create_run() as run:
        await run.create_saga(saga_id, "Order", {})
        network.losses = ["reply"]
        with pytest.raises(ConnectionError):
            await run.commit()
        await run.rollback()
        await run.release()
    assert await storage.get_sagas_for_recovery(10) == [saga_id]


async def test_the_lease_of_an_acquisition_that_nobody_knows_of_can_be_released(
    unsure: SqlAlchemySagaStorage, storage: SqlAlchemySagaStorage, network: Network
) -> None:
    saga_id = uuid.uuid4()
    await storage.create_saga(saga_id, "Order", {})
    async with unsure.create_run() as run:
        network.losses = ["reply"]
        with pytest.raises(ConnectionError):
            await run.acquire(saga_id)
        assert await storage.get_sagas_for_recovery(10) == []
        await run.release()
    assert await storage.get_sagas_for_recovery(10) == [saga_id]


async def test_a_cancelled_commit_leaves_a_lease_that_can_be_released(
    database: Database, storage: SqlAlchemySagaStorage
) -> None:
    for turns in range(0, 60, 3):
        saga_id = uuid.uuid4()
        await storage.create_saga(saga_id, "Order", {})
        async with storage.create_run() as run:
            await run.acquire(saga_id)
            await run.log_step(saga_id, "Charge", "act", DONE, position=0)
            task = asyncio.create_task(run.commit())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            cancelled = False
            try:
                await task
            except asyncio.CancelledError:
                cancelled = True
            lines = len(await storage.get_step_history(saga_id))
            assert lines in ((0, 1) if cancelled else (1,))
            await run.release()
            assert (await storage.get_sagas_for_recovery(100))[-1] == saga_id
            await storage.update_status(saga_id, COMPLETED)


async def test_deadlocks_are_tried_again(database: Database, storage: SqlAlchemySagaStorage) -> None:
    """Many tasks that write to the same saga in separate transactions: none sees an error of the database."""
    saga_id = uuid.uuid4()
    await storage.create_saga(saga_id, "Order", {})

    async def write(number: int) -> None:
        for _ in range(5):
            await storage.log_step(saga_id, f"Step{number}", "act", STARTED)

    await asyncio.gather(*map(write, range(6)))
    assert len(await storage.get_step_history(saga_id)) == 30


async def test_what_does_not_pass_is_raised(database: Database) -> None:
    storage = SqlAlchemySagaStorage(database.session_factory)
    with pytest.raises(Exception, match="saga_executions") as caught:  # there are no tables
        await storage.get_unfinished_names()
    assert not isinstance(caught.value, AssertionError)


@pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)
async def test_a_restart_of_the_server_between_two_commits_is_not_noticed(
    database: Database, storage: SqlAlchemySagaStorage
) -> None:
    saga_id = uuid.uuid4()
    server = database.server
    async with storage.create_run() as run:
        await run.create_saga(saga_id, "Order", {})
        await run.commit()
        server.stop()
        with pytest.raises((OSError, OperationalError)):
            await run.renew()
        server.start()
        await run.log_step(saga_id, "Charge", "act", DONE, position=0)
        await run.commit()
        server.stop()
        server.start()
        assert await run.renew() is True
    assert len(await storage.get_step_history(saga_id)) == 1


async def test_reading_for_update_waits_for_who_is_changing_the_saga(
    database: Database, storage: SqlAlchemySagaStorage
) -> None:
    saga_id = uuid.uuid4()
    await storage.create_saga(saga_id, "Order", {})
    table = storage.tables.executions
    async with database.engine.connect() as connection:
        await connection.execute(sa.update(table).values(status="running"))
        reading = asyncio.create_task(storage.load_saga_state(saga_id, read_for_update=True))
        for _ in range(5):  # others do not wait
            assert (await storage.load_saga_state(saga_id))[0] is SagaStatus.PENDING
        assert not reading.done()
        await connection.commit()
        assert (await reading)[0] is RUNNING
