"""Runs the workers in turn: round by round, one environment after the other, never two at once."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from .environments import BENCHMARKS
from .model import Case


class WorkerError(Exception):
    """A worker that failed or died; the message holds its traceback."""


@dataclass(slots=True)
class Samples:
    """Everything that was measured for one case."""

    case: Case
    rounds: list[dict[str, dict[str, float]]] = field(default_factory=list)
    """For each round: environment → label → value."""
    missing: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)


class WorkerProcess:
    """The coordinator's end of one worker."""

    def __init__(self, environment: str, python: Path) -> None:
        self.environment = environment
        self._process = subprocess.Popen(
            [str(python), str(BENCHMARKS / "run.py"), "--worker", environment],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def ask(self, command: str, **arguments: object) -> dict[str, Any]:
        """Send one command and wait for its answer.

        Raises:
            WorkerError: when the worker raised or is gone.
        """
        stdin, stdout = self._pipe(self._process.stdin), self._pipe(self._process.stdout)
        stdin.write(json.dumps({"command": command, **arguments}) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise WorkerError(f"the worker of {self.environment} is gone: exit {self._process.wait(10)}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"{self.environment}: {answer['error']}")
        return answer

    def close(self) -> None:
        """Close the pipe, which ends the worker."""
        self._pipe(self._process.stdin).close()
        self._process.wait(timeout=30)
        self._pipe(self._process.stdout).close()

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


class Coordinator:
    """Starts one worker for each environment that a selected case needs."""

    def __init__(self, pythons: dict[str, Path], *, peers: bool = True) -> None:
        self._pythons = pythons
        self._peers = peers
        self._workers: dict[str, WorkerProcess] = {}
        self._quickest = float("inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers.values():
            worker.close()

    def measure(
        self, case: Case, *, rounds: int, seconds: float, patience: float, progress: Callable[[str], None]
    ) -> Samples:
        """Take ``rounds`` samples of every subject of the case.

        A round waits until the machine runs at its full speed; all rounds together wait ``patience`` seconds.
        """
        samples = Samples(case)
        workers = [self._worker(name) for name in self._environments(case)]
        for worker in workers:
            answer = worker.ask("prepare", key=case.key, seconds=seconds, peers=self._peers)
            samples.missing.update(answer["missing"])
        for number in range(rounds):
            progress(f"{case.key}: round {number + 1} of {rounds}")
            patience -= self._await_full_speed(workers[0], patience)
            samples.rounds.append({w.environment: w.ask("round")["values"] for w in workers})
        for worker in workers:
            samples.wrong.update(worker.ask("finish")["wrong"])
        return samples

    def _await_full_speed(self, worker: WorkerProcess, patience: float) -> float:
        """Wait while a spin takes over a tenth longer than the quickest of this run; return for how long."""
        began = time.monotonic()
        while True:
            spin: float = worker.ask("speed")["seconds"]
            self._quickest = min(self._quickest, spin)
            waited = time.monotonic() - began
            if spin <= self._quickest * 1.1 or waited >= patience:
                return waited
            time.sleep(0.05)

    def _environments(self, case: Case) -> Iterable[str]:
        return [name for name in dict.fromkeys(s.environment for s in case.subjects) if name in self._pythons]

    def _worker(self, environment: str) -> WorkerProcess:
        if environment not in self._workers:
            self._workers[environment] = WorkerProcess(environment, self._pythons[environment])
        return self._workers[environment]
