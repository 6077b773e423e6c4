"""One worker process: told what to do, frozen, killed, always ended by its process id."""

from __future__ import annotations

import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

ROOT = Path(__file__).parents[3]
ANSWER_LIMIT = 20.0
COMMAND = [sys.executable, "-W", "error", "-m", "tests.integration.fleet.worker"]


def until(reached: Callable[[], object], what: str, limit: float = 10.0) -> Any:
    """Ask every 5 ms until it is true; return it. Raises AssertionError when it does not come true."""
    deadline = time.monotonic() + limit
    while not (found := reached()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit:g} s: {what}")
        time.sleep(0.005)
    return found


def _environment() -> dict[str, str]:
    paths = filter(None, [os.environ.get("PYTHONPATH")])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *paths])}


class Answer:
    """What a worker will answer to a command."""

    def __init__(self, worker: Worker, number: int) -> None:
        self._worker = worker
        self._number = number

    def result(self, timeout: float = ANSWER_LIMIT) -> Any:
        return self._worker.wait(self._number, timeout)

    def there(self) -> bool:
        """Whether it has come."""
        return self._worker.answered(self._number)


class Nursery:
    """A process that has imported everything, and forks workers."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair()
        self._process = subprocess.Popen([*COMMAND, "nursery"], stdin=theirs, cwd=ROOT, env=_environment())
        theirs.close()

    def fork(self, stdin: int, stdout: int, stderr: int) -> int:
        """Return the process id of a new worker with these descriptors."""
        socket.send_fds(self._line, [b"w"], [stdin, stdout, stderr])
        self._line.settimeout(ANSWER_LIMIT)
        answer = b""
        while not answer.endswith(b"\n"):
            answer += self._line.recv(1) or b"0\n"
        if not int(answer):
            raise RuntimeError("the nursery has ended")
        return int(answer)

    def close(self) -> None:
        self._line.close()
        try:
            self._process.wait(ANSWER_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Process:
    """A worker's process, which is not our child: the kernel tells by a descriptor when it has ended."""

    def __init__(self, nursery: Nursery, stderr: int) -> None:
        commands, self.stdin = os.pipe()
        self.stdout, answers = os.pipe()
        try:
            self.pid = nursery.fork(commands, answers, stderr)
        finally:
            os.close(commands)
            os.close(answers)
        self._handle = os.pidfd_open(self.pid)
        self._closed = False

    def wait(self, timeout: float) -> bool:
        """Whether it has ended, within ``timeout`` seconds."""
        return self._closed or bool(select.select([self._handle], [], [], timeout)[0])

    def send(self, number: signal.Signals) -> None:
        if not self.wait(0):
            signal.pidfd_send_signal(self._handle, number)

    def end_input(self) -> None:
        """Close its standard input."""
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def close(self) -> None:
        """Close all descriptors; it must have ended."""
        self.end_input()
        if not self._closed:
            self._closed = True
            os.close(self.stdout)
            os.close(self._handle)


class Worker:
    """One process."""

    def __init__(self, nursery: Nursery) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (as long as the process)
        self._process = Process(nursery, self._errors.fileno())
        self._numbers = itertools.count()
        self._answers: dict[int, dict[str, Any]] = {}
        self._pending = b""
        self.frozen = False
        self.at_fault = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._process.wait(0)

    # ------------------------------------------------------------------ commands

    def begin(self, command: str | Callable[..., Any], *, apart: bool = False, **arguments: Any) -> Answer:
        """Send a command, a method of ``member.Member`` or a function that gets the member.

        Args:
            apart: let it run in a thread of its own: others can be given meanwhile.
        """
        name = command
        if isinstance(command, FunctionType):
            name = f"{command.__module__}:{command.__qualname__}"
        number = next(self._numbers)
        text = json.dumps({"n": number, "do": name, "with": arguments, "apart": apart})
        data = text.encode() + b"\n"
        while data:
            data = data[os.write(self._process.stdin, data) :]
        return Answer(self, number)

    def do(self, command: str | Callable[..., Any], **arguments: Any) -> Any:
        """Send a command and return its result."""
        return self.begin(command, **arguments).result()

    def wait(self, number: int, timeout: float) -> Any:
        deadline = time.monotonic() + timeout
        while number not in self._answers:
            if not self._read(deadline - time.monotonic()):
                self.at_fault = True
                state = f"no answer within {timeout:g} s" if self.alive else "it has ended"
                raise AssertionError(f"worker {self.pid}: {state}\n{self.stderr()}")
        answer = self._answers.pop(number)
        if "error" in answer:
            raise AssertionError(f"worker {self.pid} failed:\n{answer['error']}")
        return answer["result"]

    def answered(self, number: int) -> bool:
        while self._read(0):
            pass
        return number in self._answers

    def _read(self, timeout: float) -> bool:
        descriptor = self._process.stdout
        if not select.select([descriptor], [], [], max(0.0, timeout))[0]:
            return False
        data = os.read(descriptor, 1 << 20)
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            self._answers[answer["n"]] = answer
        return bool(data)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """``worker.call("pay", outcome="fail")``: the first argument, if any, is the name of a circuit."""
        if name.startswith("_"):
            raise AttributeError(name)

        def run(circuit: str | None = None, **arguments: Any) -> Any:
            return self.do(name, **({} if circuit is None else {"name": circuit}), **arguments)

        return run

    # ------------------------------------------------------------------ faults

    def kill(self) -> None:
        """SIGKILL."""
        self._process.send(signal.SIGKILL)
        assert self._process.wait(ANSWER_LIMIT)

    def freeze(self) -> None:
        """SIGSTOP, and wait until it has stopped."""
        self.frozen = True
        self._process.send(signal.SIGSTOP)
        stat = Path(f"/proc/{self.pid}/stat")
        if stat.exists():
            until(lambda: stat.read_text().rpartition(") ")[2][0] in "Tt", "the worker has stopped")

    def thaw(self) -> None:
        """SIGCONT."""
        self._process.send(signal.SIGCONT)
        self.frozen = False

    def stderr(self) -> str:
        """What it has written to its standard error."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def end(self, timeout: float = 10.0) -> float:
        """Let it exit by itself, as at the end of a program; returns how long that took."""
        began = time.monotonic()
        self._process.end_input()
        if self.frozen or not self._process.wait(timeout):
            self.kill()
        took = time.monotonic() - began
        self._process.close()
        return took

    def discard(self) -> None:
        """End it in any case and close its files."""
        self.kill()
        self._process.close()
        self._errors.close()
