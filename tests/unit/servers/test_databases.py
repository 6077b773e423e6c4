"""Databases for tests are empty, of all kinds, and their servers can be broken and put right again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.servers.base import wait_until
from tests.servers.databases import Database
from tests.servers.sql_server import lives

ROOT = Path(__file__).parents[3]
SERVED = pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)


async def write(database: Database, number: int) -> None:
    async with database.session_factory() as session:
        await session.execute(text("INSERT INTO things VALUES (:number)"), {"number": number})
        await session.commit()


async def read(database: Database) -> list[int]:
    async with database.session_factory() as session:
        return list((await session.execute(text("SELECT number FROM things ORDER BY number"))).scalars())


async def create(database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(text("CREATE TABLE things (number INTEGER)"))


@pytest.mark.parametrize("attempt", [1, 2])
async def test_every_test_gets_an_empty_database(database: Database, attempt: int) -> None:
    await create(database)
    await write(database, attempt)
    assert await read(database) == [attempt]


async def test_a_second_engine_sees_what_the_first_has_committed(database: Database) -> None:
    await create(database)
    await write(database, 1)
    async with database.create_engine(pool_size=1).connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM things"))).scalar() == 1


def test_urls_name_an_asynchronous_driver(postgres_url: str, mariadb_url: str, sqlite_url: str) -> None:
    schemes = [url.partition("://")[0] for url in (postgres_url, mariadb_url, sqlite_url)]
    assert schemes == ["postgresql+asyncpg", "mysql+aiomysql", "sqlite+aiosqlite"]


@SERVED
@pytest.mark.parametrize("kill", [True, False])
async def test_a_restart_keeps_what_was_committed_and_nothing_else(database: Database, kill: bool) -> None:
    await create(database)
    await write(database, 1)
    async with database.session_factory() as session:
        await session.execute(text("INSERT INTO things VALUES (2)"))
        database.server.restart(kill=kill)
        with pytest.raises(DBAPIError):
            await session.execute(text("SELECT 1"))
        await session.invalidate()
    assert await read(database) == [1]


@SERVED
async def test_an_ended_server_refuses(database: Database) -> None:
    database.server.kill()
    assert not database.server.running
    with pytest.raises((OSError, DBAPIError)):
        await read(database)
    # It is left ended: the fixture starts it again.


@SERVED
async def test_a_frozen_server_answers_later(database: Database) -> None:
    await create(database)
    with database.server.frozen():
        assert not database.server.answers(limit=0.1)
    await write(database, 1)
    assert await read(database) == [1]


def test_databases_of_one_server_are_apart(sql_databases: Callable[[str], Database]) -> None:
    assert len({sql_databases(kind).url for kind in ("postgres", "postgres", "mariadb", "mariadb")}) == 4


@pytest.mark.parametrize("kind", ["postgres.PostgresServer", "mariadb.MariaDbServer"])
def test_a_server_ends_and_leaves_no_folder_when_the_tests_are_killed(
    sql_databases: Callable[[str], Any], kind: str
) -> None:
    module, name = kind.split(".")
    sql_databases(module).server  # skips when there is none
    code = (
        f"import os, signal\nfrom tests.servers.{module} import {name}\n"
        f"server = {name}().start()\nprint(server.pid, server.folder, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    pid, folder = done.stdout.split()
    wait_until(lambda: not lives(int(pid)), "the server has ended")
    wait_until(lambda: not Path(folder).exists(), "its folder is gone")
