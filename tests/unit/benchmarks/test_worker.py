"""The worker of the benchmarks: what a subject wants awaited is awaited, in one event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The modules of the harness, which are no installed package; log levels are as before afterwards."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import harness.model
    import harness.worker

    loggers = (logging.getLogger(), logging.getLogger("cqrs"))
    levels = [logger.level for logger in loggers]
    yield harness
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    for name in [name for name in sys.modules if name.partition(".")[0] == "harness"]:
        del sys.modules[name]


@pytest.fixture
def play(harness: Any) -> Iterator[Any]:
    """Plays one round of a case whose only subject is given; returns its value and what went wrong."""
    workers: list[Any] = []

    def played(**prepared: Any) -> tuple[Any, dict[str, str]]:
        case = harness.model.Case("key", "title", "what", pinned=False)
        case.add("Holdfast", lambda: harness.model.Prepared(**prepared), ["here"])
        cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
        worker = harness.worker.Worker("here", {"key": case}, cores, max(cores))
        workers.append(worker)
        assert worker.prepare("key", 0.0005, True) == {"subjects": ["Holdfast"], "missing": {}}
        value = worker.round()["values"].get("Holdfast")
        return value, worker.finish()["wrong"]

    yield played
    for worker in workers:
        worker.close()


def test_what_measures_and_closes_may_be_plain_or_awaitable_and_shares_a_loop(play: Any) -> None:
    loops: list[Any] = []

    async def measure() -> float:
        loops.append(asyncio.get_running_loop())
        return 7.0

    async def close() -> None:
        loops.append(asyncio.get_running_loop())

    assert play(measure=measure, close=close) == (7.0, {})
    assert len(loops) == 2
    assert loops[0] is loops[1]
    assert play(measure=lambda: 8.0, close=lambda: loops.clear()) == (8.0, {})
    assert loops == []


def test_a_subject_that_fails_while_it_is_measured_is_reported_and_closed(play: Any) -> None:
    closed: list[bool] = []

    async def measure() -> float:
        raise ConnectionError("the server is gone")

    value, wrong = play(measure=measure, close=lambda: closed.append(True))
    assert value is None
    assert wrong == {"Holdfast": "ConnectionError: the server is gone"}
    assert closed == [True]
