"""Failures in a row, counted across processes: what one process adds, in batches that may be repeated."""

from __future__ import annotations

from typing import Any


class Batch:
    """Outcomes since the last batch, in order but no longer than four numbers.

    ``head`` failures came before the first success, ``peak`` is the longest row between successes, ``tail``
    came after the last one. A batch has a number, so that the store takes it once however often it is sent.
    """

    __slots__ = ("head", "number", "peak", "sent_at", "succeeded", "tail")

    def __init__(self, number: int) -> None:
        self.number = number
        self.head = self.peak = self.tail = 0
        self.succeeded = False
        self.sent_at = 0.0  # for the first time

    def __bool__(self) -> bool:
        return self.succeeded or self.head > 0

    def failure(self) -> None:
        """Add a failure."""
        if self.succeeded:
            self.tail += 1
        else:
            self.head += 1

    def success(self) -> None:
        """Add a success: it ends a row."""
        if self.succeeded:
            self.peak = max(self.peak, self.tail)
            self.tail = 0
        self.succeeded = True

    def fields(self) -> dict[str, Any]:
        """Return what a report says of it.

        >>> batch = Batch(1)
        >>> for outcome in (batch.failure, batch.success, batch.failure, batch.failure, batch.success):
        ...     outcome()
        >>> batch.fields()
        {'n': 1, 'h': 1, 'k': 2, 'l': 0, 'z': 1}
        """
        return {
            "n": self.number,
            "h": self.head,
            "k": self.peak,
            "l": self.tail,
            "z": int(self.succeeded),
        }


NO_BATCH: dict[str, Any] = {"n": 0, "h": 0, "k": 0, "l": 0, "z": 0}
"""Fields of a report that adds no outcomes."""
