"""Enumerates crash points: how many a process comes by, then one scenario for each.

As a command, ``python -m tests.crash.explore``, it serves the tests: one request per line of stdin, one
report per line of stdout, both JSON. It stays free of threads, so that it can fork.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import logging
import os
import random
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from tests.crash import forks
from tests.crash.scenarios import Outcome, Scenario, play
from tests.crash.storages import create_tables_at

PARALLEL = 3 * (os.cpu_count() or 1)  # they wait for leases most of the time


@dataclasses.dataclass(frozen=True)
class Request:
    """What to explore.

    Attributes:
        variant: how the order goes.
        url: an empty database, or the name of a SQLite file that does not exist yet.
        folder: for what the scenarios write.
        stride: every how manyeth crash point is explored; 1: all.
        recoverers: how many processes recover at once.
        paused: let processes stand still instead of dying, and go on after the recovery.
        nested: how many pairs of crash points, one in the recovery from the other, are sampled.
        seed: of the sample.
    """

    variant: str
    url: str
    folder: str
    stride: int = 1
    recoverers: int = 1
    paused: bool = False
    nested: int = 0
    seed: int = 0


@dataclasses.dataclass
class Report:
    """What was found: how many crash points, who died where, and the problems, which should be none."""

    points: int = 0
    died: dict[str, str] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)

    def add(self, fatal: tuple[int, ...], outcome: Outcome) -> None:
        name = "+".join(map(str, fatal))
        self.died[name] = ", then ".join(outcome.died)
        self.problems += [f"{name} ({self.died[name]}): {problem}" for problem in outcome.problems]


def explore(request: Request) -> Report:
    """Play a scenario for every crash point, then the sampled pairs."""
    if not Path(request.folder, "tables").exists():
        forks.expect(forks.run(lambda: asyncio.run(create_tables_at(request.url))))
        Path(request.folder, "tables").touch()
    report = Report()

    def whole(fatal: tuple[int, ...], outcome: Outcome) -> None:
        report.points = outcome.reached
        report.add(fatal, outcome)

    _play_all(request, iter([(0,)]), whole)
    points = range(1, report.points + 1)
    _play_all(request, ((n,) for n in points[:: request.stride]), report.add)
    chosen = random.Random(request.seed)
    pairs = [(chosen.choice(points), chosen.choice(points)) for _ in range(request.nested if points else 0)]
    _play_all(request, iter(pairs), report.add)
    return report


def _play_all(
    request: Request, fatal: Iterator[tuple[int, ...]], ended: Callable[[tuple[int, ...], Outcome], None]
) -> None:
    """Play scenarios, some at once; ``ended`` gets each outcome."""
    running: dict[int, tuple[tuple[int, ...], Path]] = {}

    def finish() -> None:
        pid, status = os.wait()
        points, folder = running.pop(pid)
        code = os.waitstatus_to_exitcode(status)
        if code:
            ended(points, Outcome(("?",), (f"the scenario itself ended with {code}",)))
            return
        died, problems, reached = json.loads((folder / "outcome").read_text())
        ended(points, Outcome(tuple(died), tuple(problems), reached))

    for points in fatal:
        folder = Path(request.folder, "-".join(map(str, [request.variant, request.recoverers, *points])))
        scenario = Scenario(
            request.variant, request.url, str(folder), points, request.recoverers, request.paused
        )
        running[forks.fork(_play, scenario, limit=2 * forks.LIMIT)] = points, folder
        if len(running) >= PARALLEL:
            finish()
    while running:
        finish()


def _play(scenario: Scenario) -> None:
    outcome = play(scenario)
    Path(scenario.folder, "outcome").write_text(json.dumps([outcome.died, outcome.problems, outcome.reached]))


def warm() -> None:
    """Do once what each child would do at its start."""
    from sqlalchemy import orm

    for driver in ("aiosqlite", "asyncpg", "aiomysql", "sqlalchemy.ext.asyncio"):
        if find_spec(driver) is not None:
            import_module(driver)
    orm.configure_mappers()
    # Steps fail by the hundred here, as they are meant to.
    logging.getLogger("cqrs").setLevel(logging.CRITICAL)
    gc.freeze()  # a collection would copy every page


def serve() -> None:
    """Answer requests until there are no more."""
    warm()
    for line in sys.stdin:
        report = explore(Request(**json.loads(line)))
        print(json.dumps(dataclasses.asdict(report)), flush=True)


if __name__ == "__main__":
    serve()
