"""The tables: those of earlier versions and other programs, in metadata of one's own, and their indexes."""

from __future__ import annotations

import datetime
import json
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.orm import DeclarativeBase

from cqrs.exceptions import ConfigurationError, ConfigurationTypeError, SagaContextError
from cqrs.saga.storage import SagaStatus, SagaStepStatus
from cqrs.saga.storage.sqlalchemy import (
    SagaBase,
    SagaExecutionModel,
    SagaLogModel,
    SagaTables,
    SqlAlchemySagaStorage,
)
from tests.servers.databases import Database

RUNNING, COMPENSATING = SagaStatus.RUNNING, SagaStatus.COMPENSATING


def old_tables(context_type: Any) -> tuple[sa.Table, sa.Table]:
    """The documented tables, as another program has made them."""
    metadata = sa.MetaData()
    executions = sa.Table(
        "saga_executions",
        metadata,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("status", sa.String(50), nullable=False),
        sa.Column("context", context_type, nullable=False),
        sa.Column("version", sa.Integer, nullable=False, default=1),
        sa.Column("recovery_attempts", sa.Integer, nullable=False, default=0),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now()),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.now()),
    )
    logs = sa.Table(
        "saga_logs",
        metadata,
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("saga_id", sa.Uuid, nullable=False),
        sa.Column("step_name", sa.String(255), nullable=False),
        sa.Column("action", sa.String(50), nullable=False),
        sa.Column("status", sa.String(50), nullable=False),
        sa.Column("details", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now()),
    )
    return executions, logs


@pytest.mark.parametrize("context_type", [sa.JSON(), sa.Text()], ids=["json", "text"])
async def test_sagas_of_an_earlier_version_are_gone_on_with(database: Database, context_type: Any) -> None:
    executions, logs = old_tables(context_type)
    ids = [uuid.uuid4() for _ in range(4)]
    context: Any = {"order": "naïve ☃"}
    written = json.dumps(context) if isinstance(context_type, sa.Text) else context
    async with database.engine.begin() as connection:
        await connection.run_sync(executions.metadata.create_all)
        for saga_id, status in zip(ids, ["RUNNING", "pending", "COMPENSATING", "COMPLETED"], strict=True):
            await connection.execute(
                executions.insert().values(id=saga_id, name="Order", status=status, context=written)
            )
        for action, status in (("act", "STARTED"), ("act", "completed"), ("compensate", "FAILED")):
            await connection.execute(
                logs.insert().values(saga_id=ids[0], step_name="Charge", action=action, status=status)
            )
    storage = SqlAlchemySagaStorage(database.session_factory)
    assert await storage.create_tables() == [
        "saga_executions.lease_owner",
        "saga_executions.lease_expires_at",
        "ix_saga_executions_status_updated_at on saga_executions",
        "saga_logs.position",
        "ix_saga_logs_saga_id on saga_logs",
    ]
    assert await storage.create_tables() == []
    assert await storage.load_saga_state(ids[0]) == (RUNNING, context, 1)
    history = await storage.get_step_history(ids[0])
    assert [(line.action, line.status, line.position) for line in history] == [
        ("act", SagaStepStatus.STARTED, None),
        ("act", SagaStepStatus.COMPLETED, None),
        ("compensate", SagaStepStatus.FAILED, None),
    ]
    assert all(line.timestamp.utcoffset() == datetime.timedelta(0) for line in history)
    assert set(await storage.get_sagas_for_recovery(10)) == set(ids[:3])
    async with storage.create_run() as run:
        assert await run.acquire(ids[0], recovering=True) == (RUNNING, context, 2)
        await run.update_context(ids[0], {"order": 2})
        await run.update_status(ids[0], SagaStatus.FAILED)
        await run.log_step(ids[0], "Charge", "compensate", SagaStepStatus.STARTED, position=0)
        await run.commit()
    assert await storage.load_saga_state(ids[0]) == (SagaStatus.FAILED, {"order": 2}, 3)
    assert await storage.get_sagas_with_failed_compensation(10) == [ids[0]]
    async with storage.create_run() as run:
        assert (await run.acquire(ids[3], recovering=True))[0] is SagaStatus.COMPLETED
    await storage.create_saga(uuid.uuid4(), "Order", {})
    assert await storage.purge_finished(0) == 1


