"""A private master with a replica and the sentinels that watch them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import Any, Self

from tests.servers.base import ADMIN, BaseServer, wait_until
from tests.servers.binaries import find_binary
from tests.servers.redis_server import RedisServer

FAILOVER_LIMIT = 30.0


class Sentinel(BaseServer):
    """One sentinel."""

    def __init__(self, name: str, master: RedisServer, quorum: int, down_after: float) -> None:
        self._binary = find_binary()
        super().__init__()
        after = int(down_after * 1000)
        self._settings = [
            "bind 127.0.0.1",
            f"dir {self.folder}",
            f"user {ADMIN} on >{self.secret} ~* &* +@all",
            f"sentinel monitor {name} {master.host} {master.port} {quorum}",
            f"sentinel auth-user {name} {ADMIN}",
            f"sentinel auth-pass {name} {master.secret}",
            f"sentinel down-after-milliseconds {name} {after}",
            f"sentinel failover-timeout {name} {4 * after}",
        ]

    def command(self) -> list[str]:
        # A restarted sentinel would know the others from its file; a new file makes it begin again.
        file = self.folder / "sentinel.conf"
        file.write_text("\n".join([f"port {self.port}", *self._settings, ""]))
        return [self._binary, str(file), "--sentinel"]


class SentinelSet:
    """A master, a replica and sentinels under the name `name`; started by ``with``, which ends them too.

    Args:
        sentinels: How many; more than half of them must see a master down to replace it.
        down_after: Seconds without an answer after which a server counts as down.
    """

    name = "holdfast"

    def __init__(self, sentinels: int = 3, down_after: float = 0.5) -> None:
        self.servers: list[RedisServer] = []
        self.sentinels: list[Sentinel] = []
        self._wanted = sentinels
        self._down_after = down_after
        self._stack = ExitStack()

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        """Host and port of each sentinel."""
        return [sentinel.address for sentinel in self.sentinels]

    @property
    def master(self) -> RedisServer:
        """The server that the first sentinel names as the master now."""
        _, port = self.sentinels[0].admin.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)
        return next(server for server in self.servers if server.port == int(port))

    @property
    def replica(self) -> RedisServer:
        """The other one."""
        master = self.master
        return next(server for server in self.servers if server is not master)

    def failover(self) -> None:
        """Let the sentinels replace the master although it works, and wait for it."""
        before = self.master
        wait_until(self._accept_failover, "a replica that the sentinels would promote")
        self.wait_for_new_master(before)

    def _accept_failover(self) -> bool:
        try:
            self.sentinels[0].admin.execute_command("SENTINEL", "FAILOVER", self.name)
        except import_module("redis").exceptions.ResponseError:  # NOGOODSLAVE: it has only just been met
            return False
        return True

    def wait_for_new_master(self, before: RedisServer) -> None:
        """Wait until all sentinels name another master than ``before``, for instance after it was killed."""

        def replaced() -> bool:
            ports = {
                int(sentinel.admin.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)[1])
                for sentinel in self.sentinels
                if sentinel.running
            }
            return before.port not in ports and self.master.admin.info("replication")["role"] == "master"

        wait_until(replaced, "another master", FAILOVER_LIMIT)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            master, replica = (stack.enter_context(RedisServer()) for _ in range(2))
            self.servers = [master, replica]
            for server in self.servers:  # either may become the other's replica: one secret for both
                server.set_user(ADMIN, f">{master.secret}", f">{replica.secret}")
            replica.replicate(master)
            master.admin.config_set("masterauth", replica.secret)
            quorum = self._wanted // 2 + 1
            for _ in range(self._wanted):
                sentinel = Sentinel(self.name, master, quorum, self._down_after)
                self.sentinels.append(stack.enter_context(sentinel))
            wait_until(self._complete, "the sentinels know each other and the replica")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _complete(self) -> bool:
        wanted = {"num-slaves": 1, "num-other-sentinels": self._wanted - 1}
        return all(
            int(_facts(sentinel, self.name)[fact]) == number
            for sentinel in self.sentinels
            for fact, number in wanted.items()
        )


def _facts(sentinel: Sentinel, name: str) -> dict[str, Any]:
    return dict(sentinel.admin.sentinel_master(name))
