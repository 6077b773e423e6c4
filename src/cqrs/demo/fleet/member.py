"""A process of the shop as the demo sees it: start, ask, kill, stop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cqrs.demo.fleet.facts import Call, Facts, Process, Switch
from cqrs.demo.fleet.plan import Plan
from cqrs.demo.recorder import Answer

START_TIMEOUT = 30.0
STOP_TIMEOUT = 3.0


class GoneError(Exception):
    """The process ended before it had answered."""


class Member:
    """Owns a process of the shop.

    Args:
        facts: told everything that the process says.
        on_call: told each call to the upstream when it starts.

    Attributes:
        process: what is known of it.
    """

    def __init__(self, slot: int, facts: Facts, on_call: Callable[[Member, Call], None]) -> None:
        self.process = Process(slot)
        facts.processes.append(self.process)
        self._facts = facts
        self._on_call = on_call
        self._child: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._gone = False
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._calls: dict[int, Call] = {}

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.returncode is None

    @property
    def connected(self) -> bool:
        """Whether a load balancer would send it requests: it was ready, and its connection has not ended."""
        return self._ready.is_set() and not self._gone

    async def start(self, url: str, port: int, folder: Path, plan: Plan) -> None:
        """Start it and wait until it is ready to answer.

        Raises:
            RuntimeError: it did not come up; with what it wrote.
        """
        errors = folder / f"process-{len(self._facts.processes)}.log"
        config = {
            "url": url,
            "port": port,
            "database": str(errors.with_suffix(".sqlite")),
            "plan": asdict(plan),
        }
        with errors.open("wb") as log:
            self._child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "cqrs.demo.fleet.worker", json.dumps(config)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                # Ctrl-C stops the demo, and the demo stops the process.
                start_new_session=True,
            )
        self.process.pid = self._child.pid
        self._reading = asyncio.create_task(self._read(self._child))
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait(
                {ready, self._reading}, timeout=START_TIMEOUT, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            ready.cancel()
        if not self._ready.is_set():
            said = errors.read_text(errors="replace").strip()
            raise RuntimeError(f"a process of the shop did not start: {said or 'it wrote nothing'}")

    async def ask(self, number: int, sku: str) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises:
            GoneError: the process ended before.
        """
        child = self._child
        assert child is not None
        assert child.stdin is not None
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        if not self.connected:
            raise GoneError
        self._waiting[number] = answer
        child.stdin.write(json.dumps({"id": number, "sku": sku}).encode() + b"\n")
        try:
            return await answer
        finally:
            self._waiting.pop(number, None)

    def kill(self) -> None:
        """Kill it (SIGKILL), at once."""
        assert self._child is not None
        self.process.killed = self._facts.now()
        self._child.kill()

    async def stop(self) -> None:
        """End it and wait until it is gone; harmless when it has ended."""
        child = self._child
        if child is None:
            return
        assert child.stdin is not None
        child.stdin.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await child.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        if self._reading is not None:
            await self._reading

    async def _read(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None
        while (line := await child.stdout.readline()).endswith(b"\n"):
            self._take(json.loads(line))
        # The end of its output is the end of the process: what it has not answered, others must.
        self._gone = True
        for answer in list(self._waiting.values()):
            if not answer.done():
                answer.set_exception(GoneError())
        await child.wait()

    def _take(self, said: dict[str, Any]) -> None:
        process, at = self.process, said["at"] - self._facts.origin
        match said["what"]:
            case "ready":
                process.ready = at
                self._ready.set()
            case "state":
                since = said["since"] - self._facts.origin
                process.switches.append(Switch(since, said["state"], said["reason"], said["source"]))
            case "degraded":
                process.degraded.append(at)
            case "recovered":
                process.recovered.append(at)
            case "call":
                call = Call(process, said["received"] - self._facts.origin, at)
                process.calls.append(call)
                self._calls[said["id"]] = call
                self._on_call(self, call)
            case "called":
                call = self._calls.pop(said["id"])
                call.ended, call.succeeded = at, said["ok"]
            case _:
                process.answers[Answer(said["answer"])] += 1
                answer = self._waiting.get(said["id"])
                if answer is not None and not answer.done():
                    answer.set_result(said)
