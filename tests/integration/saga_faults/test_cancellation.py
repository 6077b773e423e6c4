"""A saga that is cancelled at any await is compensated by nobody, is free at once, and is recovered."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from tests.crash.storages import create_tables
from tests.integration.saga_faults.support import Order, cancelled_at, is_leased
from tests.servers.databases import Database

LONG_LEASE = 600.0  # s: a saga whose lease was not given back would be stuck


@pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
@pytest.mark.parametrize("variant", ["completes", "fails"])
async def test_a_saga_is_free_after_a_cancellation_at_any_await(
    database: Database, tmp_path: Path, variant: str
) -> None:
    await create_tables(database.engine)
    number = 1
    while True:
        order = Order(database, tmp_path, variant, LONG_LEASE)
        was_cancelled = await cancelled_at(number, order.execute(order.healthy))
        moment = await order.look()
        where = f"cancelled at await {number}"
        if moment.status is not None:
            assert not await is_leased(order.healthy, order.saga_id), f"{where}: still leased\n{moment}"
        problems = await order.settle()
        assert not problems, f"{where}:\n" + "\n".join(problems)
        if not was_cancelled:
            break
        number += 1
    assert number > 8, "hardly any awaits"
