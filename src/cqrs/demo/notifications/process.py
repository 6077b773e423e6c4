"""A service's process as the demo sees it: start, ask, stop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

from cqrs.demo.notifications.plan import Server
from cqrs.demo.notifications.serve import HOST

START_TIMEOUT = 30.0
STOP_TIMEOUT = 5.0
TIMEOUT = 10.0


class ServiceProcess:
    """Owns a process of a service.

    Args:
        name: what people call it.
        folder: where its log is kept.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.port = 0
        self._log = folder / f"{name.replace(' ', '-')}.log"
        self._child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Id of the process; 0 before it was started."""
        return 0 if self._child is None else self._child.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.returncode is None

    @property
    def log(self) -> str:
        """What it wrote."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{HOST}:{self.port}"

    async def start(self, service: str, server: Server, settings: dict[str, Any]) -> None:
        """Start it and wait until it answers.

        Raises:
            RuntimeError: it did not come up; with what it wrote.
        """
        config = json.dumps({"service": service, "server": server, "settings": settings})
        with self._log.open("wb") as log:
            self._child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "cqrs.demo.notifications.serve", config),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                # Ctrl-C stops the demo, and the demo stops the process.
                start_new_session=True,
            )
        assert self._child.stdout is not None
        try:
            async with asyncio.timeout(START_TIMEOUT):
                self.port = int(await self._child.stdout.readline())
                # It listens already: the answer comes when it serves, or the connection ends when it does.
                await self.get("/healthz")
        except (TimeoutError, ValueError, OSError):
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()
            await self._child.wait()
            said = self.log.strip() or "it wrote nothing"
            raise RuntimeError(f"{self.name} did not start under {server}: {said}") from None

    async def get(self, path: str) -> str:
        """GET a text.

        Raises:
            OSError: no answer, or none that is good.
        """
        return await asyncio.to_thread(_ask, f"{self.url}{path}", "GET", None)

    async def put(self, path: str, document: object) -> str:
        """PUT a JSON document; raises as ``get``."""
        return await asyncio.to_thread(_ask, f"{self.url}{path}", "PUT", json.dumps(document).encode())

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


def _ask(url: str, method: str, body: bytes | None) -> str:
    request = urllib.request.Request(
        url, data=body, method=method, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        text: str = answer.read().decode()
        return text
