"""The server that all runs of one worker share."""

from __future__ import annotations

from importlib import import_module

from tests.servers.redis_server import RedisServer


class SharedServer:
    """A private server that a mutant may leave full of keys, or busy with a script that never ends."""

    def __init__(self) -> None:
        self._server = RedisServer().start()
        self.url = self._server.url
        self._errors = import_module("redis").exceptions
        self._impatient()

    def clean(self) -> None:
        """Remove all keys and scripts; a server that does not answer is replaced by an empty one."""
        try:
            self._server.admin.flushall()
            self._server.admin.script_flush()
        except self._errors.RedisError:
            self._server.restart()
            self._impatient()

    def close(self) -> None:
        """End it."""
        self._server.close()

    def _impatient(self) -> None:
        # BUSY is said after this many milliseconds instead of five seconds: no client waits for that long.
        self._server.admin.config_set("busy-reply-threshold", 300)
