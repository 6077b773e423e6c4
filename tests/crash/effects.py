"""What steps did to the world: an append-only file, which survives the process that wrote it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple


class Effect(NamedTuple):
    """One thing that was done, in the order in which it was done."""

    saga: str
    position: int
    action: str  # "act" or "compensate"
    step: str
    key: str  # the idempotency key under which it was done
    pid: int


def append(path: Path, values: list[Any]) -> None:
    """Append a line to a file that other processes append to; written by one call, it is never torn.

    A killed process loses nothing that it has written: it has reached the kernel.
    """
    line = (json.dumps(values) + "\n").encode()
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        written = os.write(file, line)
    finally:
        os.close(file)
    assert written == len(line), "a torn line"


def read(path: Path) -> list[list[Any]]:
    """Return the lines, oldest first."""
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except FileNotFoundError:
        return []


class Effects:
    """A file to which several processes append what their steps do."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def record(self, saga: str, position: int, action: str, step: str, key: str) -> None:
        append(self.path, [saga, position, action, step, key, os.getpid()])

    def all(self) -> list[Effect]:
        return [Effect(*line) for line in read(self.path)]

    def of(self, saga: str) -> list[Effect]:
        return [effect for effect in self.all() if effect.saga == saga]


def count(effects: Iterable[Effect]) -> Counter[tuple[int, str]]:
    """Return how often each (position, action) was done."""
    return Counter((effect.position, effect.action) for effect in effects)
