"""What spans tell of failures, whatever it is that failed (OpenTelemetry)."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from cqrs.exceptions import CqrsError

if TYPE_CHECKING:
    from opentelemetry.trace import Span, StatusCode

ERROR = "error.type"  # stable since 1.21 (opentelemetry.io/docs/specs/semconv/attributes-registry/error)


def record_failure(span: Span, error: BaseException, failed: StatusCode, description: str | None) -> None:
    """Note in ``span`` that it ended with ``error``; what is no ``Exception``, a cancellation, is no failure.

    Args:
        span: the span.
        error: how it ended.
        failed: ``StatusCode.ERROR``; nothing of OpenTelemetry is imported here.
        description: of the status.
    """
    if not isinstance(error, Exception):
        span.set_attribute(ERROR, type(error).__qualname__)
        return
    kind = type(error)
    span.set_attribute(ERROR, f"{kind.__module__}.{kind.__qualname__}")
    span.add_event("exception", _told(error))
    span.set_status(failed, description)


def _told(error: Exception) -> dict[str, str]:
    """Return what is recorded of an exception: what others say in theirs, or in a cause, may be secret."""
    kind = type(error)
    told = {"exception.type": f"{kind.__module__}.{kind.__qualname__}"}
    if isinstance(error, CqrsError):
        told["exception.message"] = str(error)
    told["exception.stacktrace"] = "".join(traceback.format_tb(error.__traceback__))
    return told
