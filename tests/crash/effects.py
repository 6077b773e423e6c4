"""What steps did to the world: an append-only file, which survives the process that wrote it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Effect(NamedTuple):
    """One thing that was done, in the order in which it was done."""

    saga: str
    position: int
    action: str  # "act" or "compensate"
    step: str
    key: str  # the idempotency key under which it was done
    pid: int


class Effects:
    """A file to which several processes append; each line is written by one call, and so is never torn.

    Killed processes lose nothing that they have written: it has reached the kernel.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def record(self, saga: str, position: int, action: str, step: str, key: str) -> None:
        line = json.dumps([saga, position, action, step, key, os.getpid()]) + "\n"
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            written = os.write(file, line.encode())
        finally:
            os.close(file)
        assert written == len(line.encode()), "a torn line"

    def all(self) -> list[Effect]:
        try:
            lines = self.path.read_text().splitlines()
        except FileNotFoundError:
            return []
        return [Effect(*json.loads(line)) for line in lines]

    def of(self, saga: str) -> list[Effect]:
        return [effect for effect in self.all() if effect.saga == saga]


def count(effects: Iterable[Effect]) -> Counter[tuple[int, str]]:
    """Return how often each (position, action) was done."""
    return Counter((effect.position, effect.action) for effect in effects)
