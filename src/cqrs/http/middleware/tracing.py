"""A span for every call, for OpenTelemetry.

Needs ``pip install "holdfast[otel]"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cqrs._tracing import ERROR, record_failure
from cqrs.http.flow import AsyncFlow, Flow, FlowMiddleware, Send, SyncFlow
from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout
from cqrs.http.middleware.labels import ending

if TYPE_CHECKING:
    from opentelemetry.trace import Span, TracerProvider

# Semantic conventions for HTTP client spans, stable since 1.23 (opentelemetry.io/docs/specs/semconv/http).
# Not url.full, though it is required: path values and query strings may be secrets.
METHOD = "http.request.method"
STATUS = "http.response.status_code"
TEMPLATE = "url.template"
SCHEME = "url.scheme"
ADDRESS = "server.address"
PORT = "server.port"
# Our own.
CLIENT = "holdfast.client.name"

_PORTS = {"http": 80, "https": 443}


class TracingMiddleware(FlowMiddleware):
    """Makes a client span of every call, named by its method and path template, and passes the context on.

    The headers that carry the context are those of the configured propagator, ``traceparent`` by default.
    Spans of calls that got no answer, and of answers from 400 on, have the status ``ERROR``; ``error.type``
    says why. A cancelled call is no error. No values of the path, no query, header or body is recorded, and
    of exceptions other than those of this package no message.

    Args:
        tracer_provider: where spans go; ``None``: the global one.

    Raises:
        ImportError: ``opentelemetry-api`` is not installed.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        try:
            from opentelemetry import propagate, trace
        except ImportError as error:
            raise ImportError('tracing needs pip install "holdfast[otel]"') from error
        self._trace = trace
        self._inject = propagate.inject
        self._tracer = trace.get_tracer("cqrs.http", tracer_provider=tracer_provider)

    def flow(self, request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout) -> Flow:
        trace = self._trace
        span = self._tracer.start_span(
            f"{request.method} {path}",
            kind=trace.SpanKind.CLIENT,
            attributes=_attributes(request, client_name, path),
            record_exception=False,
            set_status_on_exception=False,
        )
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                carrier: dict[str, str] = {}
                self._inject(carrier)
                response: HTTPResponse = yield Send(
                    request.with_headers(carrier) if carrier else request, timeout
                )
        except BaseException as error:
            self._failed(span, error)
            raise
        else:
            self._answered(span, response.status_code)
            return response
        finally:
            span.end()

    def _answered(self, span: Span, status: int) -> None:
        span.set_attribute(STATUS, status)
        if status >= 400:
            span.set_attribute(ERROR, str(status))
            span.set_status(self._trace.StatusCode.ERROR)

    def _failed(self, span: Span, error: BaseException) -> None:
        status = ending(error)
        if isinstance(status, int):
            self._answered(span, status)
        else:
            record_failure(span, error, self._trace.StatusCode.ERROR, status)


class AsyncTracingMiddleware(AsyncFlow, TracingMiddleware):
    __doc__ = TracingMiddleware.__doc__


class SyncTracingMiddleware(SyncFlow, TracingMiddleware):
    __doc__ = TracingMiddleware.__doc__


def _attributes(request: HTTPRequest, client_name: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = {METHOD: request.method, TEMPLATE: path, CLIENT: client_name}
    try:
        parts = urlsplit(request.url_pattern)
        port = parts.port
    except ValueError:  # the transport will say so
        return found
    if parts.hostname:
        found[SCHEME] = parts.scheme
        found[ADDRESS] = parts.hostname
        found[PORT] = port or _PORTS.get(parts.scheme, 0)
    return found
