"""A span for every attempt to handle a message, for OpenTelemetry, when it is installed."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from cqrs._tracing import record_failure
from cqrs.message_brokers.receiving import ReceivedMessage

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

# Semantic conventions for messaging spans, in development (opentelemetry.io/docs/specs/semconv/messaging).
OPERATION = "messaging.operation.type"
OPERATION_NAME = "messaging.operation.name"
DESTINATION = "messaging.destination.name"
MESSAGE_ID = "messaging.message.id"
# Our own.
MESSAGE_NAME = "holdfast.message.name"
ATTEMPT = "holdfast.message.attempt"


class Tracing:
    """Makes consumer spans whose parent is the span that published the message; without the library, none.

    Args:
        tracer_provider: where spans go; ``None``: the global one.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._trace: Any = None
        try:
            from opentelemetry import propagate, trace
        except ImportError:
            return
        self._trace = trace
        self._extract = propagate.extract
        self._tracer = trace.get_tracer("cqrs.consumers", tracer_provider=tracer_provider)

    @contextlib.contextmanager
    def span(self, message: ReceivedMessage, attempt: int) -> Generator[None]:
        """Surround an attempt; what it raises is noted in the span, and crosses."""
        if self._trace is None:
            yield
            return
        trace = self._trace
        span = self._tracer.start_span(
            f"process {message.topic}",
            context=self._extract(message.headers),
            kind=trace.SpanKind.CONSUMER,
            attributes=_attributes(message, attempt),
            record_exception=False,
            set_status_on_exception=False,
        )
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                yield
        except BaseException as error:
            record_failure(span, error, trace.StatusCode.ERROR, type(error).__qualname__)
            raise
        finally:
            span.end()


def _attributes(message: ReceivedMessage, attempt: int) -> dict[str, str | int]:
    found: dict[str, str | int] = {
        OPERATION: "process",
        OPERATION_NAME: "process",
        DESTINATION: message.topic,
        ATTEMPT: attempt,
    }
    if message.message_name is not None:
        found[MESSAGE_NAME] = message.message_name
    if message.message_id is not None:
        found[MESSAGE_ID] = str(message.message_id)
    return found
