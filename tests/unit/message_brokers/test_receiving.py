"""What is received."""

from __future__ import annotations

from cqrs.message_brokers.receiving import ReceivedMessage


def test_a_message_needs_little() -> None:
    message = ReceivedMessage(b"{}", {}, None, "users")

    assert message.attempt == 1
    assert message.message_id is message.key is message.ordering is None


def test_two_deliveries_are_never_equal() -> None:
    first, second = ReceivedMessage(b"", {}, None, "users"), ReceivedMessage(b"", {}, None, "users")

    assert first != second
    assert len({first, second}) == 2
