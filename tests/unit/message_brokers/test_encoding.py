"""A message becomes a body and headers, or is refused."""

from __future__ import annotations

from typing import Any

import pytest

from cqrs.exceptions import MessageRefusedError, SerializationError
from cqrs.message_brokers.encoding import Encoder
from cqrs.message_brokers.protocol import Message


def test_payloads_become_json() -> None:
    body, headers = Encoder().encode(Message("UserJoined", "users", {"id": 7}))

    assert body == b'{"id":7}'
    assert headers["content_type"] == "application/json"


def test_another_serializer_says_what_it_makes() -> None:
    def reverse(payload: Any) -> bytes:
        return payload[::-1].encode()

    plain = Encoder(reverse).encode(Message("UserJoined", "users", "abc"))
    reverse.content_type = "text/reversed"  # type: ignore[attr-defined]  # as serializers may have
    named = Encoder(reverse).encode(Message("UserJoined", "users", "abc"))

    assert plain[0] == named[0] == b"cba"
    assert plain[1]["content_type"] == "application/octet-stream"
    assert named[1]["content_type"] == "text/reversed"


def test_bytes_are_not_serialised_again() -> None:
    body, headers = Encoder().encode(Message("UserJoined", "users", b"\xff"))

    assert body == b"\xff"
    assert headers["content_type"] == "application/octet-stream"


def test_what_has_no_form_is_refused_with_the_reason() -> None:
    with pytest.raises(MessageRefusedError, match="UserJoined cannot be serialised") as caught:
        Encoder().encode(Message("UserJoined", "users", object()))

    assert caught.value.topic == "users"
    assert isinstance(caught.value.__cause__, SerializationError)


@pytest.mark.parametrize(
    "fields",
    [
        {"headers": {"tenant": 7}},
        {"headers": {7: "tenant"}},
        {"headers": {"tenant": "\ud800"}},
        {"headers": {"\ud800": "tenant"}},
        {"key": 7},
        {"key": "\ud800"},
        {"topic": ""},
        {"topic": None},
        {"topic": "users\ud800"},
        {"message_name": 7},
        {"message_name": "\ud800"},
    ],
    ids=ascii,
)
def test_what_is_no_text_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(MessageRefusedError):
        Encoder().encode(
            Message(**({"message_name": "UserJoined", "topic": "users", "payload": {}} | fields))
        )
