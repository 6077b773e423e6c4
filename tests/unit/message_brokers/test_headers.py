"""What travels beside a message says what it is."""

from __future__ import annotations

import datetime
import uuid

import pytest

from cqrs.message_brokers import headers
from cqrs.message_brokers.protocol import Message
from cqrs.message_brokers.receiving import ReceivedMessage

NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)


def test_headers_tell_what_a_message_is() -> None:
    message = Message("UserJoined", "users", {}, headers={"tenant": "north"}, key="7")

    assert headers.headers_of(message, "application/json", lambda: NOON) == {
        "content_type": "application/json",
        "created_at": "2026-01-02T12:00:00+00:00",
        "tenant": "north",
        "message_id": str(message.message_id),
        "message_name": "UserJoined",
        "message_key": "7",
    }


def test_a_message_cannot_pretend_to_be_another_one() -> None:
    forged = {"message_id": "1", "message_name": "Other", "message_key": "2", "content_type": "text/plain"}
    message = Message("UserJoined", "users", {}, headers=forged)

    made = headers.headers_of(message, "application/json")

    assert made["message_id"] == str(message.message_id)
    assert made["message_name"] == "UserJoined"
    assert "message_key" not in made
    assert made["content_type"] == "text/plain"


def test_the_headers_of_the_message_stay_as_they_were() -> None:
    own = {"tenant": "north"}

    headers.headers_of(Message("UserJoined", "users", {}, headers=own), "application/json")

    assert own == {"tenant": "north"}


def test_the_current_span_is_the_parent_of_what_follows() -> None:
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    with sdk.TracerProvider().get_tracer("test").start_as_current_span("publish") as span:
        made = headers.headers_of(Message("UserJoined", "users", {}), "application/json")
        kept = headers.headers_of(
            Message("UserJoined", "users", {}, headers={"traceparent": "earlier"}), "application/json"
        )

    assert f"{span.get_span_context().trace_id:032x}" in made["traceparent"]
    assert kept["traceparent"] == "earlier"


@pytest.mark.parametrize(("text", "other"), [(None, None), ("", ""), ("7", None), ("7", "8")])
def test_no_identity_is_none(text: str | None, other: str | None) -> None:
    assert headers.message_id_of({} if text is None else {"message_id": text}, other) is None


def test_an_identity_is_found_in_either_place() -> None:
    identity = uuid.uuid4()

    assert headers.message_id_of({"message_id": str(identity)}) == identity
    assert headers.message_id_of({"message_id": "7"}, str(identity)) == identity


def test_a_dead_letter_keeps_its_headers_and_tells_why() -> None:
    message = ReceivedMessage(b"", {"tenant": "north"}, "UserJoined", "users")

    made = headers.dead_letter_headers(message, "no\r\nJSON\n", 3, lambda: NOON)

    assert made == {
        "tenant": "north",
        "dead_letter_reason": "no JSON",
        "dead_letter_attempts": "3",
        "dead_letter_topic": "users",
        "dead_letter_at": "2026-01-02T12:00:00+00:00",
    }


def test_a_long_reason_is_cut() -> None:
    made = headers.dead_letter_headers(ReceivedMessage(b"", {}, None, "users"), "x" * 10_000, 1)

    assert len(made["dead_letter_reason"]) == headers.REASON_LIMIT


def test_what_others_put_into_headers_is_read_as_text() -> None:
    assert headers.decode([("a", b"\xc3\xb6"), (b"b", 7), ("c", b"\xff")]) == {
        "a": "ö",
        "b": "7",
        "c": "\ufffd",
    }


@pytest.mark.parametrize("text", ["9" * 5000, "-1", "1.5", "١", "²"])
def test_a_number_of_an_attempt_that_is_none_is_the_first(text: str) -> None:
    assert headers.attempt_of({"delivery_attempt": text}) == 1


def test_headers_passed_on_from_another_message_bring_no_attempts() -> None:
    received = {"delivery_attempt": "7", "first_topic": "others", "tenant": "north"}

    made = headers.headers_of(Message("UserJoined", "users", {}, headers=received), "application/json")

    assert made["tenant"] == "north"
    assert "delivery_attempt" not in made
    assert "first_topic" not in made


def test_a_dead_letter_can_always_travel() -> None:
    received = headers.decode([("a", "\ud800"), ("b", b"\xff")])
    message = ReceivedMessage(b"", received, None, "users")

    made = headers.dead_letter_headers(message, "no file \udcff", 1)

    assert dict(headers.encode(made))["dead_letter_reason"] == b"no file ?"
    assert made["a"] == "?"
