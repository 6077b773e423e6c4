"""Many sagas, executed by processes of which some are killed, recovered by others of which some are killed.

``python -m tests.crash.sagas --sagas 10000`` uses a private PostgreSQL server, or an empty ``--url``.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.crash import forks
from tests.crash.commands import LIMIT, command
from tests.crash.crowd import execute_orders, recover_until_told, wait_until_settled
from tests.crash.points import CrashPoints
from tests.crash.storages import create_tables_at
from tests.crash.tally import tally

POINTS_PER_SAGA = 20  # roughly: so that a doomed process dies somewhere in the middle of its work


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is done.

    Attributes:
        url: an empty database.
        sagas: how many sagas.
        batch: how many each process executes.
        processes: how many execute at once.
        recoverers: how many recover at once; the first ones, twice as many or one for each 100 sagas, are
            killed sooner or later, and replaced.
        killed: share of the executing processes that are killed.
        failing: share of the sagas in which a step fails; in a fifth of these a compensation does, too.
        seed: of all that is random here.
    """

    url: str
    sagas: int = 10_000
    batch: int = 25
    processes: int = 4
    recoverers: int = 4
    killed: float = 0.05
    failing: float = 0.2
    seed: int = 1


@dataclasses.dataclass
class Deaths:
    """How many processes there were, and how many of them were killed."""

    executing: int = 0
    executing_killed: int = 0
    recovering: int = 0
    recovering_killed: int = 0


class Crowd:
    """The processes of a plan, started and replaced by a process without threads."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.effects = folder / "effects"
        self.random = random.Random(plan.seed)
        self.orders = [(self._id(), self._variant()) for _ in range(plan.sagas)]
        self.deaths = Deaths()
        self.family = forks.Family(LIMIT)

    def _id(self) -> uuid.UUID:
        return uuid.UUID(int=self.random.getrandbits(128), version=4)

    def _variant(self) -> str:
        if self.random.random() >= self.plan.failing:
            return "completes"
        return self.random.choices(["fails", "compensation fails", "fails at once"], [3, 1, 1])[0]

    def run(self) -> None:
        """Execute all, and recover what the killed ones leave, until nothing is left to do."""
        batches = self._batches()
        for _ in range(self.plan.recoverers):
            self._recover()
        for _ in range(self.plan.processes):
            self._execute(batches)
        while True:
            role, killed = self.family.wait()
            if role == "execute":
                self.deaths.executing_killed += killed
                self._execute(batches)
                if not self.family.has("execute"):
                    self.family.start("settled", wait_until_settled, self.plan.url)
            elif role == "recover":
                self.deaths.recovering_killed += killed
                self._recover()
            else:
                break
        self.family.terminate()

    def _batches(self) -> Iterator[list[tuple[uuid.UUID, str]]]:
        for first in range(0, len(self.orders), self.plan.batch):
            yield self.orders[first : first + self.plan.batch]

    def _execute(self, batches: Iterator[list[tuple[uuid.UUID, str]]]) -> None:
        batch = next(batches, None)
        if batch is not None:
            self.deaths.executing += 1
            points = self._doom(len(batch) * POINTS_PER_SAGA)
            self.family.start("execute", execute_orders, self.plan.url, self.effects, points, batch)

    def _recover(self) -> None:
        self.deaths.recovering += 1
        # So many are killed and no more: else they could die faster than they recover.
        doomed = self.deaths.recovering <= max(2 * self.plan.recoverers, self.plan.sagas // 100)
        points = self._within(100 + self.plan.sagas // 2) if doomed else CrashPoints()
        self.family.start("recover", recover_until_told, self.plan.url, self.effects, points)

    def _doom(self, points: int) -> CrashPoints:
        """Choose whether a process is to die, and where."""
        return self._within(points) if self.random.random() < self.plan.killed else CrashPoints()

    def _within(self, points: int) -> CrashPoints:
        return CrashPoints(self.random.randint(1, points))


def play(plan: Plan, folder: Path) -> tuple[dict[str, object], list[str]]:
    """Play a plan; to be called in a process without threads."""
    forks.expect(forks.run(lambda: asyncio.run(create_tables_at(plan.url))))
    crowd = Crowd(plan, folder)
    with crowd.family:
        crowd.run()
    found = asyncio.run(tally(plan.url, crowd.effects, dict(crowd.orders)))
    return {**dataclasses.asdict(crowd.deaths), **found.figures()}, found.problems


if __name__ == "__main__":
    sys.exit(command("tests.crash.sagas", __doc__, Plan, play))
