"""Service clients: what they and their breaker add to a call over HTTP."""

from __future__ import annotations

from . import guard, layer, loopback, mock, rejected

CASES = (*layer.CASES, *guard.CASES, *mock.CASES, *loopback.CASES, *rejected.CASES)
