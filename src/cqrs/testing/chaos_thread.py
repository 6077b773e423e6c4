"""The thread with the event loop of a :class:`~cqrs.testing.ChaosProxy`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread of its own, which others hand work to; usable once."""

    def __init__(self) -> None:
        # Whatever policy is set: watching plain sockets takes a selector loop.
        self.loop = asyncio.SelectorEventLoop()
        self.loop.set_exception_handler(self._note_error)
        self.errors: list[BaseException] = []
        self.running = False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self, name: str) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self.running = True

    def call(self, work: Callable[[], T]) -> T:
        """Run ``work`` in the loop and return its result.

        Raises:
            RuntimeError: the thread has ended; ``work`` was not run.
        """
        if threading.current_thread() is self._thread:
            return work()
        done: Future[T] = Future()
        # Requires lock: nothing may be queued behind the last work, for nobody would run it.
        with self._lock:
            if not self.running:
                raise RuntimeError("the proxy is closed; faults can be set inside its with block only")
            self.loop.call_soon_threadsafe(_settle, done, work)
        return done.result()

    def stop(self, last: Callable[[], None]) -> None:
        """Run ``last`` in the loop, end the thread and close the loop."""
        with self._lock:
            if self._thread is None or not self.running:
                return
            self.running = False
            self.loop.call_soon_threadsafe(self._finish, last)
        self._thread.join()

    def _finish(self, last: Callable[[], None]) -> None:
        try:
            last()
        finally:
            self.loop.stop()

    def _run(self) -> None:
        try:
            self.loop.run_forever()
            tasks = asyncio.all_tasks(self.loop)
            for task in tasks:
                task.cancel()
            if tasks:
                self.loop.run_until_complete(asyncio.wait(tasks))
        finally:
            self.loop.close()

    def _note_error(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.errors.append(context.get("exception") or RuntimeError(context["message"]))


def _settle(done: Future[T], work: Callable[[], T]) -> None:
    try:
        done.set_result(work())
    except BaseException as error:
        done.set_exception(error)
