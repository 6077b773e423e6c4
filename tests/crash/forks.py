"""Forked processes: a warm interpreter makes a child in milliseconds, a fresh one takes half a second."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, Self

LIMIT = 60  # s, after which a child is killed and counts as stuck


def fork(function: Callable[..., Any], *arguments: Any, limit: int = LIMIT) -> int:
    """Run a function in a child process and return its id.

    The child ends with status 0, with 1 after an exception (written to stderr), or by a signal. It must be
    called without threads: before the event loop of this process has run, that is.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.alarm(limit)
        _end_with(parent)
        function(*arguments)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


def _end_with(parent: int) -> None:
    """Let this process be killed when its parent has died, where the system can do that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def wait(pid: int) -> int:
    """Wait for a child; return its status, or the negative number of the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def wait_until_paused(pid: int) -> bool:
    """Wait until a child stands still, and return ``True``; or until it has ended, well."""
    status = os.waitpid(pid, os.WUNTRACED)[1]
    return os.WIFSTOPPED(status) or expect(os.waitstatus_to_exitcode(status))


def run(function: Callable[..., Any], *arguments: Any, limit: int = LIMIT) -> int:
    """Run a function in a child process, wait for it and return how it ended."""
    return wait(fork(function, *arguments, limit=limit))


class Ended(RuntimeError):
    """A child has ended in a way that was not meant."""


def expect(status: int, *, killed: bool = False) -> bool:
    """Return whether a child was killed by itself; raises `Ended` for any other end but a good one."""
    if status == 0:
        return False
    if killed and status == -signal.SIGKILL:
        return True
    raise Ended("stuck" if status == -signal.SIGALRM else f"ended with {status}; see its stderr")


class Family:
    """Children with roles, some of which kill themselves; none outlives the ``with`` block."""

    def __init__(self, limit: int) -> None:
        self.killed: set[int] = set()
        self._limit = limit
        self._roles: dict[int, str] = {}

    def start(self, role: str, function: Callable[..., Any], *arguments: Any) -> None:
        self._roles[fork(function, *arguments, limit=self._limit)] = role

    def wait(self) -> tuple[str, bool]:
        """Wait until a child has ended; return its role, and whether it was killed by itself."""
        pid, status = os.wait()
        role = self._roles.pop(pid)
        killed = expect(os.waitstatus_to_exitcode(status), killed=True)
        if killed:
            self.killed.add(pid)
        return role, killed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self._roles:
            os.kill(pid, signal.SIGKILL)
            wait(pid)

    def has(self, role: str) -> bool:
        return role in self._roles.values()

    def terminate(self) -> None:
        """Send SIGTERM to all, and wait for them."""
        for pid in self._roles:
            os.kill(pid, signal.SIGTERM)
        while self._roles:
            self.wait()