async def test_rows_can_be_read_as_models(storage: SqlAlchemySagaStorage, database: Database) -> None:
    saga_id = uuid.uuid4()
    async with storage.create_run() as run:
        await run.create_saga(saga_id, "Order", {"a": [1]})
        await run.log_step(saga_id, "Charge", "act", SagaStepStatus.STARTED, position=0)
        await run.commit()
    async with database.session_factory() as session:
        saga = await session.get_one(SagaExecutionModel, saga_id)
        (line,) = await session.scalars(sa.select(SagaLogModel).where(SagaLogModel.saga_id == saga_id))
        assert (saga.name, saga.status, saga.context, saga.version) == ("Order", "pending", {"a": [1]}, 1)
        assert (line.step_name, line.action, line.status, line.position) == ("Charge", "act", "started", 0)
        assert abs(saga.created_at - saga.updated_at) < datetime.timedelta(minutes=1)
        assert abs(saga.created_at - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=1)
        assert saga.lease_owner
        assert saga.lease_expires_at is not None


async def test_tables_can_be_in_metadata_of_the_application(database: Database) -> None:
    class Base(DeclarativeBase):
        pass

    tables = SagaTables.in_metadata(Base, executions="our sagas", logs="our_saga_logs")
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    storage = SqlAlchemySagaStorage(database.session_factory, tables=tables)
    saga_id = uuid.uuid4()
    async with storage.create_run() as run:
        await run.create_saga(saga_id, "Order", {})
        await run.log_step(saga_id, "Charge", "act", SagaStepStatus.STARTED, position=0)
        await run.log_step(saga_id, "Charge", "act", SagaStepStatus.COMPLETED, position=0)
        await run.commit()
    assert len(await storage.get_step_history(saga_id)) == 2
    with pytest.raises(ConfigurationError, match="our_saga_logs"):
        SagaTables.in_metadata(Base.metadata, executions="others", logs="our_saga_logs")
    assert "others" not in Base.metadata.tables


def test_metadata_is_needed() -> None:
    with pytest.raises(ConfigurationTypeError, match="a declarative base of SQLAlchemy or a MetaData"):
        SagaTables.in_metadata(object())


async def test_migrations_find_nothing_to_change(database: Database, storage: SqlAlchemySagaStorage) -> None:
    def differences(connection: sa.Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), SagaBase.metadata))

    async with database.engine.connect() as connection:
        found = await connection.run_sync(differences)
    # MariaDB's JSON is a LONGTEXT with a check.
    assert [each for each in found if not (database.kind == "mariadb" and each[0][0] == "modify_type")] == []


async def test_a_stored_context_that_is_none_is_said_to_be(
    database: Database, storage: SqlAlchemySagaStorage
) -> None:
    saga_id = uuid.uuid4()
    await storage.create_saga(saga_id, "Order", {})
    async with database.engine.begin() as connection:
        await connection.execute(sa.update(storage.tables.executions).values(context="[1]"))
    with pytest.raises(SagaContextError, match=f"context of saga {saga_id} is no dictionary: it is a list"):
        await storage.load_saga_state(saga_id)


async def test_unfinished_sagas_are_found_by_an_index(
    database: Database, storage: SqlAlchemySagaStorage
) -> None:
    table = storage.tables.executions
    async with database.engine.begin() as connection:
        await connection.execute(
            table.insert(),
            [
                {"id": uuid.uuid4(), "name": "Order", "status": "completed", "context": "{}", "version": 1}
                for _ in range(3000)
            ],
        )
        if database.kind == "postgres":
            await connection.execute(sa.text("ANALYZE saga_executions"))
        if database.kind == "mariadb":
            await connection.execute(sa.text("ANALYZE TABLE saga_executions"))
    query = storage._queries.recoverable(5, 0.0, ["Order"]).limit(100)
    compiled = query.compile(
        dialect=database.engine.dialect, compile_kwargs={"literal_binds": True, "render_postcompile": True}
    )
    explain = "EXPLAIN QUERY PLAN" if database.kind == "sqlite" else "EXPLAIN"
    async with database.engine.connect() as connection:
        plan = (await connection.execute(sa.text(f"{explain} {compiled}".replace(":", "\\:")))).all()
    assert "ix_saga_executions_status_updated_at" in str(plan)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"lease_seconds": 0}, "lease_seconds"),
        ({"tables": SagaBase.metadata}, "SagaTables"),
        ({"session_factory": None}, "session_factory"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        SqlAlchemySagaStorage(**{"session_factory": lambda: None, **arguments})
