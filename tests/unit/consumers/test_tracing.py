"""Spans of attempts: children of whoever published the message."""

from __future__ import annotations

import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from cqrs.testing import FakeClock
from tests.unit.consumers.support import Mediator, ScriptedSource, consumer_of, failing, message

PARENT = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


async def test_each_attempt_is_a_child_of_the_span_that_published(
    clock: FakeClock, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    inside: list[int] = []
    fail = failing(1)

    async def handle(number: int) -> None:
        inside.append(trace.get_current_span().get_span_context().span_id)
        await fail(number)

    source = ScriptedSource(message(1, headers=PARENT))
    async with consumer_of(source, Mediator(handle), clock, tracer_provider=provider):
        await clock.elapse(1)
        await source.told("ack", "1")

    failed, handled = exporter.get_finished_spans()
    assert [failed.context.span_id, handled.context.span_id] == inside
    for span in (failed, handled):
        assert span.name == "process numbers"
        assert span.kind is SpanKind.CONSUMER
        assert span.parent is not None
        assert f"{span.parent.span_id:x}" == "b7ad6b7169203331"
        assert f"{span.context.trace_id:x}" == "af7651916cd43dd8448eb211c80319c"
    assert handled.attributes is not None
    assert handled.attributes["messaging.destination.name"] == "numbers"
    assert handled.attributes["holdfast.message.attempt"] == 2
    assert handled.status.status_code is StatusCode.UNSET
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "builtins.ValueError"
    assert "not now" not in failed.to_json()


async def test_a_message_without_context_begins_a_trace_of_its_own(
    clock: FakeClock, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    source = ScriptedSource(message(1))
    with provider.get_tracer("test").start_as_current_span("the start of the program"):
        async with consumer_of(source, Mediator(), clock, tracer_provider=provider):
            await source.told("ack", "1")

    assert exporter.get_finished_spans()[0].parent is None


async def test_without_the_library_there_are_no_spans(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    source = ScriptedSource(message(1))

    async with consumer_of(source, Mediator(), clock):
        await source.told("ack", "1")
