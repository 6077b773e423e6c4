"""What spans tell of failures."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import StatusCode

from cqrs._tracing import record_failure
from cqrs.exceptions import BrokerUnavailableError


def told(error: BaseException) -> dict[str, Any]:
    span = TracerProvider().get_tracer("test").start_span("work")
    try:
        raise error
    except BaseException as caught:
        record_failure(span, caught, StatusCode.ERROR, "in words")
    span.end()
    return dict(json.loads(span.to_json()))  # type: ignore[attr-defined]  # a span of the SDK


def test_the_message_of_another_library_is_not_told() -> None:
    span = told(ValueError("a secret"))

    assert span["status"] == {"status_code": "ERROR", "description": "in words"}
    assert span["attributes"]["error.type"] == "builtins.ValueError"
    assert span["events"][0]["attributes"]["exception.type"] == "builtins.ValueError"
    assert "in told" in span["events"][0]["attributes"]["exception.stacktrace"]
    assert "secret" not in json.dumps(span)


def test_our_own_is() -> None:
    span = told(BrokerUnavailableError("users", "refused"))

    assert span["events"][0]["attributes"]["exception.message"] == "topic 'users': refused"


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()])
def test_what_interrupts_is_no_failure(error: BaseException) -> None:
    span = told(error)

    assert span["status"] == {"status_code": "UNSET"}
    assert span["attributes"]["error.type"] == type(error).__name__
    assert span["events"] == []
