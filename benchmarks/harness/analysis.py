"""From samples to figures: medians, spread, ratios to the floor of the same round, verdicts on targets."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .coordinator import Samples
from .model import Target


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with its quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Summarise the values, at least one."""
        if len(values) < 2:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass(frozen=True, slots=True)
class Row:
    """One subject of a case, measured."""

    label: str
    environment: str
    floor: bool
    value: Spread
    values: tuple[float, ...]
    """All of them, round by round."""
    ratio: Spread | None
    """Value divided by the floor of the same environment and round."""
    above: Spread | None
    """Value minus that floor."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target, and what became of it."""

    target: Target
    measured: float | None
    """None when the subject could not be measured."""
    met: bool | None
    detail: str = ""


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of all values does not exceed; never in between two."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def rows(samples: Samples) -> list[Row]:
    """One row for each subject that was measured, in the order of the case."""
    floors = {s.environment: s.label for s in samples.case.subjects if s.floor}
    found: list[Row] = []
    for subject in samples.case.subjects:
        pairs: list[tuple[float, float | None]] = []
        for number in samples.rounds:
            values = number.get(subject.environment, {})
            if subject.label in values:
                pairs.append((values[subject.label], values.get(floors.get(subject.environment, ""))))
        if not pairs:
            continue
        with_floor = [(value, floor) for value, floor in pairs if floor]
        found.append(
            Row(
                subject.label,
                subject.environment,
                subject.floor,
                Spread.of([value for value, _ in pairs]),
                tuple(value for value, _ in pairs),
                Spread.of([value / floor for value, floor in with_floor]) if with_floor else None,
                Spread.of([value - floor for value, floor in with_floor]) if with_floor else None,
            )
        )
    return found


def verdicts(samples: Samples) -> list[Verdict]:
    """Every target of the case, judged by the medians over the rounds."""
    measured = {row.label: row for row in rows(samples) if not row.floor}
    return [_judge(target, samples, measured) for target in samples.case.targets]


def _judge(target: Target, samples: Samples, measured: dict[str, Row]) -> Verdict:
    row = measured.get(target.subject)
    if row is None:
        return Verdict(target, None, None)
    if target.metric == "value":
        return Verdict(target, row.value.median, row.value.median <= target.limit)
    if target.metric == "least":
        return Verdict(target, row.value.median, row.value.median >= target.limit)
    if target.metric == "exactly":
        furthest = max(row.values, key=lambda value: abs(value - target.limit))
        return Verdict(target, furthest, furthest == target.limit, f"of {len(row.values)}")
    if target.metric in ("p99", "worst"):
        high = max(row.values) if target.metric == "worst" else percentile(row.values, 0.99)
        return Verdict(target, high, high <= target.limit, f"of {len(row.values)}")
    if target.metric == "ratio" and row.ratio:
        return Verdict(target, row.ratio.median, row.ratio.median <= target.limit)
    if target.metric == "share" and row.ratio:
        return Verdict(target, row.ratio.median, row.ratio.median >= target.limit)
    if target.metric == "above" and row.above:
        return Verdict(target, row.above.median, row.above.median <= target.limit)
    if target.metric == "fastest":
        return _against_all(target, samples, row, measured)
    other = measured.get(target.against or "")
    if other is None:
        return Verdict(target, None, None)
    if target.metric in ("growth", "times"):
        factor = _relative(samples, row.label, other.label)
        met = factor >= target.limit if target.metric == "times" else factor <= target.limit
        return Verdict(target, factor, met)
    if target.metric == "speedup" and row.above and other.above:
        speedup = other.above.median / row.above.median
        return Verdict(target, speedup, speedup >= target.limit)
    return Verdict(target, None, None)


def _against_all(target: Target, samples: Samples, row: Row, measured: dict[str, Row]) -> Verdict:
    peers = {label: r for label, r in measured.items() if not label.startswith("Holdfast")}
    if not peers:
        return Verdict(target, None, None)
    best = min(peers, key=lambda label: peers[label].value.median)
    speed = _relative(samples, best, row.label)
    return Verdict(target, speed, speed > 1, f"best peer: {best}")


def _relative(samples: Samples, label: str, other: str) -> float:
    """The median of ``label``'s value divided by ``other``'s of the same round."""
    values = [
        {label: value for per_environment in number.values() for label, value in per_environment.items()}
        for number in samples.rounds
    ]
    return Spread.of([v[label] / v[other] for v in values if label in v and other in v]).median
