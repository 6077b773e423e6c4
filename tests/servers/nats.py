"""A private NATS server with JetStream: started for the tests, stopped with them."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path
from typing import Self

from tests.servers.base import PORT_TRIES, wait_until
from tests.servers.binaries import ServerMissing
from tests.servers.process import Process, free_port


class NatsServer:
    """A server on a free port of 127.0.0.1; its streams are files in a folder of its own.

    ``with NatsServer() as server: ...`` starts and ends it. `kill`, then `start` keep streams and port.
    """

    host = "127.0.0.1"

    def __init__(self, max_payload: int = 1_048_576) -> None:
        binary = shutil.which("nats-server")
        if binary is None:
            raise ServerMissing("no NATS: install nats-server, or set HOLDFAST_TEST_NATS_URL")
        self._binary = binary
        self._max_payload = max_payload
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-"))
        self.port = free_port()
        self._process: Process | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"nats://{self.host}:{self.port}"

    def start(self) -> Self:
        """Run the server, on the same port as before, and wait until it answers."""
        configuration = self.folder / "nats.conf"
        for attempt in range(PORT_TRIES):
            configuration.write_text(
                f'listen: "{self.host}:{self.port}"\nmax_payload: {self._max_payload}\n'
                f'jetstream {{ store_dir: "{self.folder}/streams" }}\n'
            )
            self._process = Process([self._binary, "-c", str(configuration)], self.folder)
            wait_until(lambda: self._answers() or not self._running(), "NATS answers")
            if self._running():
                return self
            self.kill()
            if "address already in use" not in self._log() or attempt == PORT_TRIES - 1:
                raise RuntimeError(f"nats-server did not start:\n{self._log()}")
            (self.folder / "log").write_text("")
            self.port = free_port()
        raise RuntimeError("no free port")

    def kill(self) -> None:
        """End the server with SIGKILL; its streams stay."""
        if self._process is not None:
            self._process.end(kill=True)

    def freeze(self) -> None:
        """SIGSTOP: connections stay, nobody answers."""
        assert self._process is not None
        self._process.freeze()

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.thaw()

    def close(self) -> None:
        """Kill the server and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def _running(self) -> bool:
        return self._process is not None and self._process.running

    def _log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def _answers(self) -> bool:
        if "Server is ready" not in self._log():  # listening comes before JetStream has read its files
            return False
        try:
            with socket.create_connection(self.address, timeout=1.0) as connection:
                connection.settimeout(1.0)
                return connection.recv(4) == b"INFO"
        except OSError:
            return False
