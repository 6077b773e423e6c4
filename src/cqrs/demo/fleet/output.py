"""What remains on the terminal when the fleet's run is over: a verdict for people, figures for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cqrs.demo.figures import milliseconds
from cqrs.demo.fleet.facts import Facts, Process
from cqrs.demo.fleet.front import PATIENCE
from cqrs.demo.fleet.verdict import FleetResult
from cqrs.demo.output import verdict_lines
from cqrs.demo.recorder import Answer

#: Seconds of event loop delay beyond which a machine starves processes and their timeouts.
BUSY = 0.3
#: Columns of the text below the verdict.
WIDTH = 79


def closing(result: FleetResult, report: Path | None, *, colour: bool) -> str:
    """Return what was counted, the verdict and where the report is; ``colour`` needs an ANSI terminal."""
    lines = ["", *textwrap.wrap(counted(result.facts), WIDTH)]
    lines += verdict_lines(result.guarantees, colour=colour)
    if result.facts.lag > BUSY:
        lines += textwrap.wrap(busy(result.facts), WIDTH)
    if report is not None:
        lines.append(f"Report: {report.resolve()}")
    return "\n".join(lines)


def busy(facts: Facts) -> str:
    """Say that the machine may be to blame for what was broken."""
    return (
        f"This machine was busy: the event loop was up to {milliseconds(facts.lag)} late. Limits in seconds "
        "allow for that; the rest may have been broken by it."
    )


def counted(facts: Facts) -> str:
    """Say exactly what is counted as a caller, an answer and a loss."""
    again = sum(asked.tries > 1 for asked in facts.asked)
    answers = count(facts)
    by = ", ".join(
        f"{answers[answer]} {text}"
        for answer, text in (
            (Answer.PRIMARY, "by the primary"),
            (Answer.REJECTED, "by the fallback without a call (upstream spared)"),
            (Answer.FALLBACK, "by the fallback after a failed call"),
        )
    )
    return (
        f"{facts.sent} price queries were sent at a steady rate, one process after the other: {by}, "
        f"{answers[Answer.FAILED]} lost. Lost is an error, or no answer within {PATIENCE:g} s. When a "
        f"process dies, what it has not answered is asked of another one, as load balancers do with queries; "
        f"that happened to {again}, and the caller's wait includes it."
    )


def count(facts: Facts) -> Mapping[Answer, int]:
    """Count how the requests ended."""
    return {answer: sum(asked.answer is answer for asked in facts.asked) for answer in Answer}


def as_json(result: FleetResult, report: Path | None) -> dict[str, Any]:
    """Return the measured figures; times in seconds since the start, ``None`` for what never happened."""
    facts, plan = result.facts, result.plan
    return {
        "kept": result.kept,
        "seed": plan.seed,
        "seconds": facts.ended,
        "event_loop_lag": round(facts.lag, 4),
        "report": None if report is None else str(report.resolve()),
        "guarantees": [
            {"name": g.name, "promised": g.limit, "measured": g.measured, "kept": g.kept}
            for g in result.guarantees
        ],
        "callers": {
            "sent": facts.sent,
            **{answer.value: number for answer, number in count(facts).items()},
            "asked_again": sum(asked.tries > 1 for asked in facts.asked),
            "slowest": max((asked.seconds for asked in facts.asked), default=None),
            "errors": sorted({asked.error for asked in facts.asked if asked.error}),
        },
        "story": [{"at": round(told.at, 3), "text": told.text} for told in facts.story],
        "marks": {name: round(at, 3) for name, at in facts.marks.items()},
        "decisions": [
            {"at": round(d.at, 3), "from": d.from_state, "to": d.to_state, "reason": d.reason}
            for d in facts.decisions
        ],
        "processes": [_process(process) for process in facts.processes],
    }


def _process(process: Process) -> dict[str, Any]:
    return {
        "slot": process.slot,
        "pid": process.pid,
        "ready": process.ready,
        "killed": process.killed,
        "answers": {answer.value: number for answer, number in process.answers.items()},
        "calls": len(process.calls),
        "probes": len(process.probes()),
        "store_lost": process.degraded,
        "store_back": process.recovered,
        "transitions": [
            {"at": round(s.at, 3), "to": s.to_state, "reason": s.reason, "source": s.source}
            for s in process.switches
        ],
    }
