"""A private RabbitMQ: started once (it takes 5 s), stopped with the tests."""

from __future__ import annotations

import glob
import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import Self

from tests.servers.base import wait_until
from tests.servers.binaries import ServerMissing
from tests.servers.process import Process, free_port

START_LIMIT = 60.0
# Erlang's name service would outlive the node as a daemon of its own: here it ends a second after it.
RUN = 'epmd & names=$!; (while kill -0 $$ 2>/dev/null; do sleep 1; done; kill -KILL $names) & exec "$0"'
GREETING = b"AMQP\x00\x00\x09\x01"  # AMQP 0-9-1, section 4.2.2: a server answers it with Connection.Start


class RabbitServer:
    """A node on a free port of 127.0.0.1, with files, node name, cookie and name service of its own.

    ``with RabbitServer() as server: ...`` starts it and ends it. The user is "guest", the virtual host "/".
    """

    host = "127.0.0.1"
    max_message_size = 4_194_304

    def __init__(self) -> None:
        found = sorted(glob.glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"))
        wrapper = shutil.which("rabbitmq-server")
        if (not found and wrapper is None) or shutil.which("erl") is None:
            raise ServerMissing("no RabbitMQ: install rabbitmq-server, or set HOLDFAST_TEST_AMQP_URL")
        # Debian's wrapper in /usr/sbin insists on another user: the script behind it does not.
        self._binary = found[-1] if found else str(wrapper)
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-"))
        self.port = free_port()
        self._name = f"holdfast-{uuid.uuid4().hex[:8]}@localhost"
        self._process: Process | None = None
        distribution, names = free_port([self.port]), free_port([self.port])
        self.environment = {
            "HOME": str(self.folder),
            "RUNNING_UNDER_SYSTEMD": "true",  # replace the shell by the node, which signals then reach
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_NODE_IP_ADDRESS": self.host,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "ERL_EPMD_ADDRESS": self.host,
            "ERL_EPMD_PORT": str(names),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_PID_FILE": str(self.folder / "rabbit.pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
        }

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"amqp://guest:guest@{self.host}:{self.port}/"

    def start(self) -> Self:
        """Run the server and wait until it greets clients."""
        (self.folder / "plugins").write_text("[].")
        settings = ["disk_free_limit.absolute = 10MB", f"max_message_size = {self.max_message_size}"]
        (self.folder / "rabbitmq.conf").write_text("\n".join([*settings, ""]))
        self._process = Process(["/bin/sh", "-c", RUN, self._binary], self.folder, self.environment)
        wait_until(lambda: self._greets() or not self._process_runs(), "RabbitMQ greets", START_LIMIT)
        if not self._process_runs():
            log = (self.folder / "log").read_text(errors="replace")
            raise RuntimeError(f"rabbitmq-server did not start:\n{log}")
        return self

    def close(self) -> None:
        """Kill the server, its name service too, and remove its folder."""
        if self._process is not None:
            self._process.end(kill=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def control(self, *command: str) -> str:
        """Run ``rabbitmqctl``; returns what it writes (takes about a second)."""
        binary = str(Path(self._binary).with_name("rabbitmqctl"))
        environment = {**os.environ, **self.environment}
        done = subprocess.run(
            [binary, "-q", *command], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise RuntimeError(f"rabbitmqctl {' '.join(command)}: {done.stderr or done.stdout}")
        return done.stdout

    def _process_runs(self) -> bool:
        return self._process is not None and self._process.running

    def _greets(self) -> bool:
        try:
            with socket.create_connection(self.address, timeout=5.0) as connection:
                connection.sendall(GREETING)
                return connection.recv(1) == b"\x01"
        except OSError:
            return False
