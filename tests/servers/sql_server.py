"""What private SQL servers have in common: an unprivileged user, a data folder, databases of random names."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import threading
import uuid
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy.engine import URL

from tests.servers.base import BaseServer, wait_until
from tests.servers.binaries import ServerMissing

T = TypeVar("T")

UNPRIVILEGED = 65534  # "nobody": such servers refuse to run as root


def run_apart(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in an event loop of a thread of its own: the caller may be inside of a loop."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(asyncio.run(work()))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="sql-administrator")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def unprivileged() -> list[str]:
    """Return the words that run a command under another user, when this one is root."""
    if os.name == "nt" or os.geteuid() != 0:
        return []
    path = shutil.which("setpriv")
    if path is None:
        raise ServerMissing(
            "SQL servers do not run as root: run the tests as another user, or install setpriv"
        )
    return [path, f"--reuid={UNPRIVILEGED}", f"--regid={UNPRIVILEGED}", "--clear-groups", "--"]


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that live (where there is no /proc: none)."""
    numbers = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]
    return [number for number in numbers if _state_and_parent(number)[1] == pid and lives(number)]


def lives(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    return _state_and_parent(pid)[0] not in ("", "Z", "X")


def _state_and_parent(pid: int) -> tuple[str, int]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", 0
    return fields[0], int(fields[1])


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to those processes that exist."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


class SqlServer(BaseServer):
    """A private server on a free port of 127.0.0.1 and on a unix socket.

    Unlike the Redis servers it keeps its data: what was committed before `kill` is there after `start`.
    """

    driver: str
    database: str  # one that always exists
    user: str

    def __init__(self) -> None:
        self.prefix = unprivileged()
        super().__init__(tcp=True)
        try:
            self.data = self.folder / "data"
            if self.prefix:
                os.chown(self.folder, UNPRIVILEGED, UNPRIVILEGED)
            self.initialise()
        except BaseException:
            self.close()
            raise

    def initialise(self) -> None:
        """Make the data folder."""
        raise NotImplementedError

    def answers(self, limit: float = 2.0) -> bool:
        """Tell whether the server takes connections within ``limit`` seconds."""
        raise NotImplementedError

    @property
    def url(self) -> URL:
        """The URL of the database that always exists."""
        return URL.create(self.driver, self.user, host=self.host, port=self.port, database=self.database)

    def restart(self, *, kill: bool = True) -> Self:
        """End the server, by SIGKILL or in order, and start it on the same port with the same data."""
        self._end(kill=kill)
        return self.start()

    def _wait_until_ready(self) -> bool:
        assert self._process is not None

        def reached() -> bool:
            assert self._process is not None
            return not self._process.running or self.answers()

        wait_until(reached, f"the server answers:\n{self.log}")
        if self._process.running:
            return True
        if not self._fixed_port and ("in use" in self.log or "could not bind" in self.log):
            return False
        raise RuntimeError(f"the server did not start:\n{self.log}")


def random_name() -> str:
    """Return a name for a database that nobody else uses."""
    return f"holdfast_test_{uuid.uuid4().hex[:16]}"


@contextmanager
def fresh_database(url: URL, execute: Callable[[URL, str], None], create: str, drop: str) -> Iterator[URL]:
    """Make a database of a random name beside the one of ``url``, and drop it afterwards."""
    name = random_name()
    execute(url, create.format(name))
    try:
        yield url.set(database=name)
    finally:
        execute(url, drop.format(name))
