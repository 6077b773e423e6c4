"""Where a fleet plays: a private server, faults on the way to it, and the processes, all ended at the end."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import cache
from multiprocessing.connection import Connection, wait
from typing import Any, Self

from harness.environments import BENCHMARKS, PROJECT
from harness.model import Unavailable, settings

from . import node as node_module
from .libraries import Rules
from .node import Order

PATIENCE = 60.0
"""Seconds that the stage waits for a node at most; no order takes as long."""


def full() -> bool:
    """Whether this is a run whose figures count; otherwise everything is kept small."""
    return settings.seconds >= 0.02


@cache
def context() -> Any:
    """Nodes are forked off a process that has imported everything and has no threads: real, and quick."""
    try:
        chosen = multiprocessing.get_context("forkserver")
    except ValueError:
        return multiprocessing.get_context("spawn")
    # That process finds modules by its environment only, and imports nothing of __main__.
    places = (str(BENCHMARKS), str(PROJECT), os.environ.get("PYTHONPATH", ""))
    os.environ["PYTHONPATH"] = os.pathsep.join(place for place in places if place)
    chosen.set_forkserver_preload(["cases", "cqrs.circuit_breaker", "redis.asyncio"])
    return chosen


class OrderFailed(Exception):
    """An order that a node could not carry out; the message holds its traceback."""

    @property
    def reason(self) -> str:
        """Its last line: what was raised."""
        return str(self).strip().splitlines()[-1]


class NodeProcess:
    """The stage's end of one node."""

    def __init__(self, shared: dict[str, Any]) -> None:
        self.connection, theirs = context().Pipe()
        self.process: Any = context().Process(target=node_module.main, args=(theirs, shared), daemon=True)
        self.process.start()
        theirs.close()
        self.told: list[Any] = []
        self.killed_at = 0.0

    def begin(self, order: Order, *arguments: Any) -> None:
        """Give an order; its answer is fetched by :meth:`result`."""
        self.connection.send(("order", (order, arguments)))

    def set(self, event: str) -> None:
        """Set an event that the running order may wait for."""
        self.connection.send(("set", event))

    def result(self, patience: float = PATIENCE) -> Any:
        """The answer to the order.

        Raises:
            Unavailable: a library is not there, or lacks what is needed.
            OrderFailed: it could not be carried out.
            RuntimeError: it took too long.
        """
        kind, content = self._receive(time.monotonic() + patience, told=False)
        if kind == "missing":
            raise Unavailable(content)
        if kind == "failed":
            raise OrderFailed(content)
        return content

    def call(self, order: Order, *arguments: Any) -> Any:
        """Give an order and wait for its answer."""
        self.begin(order, *arguments)
        return self.result()

    def hear(self, patience: float = PATIENCE) -> Any:
        """The next word that the running order sends."""
        if not self.told:
            self.told.append(self._receive(time.monotonic() + patience, told=True)[1])
        return self.told.pop(0)

    def kill(self) -> None:
        """SIGKILL."""
        self.killed_at = time.monotonic()
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join(PATIENCE)

    def ask_to_end(self) -> None:
        """Have the process go by itself."""
        try:
            self.connection.send(("end", None))
        except OSError:
            pass

    def close(self) -> None:
        """End the process, by force when it does not go by itself."""
        self.ask_to_end()
        self.process.join(2.0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(PATIENCE)
        self.connection.close()

    def _receive(self, deadline: float, *, told: bool) -> tuple[str, Any]:
        while True:
            if not self.connection.poll(max(0.0, deadline - time.monotonic())):
                raise RuntimeError("a node does not answer")
            kind, content = self.connection.recv()
            if (kind == "told") is told:
                return kind, content
            if told:
                raise RuntimeError(f"a node has ended instead of sending word: {content}")
            self.told.append(content)


def first_to_tell(nodes: Iterable[NodeProcess], patience: float) -> tuple[NodeProcess, Any] | None:
    """The node that sends word first, and its word; None when nobody does in time."""
    by_connection: dict[Any, NodeProcess] = {each.connection: each for each in nodes}
    for each in by_connection.values():
        if each.told:
            return each, each.told.pop(0)
    ready = wait(list(by_connection), patience)
    if not ready:
        return None
    chosen = ready[0]
    assert isinstance(chosen, Connection)
    return by_connection[chosen], by_connection[chosen].hear(0.1)


class Stage:
    """A server and processes for one subject.

    The server is on a unix socket and on a TCP port of 127.0.0.1. With ``slow`` the nodes reach it through a
    proxy, in this process, that delays each answer by so many seconds.
    """

    def __init__(self, *, slow: float = 0.0, proxied: bool = False) -> None:
        self._exits = ExitStack()
        try:
            self.server = self._exits.enter_context(private_server())
            self.proxy: Any = None
            if slow or proxied:
                from cqrs.testing import ChaosProxy

                self.proxy = self._exits.enter_context(ChaosProxy(*self.server.address))
            if slow:
                self.proxy.latency(slow / 2)
        except BaseException:
            self._exits.close()
            raise
        self.url = self.proxy.url("redis") if self.proxy is not None else self.server.url
        self.nodes: list[NodeProcess] = []
        self.missing: dict[str, str] = {}
        """Libraries that were left out, and why."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(
        self, amount: int, labels: Iterable[str], rules: Rules, shared: dict[str, Any] | None = None
    ) -> list[NodeProcess]:
        """Start nodes that have these libraries running, and keep what is shared with the stage."""
        added = [NodeProcess(shared or {}) for _ in range(amount)]
        self.nodes += added
        for label in labels:
            everybody(added, node_module.set_up, label, self.url, rules)
        return added

    def commands(self, work: Callable[[], Any]) -> tuple[int, Any]:
        """The commands that reach the server while ``work`` runs, and what it returns."""
        with self.server.commands() as counted:
            result = work()
            return counted.total(), result

    def close(self) -> None:
        """End everything."""
        for each in self.nodes:
            each.ask_to_end()
        for each in self.nodes:
            each.close()
        self.nodes.clear()
        self._exits.close()


def everybody(nodes: Iterable[NodeProcess], order: Order, *arguments: Any) -> list[Any]:
    """Give all nodes the same order, and wait for all answers."""
    obeying = list(nodes)
    for each in obeying:
        each.begin(order, *arguments)
    return [each.result() for each in obeying]


def private_server() -> Any:
    """A server that has not started yet.

    Raises:
        Unavailable: there is none on this machine.
    """
    try:
        servers = importlib.import_module("tests.servers.redis_server")
        importlib.import_module("redis")
        return servers.RedisServer(tcp=True)
    except ImportError as error:
        raise Unavailable(f"{error}") from error
    except Exception as error:
        if type(error).__name__ == "ServerMissing":
            raise Unavailable(f"{error}") from error
        raise
