"""What remains on the terminal when the run is over: the verdict for people, the figures for programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cqrs.demo.figures import Figures
from cqrs.demo.recorder import Service
from cqrs.demo.story import sentence
from cqrs.demo.verdict import Guarantee, Result

_COLOURS = {" ": "", "✓": "\x1b[1;32m", "✗": "\x1b[1;31m"}
_PLAIN = "\x1b[0m"


def closing(result: Result, report: Path | None, *, colour: bool) -> str:
    """Return the story, the verdict table and where the report is; ``colour`` needs an ANSI terminal."""
    lines = [""]
    lines += [sentence(phase.phase, phase.figures[Service.WITH]) for phase in result.summary.phases]
    lines += verdict_lines(result.guarantees, colour=colour)
    if report is not None:
        lines.append(f"Report: {report.resolve()}")
    return "\n".join(lines)


def verdict_lines(guarantees: Sequence[Guarantee], *, colour: bool) -> list[str]:
    """Return the verdict as a table, and in a sentence."""
    rows = [(" ", "Guarantee", "Promised", "Measured")]
    rows += [("✓" if g.kept else "✗", g.name, g.limit, g.measured) for g in guarantees]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [""]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        if colour:
            cells[0] = _COLOURS[cells[0]] + cells[0] + _PLAIN
        lines.append("  ".join([*cells, row[-1]]))
    broken = sum(not guarantee.kept for guarantee in guarantees)
    return [*lines, "", f"{broken} guarantees were broken." if broken else "Every guarantee was kept."]


def as_json(result: Result, report: Path | None) -> dict[str, Any]:
    """Return the measured figures; times in seconds, ``None`` for what never happened."""
    summary = result.summary
    return {
        "kept": result.kept,
        "seed": summary.seed,
        "seconds": round(summary.seconds, 3),
        "event_loop_lag": round(summary.lag, 4),
        "report": None if report is None else str(report.resolve()),
        "guarantees": [
            {"name": g.name, "promised": g.limit, "measured": g.measured, "kept": g.kept}
            for g in result.guarantees
        ],
        "spared_percent": summary.spared_percent,
        "services": {
            service.name.lower(): {
                "submitted": measured.submitted,
                **_figures(measured.figures),
                "upstream_calls": measured.calls,
                "upstream_calls_in_trouble": measured.calls_in_trouble,
                "orders": measured.books.orders,
                "shipments_announced": measured.books.announced,
                "shipments_parked": measured.books.parked,
            }
            for service, measured in summary.services.items()
        },
        "phases": [
            {
                "name": phase.phase.name,
                "start": round(phase.start, 3),
                "end": round(phase.end, 3),
                **{service.name.lower(): _figures(phase.figures[service]) for service in Service},
                "upstream_calls": {service.name.lower(): phase.calls[service] for service in Service},
            }
            for phase in summary.phases
        ],
        "circuits": [
            {
                "name": circuit.kind.value,
                "opened_after": circuit.opened_after,
                "recovered_after": circuit.recovered_after,
                "control_recovered_after": circuit.control_recovered_after,
                **_figures(circuit.figures),
                "transitions": [
                    {"at": round(s.at, 3), "from": s.from_state, "to": s.to_state, "reason": s.reason}
                    for s in circuit.switches
                ],
            }
            for circuit in summary.circuits
        ],
        "orphans": list(summary.orphans),
    }


def _figures(figures: Figures) -> dict[str, Any]:
    return {
        "primary": figures.primary,
        "fallback": figures.fallback,
        "rejected": figures.rejected,
        "failed": figures.failed,
        "answered_percent": figures.answered_percent,
        "p50": figures.p50,
        "p99": figures.p99,
    }
