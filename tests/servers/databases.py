"""Pytest plugin: SQL databases for tests, fresh ones of PostgreSQL and MariaDB servers, and SQLite files."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.servers.plugin import NOT_TESTED
from tests.servers.redis_server import ServerMissing

if TYPE_CHECKING:
    from sqlalchemy.engine import URL
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

    from tests.servers.sql_server import SqlServer

KINDS = ("sqlite", "postgres", "mariadb")


class Database:
    """An empty database for one test.

    Attributes:
        kind: ``"sqlite"``, ``"postgres"`` or ``"mariadb"``.
        url: its URL with an asynchronous driver, for `create_async_engine`.
    """

    def __init__(self, kind: str, url: URL, server: SqlServer | None = None) -> None:
        self.kind = kind
        self._url = url
        self._server = server
        self._engines: list[AsyncEngine] = []

    def __repr__(self) -> str:
        return f"<Database {self.url}>"

    @property
    def url(self) -> str:
        return self._url.render_as_string(hide_password=False)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the server, for a `ChaosProxy` before it."""
        url = self._url
        assert url.host is not None, "this database has no server on a TCP port"
        return url.host, url.port or {"postgres": 5432, "mariadb": 3306}[self.kind]

    def url_by(self, port: int) -> str:
        """Return the URL by another port of 127.0.0.1, such as that of a `ChaosProxy`."""
        return self._url.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)

    @property
    def engine(self) -> AsyncEngine:
        """The first engine, made when it is asked for."""
        return self._engines[0] if self._engines else self.create_engine()

    @property
    def session_factory(self) -> async_sessionmaker[AsyncSession]:
        """A factory of sessions of `engine`."""
        from sqlalchemy.ext.asyncio import async_sessionmaker

        return async_sessionmaker(self.engine, expire_on_commit=False)

    def create_engine(self, url: str | None = None, **options: Any) -> AsyncEngine:
        """Return one more engine, disposed of after the test."""
        engine = create_engine(url or self.url, **options)
        self._engines.append(engine)
        return engine

    async def dispose(self) -> None:
        """Close the connections of all engines."""
        for engine in self._engines:
            await engine.dispose()

    # -- faults

    @property
    def server(self) -> SqlServer:
        """The private server, to be killed, frozen and restarted; skips the test when there is none."""
        if self._server is None:
            pytest.skip(f"{self.kind}: no private server that may be ended")
        return self._server


def create_engine(url: str, **options: Any) -> AsyncEngine:
    """Make an engine; SQLite does not wait for the disk, as these tests kill processes and not machines."""
    from sqlalchemy import event
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(url, **options)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine.sync_engine, "connect")
        def hurry(connection: Any, _record: object) -> None:
            connection.execute("PRAGMA synchronous=OFF")

    return engine


class _Source:
    """Where databases of one kind come from: a configured server, or a private one that is started."""

    def __init__(self, kind: str, server: SqlServer | None, url: URL) -> None:
        self.kind = kind
        self.server = server
        self.url = url

    def fresh(self) -> AbstractContextManager[URL]:
        """Make a database; a server that a test has ended is started again."""
        if self.server is not None and not self.server.running:
            self.server.start()
        return _module(self.kind)[1](self.url)


def _module(kind: str) -> tuple[type[SqlServer], Callable[[URL], AbstractContextManager[URL]], str]:
    if kind == "postgres":
        from tests.servers import postgres

        return postgres.PostgresServer, postgres.fresh_postgres, postgres.DRIVER
    from tests.servers import mariadb

    return mariadb.MariaDbServer, mariadb.fresh_mariadb, mariadb.DRIVER


def _need(module: str, package: str) -> None:
    if find_spec(module) is None:
        pytest.skip(f"{NOT_TESTED}no SQL client: pip install {package}")


def _source(kind: str, client: str) -> Iterator[_Source]:
    _need("sqlalchemy", "'sqlalchemy[asyncio]'")
    _need(client, client)
    server_class, _, driver = _module(kind)
    configured = os.environ.get(f"HOLDFAST_TEST_{kind.upper()}_URL")
    if configured:
        from sqlalchemy.engine import make_url

        yield _Source(kind, None, make_url(configured).set(drivername=driver))
        return
    try:
        server = server_class()
    except ServerMissing as missing:
        pytest.skip(f"{NOT_TESTED}{missing}")
    with server:
        yield _Source(kind, server, server.url)


@pytest.fixture(scope="session")
def postgres_source() -> Iterator[_Source]:
    """HOLDFAST_TEST_POSTGRES_URL (of a user who may create databases), else a private server."""
    yield from _source("postgres", "asyncpg")


@pytest.fixture(scope="session")
def mariadb_source() -> Iterator[_Source]:
    """HOLDFAST_TEST_MARIADB_URL (of a user who may create databases), else a private server."""
    yield from _source("mariadb", "aiomysql")


@pytest.fixture
def postgres_url(postgres_source: _Source) -> Iterator[str]:
    """The URL of an empty PostgreSQL database for this test alone."""
    with postgres_source.fresh() as url:
        yield url.render_as_string(hide_password=False)


@pytest.fixture
def mariadb_url(mariadb_source: _Source) -> Iterator[str]:
    """The URL of an empty MariaDB database for this test alone."""
    with mariadb_source.fresh() as url:
        yield url.render_as_string(hide_password=False)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file for this test alone, which does not exist yet."""
    _need("aiosqlite", "aiosqlite")
    _need("sqlalchemy", "'sqlalchemy[asyncio]'")
    return f"sqlite+aiosqlite:///{tmp_path / 'test.sqlite'}"


@pytest.fixture
def sql_databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Database]]:
    """A factory of empty databases of a kind; they are dropped after the test."""
    with ExitStack() as stack:

        def make(kind: str) -> Database:
            if kind == "sqlite":
                from sqlalchemy.engine import make_url

                return Database(kind, make_url(request.getfixturevalue("sqlite_url")))
            source: _Source = request.getfixturevalue(f"{kind}_source")
            url = stack.enter_context(source.fresh())
            if source.server is not None:
                stack.callback(_revive, source.server)  # before the database is dropped
            return Database(kind, url, source.server)

        yield make


def _revive(server: SqlServer) -> None:
    """Start again what a test has ended, thaw what it has frozen."""
    if server.running:
        server.thaw()
    else:
        server.start()


@pytest.fixture(params=KINDS)
async def database(
    request: pytest.FixtureRequest, sql_databases: Callable[[str], Database]
) -> AsyncIterator[Database]:
    """An empty database for this test alone, of each kind in turn.

    Of one kind only: ``@pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)``.
    """
    made = sql_databases(request.param)
    yield made
    if made.kind != "sqlite" and made._server is not None:
        _revive(made._server)  # closing connections to a frozen server would hang
    await made.dispose()
