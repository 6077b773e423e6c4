"""Many rows through an outbox, whose writers, relays and consumers are killed anywhere; then all is counted.

``python -m tests.crash.outbox --rows 100000`` uses a private PostgreSQL server, or an empty ``--url``.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.crash import forks
from tests.crash.commands import LIMIT, command
from tests.crash.effects import read
from tests.crash.letters import (
    consume,
    create_letter_tables,
    handled,
    relay,
    wait_until_published,
    write,
    written,
)
from tests.crash.points import CrashPoints
from tests.servers.databases import create_engine

POINTS_PER_TRANSACTION = 8  # roughly


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is done.

    Attributes:
        url: an empty database.
        rows: how many rows are written, or begun to be.
        writers: how many pairs of processes write at once; the first of each pair is killed somewhere.
        relays: how many processes publish at once.
        kills: how many relays are killed, somewhere in their work; each is replaced.
        consumers: how many processes then handle all messages, in orders of their own; as many more are
            killed while they do.
        lease: seconds after which another relay takes over the rows of one that was killed.
        seed: of all that is random here.
    """

    url: str
    rows: int = 100_000
    writers: int = 2
    relays: int = 4
    kills: int = 20
    consumers: int = 2
    lease: float = 5.0
    seed: int = 1


@dataclasses.dataclass
class Counted:
    """The figures of a run.

    Attributes:
        killed: writers, relays and consumers that were killed.
        committed: rows whose transaction is durable.
        published: messages, each counted once.
        lost: committed, yet never published.
        invented: published, yet never committed.
        duplicates: messages that were published again.
        late_duplicates: those of them that nobody who was killed had published before.
        renamed: rows that were published under more than one message id.
        handled: messages that the consumers handled.
        handled_twice: messages that were handled more than once.
        unhandled: published, yet never handled.
    """

    killed: int = 0
    committed: int = 0
    published: int = 0
    lost: int = 0
    invented: int = 0
    duplicates: int = 0
    late_duplicates: int = 0
    renamed: int = 0
    handled: int = 0
    handled_twice: int = 0
    unhandled: int = 0

    @property
    def problems(self) -> list[str]:
        wrong = ("lost", "invented", "late_duplicates", "renamed", "handled_twice", "unhandled")
        return [f"{name}: {getattr(self, name)}, not 0" for name in wrong if getattr(self, name)]


class Post:
    """The processes of a plan, started and replaced by a process without threads."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.collected = folder / "collected"
        self.random = random.Random(plan.seed)
        self.family = forks.Family(LIMIT)
        self.doomed = plan.kills

    def run(self) -> Counted:
        """Write, publish and handle everything; return the figures."""
        plan = self.plan
        for _ in range(plan.relays):
            self._relay()
        for number in range(plan.writers):
            # What a killed writer has not written is lost with it: it was never committed.
            numbers = range(number, plan.rows, plan.writers)
            doom = self._within(len(numbers) * POINTS_PER_TRANSACTION // 5)
            self.family.start(
                "write", write, plan.url, doom, numbers[: len(numbers) // 2], self.random.random()
            )
            half = numbers[len(numbers) // 2 :]
            self.family.start("write", write, plan.url, CrashPoints(), half, self.random.random())
        while True:
            role, _ = self.family.wait()
            if role == "relay":
                self._relay()
            elif role == "published":
                break
            elif not self.family.has("write"):
                self.family.start("published", wait_until_published, plan.url)
        self.family.terminate()
        messages = [(line[0], line[1]) for line in read(self.collected)]
        self._consume(messages)
        return asyncio.run(self._count(self.family.killed))

    def _relay(self) -> None:
        doom = CrashPoints()
        if self.doomed:
            self.doomed -= 1
            doom = self._within(max(2 * self.plan.rows // max(self.plan.kills, 1), 10))
        self.family.start("relay", relay, self.plan.url, self.collected, doom, self.plan.lease)

    def _consume(self, messages: list[Any]) -> None:
        for number in range(2 * self.plan.consumers):
            doom = self._within(5 * len(messages)) if number < self.plan.consumers else CrashPoints()
            shuffled = self.random.sample(messages, len(messages))
            self.family.start("consume", consume, self.plan.url, doom, shuffled)
        while self.family.has("consume"):
            self.family.wait()

    def _within(self, points: int) -> CrashPoints:
        return CrashPoints(self.random.randint(1, max(points, 1)))

    async def _count(self, killed: set[int]) -> Counted:
        engine = create_engine(self.plan.url)
        async with engine.connect() as connection:
            committed = set((await connection.execute(sa.select(written.c.number))).scalars())
            done = Counter((await connection.execute(sa.select(handled.c.number))).scalars())
        await engine.dispose()
        publishers: dict[int, list[int]] = {}
        ids: dict[int, set[str]] = {}
        for message_id, number, pid in read(self.collected):
            publishers.setdefault(number, []).append(pid)
            ids.setdefault(number, set()).add(message_id)
        return Counted(
            killed=len(killed),
            committed=len(committed),
            published=len(publishers),
            lost=len(committed - publishers.keys()),
            invented=len(publishers.keys() - committed),
            duplicates=sum(len(pids) - 1 for pids in publishers.values()),
            late_duplicates=sum(not killed.issuperset(pids[:-1]) for pids in publishers.values()),
            renamed=sum(len(names) > 1 for names in ids.values()),
            handled=len(done),
            handled_twice=sum(times > 1 for times in done.values()),
            unhandled=len(publishers.keys() - done.keys()),
        )


def play(plan: Plan, folder: Path) -> tuple[dict[str, int], list[str]]:
    """Play a plan; to be called in a process without threads."""
    forks.expect(forks.run(lambda: asyncio.run(create_letter_tables(plan.url))))
    post = Post(plan, folder)
    with post.family:
        counted = post.run()
    return dataclasses.asdict(counted), counted.problems


if __name__ == "__main__":
    sys.exit(command("tests.crash.outbox", __doc__, Plan, play))
