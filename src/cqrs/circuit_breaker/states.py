"""The words for what a circuit is and what it may be told to be."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """State of a circuit, as exported to errors, events and metrics."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"
    METRICS_ONLY = "metrics_only"


class Mode(StrEnum):
    """What an operator may tell a circuit to do.

    ``ENABLED``: the state machine decides. ``FORCED_OPEN``: reject everything. ``DISABLED``: admit
    everything, record nothing. ``METRICS_ONLY``: admit everything, record, and report once when the circuit
    would have opened.
    """

    ENABLED = "enabled"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"
    METRICS_ONLY = "metrics_only"
