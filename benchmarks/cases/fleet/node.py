"""One process of a fleet: obeys the stage over a pipe, one order at a time, and hears events meanwhile."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import traceback
from collections import defaultdict
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from typing import Any

from .libraries import LIBRARIES, Library, Rules

Order = Callable[..., Awaitable[Any]]


class Node:
    """What an order gets: the libraries, a place for what it keeps, and the way back to the stage."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self.libraries: dict[str, Library] = {}
        self.kept: dict[str, Any] = {}
        self.events: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._orders: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()

    def tell(self, what: Any) -> None:
        """Send word to the stage while an order runs; from any thread."""
        self._send(("told", what))

    def _send(self, message: tuple[str, Any]) -> None:
        with self._sending:
            self._connection.send(message)

    def event(self, name: str) -> asyncio.Event:
        """The event that the stage sets by its name."""
        return self.events[name]

    async def run(self) -> None:
        """Obey until the stage goes away."""
        asyncio.get_running_loop().add_reader(self._connection.fileno(), self._read)
        await self._ended.wait()

    def _read(self) -> None:
        try:
            kind, content = self._connection.recv()
        except (EOFError, OSError):
            # Whatever a library still has to say, there is nobody to listen: nothing may outlive the stage.
            os._exit(0)
        if kind == "set":
            self.events[content].set()
        elif kind == "end":
            self._ended.set()
        else:
            task = asyncio.get_running_loop().create_task(self._obey(*content))
            self._orders.add(task)
            task.add_done_callback(self._orders.discard)

    async def _obey(self, order: Order, arguments: tuple[Any, ...]) -> None:
        self.events.clear()
        try:
            answer: tuple[str, Any] = ("done", await order(self, *arguments))
        except (ImportError, AttributeError) as error:
            answer = ("missing", f"{type(error).__name__}: {error}")
        except Exception:
            answer = ("failed", traceback.format_exc())
        self._send(answer)


async def set_up(node: Node, label: str, url: str, rules: Rules) -> None:
    """Start a library in the process."""
    library = LIBRARIES[label](url, rules)
    await library.start()
    node.libraries[label] = library


def main(connection: Connection, shared: dict[str, Any]) -> None:
    """Be a node; ``shared`` can only be handed over at the start, as locks of processes demand."""
    logging.basicConfig(stream=open(os.devnull, "w", encoding="utf-8"), level=logging.WARNING)  # noqa: SIM115
    gc.collect()
    gc.freeze()
    node = Node(connection)
    node.kept.update(shared)
    asyncio.run(node.run())
    # Threads of libraries that cannot be closed must not hold the process back.
    os._exit(0)
