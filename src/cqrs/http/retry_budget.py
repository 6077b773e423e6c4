"""How many retries a dependency gets: a share of what works, so that retries do not multiply an outage."""

from __future__ import annotations

import threading

from cqrs.circuit_breaker import validation


class RetryBudget:
    """Tokens that successes earn and retries spend; for threads and tasks alike.

    A retry is allowed when there is a whole token, which it spends, or when fewer than ``floor`` retries are
    under way. It starts without tokens: the floor is what the first retries of a process live on.

    Args:
        per_success: tokens that a success earns; in (0, 1].
        cap: tokens kept at most; >= 1.
        floor: retries that may always be under way at the same time; >= 0.

    Raises:
        PolicyError: an argument is out of range.

    >>> budget = RetryBudget(per_success=0.5, floor=0)
    >>> budget.take()
    False
    >>> budget.succeeded(); budget.succeeded(); budget.take()
    True
    """

    __slots__ = ("_cap", "_earned", "_floor", "_lock", "_running", "_tokens")

    def __init__(self, per_success: float = 0.1, cap: float = 100.0, floor: int = 3) -> None:
        self._earned = validation.ratio("RetryBudget.per_success", per_success)
        self._cap = validation.seconds("RetryBudget.cap", cap, low=1.0, strict=False)
        self._floor = validation.count("RetryBudget.floor", floor, low=0)
        self._tokens = 0.0
        self._running = 0
        self._lock = threading.Lock()

    @property
    def tokens(self) -> float:
        """Tokens that are left."""
        return self._tokens

    @property
    def running(self) -> int:
        """Retries that are under way."""
        return self._running

    def succeeded(self) -> None:
        """Note a call that succeeded."""
        if self._tokens < self._cap:  # without the lock: most calls find it full
            with self._lock:
                self._tokens = min(self._cap, self._tokens + self._earned)

    def take(self) -> bool:
        """Ask for a retry; ``True``: it may be made, and ``done`` must be called when it has ended."""
        with self._lock:
            # A sum of tenths is a little less than it should be.
            if self._tokens >= 1.0 - 1e-9:
                self._tokens = max(0.0, self._tokens - 1.0)
            elif self._running >= self._floor:
                return False
            self._running += 1
            return True

    def done(self) -> None:
        """Note that a retry has ended, however it did."""
        with self._lock:
            self._running -= 1
