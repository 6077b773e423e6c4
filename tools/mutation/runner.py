"""One worker as its owner sees it: a copy of the tree, a process that runs tests, and perhaps a server."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from tools.mutation.workspace import Workspace

START_LIMIT = 60.0
PASSED, NO_TESTS = 0, 5  # exit statuses of pytest


class MutationError(Exception):
    """The tests could not be run as they should; this says nothing about a mutant."""


class Server(Protocol):
    """A server that all runs of one worker share."""

    url: str

    def clean(self) -> None:
        """Make it as good as new."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the tests said: "passed", "failed" (and the first failed test) or "hung"."""

    result: str
    failed: str = ""
    seconds: float = 0.0
    durations: Mapping[str, float] = field(default_factory=dict)


class Runner:
    """Runs the tests again and again, each time with other sources.

    Args:
        root: The work tree, copied once.
        arguments: What pytest is to run.
        collected: Whether tests are collected before a file is changed: for files that they read as they run.
        server: A server for HOLDFAST_TEST_REDIS_URL.
        revision: As of `Workspace`.
    """

    def __init__(
        self,
        root: Path,
        arguments: Sequence[str],
        collected: bool = False,
        server: Server | None = None,
        revision: str | None = None,
    ) -> None:
        self.workspace = Workspace(root, revision)
        self._arguments = ["collected" if collected else "fresh", *arguments]
        self._server = server
        self._log = self.workspace.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def run(
        self,
        changed: Mapping[str, str],
        limit: float,
        first: Sequence[str] = (),
        durations: Mapping[str, float] | None = None,
    ) -> Outcome:
        """Run the tests with some files replaced, and put these back; more than ``limit`` s is hung."""
        original = {path: (self.workspace.root / path).read_text("utf-8") for path in changed}
        try:
            for path, text in changed.items():
                self.workspace.write(path, text)
            return self._ask(limit, first, durations or {})
        finally:
            for path, text in original.items():
                self.workspace.write(path, text)
            if self._server is not None:
                self._server.clean()

    @property
    def log(self) -> str:
        """What pytest wrote in the last run."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def close(self) -> None:
        """End the process and remove the copy."""
        self._kill()
        self.workspace.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, limit: float, first: Sequence[str], durations: Mapping[str, float]) -> Outcome:
        process = self._process or self._start()
        request = {"first": list(first), "durations": dict(durations)}
        assert process.stdin is not None
        begin = time.monotonic()
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        reply = self._reply(process, limit)
        seconds = time.monotonic() - begin
        if reply is None:
            self._kill()
            return Outcome("hung", seconds=seconds)
        if reply["status"] == NO_TESTS:
            raise MutationError(f"no tests were run:\n{self.log}")
        result = "passed" if reply["status"] == PASSED else "failed"
        return Outcome(result, reply["failed"], seconds, reply["durations"])

    def _reply(self, process: subprocess.Popen[bytes], limit: float) -> dict[str, Any] | None:
        """Return the next line of the process, or None when it takes longer than ``limit``."""
        assert process.stdout is not None
        end = time.monotonic() + limit
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                return None
            part = os.read(process.stdout.fileno(), 1 << 20)
            if not part:
                raise MutationError(f"the worker ended:\n{self.log}")
            line += part
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _start(self) -> subprocess.Popen[bytes]:
        environment = self.workspace.environment()
        if self._server is not None:
            environment["HOLDFAST_TEST_REDIS_URL"] = self._server.url
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tools.mutation.worker", str(self.workspace.folder), *self._arguments],
            cwd=self.workspace.root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        reply = self._reply(self._process, START_LIMIT)
        if reply is None or reply["status"] != PASSED:
            what = "no tests were run" if reply and reply["status"] == NO_TESTS else "the tests do not start"
            raise MutationError(f"{what}:\n{self.log}")
        return self._process

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)  # a session of its own: with the child that runs tests
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
