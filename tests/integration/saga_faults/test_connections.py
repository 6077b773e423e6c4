"""Connections are cut, hang and lose replies, and servers die, at each place of a saga in turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")

from cqrs.testing import ChaosProxy
from tests.crash.points import Reach, watch_statements
from tests.crash.storages import create_tables
from tests.integration.saga_faults.support import Order, is_honest
from tests.servers.databases import Database

Fault = Callable[[], Any]
SERVED = pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)


class At:
    """Calls a function at the n-th place, and remembers whether it came so far."""

    def __init__(self, number: int, fault: Fault) -> None:
        self.number = number
        self.fault = fault
        self.reached = 0

    def __call__(self, name: str) -> None:
        self.reached += 1
        if self.reached == self.number:
            self.fault()

    @property
    def happened(self) -> bool:
        return self.reached >= self.number


async def break_everywhere(
    database: Database,
    folder: Path,
    execute: Callable[[Order, Reach], Awaitable[BaseException | None]],
    fault: Fault,
    *,
    heal: Fault = lambda: None,
    first: int = 1,
    stride: int,
) -> None:
    """Execute one saga per place, breaking something there; after it is healed, all must be well."""
    await create_tables(database.engine)
    number = first
    while True:
        at = At(number, fault)
        order = Order(database, folder)
        error = await execute(order, at)
        heal()
        moment = await order.look()
        assert is_honest(error, moment, "completed"), f"at place {number}: silent\n{moment}"
        problems = await order.settle()
        assert not problems, f"at place {number} ({error!r}):\n" + "\n".join(problems)
        if not at.happened:
            break
        number += stride
    assert number > first + 2 * stride, "hardly any places"


@SERVED
async def test_a_saga_survives_the_death_of_the_server(database: Database, tmp_path: Path) -> None:
    server = database.server

    async def execute(order: Order, reach: Reach) -> BaseException | None:
        engine = database.create_engine(pool_pre_ping=True)
        watch_statements(engine, reach)
        error = await order.error_of(order.storage_of(engine))
        await engine.dispose()
        await database.engine.dispose()  # those of the dead server
        return error

    await break_everywhere(database, tmp_path, execute, server.restart, stride=4)


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
async def test_a_saga_survives_the_end_of_its_connection(database: Database, tmp_path: Path) -> None:
    from sqlalchemy import make_url

    from tests.servers.postgres import execute as administer

    url = make_url(database.url)

    def terminate() -> None:
        administer(
            url.set(database="postgres"),
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{url.database}' AND application_name = 'victim'",
        )

    async def execute(order: Order, reach: Reach) -> BaseException | None:
        options = {"server_settings": {"application_name": "victim"}}
        engine = database.create_engine(connect_args=options)
        watch_statements(engine, reach)
        error = await order.error_of(order.storage_of(engine))
        await engine.dispose()
        return error

    await break_everywhere(database, tmp_path, execute, terminate, stride=2)


@pytest.mark.parametrize("fault", ["cut", "drop_replies", "black_hole"])
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
async def test_a_saga_survives_a_bad_network(database: Database, tmp_path: Path, fault: str) -> None:
    with ChaosProxy(*database.address) as proxy:

        async def execute(order: Order, reach: Reach) -> BaseException | None:
            # A client without a time limit would wait for a lost reply for ever, and rightly so.
            options = {"command_timeout": 0.1, "timeout": 0.2}
            engine = database.create_engine(database.url_by(proxy.port), connect_args=options)
            watch_statements(engine, reach)
            error = await order.error_of(order.storage_of(engine))
            proxy.heal()
            await engine.dispose()
            return error

        stride = 2 if fault == "cut" else 8
        await break_everywhere(
            database, tmp_path, execute, getattr(proxy, fault), heal=proxy.heal, stride=stride
        )
