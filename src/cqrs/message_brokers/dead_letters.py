"""Putting a message aside, also one that leaves no room for the reason beside it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator

from cqrs.message_brokers.errors import MessageTooLargeError
from cqrs.message_brokers.headers import BRIEF, dead_letter_headers
from cqrs.message_brokers.receiving import ReceivedMessage

__all__ = ["put_aside"]

_logger = logging.getLogger(__name__)


async def put_aside(
    message: ReceivedMessage,
    reason: str,
    attempts: int,
    publish: Callable[[bytes, dict[str, str]], Awaitable[object]],
) -> None:
    """Publish a dead letter: the message with the reason, or as much of both as the broker takes.

    Where it is too large, it goes without the end of the reason; else without the headers of the message,
    else without its body, else without both, as a header and the log tell. What is refused for anything else
    than its size stays where it is, whole.

    Args:
        message: as it was received.
        reason: why it is put aside.
        attempts: to handle it.
        publish: publishes a body with headers.

    Raises:
        MessageRefusedError, BrokerUnavailableError: it could not be published.
    """
    refused: MessageTooLargeError | None = None
    for body, headers, omitted in _forms(message, reason, attempts):
        try:
            await publish(body, headers)
        except MessageTooLargeError as error:
            refused = error
            continue
        if omitted:
            _logger.error(
                "%s at %s is put aside without %s: %s",
                message.message_name or "a message without name",
                message.position or message.topic,
                omitted,
                refused,
                extra={"message_id": str(message.message_id), "topic": message.topic},
            )
        return
    if refused is not None:
        raise refused


def _forms(
    message: ReceivedMessage, reason: str, attempts: int
) -> Iterator[tuple[bytes, dict[str, str], str]]:
    """Return body and headers, from the largest to the smallest, and what they lack."""
    yield message.body, dead_letter_headers(message, reason, attempts), ""
    brief = reason[:BRIEF]
    yield message.body, dead_letter_headers(message, brief, attempts), ""
    for body, omitted in (
        (message.body, "its headers"),
        (b"", f"its body of {len(message.body)} bytes"),
        (b"", f"its headers and its body of {len(message.body)} bytes"),
    ):
        headers = dead_letter_headers(message, brief, attempts, omitted=omitted, own="headers" not in omitted)
        yield body, headers, omitted
