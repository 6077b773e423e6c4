"""A span for every call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import SecretStr

from cqrs.circuit_breaker import CircuitOpenError
from cqrs.http.errors import HTTPConnectionError, HTTPError, HTTPTimeoutError
from cqrs.http.messages import HTTPRequest, HTTPResponse
from cqrs.http.middleware import tracing
from tests.unit.http.middleware.sides import Server, Side


class Traces:
    """Spans in memory."""

    def __init__(self) -> None:
        self.provider = TracerProvider()
        self.exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def one(self) -> ReadableSpan:
        (span,) = self.spans
        return span


@pytest.fixture
def traces() -> Traces:
    return Traces()


def made(side: Side, traces: Traces) -> Any:
    return side.make(tracing, "TracingMiddleware", traces.provider)


def http_error(status: int) -> HTTPError:
    return HTTPError.of(HTTPRequest("GET", "http://user"), HTTPResponse(status, {}))


def test_a_call_is_a_client_span(side: Side, traces: Traces) -> None:
    side.call(Server(200), made(side, traces))
    span = traces.one()
    assert span.name == "GET /v1/users/{name}"
    assert span.kind is trace.SpanKind.CLIENT
    assert span.attributes == {
        "http.request.method": "GET",
        "url.template": "/v1/users/{name}",
        "url.scheme": "http",
        "server.address": "user",
        "server.port": 8000,
        "http.response.status_code": 200,
        "holdfast.client.name": "user",
    }
    assert span.status.status_code is trace.StatusCode.UNSET
    assert span.end_time is not None


def test_the_context_is_passed_on(side: Side, traces: Traces) -> None:
    server = Server()
    side.call(server, made(side, traces), headers={"Accept": "text/plain", "traceparent": "mine"})
    context = traces.one().context
    assert server.headers() == {
        "accept": "text/plain",
        "traceparent": f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}",
    }


def test_it_is_a_child_of_the_present_span_and_the_parent_of_what_is_further_in(
    side: Side, traces: Traces
) -> None:
    inner: list[Any] = []
    server = Server()
    server.then = lambda _: inner.append(trace.get_current_span().get_span_context())
    tracer = traces.provider.get_tracer("test")
    with tracer.start_as_current_span("outer") as outer:
        side.call(server, made(side, traces))
        assert trace.get_current_span() is outer
    span = traces.spans[0]
    assert span.parent is not None
    assert span.parent.span_id == outer.get_span_context().span_id
    assert inner == [span.context]


@pytest.mark.parametrize("answer", [404, 503, http_error(404), http_error(503)], ids=repr)
def test_answers_from_400_on_are_errors(side: Side, traces: Traces, answer: Any) -> None:
    server = Server(answer)
    status = answer if isinstance(answer, int) else answer.status_code
    if isinstance(answer, int):
        side.call(server, made(side, traces))
    else:
        with pytest.raises(HTTPError):
            side.call(server, made(side, traces))
    span = traces.one()
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == status
    assert span.attributes["error.type"] == str(status)
    assert span.status.status_code is trace.StatusCode.ERROR
    assert not span.events


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (HTTPTimeoutError("late"), "timeout"),
        (HTTPConnectionError("refused"), "connection_error"),
        (CircuitOpenError("user"), "rejected"),
        (ZeroDivisionError(), "error"),
    ],
    ids=repr,
)
def test_calls_without_an_answer_are_errors(side: Side, traces: Traces, error: Exception, word: str) -> None:
    with pytest.raises(type(error)):
        side.call(Server(error), made(side, traces))
    span = traces.one()
    kind = type(error)
    assert span.attributes is not None
    assert span.attributes["error.type"] == f"{kind.__module__}.{kind.__qualname__}"
    assert "http.response.status_code" not in span.attributes
    assert (span.status.status_code, span.status.description) == (trace.StatusCode.ERROR, word)
    assert [event.name for event in span.events] == ["exception"]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()], ids=repr)
def test_a_cancelled_call_is_ended_and_no_error(side: Side, traces: Traces, error: BaseException) -> None:
    with pytest.raises(type(error)):
        side.call(Server(error), made(side, traces))
    span = traces.one()
    assert span.status.status_code is trace.StatusCode.UNSET
    assert not span.events


def test_messages_of_strangers_are_not_recorded(side: Side, traces: Traces) -> None:
    ours = HTTPConnectionError("refused")
    ours.__cause__ = ValueError("http://user:8000/v1/users/s3cret")
    for error in (ours, ValueError("s3cret")):
        with pytest.raises(type(error)):
            side.call(Server(error), made(side, traces))
    first, second = (dict(span.events[0].attributes or {}) for span in traces.spans)
    assert (first["exception.message"], first["exception.type"]) == (
        "refused",
        "cqrs.http.errors.HTTPConnectionError",
    )
    assert second["exception.type"] == "builtins.ValueError"
    assert "call_next" in str(second["exception.stacktrace"])
    assert not any("v1/users/s3cret" in str(value) for value in first.values())
    assert "exception.message" not in second


def test_nothing_secret_is_recorded(side: Side, traces: Traces) -> None:
    def late(request: HTTPRequest) -> Exception:
        return HTTPTimeoutError("late", request)

    for answer in (200, late):
        try:
            side.call(
                Server(answer),
                made(side, traces),
                querystring={"q": "s3cret"},
                headers={"X-Key": SecretStr("s3cret")},
                body=b"s3cret",
            )
        except HTTPTimeoutError:
            pass
    assert len(traces.spans) == 2
    for span in traces.spans:
        assert "s3cret" not in span.to_json()
        assert "alice" not in span.to_json()


@pytest.mark.parametrize(
    ("url", "port"), [("https://user/v1", 443), ("http://user/v1", 80), ("http://[::1]:81/v1", 81)]
)
def test_ports(url: str, port: int) -> None:
    assert tracing._attributes(HTTPRequest("GET", url), "user", "/v1")["server.port"] == port


def test_a_url_that_is_none_is_not_our_business() -> None:
    assert "server.port" not in tracing._attributes(HTTPRequest("GET", "http://a:b/"), "user", "/")


def test_without_a_sdk_nothing_happens(side: Side) -> None:
    server = Server()
    assert side.call(server, side.make(tracing, "TracingMiddleware")).status_code == 200
    assert "traceparent" not in server.headers()
