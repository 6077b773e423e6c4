"""Counting calls where they arrive, over all processes."""

from __future__ import annotations

from typing import Any

from .stage import context


class Tally:
    """Counts calls where they arrive, over all processes."""

    def __init__(self) -> None:
        # Numbers: arrived, running, most that ran at once.
        self.numbers: Any = context().Array("i", 3)

    def enter(self) -> int:
        """Count one call in; returns which it is."""
        with self.numbers.get_lock():
            arrived, running, most = self.numbers[0] + 1, self.numbers[1] + 1, self.numbers[2]
            self.numbers[0], self.numbers[1], self.numbers[2] = arrived, running, max(most, running)
            return int(arrived)

    def leave(self) -> None:
        """Count it out."""
        with self.numbers.get_lock():
            self.numbers[1] -= 1

    def begin(self) -> None:
        """Start from nothing."""
        with self.numbers.get_lock():
            self.numbers[0] = self.numbers[1] = self.numbers[2] = 0
