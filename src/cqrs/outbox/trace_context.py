"""The trace context of whoever adds an event, to travel with it (W3C Trace Context, OpenTelemetry)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

__all__ = ["trace_headers"]


def trace_headers() -> Mapping[str, str]:
    """Return the headers that carry the current span; none without a span, or without OpenTelemetry."""
    inject = _injector()
    if inject is None:
        return {}
    carrier: dict[str, str] = {}
    inject(carrier)
    return carrier


@functools.cache
def _injector() -> Callable[[dict[str, str]], None] | None:
    try:
        from opentelemetry import propagate
    except ImportError:
        return None
    return propagate.inject
