"""The upstream's process as the demo sees it: start, change of mode, kill, restart, stop."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import sys

from cqrs.demo.schedule import Mode
from cqrs.demo.upstream import HOST

START_TIMEOUT = 30.0


def free_port() -> int:
    """Find a free loopback port below the range that the kernel hands to outgoing connections.

    An outgoing connection must never get the port while the upstream is dead: it could connect to itself, and
    the upstream could not be restarted.
    """
    chooser = random.SystemRandom()
    for _ in range(200):
        port = chooser.randrange(20_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise OSError(f"no free port between 20000 and 29999 on {HOST}")


class UpstreamProcess:
    """Owns the upstream's process; as a context manager it leaves no process behind.

    Attributes:
        port: the loopback port, the same after a restart.
    """

    def __init__(self, slow: tuple[float, float], seed: int) -> None:
        self.port = free_port()
        self._slow = slow
        self._seed = seed
        self._processes: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> UpstreamProcess:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def started(self) -> int:
        """How many processes were started so far."""
        return len(self._processes)

    @property
    def alive(self) -> bool:
        """Whether the youngest process runs."""
        return self._processes[-1].returncode is None

    def orphans(self) -> list[int]:
        """Ids of processes that this object started and that have not ended."""
        return [process.pid for process in self._processes if process.returncode is None]

    async def start(self) -> None:
        """Start the process and wait until it listens.

        Raises:
            RuntimeError: it did not come up; with what it printed.
        """
        low, high = self._slow
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "cqrs.demo.upstream",
                str(self.port),
                str(low),
                str(high),
                str(self._seed),
            ),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # A process group of its own: Ctrl-C stops the demo, and the demo stops the upstream.
            start_new_session=True,
        )
        self._processes.append(process)
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_TIMEOUT):
                line = await process.stdout.readline()
                if line.strip() != b"ready":
                    said = (line + await process.stdout.read()).decode(errors="replace").strip()
                    raise RuntimeError(f"the upstream process did not start: {said or 'it printed nothing'}")
        except TimeoutError:
            await self.kill()
            raise RuntimeError(f"the upstream process was not ready after {START_TIMEOUT:g} s") from None

    async def behave(self, mode: Mode) -> None:
        """Tell the running process how to behave."""
        stdin = self._processes[-1].stdin
        assert stdin is not None
        stdin.write(f"{mode}\n".encode())
        await stdin.drain()

    async def kill(self) -> None:
        """Kill the process (SIGKILL where there is one) and wait until it is gone."""
        self._processes[-1].kill()
        await self._reap(self._processes[-1])

    async def stop(self) -> None:
        """End every process that is left."""
        for process in self._processes:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            await self._reap(process)

    @staticmethod
    async def _reap(process: asyncio.subprocess.Process) -> None:
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()
        if process.stdout is not None:
            await process.stdout.read()
