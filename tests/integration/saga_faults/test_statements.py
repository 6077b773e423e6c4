"""Each statement and each commit of a saga fails in turn, once or from then on."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from sqlalchemy.exc import OperationalError

from tests.crash.points import watch_statements
from tests.crash.storages import create_tables
from tests.integration.saga_faults.support import Order, is_honest
from tests.servers.databases import Database


class Failing:
    """Fails at the n-th place that the statements come by; from then on, or once."""

    def __init__(self, first: int, *, lasting: bool) -> None:
        self.first = first
        self.lasting = lasting
        self.reached = 0

    def __call__(self, name: str) -> None:
        self.reached += 1
        if self.reached == self.first or (self.lasting and self.reached > self.first):
            raise OperationalError(name, {}, Exception(f"made to fail {name}"))


async def fail_everywhere(
    database: Database, folder: Path, variant: str, *, lasting: bool, stride: int
) -> None:
    """Execute one saga per place, each on connections of its own, which fail there."""
    await create_tables(database.engine)
    number, places = 1, 0
    while True:
        failing = Failing(number, lasting=lasting)
        order = Order(database, folder, variant)
        engine = database.create_engine()
        watch_statements(engine, failing)
        error = await order.error_of(order.storage_of(engine))
        await engine.dispose()
        moment = await order.look()
        where = f"at place {number} {'and on' if lasting else 'once'}"
        assert is_honest(error, moment, order.variant.expected.status), f"{where}: silent\n{moment}"
        assert isinstance(error, (OperationalError, type(None))), f"{where}: {error!r}\n{moment}"
        problems = await order.settle()
        assert not problems, f"{where} ({error!r}):\n" + "\n".join(problems)
        if failing.reached < number:
            break
        number += stride
        places += 1
    assert places >= 10 // stride, "hardly any places"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("variant", ["completes", "fails"])
async def test_a_saga_survives_a_failure_of_each_statement_on_sqlite(
    database: Database, tmp_path: Path, variant: str, lasting: bool
) -> None:
    await fail_everywhere(database, tmp_path, variant, lasting=lasting, stride=1)


@pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
async def test_a_saga_survives_a_failure_of_some_statements_on_servers(
    database: Database, tmp_path: Path, lasting: bool
) -> None:
    await fail_everywhere(database, tmp_path, "completes", lasting=lasting, stride=2)
