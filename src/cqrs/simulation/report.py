"""Results as a table for people and as CSV for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping

from cqrs.simulation.result import SimulationResult, Spread

_Column = tuple[str, Callable[[SimulationResult], str]]

_COLUMNS: tuple[_Column, ...] = (
    ("calls", lambda result: f"{result.arrivals}"),
    ("answered", lambda result: f"{result.availability():.1%}"),
    ("+fallback", lambda result: f"{result.availability(fallback=1.0):.1%}"),
    ("leaked", lambda result: f"{result.leaked}"),
    ("needless", lambda result: f"{result.needless_rejections}"),
    ("opens first/p50/last", lambda result: _opens(result.time_to_open)),
    ("recovers p50/p99", lambda result: _recovers(result.time_to_recover)),
    ("still open", lambda result: f"{result.unrecovered}" if result.guarded else "-"),
    ("re-trips", lambda result: f"{result.retrips}" if result.guarded else "-"),
    ("probes", lambda result: f"{result.probes}" if result.guarded else "-"),
    ("mean wait", lambda result: f"{result.mean_wait * 1000:.0f} ms"),
)
_OF_THE_STORE: tuple[_Column, ...] = (
    ("store/s mean/peak", lambda result: _commands(result)),
    ("lost it", lambda result: "-" if result.store is None else f"{result.degraded}"),
)

LEGEND = """\
answered    calls that the dependency answered in time; +fallback: with a fallback that always answers
leaked      calls sent although the dependency was unhealthy
needless    calls rejected although it was healthy
opens       seconds from the start of the fault until a circuit opened (first, median, last of the processes)
recovers    seconds from its end until a circuit was closed for good
still open  processes whose circuit was not closed in the end
re-trips    times that a circuit cut off traffic again after the end of the fault
probes      calls sent to find out whether the dependency is well again"""

STORE_LEGEND = """\
store/s     commands per second that the store got from all processes: mean, and in the busiest second
lost it     processes without their store in the worst second: they decide alone"""


def _opens(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.first:.1f} / {spread.median:.1f} / {spread.last:.1f} s"


def _recovers(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.median:.1f} / {spread.p99:.1f} s"


def _commands(result: SimulationResult) -> str:
    store = result.store
    return "-" if store is None else f"{store.commands_per_second:.0f} / {store.peak}"


def table(results: Mapping[str, SimulationResult]) -> str:
    """Return one row per policy, columns aligned; more of them if a store was used."""
    shared = any(result.store is not None for result in results.values())
    columns = [*_COLUMNS, *_OF_THE_STORE] if shared else _COLUMNS
    rows = [["policy", *(title for title, _ in columns)]]
    rows += [[name, *(text(result) for _, text in columns)] for name, result in results.items()]
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
    "probes",
)
USE = ("commands_per_second", "peak", "unanswered", "published", "openings")


def as_csv(results: Iterable[tuple[str, SimulationResult]]) -> str:
    """Return one line per policy and result; durations are seconds, empty where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    parts = ("first", "median", "p99", "last")
    spreads = [f"time_to_{what}_{part}" for what in ("open", "recover") for part in parts]
    used = [f"store_{figure}" for figure in USE]
    head = ["scenario", "policy", "circuits", *FIGURES, *spreads, "mean_wait", "availability"]
    writer.writerow([*head, *used, "degraded"])
    for name, result in results:
        figures = [getattr(result, figure) for figure in FIGURES]
        seconds = [*_cells(result.time_to_open), *_cells(result.time_to_recover)]
        last = [f"{result.mean_wait:.4f}", f"{result.availability():.4f}", *_used(result)]
        writer.writerow([result.scenario, name, _circuits(result), *figures, *seconds, *last])
    return out.getvalue()


def _circuits(result: SimulationResult) -> str:
    if not result.guarded:
        return "none"
    return "own" if result.store is None else "shared"


def _cells(spread: Spread | None) -> list[str]:
    if spread is None:
        return [""] * 4
    return [f"{value:.2f}" for value in (spread.first, spread.median, spread.p99, spread.last)]


def _used(result: SimulationResult) -> list[str]:
    store = result.store
    if store is None:
        return [""] * (len(USE) + 1)
    mean, *counts = (getattr(store, figure) for figure in USE)
    return [f"{mean:.1f}", *map(str, counts), str(result.degraded)]
