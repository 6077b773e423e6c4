"""What a person sees while the fleet runs: the port, and the plain lines."""

from __future__ import annotations

from typing import Protocol, TextIO

from cqrs.demo.fleet.facts import Facts
from cqrs.demo.fleet.plan import Plan

MARKS = {"act": "──", "good": " ✓", "bad": " ✗", "": "  "}


class FleetView(Protocol):
    """Shows a run; ``interval`` is the seconds between calls of ``refresh``."""

    interval: float

    def start(self, facts: Facts, plan: Plan) -> None:
        """Begin to show the run."""
        ...

    def refresh(self) -> None:
        """Show what is new."""
        ...

    def stop(self) -> None:
        """Leave the terminal as it was."""
        ...


class SilentFleetView:
    """Shows nothing."""

    interval = 1.0

    def start(self, facts: Facts, plan: Plan) -> None:
        """Do nothing."""

    def refresh(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


class PlainFleetView:
    """Writes each line of the story when it happens."""

    interval = 0.1

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def start(self, facts: Facts, plan: Plan) -> None:
        """Say who takes part."""
        self._facts = facts
        self._told = 0
        pids = ", ".join(f"{p.name} has pid {p.pid}" for p in facts.processes)
        self._line(f"{plan.rate:g} price queries a second, spread over the processes: {pids}.")

    def refresh(self) -> None:
        """Write what was told since the last call."""
        for told in self._facts.story[self._told :]:
            self._told += 1
            self._line(f"{told.at:5.1f} s  {MARKS[told.kind]} {told.text}")

    def stop(self) -> None:
        """Write what is left."""
        self.refresh()

    def _line(self, text: str) -> None:
        # The reader may be a pipe: each line counts when it is written.
        self._out.write(text + "\n")
        self._out.flush()
