"""Circuits that processes share through Redis."""

from __future__ import annotations

from . import calls, outage, probes, reaction

CASES = (*calls.CASES, *reaction.CASES, *probes.CASES, *outage.CASES)
