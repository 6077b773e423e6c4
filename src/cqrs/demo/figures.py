"""Arithmetic on what was recorded: counts, percentiles, time slots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cqrs.demo.recorder import Answer, Done


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank percentile of ``values``, ``share`` in (0, 1]; ``None`` without values.

    >>> percentile([3.0, 1.0, 2.0], 0.5), percentile([], 0.5)
    (2.0, None)
    """
    if not values:
        return None
    ordered = sorted(values)
    rank = -(-share * len(ordered) // 1)
    return ordered[max(int(rank), 1) - 1]


@dataclass(frozen=True)
class Figures:
    """Counts and answer times (seconds, ``None`` when nothing was answered) of some requests."""

    primary: int
    fallback: int
    rejected: int
    failed: int
    p50: float | None
    p99: float | None

    @classmethod
    def of(cls, requests: Iterable[Done]) -> Figures:
        """Work the figures out."""
        counts: Counter[Answer] = Counter()
        seconds: list[float] = []
        for done in requests:
            counts[done.answer] += 1
            seconds.append(done.seconds)
        return cls(
            primary=counts[Answer.PRIMARY],
            fallback=counts[Answer.FALLBACK],
            rejected=counts[Answer.REJECTED],
            failed=counts[Answer.FAILED],
            p50=percentile(seconds, 0.5),
            p99=percentile(seconds, 0.99),
        )

    @property
    def total(self) -> int:
        """Requests that ended, however they ended."""
        return self.answered + self.failed

    @property
    def answered(self) -> int:
        """Requests that got an answer."""
        return self.primary + self.by_fallback

    @property
    def by_fallback(self) -> int:
        """Requests that a fallback answered, whether or not the upstream was called first."""
        return self.fallback + self.rejected

    @property
    def answered_percent(self) -> float | None:
        """Share of answered requests in percent, ``None`` without requests."""
        return 100.0 * self.answered / self.total if self.total else None


def slots(requests: Iterable[Done], length: float, count: int) -> list[list[Done]]:
    """Sort requests by when they ended into ``count`` slots that divide ``length`` seconds."""
    result: list[list[Done]] = [[] for _ in range(count)]
    for done in requests:
        result[min(max(int(done.at / length * count), 0), count - 1)].append(done)
    return result


def milliseconds(seconds: float | None) -> str:
    """Write a duration for people: three digits at most, a dash without one.

    >>> milliseconds(0.00123), milliseconds(0.0456), milliseconds(1.5), milliseconds(None)
    ('1.2 ms', '46 ms', '1.5 s', '–')
    """
    if seconds is None:
        return "–"
    if seconds >= 1:
        return f"{seconds:.1f} s"
    if seconds >= 0.01:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds * 1000:.1f} ms"


def percent(value: float | None) -> str:
    """Write a share so that only a true 100 % reads as 100 %.

    >>> percent(100.0), percent(99.97), percent(None)
    ('100 %', '99.9 %', '–')
    """
    if value is None:
        return "–"
    if value == int(value):
        return f"{value:.0f} %"
    return f"{int(value * 10) / 10:.1f} %"
