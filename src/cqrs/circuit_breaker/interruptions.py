"""What may interrupt the middle of a change: a fork, a finaliser, a signal handler."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable

_generation = 0


def _forked() -> None:
    global _generation
    _generation += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def generation() -> int:
    """Return how many forks lie between the first process and this one.

    A lock that another thread held at a fork is held for ever in the child: a lock of an older generation
    must be replaced before it is used.
    """
    return _generation


class ForkedLock:
    """A re-entrant lock that a child process may use whoever held it at the fork.

    ``with lock.mine():`` rather than ``with lock:``, so that between taking it and the block no signal comes.
    """

    __slots__ = ("_generation", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._generation = _generation

    def mine(self) -> threading.RLock:
        """Return the lock of this process."""
        if self._generation != _generation:
            self._lock, self._generation = threading.RLock(), _generation
        return self._lock


_waiting: deque[Callable[[], object]] = deque()
_thread = threading.local()


def defer(action: Callable[[], object]) -> None:
    """Do ``action`` later: it was asked for in the middle of a change."""
    _waiting.append(action)


def catch_up() -> None:
    """Do what was deferred, of any circuit; called where no lock is held.

    Once around: an action whose circuit is still in the middle of a change of this thread is deferred again.
    """
    if not _waiting or getattr(_thread, "catching_up", False):
        return
    _thread.catching_up = True
    try:
        for _ in range(len(_waiting)):
            try:
                action = _waiting.popleft()
            except IndexError:  # another thread was quicker
                return
            action()
    finally:
        _thread.catching_up = False
