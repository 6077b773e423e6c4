"""A private MariaDB server: started for the tests, stopped with them."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import AbstractContextManager, closing
from typing import Any

from sqlalchemy.engine import URL

from tests.servers.binaries import ServerMissing
from tests.servers.sql_server import SqlServer, fresh_database

__all__ = ["DRIVER", "MariaDbServer", "execute", "find_binaries", "fresh_mariadb"]

DRIVER = "mysql+aiomysql"


def find_binaries() -> tuple[str, str]:
    """Return the paths of the server and of the program that makes its data folder."""
    folders = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    server = shutil.which("mariadbd", path=folders)
    installer = shutil.which("mariadb-install-db", path=folders)
    if server is None or installer is None:
        raise ServerMissing("no MariaDB server: install mariadb-server, or set HOLDFAST_TEST_MARIADB_URL")
    return server, installer


class MariaDbServer(SqlServer):
    """A server whose root needs no password, on 127.0.0.1 and on a unix socket in its folder.

    What was committed survives SIGKILL (it has reached the kernel), though not a loss of power.
    """

    driver = DRIVER
    database = "mysql"
    user = "root"

    def __init__(self) -> None:
        self._server, self._installer = find_binaries()
        super().__init__()

    def initialise(self) -> None:
        command = [*self.prefix, self._installer, "--no-defaults", f"--datadir={self.data}"]
        command += ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
        done = subprocess.run([*command, *_SMALL], cwd=self.folder, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db failed:\n{done.stdout}{done.stderr}")

    def command(self) -> list[str]:
        command = [*self.prefix, self._server, "--no-defaults", f"--datadir={self.data}"]
        command += [f"--bind-address={self.host}", f"--port={self.port}", f"--socket={self.folder / 's'}"]
        command += [f"--pid-file={self.folder / 'server.pid'}", "--skip-name-resolve", "--skip-log-bin"]
        return [*command, "--max-connections=200", "--character-set-server=utf8mb4", *_SMALL]

    @property
    def unix_url(self) -> URL:
        """The URL by the unix socket, which is faster than TCP."""
        query = {"unix_socket": str(self.folder / "s")}
        return URL.create(self.driver, self.user, database=self.database, query=query)

    def answers(self, limit: float = 2.0) -> bool:
        import pymysql

        try:
            _connect(self.url, connect_timeout=limit, read_timeout=limit).close()
        except pymysql.err.OperationalError:
            return False
        return True


# The log reaches the kernel at every commit: SIGKILL loses nothing.
_SMALL = (
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-doublewrite=0",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    "--aria-pagecache-buffer-size=8M",
    "--key-buffer-size=1M",
    "--performance-schema=off",
)


def _connect(url: URL, **options: Any) -> Any:
    import pymysql

    socket = url.query.get("unix_socket")
    where: dict[str, Any] = {"host": url.host or "127.0.0.1", "port": url.port or 3306}
    who = {"user": url.username, "password": url.password or "", "database": url.database}
    return pymysql.connect(
        **who, **({"unix_socket": socket} if socket else where), autocommit=True, **options
    )


def execute(url: URL, statement: str) -> None:
    """Execute a statement outside of a transaction, on a connection of its own."""
    with closing(_connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)


def fresh_mariadb(url: URL) -> AbstractContextManager[URL]:
    """Make a database beside the one of ``url``; dropped afterwards."""
    create = "CREATE DATABASE `{}` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
    return fresh_database(url, execute, create, "DROP DATABASE IF EXISTS `{}`")
