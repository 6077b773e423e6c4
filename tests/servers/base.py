"""What a data server and a sentinel have in common: a folder, a port, a process, an administrator."""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from tests.servers.process import Process, free_port

START_LIMIT = 20.0
PORT_TRIES = 5
ADMIN = "holdfast-admin"


def wait_until(reached: Callable[[], bool], what: str, limit: float = START_LIMIT) -> None:
    """Ask every 10 ms until a server has got somewhere; raises RuntimeError when it does not."""
    deadline = time.monotonic() + limit
    while not reached():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {limit:g} s: {what}")
        time.sleep(0.01)


class BaseServer:
    """A private server on 127.0.0.1 and, if asked for, on a unix socket, in a temporary folder of its own.

    Its own connections (`admin`) use the user ``holdfast-admin``, so that a test may do what it likes with
    the user "default". `close` (or the end of the ``with`` block) ends the server and removes the folder.
    """

    host = "127.0.0.1"
    environment: Mapping[str, str] | None = None

    def __init__(self, *, tcp: bool = True, unix: bool = False, port: int | None = None) -> None:
        if not (tcp or unix):
            raise ValueError("neither TCP nor a unix socket")
        # A short path: unix socket names end at about 100 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-"))
        self.socket = self.folder / "s" if unix else None
        self._fixed_port = port is not None or not tcp
        self._port = port if port is not None else free_port() if tcp else 0
        self.secret = uuid.uuid4().hex
        self._process: Process | None = None
        self._admin: Any = None

    def command(self) -> list[str]:
        """Return the command that runs the server."""
        raise NotImplementedError

    @property
    def port(self) -> int:
        """The TCP port, the same in every restart."""
        if not self._port:
            raise ValueError("this server has no TCP port")
        return self._port

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, as sentinel and cluster clients want them."""
        return self.host, self.port

    @property
    def log(self) -> str:
        """What the server has written."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The server's process id."""
        pid = self._process.pid if self._process is not None else None
        if pid is None:
            raise RuntimeError("the server is not running")
        return pid

    @property
    def running(self) -> bool:
        """Whether the process exists (a frozen or loading one does)."""
        return self._process is not None and self._process.running

    @property
    def admin(self) -> Any:
        """A synchronous client of the administrator: answers as bytes, 5 s timeouts, no retries."""
        if self._admin is None:
            self._admin = self.client(ADMIN, self.secret)
        return self._admin

    def client(self, user: str | None = None, password: str | None = None, **options: Any) -> Any:
        """Return a new redis-py client; close it when done."""
        where: dict[str, Any] = {"host": self.host, "port": self._port}
        if not self._port:
            where = {"unix_socket_path": str(self.socket)}
        given = {"socket_timeout": 5.0, "socket_connect_timeout": 5.0, "retry": None, **options}
        return import_module("redis").Redis(**where, username=user, password=password, **given)

    def start(self, *, ready: bool = True) -> Self:
        """Run the server and wait until it answers; with ``ready=False``, do not wait.

        A port that somebody took in the meantime is replaced until a start has succeeded, never after that.
        """
        if self.running:
            raise RuntimeError("the server is running")
        self.kill()  # it may have ended by itself
        for _ in range(PORT_TRIES):
            self._process = Process(self.command(), self.folder, self.environment)
            if not ready or self._wait_until_ready():
                break
            self.kill()
            (self.folder / "log").write_text("")
            self._port, self._admin = free_port(), None
        else:
            raise RuntimeError("no free port")
        self._fixed_port = self._fixed_port or ready
        return self

    def stop(self) -> None:
        """End the server with SIGTERM; what it held is lost."""
        self._end(kill=False)

    def kill(self) -> None:
        """End the server with SIGKILL; what it held is lost."""
        self._end(kill=True)

    def freeze(self) -> None:
        """SIGSTOP: connections are still accepted by the kernel, no command is answered."""
        assert self._process is not None
        self._process.freeze()

    def thaw(self) -> None:
        """SIGCONT: what was sent while the server was frozen is executed now."""
        assert self._process is not None
        self._process.thaw()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze the server for the length of a block."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def close(self) -> None:
        """Kill the server and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self if self.running else self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end(self, *, kill: bool) -> None:
        if self._admin is not None:
            self._admin.close()
            self._admin.connection_pool.disconnect()
        if self._process is not None:
            self._process.end(kill=kill)

    def wait_until_answering(self) -> None:
        """Wait until the server answers PING, for instance after ``start(ready=False)``."""
        if not self._wait_until_ready():
            raise RuntimeError(f"the server ended:\n{self.log}")

    def _wait_until_ready(self) -> bool:
        """Return False when its port was taken, so that another one should be tried."""
        assert self._process is not None
        errors = import_module("redis").exceptions
        deadline = time.monotonic() + START_LIMIT
        while True:
            try:
                self.admin.ping()
                return True
            except errors.RedisError as error:
                if not self._process.running:
                    if not self._fixed_port and "in use" in self.log:
                        return False
                    raise RuntimeError(f"the server did not start:\n{self.log}") from error
                if time.monotonic() > deadline:
                    raise RuntimeError(f"the server did not answer ({error}):\n{self.log}") from error
            time.sleep(0.01)
