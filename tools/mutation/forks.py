"""The worker's side of the line to its runner, and a child process for each request."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn


class Forks:
    """Requests and replies are lines of JSON on standard input and output, which tests do not get to see.

    When the input ends, the runner is gone: the worker ends, with the child that it may have then, and
    removes its folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "log"
        self._input, self._output = os.dup(0), os.dup(1)
        self._child_output: int | None = None
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)

    def wait_for_child(self) -> tuple[list[str], dict[str, float]]:
        """Serve requests, for ever; return in each child: the tests to begin with, and durations of tests."""
        self._send({"status": 0})
        while True:
            line = self._read_line()
            end, start = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(end)
                self._child_output = start
                os.truncate(self._log, 0)
                request: dict[str, Any] = json.loads(line)
                return request["first"], request["durations"]
            os.close(start)
            answer = self._answer(end)
            os.waitpid(child, 0)
            self._send(json.loads(answer) if answer else {"status": -1, "failed": "", "durations": {}})

    def reply(self, status: int, failed: str, durations: Mapping[str, float]) -> NoReturn:
        """Tell what pytest has said, and end this process: a child, or a parent that has no tests."""
        sys.stdout.flush()
        sys.stderr.flush()
        message = json.dumps({"status": status, "failed": failed, "durations": dict(durations)}) + "\n"
        output = self._output if self._child_output is None else self._child_output
        with os.fdopen(output, "w") as file:
            file.write(message)
        os._exit(0)

    def _answer(self, end: int) -> bytes:
        answer = b""
        while True:
            ready, _, _ = select.select([end, self._input], [], [])
            if self._input in ready:  # nothing is asked while a child runs
                self._give_up()
            part = os.read(end, 1 << 16)
            if not part:
                os.close(end)
                return answer
            answer += part

    def _give_up(self) -> NoReturn:
        shutil.rmtree(self._folder, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)
        raise AssertionError("killed")

    def _read_line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            part = os.read(self._input, 1 << 20)
            if not part:
                self._give_up()
            line += part
        return line

    def _send(self, message: Mapping[str, Any]) -> None:
        os.write(self._output, json.dumps(message).encode() + b"\n")
