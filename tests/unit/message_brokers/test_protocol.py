"""What is given to a broker."""

from __future__ import annotations

import uuid

from cqrs.message_brokers.protocol import Message


def test_a_message_gets_an_identity_of_its_own() -> None:
    first, second = Message("UserJoined", "users", {}), Message("UserJoined", "users", {})

    assert isinstance(first.message_id, uuid.UUID)
    assert first.message_id != second.message_id


def test_fields_in_order() -> None:
    identity = uuid.uuid4()

    message = Message("UserJoined", "users", {"id": 1}, identity, {"traceparent": "00-ab-cd-01"})

    assert message.message_name == "UserJoined"
    assert message.topic == "users"
    assert message.payload == {"id": 1}
    assert message.message_id == identity
    assert message.headers == {"traceparent": "00-ab-cd-01"}


def test_headers_are_not_shared() -> None:
    assert Message("a", "b", 1).headers is not Message("a", "b", 1).headers
