"""The story: who takes part, what happens to them, and what is waited for."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from cqrs.demo.figures import milliseconds
from cqrs.demo.notifications.facts import CLOSED, OPEN, Facts, Process
from cqrs.demo.notifications.load import Callers
from cqrs.demo.notifications.plan import Plan
from cqrs.demo.notifications.process import ServiceProcess

FAILING = "naruto"
USERNAMES = ("hinata", "kakashi", "sakura", "sasuke", "tenten")


@dataclass
class Cast:
    """The processes.

    Args:
        folder: where their logs are kept.
    """

    plan: Plan
    facts: Facts
    folder: Path
    user: ServiceProcess = field(init=False)
    notif: list[ServiceProcess] = field(default_factory=list[ServiceProcess])

    def __post_init__(self) -> None:
        self.user = ServiceProcess("user", self.folder)

    @property
    def services(self) -> list[ServiceProcess]:
        """All of them."""
        return [self.user, *self.notif]

    async def assemble(self, redis_url: str, smtp_port: int) -> None:
        """Start ``user``, then the processes of ``notif``, all at the same time."""
        plan = self.plan
        await self.user.start("user", "uvicorn", {"failing": [], "delay": 3 * plan.timeout})
        settings: dict[str, Any] = {
            "user_url": f"{self.user.url}/v1",
            "redis_url": redis_url,
            "threshold": plan.threshold,
            "ttl": plan.ttl,
            "timeout": plan.timeout,
            "when_down": "queue" if plan.fallback else "refuse",
            "retry_interval": plan.retry_interval,
            "max_attempts": 1000,
            "smtp_port": smtp_port,
        }
        async with asyncio.TaskGroup() as group:
            for slot in range(1, plan.processes + 1):
                service = ServiceProcess(f"notif {slot}", self.folder)
                self.notif.append(service)
                group.create_task(service.start("notif", plan.server, settings))
        for slot, service in enumerate(self.notif, 1):
            self.facts.processes.append(Process(slot, service.port, service.pid))

    async def dismiss(self) -> None:
        """End all of them, and keep what they wrote."""
        await asyncio.gather(*(service.stop() for service in self.services))
        self.facts.logs.update((service.name, service.log) for service in self.services)

    async def behave(self, **behaviour: object) -> None:
        """Change how ``user`` behaves."""
        await self.user.put("/behaviour", {"failing": [], "delay": 3 * self.plan.timeout, **behaviour})

    async def mark(self, name: str) -> None:
        """Note a moment, and how many calls ``user`` has got until then."""
        calls = json.loads(await self.user.get("/calls"))
        self.facts.mark(name, sum(calls.values()))


class Acts:
    """Plays the acts; each waits for what it is about, for ``Plan.patience`` at most."""

    def __init__(self, cast: Cast, callers: Callers) -> None:
        self._cast = cast
        self._callers = callers
        self._facts = cast.facts
        self._plan = cast.plan

    async def play(self) -> None:
        """Play all acts."""
        await self._healthy()
        await self._failing()
        await self._open()
        await self._recovery()

    async def _healthy(self) -> None:
        facts = self._facts
        facts.tell("All is well: each notification is a lookup and a mail", "act")
        await asyncio.sleep(self._plan.calm)
        delivered = sum(facts.mails.values())
        facts.tell(f"{delivered} mails were delivered", "good" if delivered else "bad")

    async def _failing(self) -> None:
        facts, cast = self._facts, self._cast
        await cast.behave(failing=[FAILING])
        await cast.mark("failing")
        self._callers.only = FAILING
        facts.tell(f"The user {FAILING} gets notifications, and makes the service user fail (500)", "act")
        begun = facts.now()
        await self._until(lambda: all(process.was(OPEN) for process in facts.processes))
        # From now on even a probe finds nobody: it costs whoever makes it the whole timeout.
        await cast.behave(outage="hang")
        await cast.mark("open")
        self._callers.only = None
        opened = [process for process in facts.processes if process.was(OPEN)]
        after = milliseconds(facts.now() - begun)
        text = f"The circuit is open in {len(opened)} of {len(facts.processes)} processes, after {after}"
        facts.tell(text, "good" if len(opened) == len(facts.processes) else "bad")

    async def _open(self) -> None:
        facts = self._facts
        facts.tell("The service user hangs; notifications are taken all the same, and wait", "act")
        await asyncio.sleep(self._plan.outage)
        waiting = _waiting(facts.processes)
        rejected = sum(process.rejections for process in facts.processes)
        facts.tell(f"{rejected} lookups were rejected at once; {waiting} mails wait")
        await self._cast.mark("healed")

    async def _recovery(self) -> None:
        facts = self._facts
        await self._cast.behave()
        facts.tell("The service user is healthy again", "act")
        await self._until(lambda: all(process.state == CLOSED for process in facts.processes))
        closed = sum(process.state == CLOSED for process in facts.processes)
        text = f"The circuit is closed in {closed} of {len(facts.processes)} processes"
        facts.tell(text, "good" if closed == len(facts.processes) else "bad")
        await self._drained()
        left = _waiting(facts.processes)
        facts.tell(
            f"{left} mails still wait" if left else "No mail waits any more", "bad" if left else "good"
        )
        await asyncio.sleep(self._plan.calm)

    async def _drained(self) -> None:
        """Wait for the outboxes as long as they get emptier: how fast, is up to the machine."""
        before, left = math.inf, float(_waiting(self._facts.processes))
        while 0 < left < before:
            before = left
            await self._until(partial(self._less_than, before))
            left = _waiting(self._facts.processes)

    def _less_than(self, before: float) -> bool:
        return _waiting(self._facts.processes) < before

    async def _until(self, reached: Callable[[], bool]) -> None:
        limit = self._facts.now() + self._plan.patience
        # What is waited for is read from /metrics, and nothing is lost by 20 ms.
        while not reached() and self._facts.now() < limit:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def _waiting(processes: Sequence[Process]) -> int:
    return sum(process.readings[-1].waiting for process in processes if process.readings)
