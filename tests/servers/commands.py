"""Counting what clients ask of a server, by MONITOR."""

from __future__ import annotations

import uuid
from collections import Counter
from importlib import import_module
from typing import Any, NamedTuple

SCRIPT_COMMANDS = ("eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro")


class Command(NamedTuple):
    """One command as MONITOR shows it."""

    client: str  # its address, the same for all clients of a unix socket
    name: str  # in lower case
    text: str  # the command with its arguments, quoted


class Commands:
    """The commands that a server received from clients, in order.

    Counted: each command that the server executed or began to execute for a client, each command of a
    pipeline and each one between MULTI and EXEC, and these two themselves; what a new connection sends
    (HELLO, CLIENT SETINFO); EVALSHA that is answered with NOSCRIPT.

    Not counted: commands called by scripts; commands of the server's own administrator (of a server without
    TCP they are counted, since all clients of a unix socket have the same address); what MONITOR hides
    (AUTH, and administration such as CONFIG); what is refused before it is executed (unknown commands,
    -NOAUTH, -NOPERM, -OOM, -READONLY, -LOADING, -BUSY); what was sent while the server did not run.

    A killed server ends the count; what was read until then stays.
    """

    def __init__(self, admin: Any, watcher: Any, admin_user: str) -> None:
        self._admin = admin
        self._watcher = watcher
        self._admin_user = admin_user
        self._own: set[str] = set()
        self._seen: list[Command] = []
        self._ended = False
        self._errors = import_module("redis").exceptions
        self._connection = watcher.connection_pool.get_connection()
        self._connection.send_command("MONITOR")
        self._connection.read_response()
        self._note_own_addresses()

    def all(self) -> list[Command]:
        """Return every command whose answer, or whose arrival at the server, precedes this call."""
        if not self._ended:
            try:
                self._note_own_addresses()
                self._read()
            except (self._errors.ConnectionError, self._errors.TimeoutError):
                self._ended = True
        return list(self._seen)

    def total(self) -> int:
        """Return the number of commands so far."""
        return len(self.all())

    def names(self) -> Counter[str]:
        """Return the number of commands so far by name, in lower case."""
        return Counter(command.name for command in self.all())

    def clients(self) -> Counter[str]:
        """Return the number of commands so far by the client's address."""
        return Counter(command.client for command in self.all())

    def close(self) -> None:
        """Stop watching; what was counted can still be read."""
        self.all()
        self._ended = True
        self._connection.disconnect()
        self._watcher.close()

    def _read(self) -> None:
        mark = f"holdfast-mark-{uuid.uuid4().hex}"
        self._admin.echo(mark)
        while True:
            line = self._connection.read_response()
            text = line.decode(errors="replace") if isinstance(line, bytes) else str(line)
            if mark in text:
                return
            self._take(text)

    def _note_own_addresses(self) -> None:
        for client in self._admin.client_list():
            if client["user"] == self._admin_user and not client["addr"].startswith("/"):
                self._own.add(client["addr"])

    def _take(self, line: str) -> None:
        # 1795768697.731229 [0 127.0.0.1:51874] "EVAL" "return 1" "0"
        source, found, text = line.partition("] ")
        _, _, client = source.partition("[")[2].partition(" ")
        if found and client not in self._own and client != "lua":
            self._seen.append(Command(client, text.split(" ", 1)[0].strip('"').lower(), text))
