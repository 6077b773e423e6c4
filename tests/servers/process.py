"""A server's process: it ends with the tests, also when they are killed or when it is frozen."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_LIMIT = 5.0
# Below the ports that the kernel gives to clients: a port stays free in a restart.
PORTS = range(18000, 28000)

# The shell waits for a word. "term" and "kill" end the server; the end of the input, which comes also when
# the tests are killed, kills it (SIGTERM would not end a frozen or busy one) and removes its folder, $0.
KEEPER = (
    '"$@" </dev/null & echo $! >"$0/pid.new"; mv "$0/pid.new" "$0/pid"; read -r word || word=gone; '
    'if [ "$word" = term ]; then kill -TERM $!; else kill -KILL $!; fi; wait $!; '
    'if [ "$word" = gone ]; then rm -rf "$0"; fi'
)


def free_port(taken: Sequence[int] = ()) -> int:
    """Return a TCP port of 127.0.0.1 on which nothing listens."""
    for port in random.SystemRandom().sample(PORTS, 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in taken:
            return port
    raise RuntimeError("no free port")


class Process:
    """One run of a server in ``folder``; its output is appended to ``folder/log``."""

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.log = folder / "log"
        self._folder = folder
        self._pid_file = folder / "pid"
        self._pid_file.unlink(missing_ok=True)
        self._frozen = False
        with self.log.open("ab") as output:
            self.keeper = subprocess.Popen(
                ["/bin/sh", "-c", KEEPER, str(folder), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, **environment} if environment else None,
            )

    @property
    def pid(self) -> int | None:
        """The server's own process id; None in the first moment of its life."""
        try:
            return int(self._pid_file.read_text())
        except FileNotFoundError:
            return None

    @property
    def running(self) -> bool:
        """Whether the server has not ended (where there is no /proc: whether its keeper has not)."""
        pid = self.pid
        if self.keeper.poll() is not None:
            return False
        if pid is None or not Path("/proc/self/stat").exists():
            return True
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state not in ("Z", "X")  # a dead server stays a zombie until its keeper ends

    def freeze(self) -> None:
        """Stop the server's clockwork: the kernel still accepts connections, nobody answers."""
        self._signal(signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        """Let a frozen server go on; harmless when it is not frozen."""
        if self._frozen:
            self._frozen = False
            self._signal(signal.SIGCONT)

    def end(self, *, kill: bool) -> None:
        """End the server with SIGTERM or SIGKILL, and wait for it; harmless when it has ended."""
        if self.keeper.returncode is not None:
            return
        self.thaw()
        assert self.keeper.stdin is not None
        try:
            self.keeper.stdin.write(b"kill\n" if kill else b"term\n")
            self.keeper.stdin.close()
        except BrokenPipeError:  # somebody killed the keeper
            pass
        try:
            self.keeper.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:  # SIGTERM is not looked at inside a busy script
            os.killpg(self.keeper.pid, signal.SIGKILL)  # a session of its own: the keeper and its server
            self.keeper.wait()

    def _signal(self, number: signal.Signals) -> None:
        pid = self.pid
        assert pid is not None, "the server was not started"
        os.kill(pid, number)
