"""A daemon thread with an asyncio loop of its own, apart from whatever loops the application has."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import logging
import os
import selectors
import socket
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

logger = logging.getLogger(__name__)

CANCEL_AGAIN = 0.02
"""Seconds between two attempts to cancel a task."""


class PrivateLoop(asyncio.SelectorEventLoop):
    """A loop for one thread: without epoll, and with DNS in daemon threads.

    An epoll instance is shared with forked children: what they close would still wake the parent. And the
    default executor's threads are joined at interpreter exit, however long a DNS server takes.
    """

    def __init__(self) -> None:
        selector_class: Any = getattr(selectors, "PollSelector", selectors.SelectSelector)
        self.own_selector: selectors.BaseSelector = selector_class()
        super().__init__(self.own_selector)
        self.set_exception_handler(_note)
        self.set_debug(False)  # also with python -X dev: it is about code of the application's

    async def getaddrinfo(  # pyright: ignore[reportIncompatibleMethodOverride]  (passed on as they are)
        self, *arguments: Any, **options: Any
    ) -> Any:
        """Resolve a name in a thread that nobody waits for at exit."""
        answer: asyncio.Future[Any] = self.create_future()

        def tell(method: Callable[[Any], None], value: Any) -> None:
            if not answer.done():
                method(value)

        def resolve() -> None:
            try:
                found = socket.getaddrinfo(*arguments, **options)
            except Exception as error:
                outcome: tuple[Callable[[Any], None], Any] = (answer.set_exception, error)
            else:
                outcome = (answer.set_result, found)
            try:
                self.call_soon_threadsafe(tell, *outcome)
            except RuntimeError:
                pass  # the loop was closed meanwhile

        threading.Thread(target=resolve, name="holdfast-dns", daemon=True).start()
        return await answer

    def abandon(self) -> None:
        """Let go of everything that a forked child shares with its parent, without telling anybody.

        Every descriptor gets a number of its own that leads nowhere: closing or writing it touches nothing of
        the parent. Objects are kept for ever, so that no finaliser of them runs.
        """
        nowhere = os.open(os.devnull, os.O_RDWR)
        try:
            shared = [key.fd for key in list((self.own_selector.get_map() or {}).values())]
            for name in ("_ssock", "_csock"):  # the pair that wakes the loop
                pair = getattr(self, name, None)
                if pair is not None and pair.fileno() >= 0:
                    shared.append(pair.fileno())
            for descriptor in set(shared):
                os.dup2(nowhere, descriptor, inheritable=False)
        finally:
            os.close(nowhere)


def keep_for_ever(thing: object) -> None:
    """Never let an object be finalised, not even when the interpreter exits."""
    _kept.append(thing)
    increment: Any = ctypes.pythonapi.Py_IncRef
    increment(ctypes.py_object(thing))


_kept: list[object] = []


class LoopThread:
    """Runs ``main`` in a loop of its own until it returns.

    Args:
        main: called in the thread for the coroutine to run.
        ended: called in the thread at its end, when the loop is closed.
        name: of the thread.
    """

    def __init__(
        self, main: Callable[[], Coroutine[Any, Any, None]], ended: Callable[[], object], name: str
    ) -> None:
        self.loop = PrivateLoop()
        # One for all: callers' contexts would be kept alive by tasks, and copying them costs.
        self._context = contextvars.Context()
        self._main = main
        self._ended = ended
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def call_soon(self, function: Callable[..., object], *arguments: Any) -> bool:
        """Have a function called in the loop; from anywhere, finalisers and signal handlers included.

        Returns:
            Whether the loop still runs.
        """
        try:
            self.loop.call_soon_threadsafe(function, *arguments, context=self._context)
        except RuntimeError:  # closed
            return False
        return True

    def join(self, timeout: float) -> bool:
        """Wait for the end of the thread; return whether it came. In the thread itself: do not wait."""
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        loop = self.loop
        try:
            asyncio.set_event_loop(loop)
            loop.run_until_complete(self._main())
            loop.run_until_complete(_end_tasks())
            loop.run_until_complete(loop.shutdown_asyncgens())
        except Exception:
            logger.exception("the thread of a store ended")
        finally:
            asyncio.set_event_loop(None)
            loop.close()
            self._ended()


async def put_down(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for their end.

    More than once: up to Python 3.11, ``wait_for`` forgets a cancellation that comes as its work ends, and
    clients use it for every write.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN)


async def _end_tasks() -> None:
    current = asyncio.current_task()
    await put_down(task for task in asyncio.all_tasks() if task is not current)
    await asyncio.sleep(0)  # transports close their sockets in the next turn


def _note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    logger.warning("%s: %r", context.get("message"), error, exc_info=error)
