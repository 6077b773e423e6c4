"""A private server that speaks the Redis protocol: started for the tests, stopped with them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import quote

from tests.servers.base import ADMIN, BaseServer, wait_until
from tests.servers.binaries import ServerMissing, find_binary
from tests.servers.faults import Faults
from tests.servers.process import free_port
from tests.servers.stepped_clock import SteppedClock

__all__ = ["RedisServer", "ServerMissing", "find_binary", "private_redis"]


class RedisServer(Faults, BaseServer):
    """A server without persistence: what is written is gone when it ends, unless a snapshot is used.

    ``with RedisServer() as server: ...`` starts it and ends it.

    Args:
        tcp: Listen on a free port of 127.0.0.1.
        unix: Listen on a unix socket (`unix_url`).
        port: This port instead of a free one.
        password: The password of the user "default".
        stepped_clock: Let `set_clock` work; needs a C compiler.
        options: More command line options of the server, as ``("--maxmemory", "1mb")``.
    """

    def __init__(
        self,
        *,
        tcp: bool = True,
        unix: bool = False,
        port: int | None = None,
        password: str | None = None,
        stepped_clock: bool = False,
        options: Sequence[str] = (),
    ) -> None:
        self._binary = find_binary()
        super().__init__(tcp=tcp, unix=unix, port=port)
        self.password = password
        self.options = list(options)
        self._dead_port = free_port([self._port])
        self._clock = SteppedClock(self.folder) if stepped_clock else None
        if self._clock is not None:
            self.environment = self._clock.environment

    def command(self) -> list[str]:
        command = [self._binary, "--port", str(self._port), "--bind", self.host, "--dir", str(self.folder)]
        if self.socket is not None:
            command += ["--unixsocket", str(self.socket)]
        if self.password is not None:
            command += ["--requirepass", self.password]
        command += ["--user", ADMIN, "on", f">{self.secret}", "~*", "&*", "+@all"]
        command += ["--save", "", "--appendonly", "no", "--daemonize", "no"]
        # A test may freeze a reader of MONITOR or a replica for as long as it likes.
        command += ["--client-output-buffer-limit", "replica", "0", "0", "0"]
        command += ["--repl-diskless-sync-delay", "0", "--masteruser", ADMIN, "--masterauth", self.secret]
        return [*command, "--enable-debug-command", "yes", *self.options]

    @property
    def url(self) -> str:
        """The URL for the user "default": of the TCP port when there is one, else of the unix socket."""
        return self.url_for(None, self.password)

    @property
    def unix_url(self) -> str:
        """The URL of the unix socket for the user "default"."""
        assert self.socket is not None, "made without unix=True"
        return f"unix://{_credentials(None, self.password)}{self.socket}"

    def url_for(self, user: str | None, password: str | None) -> str:
        """Return the URL for another user."""
        if not self._port:
            return f"unix://{_credentials(user, password)}{self.socket}"
        return f"redis://{_credentials(user, password)}{self.host}:{self._port}/0"

    def set_clock(self, offset: float) -> None:
        """Let the server's wall clock be ``offset`` seconds ahead of (negative: behind) the true time.

        Waits until a running server, which must be able to answer, has noticed: it looks at the clock ten
        times a second. Stays in restarts.
        """
        assert self._clock is not None, "made without stepped_clock=True"
        self._clock.set(offset)
        if self.running:
            wait_until(lambda: abs(self._clock_offset() - offset) < 0.5, "the server has noticed its clock")

    def _clock_offset(self) -> float:
        seconds, microseconds = self.admin.eval("return redis.call('TIME')", 0)
        return int(seconds) + int(microseconds) / 1e6 - time.time()

    # -- restarts and snapshots

    def restart(self, *, keep: bool = False) -> Self:
        """Kill the server and start it on the same port: empty, or (``keep``) with what it held."""
        return self.rollback(self.snapshot() if keep else None)

    def snapshot(self) -> bytes:
        """Return what the server holds now, as an RDB file."""
        self.admin.save()
        try:
            return self._dump.read_bytes()
        finally:
            self._dump.unlink()

    def rollback(self, snapshot: bytes | None) -> Self:
        """Kill the server and start it on the same port with an earlier moment's data (None: empty)."""
        self.kill()
        self._dump.unlink(missing_ok=True)
        if snapshot is not None:
            self._dump.write_bytes(snapshot)
        self.start()
        self._dump.unlink(missing_ok=True)
        return self

    @property
    def _dump(self) -> Path:
        return self.folder / "dump.rdb"

    # -- replicas

    def replicate(self, master: RedisServer) -> None:
        """Become a replica of ``master``, and wait until all that it holds has arrived."""
        self.admin.config_set("masterauth", master.secret)
        self.admin.replicaof(master.host, master.port)
        self.wait_until_in_step(master)

    def wait_until_in_step(self, master: RedisServer) -> None:
        """Wait until this replica has received what was written to its master so far."""
        target = master.admin.info("replication")["master_repl_offset"]

        def arrived() -> bool:
            mine = self.admin.info("replication")
            return bool(mine.get("master_link_status") == "up" and mine["slave_repl_offset"] >= target)

        wait_until(arrived, f"the replica has what its master holds:\n{self.log}")

    def cut_off(self) -> None:
        """Lose the master: what is written there from now on does not arrive. Data stay; still read-only."""
        self.admin.replicaof(self.host, self._dead_port)

    def promote(self) -> None:
        """REPLICAOF NO ONE: a replica becomes a master with what it has received; harmless for a master."""
        self.admin.replicaof("NO", "ONE")


@contextmanager
def private_redis() -> Iterator[str]:
    """Run a private server on a unix socket in a folder of its own; yields its URL.

    No TCP port is opened, so no other server can be met by accident. It ends with the tests, also when they
    are killed.
    """
    with RedisServer(tcp=False, unix=True) as server:
        yield server.unix_url


def _credentials(user: str | None, password: str | None) -> str:
    if user is None and password is None:
        return ""
    return f"{quote(user or '', safe='')}:{quote(password or '', safe='')}@"
