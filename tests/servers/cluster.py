"""A private cluster of three masters."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Self

from tests.servers.base import ADMIN, wait_until
from tests.servers.process import free_port
from tests.servers.redis_server import RedisServer

SLOTS = 16384
START_LIMIT = 30.0


class RedisCluster:
    """Masters without replicas that share all slots; started by ``with``, which ends them too.

    A client that asks the wrong node gets -MOVED by itself; `begin_move` makes -ASK and -TRYAGAIN; a killed
    node makes -CLUSTERDOWN of the others after `NODE_TIMEOUT`.
    """

    NODE_TIMEOUT = 1.0

    def __init__(self, masters: int = 3) -> None:
        self.nodes: list[RedisServer] = []
        self._masters = masters
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        """The URL of the first node; a cluster client finds the others."""
        return self.nodes[0].url

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for _ in range(self._masters):
                self.nodes.append(stack.enter_context(self._node()))
            self._join()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def node_of(self, key: str | bytes) -> RedisServer:
        """Return the node that serves a key."""
        return self.owner(self.slot_of(key))

    def slot_of(self, key: str | bytes) -> int:
        """Return the slot of a key."""
        return int(self.nodes[0].admin.execute_command("CLUSTER", "KEYSLOT", key))

    def owner(self, slot: int) -> RedisServer:
        """Return the node that serves a slot."""
        for first, last, (_, port, *_), *_ in _command(self.nodes[0], "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise RuntimeError(f"nobody serves slot {slot}")

    def other(self, node: RedisServer) -> RedisServer:
        """Return another node."""
        return next(candidate for candidate in self.nodes if candidate is not node)

    def begin_move(self, slot: int, target: RedisServer, *, take: bool = True) -> None:
        """Begin to move a slot: its owner answers -ASK for keys that it does not hold any more.

        With ``take``, the keys that exist are moved now; otherwise they stay with the owner until `end_move`.
        """
        source = self.owner(slot)
        _command(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", _identity(source))
        _command(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", _identity(target))
        if take:
            self._move_keys(source, target, slot)

    def end_move(self, slot: int, target: RedisServer) -> None:
        """End the move of a slot: every node answers -MOVED for it, save the new owner."""
        source = self.owner(slot)
        self._move_keys(source, target, slot)
        for node in [target, source, *self.nodes]:
            _command(node, "CLUSTER", "SETSLOT", slot, "NODE", _identity(target))

    def move_slot(self, slot: int, target: RedisServer) -> None:
        """Move a slot and its keys."""
        self.begin_move(slot, target)
        self.end_move(slot, target)

    def wait_until_ok(self) -> None:
        """Wait until every node says that all slots are served."""
        wait_until(self._is_ok, "cluster_state:ok", START_LIMIT)

    def _node(self) -> RedisServer:
        port = free_port()
        options = ["--cluster-enabled", "yes", "--cluster-port", str(free_port([port]))]
        options += ["--cluster-node-timeout", str(int(self.NODE_TIMEOUT * 1000))]
        return RedisServer(port=port, options=options)

    def _join(self) -> None:
        share = SLOTS // len(self.nodes)
        for number, node in enumerate(self.nodes):
            last = SLOTS - 1 if node is self.nodes[-1] else (number + 1) * share - 1
            _command(node, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            _command(node, "CLUSTER", "ADDSLOTSRANGE", number * share, last)
        for node in self.nodes[1:]:
            bus = node.options[node.options.index("--cluster-port") + 1]
            _command(self.nodes[0], "CLUSTER", "MEET", node.host, node.port, bus)
        self.wait_until_ok()

    def _is_ok(self) -> bool:
        wanted = (b"cluster_state:ok", b"cluster_known_nodes:%d" % len(self.nodes))
        answers = [bytes(_command(node, "CLUSTER", "INFO")).split() for node in self.nodes]
        return all(line in answer for answer in answers for line in wanted)

    def _move_keys(self, source: RedisServer, target: RedisServer, slot: int) -> None:
        keys = _command(source, "CLUSTER", "GETKEYSINSLOT", slot, 10_000)
        if keys:
            where = [target.host, target.port, "", 0, 5000]
            _command(source, "MIGRATE", *where, "AUTH2", ADMIN, target.secret, "KEYS", *keys)


def _command(node: RedisServer, *command: Any) -> Any:
    return node.admin.execute_command(*command)


def _identity(node: RedisServer) -> Any:
    return _command(node, "CLUSTER", "MYID")
