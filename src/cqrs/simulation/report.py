"""Results as a table for people and as CSV for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping

from cqrs.simulation.result import SimulationResult, Spread

_COLUMNS: tuple[tuple[str, Callable[[SimulationResult], str]], ...] = (
    ("calls", lambda result: f"{result.arrivals}"),
    ("answered", lambda result: f"{result.availability():.1%}"),
    ("+fallback", lambda result: f"{result.availability(fallback=1.0):.1%}"),
    ("leaked", lambda result: f"{result.leaked}"),
    ("needless", lambda result: f"{result.needless_rejections}"),
    ("opens p50/p99", lambda result: _pair(result.time_to_open)),
    ("recovers p50/p99", lambda result: _pair(result.time_to_recover)),
    ("still open", lambda result: f"{result.unrecovered}" if result.guarded else "-"),
    ("re-trips", lambda result: f"{result.retrips}" if result.guarded else "-"),
    ("mean wait", lambda result: f"{result.mean_wait * 1000:.0f} ms"),
)

LEGEND = """\
answered    calls that the dependency answered in time; +fallback: with a fallback that always answers
leaked      calls sent although the dependency was unhealthy
needless    calls rejected although it was healthy
opens       seconds from the start of the fault until a circuit opened (median and p99 of the processes)
recovers    seconds from its end until a circuit was closed for good
still open  processes whose circuit was not closed in the end
re-trips    times that a circuit cut off traffic again after the end of the fault"""


def _pair(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.median:.1f} / {spread.p99:.1f} s"


def table(results: Mapping[str, SimulationResult]) -> str:
    """Return one row per policy, columns aligned."""
    rows = [["policy", *(title for title, _ in _COLUMNS)]]
    rows += [[name, *(text(result) for _, text in _COLUMNS)] for name, result in results.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in rows
    )


FIGURES = (
    "processes",
    "seed",
    "duration",
    "arrivals",
    "answered",
    "rejected",
    "failed",
    "timed_out",
    "cancelled",
    "leaked",
    "needless_rejections",
    "opened",
    "openings",
    "trips",
    "retrips",
    "unrecovered",
)


def as_csv(results: Mapping[str, Mapping[str, SimulationResult]]) -> str:
    """Return one line per scenario and policy; durations are seconds, empty where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    spreads = [f"time_to_{what}_{part}" for what in ("open", "recover") for part in ("median", "p99")]
    writer.writerow(["scenario", "policy", *FIGURES, *spreads, "mean_wait", "availability"])
    for by_policy in results.values():
        for name, result in by_policy.items():
            figures = [getattr(result, figure) for figure in FIGURES]
            seconds = [*_cells(result.time_to_open), *_cells(result.time_to_recover)]
            last = [f"{result.mean_wait:.4f}", f"{result.availability():.4f}"]
            writer.writerow([result.scenario, name, *figures, *seconds, *last])
    return out.getvalue()


def _cells(spread: Spread | None) -> list[str]:
    return ["", ""] if spread is None else [f"{spread.median:.2f}", f"{spread.p99:.2f}"]
