"""The process that measures: hosts one environment, obeys the coordinator line by line.

Only one worker runs at a time; the others wait for their turn in ``readline``.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import logging
import os
import random
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, TextIO

from .model import Case, Prepared, Unavailable, settings

Message = dict[str, Any]


class Worker:
    """Prepares the subjects of one case and takes one sample of each when asked."""

    def __init__(self, environment: str, cases: dict[str, Case], cores: set[int], core: int) -> None:
        self._environment = environment
        self._cases = cases
        self._cores = cores
        self._core = core
        self._runner = asyncio.Runner()
        self._prepared: dict[str, Prepared] = {}
        self._iterations: dict[str, int] = {}
        self._operations: dict[str, int] = {}
        self._library_level: int | None = None
        self._taken: dict[str, int] = {}
        self._wrong: dict[str, str] = {}

    def prepare(self, key: str, seconds: float, peers: bool) -> Message:
        """Build every subject of the case that lives here; find how many iterations last ``seconds``."""
        case = self._cases[key]
        settings.seconds = seconds
        self._pin(case.pinned)
        self._prepared.clear()
        self._operations.clear()
        self._taken.clear()
        self._wrong.clear()
        missing: dict[str, str] = {}
        for subject in case.subjects:
            if subject.environment != self._environment or (subject.peer and not peers):
                continue
            try:
                prepared = self._runner.run(subject.prepare())
            except (Unavailable, ImportError, AttributeError) as error:
                missing[subject.label] = f"{type(error).__name__}: {error}"
                continue
            self._prepared[subject.label] = prepared
            self._operations[subject.label] = 0
            self._taken[subject.label] = 0
            if prepared.loop is not None:
                self._iterations[subject.label] = self._calibrate(subject.label, prepared, seconds)
        # Freezing keeps the collector's work per sample independent of how much a library has imported.
        gc.collect()
        gc.freeze()
        return {"subjects": list(self._prepared), "missing": missing}

    def round(self) -> Message:
        """Take one sample of every subject, in random order."""
        labels = list(self._prepared)
        random.shuffle(labels)
        values: dict[str, float] = {}
        for label in labels:
            prepared = self._prepared[label]
            if label in self._wrong or self._taken[label] == prepared.samples:
                continue
            self._taken[label] += 1
            # What a library leaks is frozen as well, or it would slow down everybody's collections.
            gc.collect()
            gc.freeze()
            self._set_log_levels(prepared)
            try:
                values[label] = self._value(label, prepared)
            except Exception as error:
                self._wrong[label] = _short(error)
        return {"values": values}

    def speed(self) -> Message:
        """CPU seconds of a fixed spin: how fast the machine runs at this moment."""
        return {"seconds": min(_spin() for _ in range(5))}

    def finish(self) -> Message:
        """Verify that every subject did its work, and let go of it."""
        for label, prepared in self._prepared.items():
            try:
                if prepared.verify is not None:
                    prepared.verify(self._operations[label])
            except Exception as error:
                self._wrong[label] = _short(error)
            if prepared.close is not None:
                self._run(prepared.close())
        self._prepared.clear()
        gc.unfreeze()
        gc.collect()
        return {"wrong": self._wrong}

    def close(self) -> None:
        """Close the event loop."""
        self._runner.close()

    def _value(self, label: str, prepared: Prepared) -> float:
        if prepared.measure is not None:
            value: float = self._run(prepared.measure())
            return value
        count = self._iterations[label]
        elapsed = self._sample(label, prepared, count)
        return elapsed / (count * prepared.operations_per_iteration) * 1e6

    def _calibrate(self, label: str, prepared: Prepared, seconds: float) -> int:
        self._set_log_levels(prepared)
        self._sample(label, prepared, 1)
        count = 1
        while True:
            elapsed = self._sample(label, prepared, count)
            if elapsed >= seconds / 2:
                return max(1, round(count * seconds / elapsed))
            count = min(count * 10, max(count + 1, int(count * seconds / max(elapsed, 1e-7))))

    def _sample(self, label: str, prepared: Prepared, count: int) -> float:
        """CPU time of the process for ``count`` iterations: all threads count, a busy neighbour does not."""
        loop = prepared.loop
        assert loop is not None

        async def timed() -> float:
            began = time.process_time()
            result = loop(count)
            if inspect.isawaitable(result):
                await result
            return time.process_time() - began

        self._operations[label] += count * prepared.operations_per_iteration
        return self._runner.run(timed())

    def _run(self, result: Any) -> Any:
        """The result itself, or what comes of it when it is to be awaited."""

        async def awaited() -> Any:
            return await result

        return self._runner.run(awaited()) if inspect.isawaitable(result) else result

    def _set_log_levels(self, prepared: Prepared) -> None:
        library = logging.getLogger("cqrs")
        if self._library_level is None:
            self._library_level = library.level
        logging.getLogger().setLevel(prepared.log_level)
        wanted = prepared.library_log_level
        library.setLevel(self._library_level if wanted is None else wanted)

    def _pin(self, pinned: bool) -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {self._core} if pinned else self._cores)


def _spin() -> float:
    began = time.process_time()
    for _ in range(20_000):
        pass
    return time.process_time() - began


def _short(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip()


def serve(environment: str, cases: dict[str, Case], replies: TextIO) -> None:
    """Answer the coordinator until its pipe closes."""
    cores: set[int] = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
    worker = Worker(environment, cases, cores, max(cores))
    commands: dict[str, Callable[..., Message]] = {
        "prepare": worker.prepare,
        "round": worker.round,
        "speed": worker.speed,
        "finish": worker.finish,
    }
    logging.basicConfig(stream=open(os.devnull, "w", encoding="utf-8"), level=logging.WARNING)  # noqa: SIM115
    for line in sys.stdin:
        message: Message = json.loads(line)
        try:
            answer = commands[message.pop("command")](**message)
        except Exception:
            answer = {"error": traceback.format_exc()}
        replies.write(json.dumps(answer) + "\n")
        replies.flush()
    worker.close()
