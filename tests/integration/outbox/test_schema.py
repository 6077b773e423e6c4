"""Tables that other programs have made, and tables in the metadata of the application."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from cqrs.exceptions import ConfigurationError, ConfigurationTypeError
from cqrs.outbox.codec import encode
from cqrs.outbox.models import OutboxModel, rebind_outbox_model
from cqrs.outbox.relay import OutboxRelay
from cqrs.outbox.schema import upgrade_outbox
from tests.integration.outbox.support import add, rows, statuses
from tests.servers.databases import Database
from tests.unit.outbox.brokers import SingleBroker
from tests.unit.outbox.events import joined


class Old(enum.Enum):
    NEW = "new"
    PRODUCED = "produced"
    NOT_PRODUCED = "not_produced"


def old_table(metadata: sa.MetaData, status: Any) -> sa.Table:
    return sa.Table(
        "outbox",
        metadata,
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("event_status", status, nullable=False, default=Old.NEW),
        sa.Column("flush_counter", sa.SmallInteger, nullable=False, default=0),
        sa.Column("event_name", sa.String(255), nullable=False),
        sa.Column("topic", sa.String(255), nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False, server_default=sa.func.now()),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("event_id", "event_name", name="event_id_unique_index"),
    )


@pytest.mark.parametrize("status", [sa.String(20), sa.Enum(Old, name="eventstatus")], ids=["text", "enum"])
async def test_an_outbox_of_an_earlier_version_is_upgraded_and_published(
    database: Database, status: Any
) -> None:
    old = old_table(sa.MetaData(), status)
    first = "NEW" if isinstance(status, sa.String) and not isinstance(status, sa.Enum) else Old.NEW
    last = "PRODUCED" if first == "NEW" else Old.PRODUCED
    payload = OutboxModel.__table__.c.payload.type
    events = [joined(), joined()]
    async with database.engine.begin() as connection:
        await connection.run_sync(old.metadata.create_all)
        for event, state in zip(events, (first, last), strict=True):
            row = encode(event)
            values = {
                "event_id": row.event_id,
                "event_status": state,
                "event_name": row.event_name,
                "topic": row.topic,
                "payload": sa.literal(row.payload, payload),
            }
            await connection.execute(old.insert().values(values))
    async with database.engine.begin() as connection:
        changed = await connection.run_sync(upgrade_outbox)
    assert "outbox.lease_owner" in changed
    assert ("outbox.payload as LONGBLOB" in changed) is (database.kind == "mariadb")
    async with database.engine.begin() as connection:
        assert await connection.run_sync(upgrade_outbox) == []
    await add(database, joined(70_000 * "x"))  # more than a BLOB of MySQL holds
    broker = SingleBroker()
    await OutboxRelay(database.session_factory, broker).run_once()
    assert len(broker.sent) == 2
    assert broker.sent[0].message_id == events[0].event_id
    assert {each.lower() for each in await statuses(database)} == {"produced"}


async def test_a_table_that_is_not_there_is_told(database: Database) -> None:
    async with database.engine.begin() as connection:
        with pytest.raises(ConfigurationError, match="no table 'outbox'"):
            await connection.run_sync(upgrade_outbox)


@pytest.fixture
def own_metadata() -> Iterator[sa.MetaData]:
    original = OutboxModel.metadata
    yield sa.MetaData()
    rebind_outbox_model(OutboxModel, original, "outbox")


async def test_the_table_moves_into_the_metadata_of_the_application(
    database: Database, own_metadata: sa.MetaData
) -> None:
    original = OutboxModel.metadata

    class Base(orm.DeclarativeBase):
        metadata = own_metadata

    rebind_outbox_model(OutboxModel, Base, "events_out")
    rebind_outbox_model(OutboxModel, Base)
    assert list(own_metadata.tables) == ["events_out"]
    assert list(original.tables) == []
    async with database.engine.begin() as connection:
        await connection.run_sync(own_metadata.create_all)
    await add(database, joined())
    broker = SingleBroker()
    await OutboxRelay(database.session_factory, broker).run_once()
    assert len(broker.sent) == 1
    assert len(await rows(database)) == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_what_cannot_be_rebound_is_refused(database: Database, own_metadata: sa.MetaData) -> None:
    sa.Table("outbox", own_metadata)
    with pytest.raises(ConfigurationError, match="there is a table 'outbox'"):
        rebind_outbox_model(OutboxModel, own_metadata)
    for model, base in ((Old, own_metadata), (OutboxModel, object)):
        with pytest.raises(ConfigurationTypeError):
            rebind_outbox_model(model, base)
    assert list(OutboxModel.metadata.tables) == ["outbox"]


async def test_alembic_finds_nothing_to_change(database: Database) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    def compare(connection: sa.Connection) -> list[Any]:
        OutboxModel.metadata.create_all(connection)
        return list(compare_metadata(MigrationContext.configure(connection), OutboxModel.metadata))

    async with database.engine.begin() as connection:
        assert await connection.run_sync(compare) == []
