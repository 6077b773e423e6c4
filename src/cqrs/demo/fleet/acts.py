"""The story: who is there, what happens to them, and what is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from cqrs.demo.figures import milliseconds
from cqrs.demo.fleet.facts import Call, Facts, all_probes
from cqrs.demo.fleet.front import Front
from cqrs.demo.fleet.member import Member
from cqrs.demo.fleet.plan import Plan
from cqrs.demo.fleet.server import PrivateServer
from cqrs.demo.fleet.witness import Witness
from cqrs.demo.process import UpstreamProcess
from cqrs.demo.schedule import Mode


@dataclass
class Cast:
    """Everybody who takes part.

    Attributes:
        hired: the processes of the shop, in the order of their starts.
        armed: whether the next process that calls the upstream is killed at once.
        victim: the process that was.
    """

    plan: Plan
    facts: Facts
    folder: Path
    server: PrivateServer
    upstream: UpstreamProcess
    front: Front
    witness: Witness
    hired: list[Member] = field(default_factory=list[Member])
    armed: bool = False
    victim: Member | None = None

    async def assemble(self) -> None:
        """Start the processes of the shop, all at the same time."""
        async with asyncio.TaskGroup() as group:
            for slot in range(1, self.plan.processes + 1):
                group.create_task(self.hire(slot))

    async def hire(self, slot: int) -> Member:
        """Start one process of the shop."""
        member = Member(slot, self.facts, self.called)
        self.hired.append(member)
        url = self.server.url if self.plan.shared else ""
        await member.start(url, self.upstream.port, self.folder, self.plan)
        self.front.members.append(member)
        return member

    async def dismiss(self) -> None:
        """End all processes of the shop."""
        await asyncio.gather(*(member.stop() for member in self.hired))

    def called(self, member: Member, call: Call) -> None:
        """Kill the process whose call this is, if that is what the story waits for."""
        if self.armed:
            self.armed = False
            self.victim = member
            member.kill()

    async def behave(self, mode: Mode) -> None:
        """Change the upstream."""
        await self.upstream.behave(mode)
        self.facts.behaves(mode)


class Acts:
    """Plays the acts; each waits for what it is about, for ``Plan.patience`` at most."""

    def __init__(self, cast: Cast) -> None:
        self._cast = cast
        self._facts = cast.facts
        self._plan = cast.plan

    async def play(self) -> None:
        """Play all acts."""
        await self._healthy()
        await self._outage()
        await self._kill_the_probe()
        await self._kill_the_server()
        await self._outage_alone()
        await self._server_returns()

    async def _healthy(self) -> None:
        facts, plan = self._facts, self._plan
        facts.store_is(True)
        await self._cast.behave(Mode.HEALTHY)
        facts.tell(f"{plan.processes} processes of one shop share one circuit through Redis", "act")
        await asyncio.sleep(plan.calm)

    async def _outage(self) -> None:
        facts = self._facts
        await self._cast.behave(Mode.FAILING)
        begun = facts.mark("failing")
        facts.tell("The upstream fails: it answers 503 or drops connections", "act")
        await self._until(lambda: all(p.opened_after(begun) is not None for p in facts.living()))
        opened = [p.opened_after(begun) for p in facts.living()]
        known = [at for at in opened if at is not None]
        if len(known) == len(opened):
            reason = facts.living()[0].switches[-1].reason
            spread = milliseconds(max(known) - min(known))
            facts.tell(f"All {len(known)} processes opened within {spread}: {reason}", "good")
        else:
            facts.tell(f"Only {len(known)} of {len(opened)} processes opened", "bad")
        for seen in range(2):
            await self._until(partial(self._have_ended, seen + 1))
            self._tell_probe(seen)

    async def _kill_the_probe(self) -> None:
        facts, cast = self._facts, self._cast
        await cast.behave(Mode.SLOW)
        cast.armed = True
        facts.tell("The upstream hangs: it takes calls and does not answer", "act")
        await self._until(lambda: cast.victim is not None)
        cast.armed = False
        victim = cast.victim
        if victim is None:
            facts.tell("No process probed", "bad")
            await cast.behave(Mode.HEALTHY)
            return
        killed = facts.mark("probe killed")
        facts.tell(f"{victim.process.name} probes, and is killed in the middle of it (SIGKILL)", "act")
        # Healthy at the same moment: now only the dead process's permit keeps the others waiting.
        await cast.behave(Mode.HEALTHY)
        starting = asyncio.create_task(cast.hire(victim.process.slot))
        try:
            await self._until(lambda: any(c.started > killed for c in self._probes()))
            self._tell_takeover(killed)
            await starting
        finally:
            starting.cancel()
        facts.tell(f"{victim.process.name} was started again (pid {starting.result().process.pid})")
        await self._all_closed()
        await asyncio.sleep(self._plan.calm)

    async def _kill_the_server(self) -> None:
        facts, cast = self._facts, self._cast
        await cast.witness.read()
        await cast.server.kill()
        facts.store_is(False)
        facts.mark("server killed")
        facts.tell("Redis is killed (SIGKILL)", "act")
        await self._until(lambda: all(p.degraded for p in facts.living()))
        told = sum(bool(p.degraded) for p in facts.living())
        facts.tell(f"{told} of {len(facts.living())} processes say so: each decides for itself now")
        await asyncio.sleep(self._plan.calm)

    async def _outage_alone(self) -> None:
        facts = self._facts
        await self._cast.behave(Mode.FAILING)
        begun = facts.mark("failing alone")
        facts.tell("The upstream fails again, with Redis still dead", "act")
        await self._until(lambda: all(p.opened_after(begun) is not None for p in facts.living()))
        opened = sum(p.opened_after(begun) is not None for p in facts.living())
        kind = "good" if opened == len(facts.living()) else "bad"
        facts.tell(f"{opened} of {len(facts.living())} processes opened, each by what it saw itself", kind)
        await asyncio.sleep(self._plan.calm / 2)

    async def _server_returns(self) -> None:
        facts, cast = self._facts, self._cast
        await cast.server.start()
        cast.witness.start_over()
        facts.store_is(True)
        facts.mark("server back")
        facts.tell("Redis is back, and empty", "act")
        await self._until(lambda: all(p.recovered for p in facts.living()))
        told = sum(bool(p.recovered) for p in facts.living())
        facts.tell(f"{told} of {len(facts.living())} processes say so: they share the circuit again")
        await asyncio.sleep(self._plan.calm / 2)
        await cast.behave(Mode.HEALTHY)
        facts.mark("healthy for good")
        facts.tell("The upstream is healthy again", "act")
        await self._all_closed()
        await asyncio.sleep(self._plan.calm)

    async def _all_closed(self) -> None:
        facts = self._facts
        await self._until(lambda: all(p.state in ("closed", "ramping") for p in facts.living()))
        back = [p for p in facts.living() if p.state in ("closed", "ramping")]
        if len(back) < len(facts.living()):
            facts.tell(f"The circuit closed in {len(back)} of {len(facts.living())} processes", "bad")
            return
        facts.tell(f"Traffic returns to the upstream in all {len(back)} processes, by degrees", "good")
        await self._until(lambda: all(p.state == "closed" for p in facts.living()))
        if all(p.state == "closed" for p in facts.living()):
            facts.tell("Closed everywhere", "good")

    def _tell_probe(self, seen: int) -> None:
        for call in self._ended_probes()[seen:]:
            what = "it succeeded" if call.succeeded else "it failed, all wait on"
            self._facts.tell(f"{call.process.name} probes for everybody: {what}")

    def _tell_takeover(self, killed: float) -> None:
        later = [call for call in self._probes() if call.started > killed]
        if not later:
            self._facts.tell("Nobody probes in its place", "bad")
            return
        after = f"{later[0].started - killed:.2f} s"
        self._facts.tell(f"{later[0].process.name} probes in its place, {after} after the kill", "good")

    def _probes(self) -> list[Call]:
        return all_probes(self._facts.processes)

    def _ended_probes(self) -> list[Call]:
        return [call for call in self._probes() if call.ended is not None]

    def _have_ended(self, count: int) -> bool:
        return len(self._ended_probes()) >= count

    async def _until(self, reached: Callable[[], bool]) -> None:
        limit = self._facts.now() + self._plan.patience
        # What is waited for comes from many sides, and nothing is lost by 10 ms.
        while not reached() and self._facts.now() < limit:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
