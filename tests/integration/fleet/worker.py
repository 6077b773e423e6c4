"""A process of a fleet. It reads commands from its standard input and answers on its standard output.

``python -m tests.integration.fleet.worker``; the other end is ``processes.Worker``. A command names a method
of ``Member``, or a function ``module:name`` that gets the member: tests keep what they need in a worker
beside them. Whatever appears on its standard error is a fault, and ends the test that it happened in.
With the argument ``nursery`` it makes workers instead.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import socket
import sys
import threading
import traceback
from importlib import import_module
from typing import Any

from tests.integration.fleet.member import Member


class _Keep(logging.Handler):
    """Keeps warnings for tests; errors are written too, and so end the test."""

    def __init__(self, kept: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._kept = kept

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append(f"{record.levelname}: {record.getMessage()}")
        if record.levelno >= logging.ERROR:
            print(self.format(record), file=sys.stderr, flush=True)


class Server:
    """Reads commands and answers them; those marked ``apart`` in threads of their own."""

    def __init__(self) -> None:
        self.member = Member()
        self._answers = os.dup(1)
        os.dup2(2, 1)  # what prints must not be taken for an answer
        self._lock = threading.Lock()

    def serve(self) -> None:
        pending = b""
        while data := os.read(0, 65536):
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                command = json.loads(line)
                if command.get("apart"):
                    threading.Thread(target=self._answer, args=[command], daemon=True).start()
                else:
                    self._answer(command)

    def _answer(self, command: dict[str, Any]) -> None:
        try:
            module, _, name = command["do"].rpartition(":")
            if module:
                found = getattr(import_module(module), name)(self.member, **command["with"])
            else:
                found = getattr(self.member, name)(**command["with"])
            answer = {"n": command["n"], "result": found}
        except BaseException:
            answer = {"n": command["n"], "error": traceback.format_exc()}
        text = (json.dumps(answer) + "\n").encode()
        with self._lock:
            while text:
                text = text[os.write(self._answers, text) :]


def _die_with_the_tests() -> None:
    """A frozen process does not see the end of its input; the kernel kills it with its parent."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def serve_as_worker() -> None:
    """Be a worker until the end of the input."""
    _die_with_the_tests()
    sys.setswitchinterval(0.001)  # more interleavings
    server = Server()
    handler = _Keep(server.member.logs)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    server.serve()


def serve_as_nursery(line: socket.socket) -> None:
    """Fork a worker for each triple of descriptors that arrives, and answer with its process id.

    Importing everything once takes a second; a fork takes a millisecond.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them here
    while True:
        _, descriptors, _, _ = socket.recv_fds(line, 1, 3)
        if not descriptors:
            return
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            line.close()
            for number, descriptor in enumerate(descriptors):
                os.dup2(descriptor, number)
                os.close(descriptor)
            serve_as_worker()
            return
        for descriptor in descriptors:
            os.close(descriptor)
        line.sendall(f"{child}\n".encode())


if __name__ == "__main__":
    if sys.argv[1:] == ["nursery"]:
        for name in ("asyncio.cluster", "asyncio.sentinel", "asyncio.retry", "backoff"):
            import_module(f"redis.{name}")
        _die_with_the_tests()
        with socket.socket(fileno=os.dup(0)) as line:
            serve_as_nursery(line)
    else:
        serve_as_worker()
