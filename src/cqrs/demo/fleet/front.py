"""Between callers and processes: what a load balancer does, and the callers themselves."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

from cqrs.demo.fleet.facts import Asked, Facts
from cqrs.demo.fleet.member import GoneError, Member
from cqrs.demo.recorder import Answer
from cqrs.demo.upstream import PRODUCTS

#: Seconds after which a caller goes away; far beyond what any answer takes.
PATIENCE = 10.0


class Front:
    """Gives each request to the next process in turn, and to another when that one dies before it answers.

    The requests are queries: to ask one twice changes nothing. (A load balancer repeats only such.)
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._numbers = 0
        self._turn = 0
        self.members: list[Member] = []

    async def ask(self, sku: str) -> None:
        """Send one request for a caller and note how it ended."""
        facts = self._facts
        sent, tries = facts.now(), 0
        facts.sent += 1
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    member = self._next()
                    if member is None:
                        await asyncio.sleep(0.02)
                        continue
                    tries += 1
                    self._numbers += 1
                    with suppress(GoneError):
                        said = await member.ask(self._numbers, sku)
                        break
        except TimeoutError:
            said = {"answer": "failed", "error": f"no answer within {PATIENCE:g} s"}
        answer, error = Answer(said["answer"]), str(said.get("error", ""))
        facts.asked.append(Asked(sent, facts.now() - sent, answer, tries, error))

    def _next(self) -> Member | None:
        able = [member for member in self.members if member.connected]
        if not able:
            return None
        self._turn += 1
        return able[self._turn % len(able)]


async def drive(front: Front, facts: Facts, rate: float, seed: int, stop: asyncio.Event) -> None:
    """Send ``rate`` requests a second, whether or not earlier ones were answered.

    Returns when ``stop`` is set and every request that was sent has ended.
    """
    chooser = random.Random(seed)
    due = facts.now()
    async with asyncio.TaskGroup() as group:
        while not stop.is_set():
            due += chooser.uniform(0.5, 1.5) / rate
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - facts.now())):
                    await stop.wait()
            if not stop.is_set():
                group.create_task(front.ask(chooser.choice(PRODUCTS)))
    facts.ended = facts.now()
