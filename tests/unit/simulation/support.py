"""Scenarios small enough to be computed by hand."""

from __future__ import annotations

from typing import Any

from cqrs.simulation import Phase, ResponseTime, Scenario

EXACT = ResponseTime(0.1)
"""Every call takes 100 ms."""

AT_ONCE = ResponseTime(1e-6)
"""So quick that no two calls of a process overlap."""


def up(seconds: float = 20.0, **fields: Any) -> Phase:
    return Phase("up", seconds, **({"response_time": EXACT} | fields))


def down(seconds: float = 20.0, **fields: Any) -> Phase:
    return Phase(
        "down", seconds, **({"response_time": AT_ONCE, "error_rate": 1.0, "healthy": False} | fields)
    )


def scenario(*phases: Phase, **fields: Any) -> Scenario:
    return Scenario(phases, **fields)
