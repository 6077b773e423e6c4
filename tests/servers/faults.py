"""What can go wrong with a running server, as context managers that put it right again."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from typing import Any

from tests.servers.base import ADMIN, BaseServer, wait_until
from tests.servers.commands import SCRIPT_COMMANDS, Commands

LOADING_KEYS = 3000
LOADING_KEY_BYTES = (
    1100  # more than loading-process-events-interval-bytes: clients are answered after every key
)
LOADING_KEY_DELAY = 20_000  # µs: the server would load for a minute


class Faults(BaseServer):
    """Errors, pauses, users and counts of a running server. A restart forgets all of them."""

    options: list[str]
    _dead_port: int

    # -- errors that the server answers with

    @contextmanager
    def configured(self, **settings: Any) -> Iterator[None]:
        """CONFIG SET for the length of a block; underscores in names are written as hyphens."""
        wanted = {name.replace("_", "-"): value for name, value in settings.items()}
        before = {name: self.admin.config_get(name)[name] for name in wanted}
        for name, value in wanted.items():
            self.admin.config_set(name, value)
        try:
            yield
        finally:
            for name, value in before.items() if self.running else ():  # the test may have killed it
                self.admin.config_set(name, value)

    @contextmanager
    def out_of_memory(self) -> Iterator[None]:
        """-OOM: commands that may need memory fail, also the first such one of a script; reads work."""
        with self.configured(maxmemory_policy="noeviction", maxmemory=1):
            yield

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """-READONLY: a replica whose master cannot be reached. Its data stay; reads work."""
        self.admin.replicaof(self.host, self._dead_port)
        try:
            yield
        finally:
            if self.running:
                self.admin.replicaof("NO", "ONE")

    @contextmanager
    def master_down(self) -> Iterator[None]:
        """-MASTERDOWN: as `read_only`, and reads fail too."""
        with self.configured(replica_serve_stale_data="no"), self.read_only():
            yield

    @contextmanager
    def no_replicas(self) -> Iterator[None]:
        """-NOREPLICAS: writes fail because a replica is wanted and there is none."""
        with self.configured(min_replicas_to_write=1):
            yield

    @contextmanager
    def busy(self) -> Iterator[None]:
        """-BUSY: a script of somebody else runs until the end of the block."""
        busy = import_module("redis").exceptions.ResponseError
        with self.configured(busy_reply_threshold=1):
            runner = threading.Thread(target=self._run_forever, name="busy script")
            runner.start()
            try:
                wait_until(lambda: self._error(busy).startswith("BUSY") or not runner.is_alive(), "BUSY")
                yield
            finally:
                if runner.is_alive():
                    self.admin.script_kill()
                runner.join()

    def _run_forever(self) -> None:
        errors = import_module("redis").exceptions
        with closing(self.client(ADMIN, self.secret, socket_timeout=None)) as client:
            try:
                client.eval("while true do end", 0)
            except errors.RedisError:  # killed, by SCRIPT KILL or with its server
                pass

    def _error(self, kind: type[Exception]) -> str:
        try:
            self.admin.echo("ready?")
        except kind as error:
            return str(error)
        return ""

    @contextmanager
    def loading(self) -> Iterator[None]:
        """-LOADING: the server was restarted and is still reading its data, of which nothing is lost.

        Lasts for a minute at most; a command is answered within about 20 ms. Connections are lost, as in
        every restart.
        """
        filler = [f"holdfast-filler:{number}" for number in range(LOADING_KEYS)]
        self.admin.mset({key: os.urandom(LOADING_KEY_BYTES) for key in filler})
        self.admin.save()
        self.kill()
        options = self.options
        self.options = [*options, "--key-load-delay", str(LOADING_KEY_DELAY)]
        self.options += ["--loading-process-events-interval-bytes", "1024"]
        try:
            self.start(ready=False)
        finally:
            self.options = options
        loading = import_module("redis").exceptions.BusyLoadingError
        refused = import_module("redis").exceptions.ConnectionError

        def is_loading() -> bool:
            try:
                self.admin.ping()
            except loading:
                return True
            except refused:
                return False
            raise RuntimeError("the data were loaded too fast")

        wait_until(is_loading, f"LOADING:\n{self.log}")
        try:
            yield
        finally:
            (self.folder / "dump.rdb").unlink()
            if self.running:
                self.admin.config_set("key-load-delay", 0)
                self.wait_until_answering()
                self.admin.delete(*filler)

    # -- pauses

    @contextmanager
    def paused(self, *, writes_only: bool = False) -> Iterator[None]:
        """CLIENT PAUSE: commands (or scripts and writes only) wait for the end of the block, or a minute."""
        # CLIENT UNPAUSE would have to wait as well; a connection that watches with MONITOR is exempt.
        exempt = self.client(ADMIN, self.secret)
        with closing(exempt):
            connection = exempt.connection_pool.get_connection()
            connection.send_command("MONITOR")
            connection.read_response()
            self.admin.client_pause(60_000, all=not writes_only)
            try:
                yield
            finally:
                if self.running:
                    connection.send_command("CLIENT", "UNPAUSE")
                    wait_until(lambda: connection.read_response() == b"OK", "CLIENT UNPAUSE")
                connection.disconnect()

    # -- users

    def set_user(self, name: str, *rules: str) -> None:
        """ACL SETUSER: for instance ``("ann", "on", ">secret", "~*", "&*", "+@all")``; "default" is one too.

        Authenticated connections feel changed permissions at once, but "off" never: `revoke` closes them.
        """
        self.admin.execute_command("ACL", "SETUSER", name, *rules)

    def revoke(self, name: str = "default") -> None:
        """Switch a user off and close its connections: AUTH fails with -WRONGPASS, commands with -NOAUTH."""
        self.set_user(name, "off")
        self.admin.execute_command("CLIENT", "KILL", "USER", name)

    def disconnect_clients(self, name: str = "default") -> None:
        """Close all connections of a user."""
        self.admin.execute_command("CLIENT", "KILL", "USER", name)

    # -- counts

    @contextmanager
    def commands(self) -> Iterator[Commands]:
        """Count the commands that clients send during a block; see `Commands` for what counts."""
        with closing(Commands(self.admin, self.client(ADMIN, self.secret), ADMIN)) as commands:
            yield commands

    def script_calls(self) -> int:
        """Return how many scripts clients have started since the server's start, also ones that failed.

        EVAL, EVALSHA, FCALL and their read-only forms out of INFO commandstats: a script cannot call them, so
        that nothing is counted twice, and counting costs nothing.
        """
        stats = self.admin.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in SCRIPT_COMMANDS)
