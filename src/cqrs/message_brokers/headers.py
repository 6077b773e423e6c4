"""The names of all headers that messages travel with, and how they are written and read."""

from __future__ import annotations

import datetime
import functools
import uuid
from collections.abc import Callable, Iterable, Mapping

from cqrs.message_brokers.protocol import Message
from cqrs.message_brokers.receiving import ReceivedMessage

__all__ = [
    "ATTEMPT",
    "BRIEF",
    "CONTENT_TYPE",
    "CREATED_AT",
    "DEAD_LETTER_AT",
    "DEAD_LETTER_ATTEMPTS",
    "DEAD_LETTER_OMITTED",
    "DEAD_LETTER_REASON",
    "DEAD_LETTER_TOPIC",
    "FIRST_TOPIC",
    "JSON_HEADERS",
    "KEY",
    "MESSAGE_ID",
    "MESSAGE_NAME",
    "NATS_MESSAGE_ID",
    "TRACEPARENT",
    "attempt_of",
    "dead_letter_headers",
    "decode",
    "encode",
    "headers_of",
    "message_id_of",
    "retry_headers",
    "utc_now",
]

MESSAGE_ID = "message_id"
MESSAGE_NAME = "message_name"
KEY = "message_key"
CONTENT_TYPE = "content_type"
CREATED_AT = "created_at"
TRACEPARENT = "traceparent"  # W3C Trace Context, section 3.2

DEAD_LETTER_REASON = "dead_letter_reason"
DEAD_LETTER_ATTEMPTS = "dead_letter_attempts"
DEAD_LETTER_TOPIC = "dead_letter_topic"
DEAD_LETTER_AT = "dead_letter_at"
DEAD_LETTER_OMITTED = "dead_letter_omitted"

# Of NATS: what its server finds duplicates by; and those of ours that are no lines of text.
NATS_MESSAGE_ID = "Nats-Msg-Id"
JSON_HEADERS = "headers_json"

# Of a message that was published once more, to be delivered again after a delay.
ATTEMPT = "delivery_attempt"
FIRST_TOPIC = "first_topic"

REASON_LIMIT = 2000
"""Characters of a reason that travel with a dead letter: brokers limit headers."""

BRIEF = 100
"""Characters of a reason, or of a header that tells what a message is, where there is little room."""

DIGITS = 9
"""Of a number in a header, at most: whoever published it may have written anything."""


def utc_now() -> datetime.datetime:
    """Return the wall clock's time, in UTC."""
    return datetime.datetime.now(datetime.UTC)


def headers_of(
    message: Message, content_type: str, now: Callable[[], datetime.datetime] = utc_now
) -> dict[str, str]:
    """Return what travels beside the body: the message's own headers, and what tells what it is.

    Identity, name and key are always those of the message, and this is its first attempt, also when it brings
    the headers of another one along; content type, time and trace context are added unless it brings its own.
    The trace context is that of the current span, when OpenTelemetry is installed.

    >>> headers = headers_of(Message("UserJoined", "users", {}, key="7"), "application/json")
    >>> headers["message_name"], headers["message_key"], headers["content_type"]
    ('UserJoined', '7', 'application/json')
    """
    headers = {CONTENT_TYPE: content_type, CREATED_AT: now().isoformat(), **_first(message.headers)}
    headers[MESSAGE_ID] = str(message.message_id)
    headers[MESSAGE_NAME] = message.message_name
    if message.key is None:
        headers.pop(KEY, None)
    else:
        headers[KEY] = message.key
    if TRACEPARENT not in headers:
        _inject()(headers)
    return headers


def dead_letter_headers(
    message: ReceivedMessage,
    reason: str,
    attempts: int,
    now: Callable[[], datetime.datetime] = utc_now,
    *,
    omitted: str = "",
    own: bool = True,
) -> dict[str, str]:
    """Return the headers of a message that nobody could handle: its own, and why, when and from where.

    Args:
        message: as it was received.
        reason: why nobody could.
        attempts: to handle it.
        now: the time.
        omitted: what the dead letter lacks, in words.
        own: whether all headers of the message come along; else, short ones that tell what it is.
    """
    kept = _first(message.headers)
    if not own:
        names = (MESSAGE_ID, MESSAGE_NAME, KEY, CONTENT_TYPE)
        kept = {name: kept[name] for name in names if name in kept and len(kept[name]) <= BRIEF}
    if omitted:
        kept[DEAD_LETTER_OMITTED] = f"{omitted}, at {message.position or message.topic}"
    shown = reason if len(reason) <= REASON_LIMIT else f"{reason[: REASON_LIMIT - 1]}…"
    return {
        **kept,
        # Line ends would end a header of NATS.
        DEAD_LETTER_REASON: " ".join(_text(shown).split()),
        DEAD_LETTER_ATTEMPTS: str(attempts),
        DEAD_LETTER_TOPIC: message.topic,
        DEAD_LETTER_AT: now().isoformat(),
    }


def retry_headers(message: ReceivedMessage, attempt: int) -> dict[str, str]:
    """Return the headers of a message that is published once more."""
    return {**message.headers, ATTEMPT: str(attempt), FIRST_TOPIC: message.topic}


def attempt_of(headers: Mapping[str, str]) -> int:
    """Return which attempt a message is that may have been published once more.

    >>> attempt_of({}), attempt_of({"delivery_attempt": "3"}), attempt_of({"delivery_attempt": "many"})
    (1, 3, 1)
    """
    text = headers.get(ATTEMPT, "")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) <= DIGITS else 1


def message_id_of(headers: Mapping[str, str], other: str | None = None) -> uuid.UUID | None:
    """Return the identity in ``headers``, else in ``other``; ``None`` when neither is a UUID.

    >>> message_id_of({"message_id": "no number"}) is None
    True
    """
    for text in (headers.get(MESSAGE_ID), other):
        if text:
            try:
                return uuid.UUID(text)
            except ValueError:
                continue
    return None


def encode(headers: Mapping[str, str]) -> list[tuple[str, bytes]]:
    """Return headers as pairs of text and UTF-8."""
    return [(name, value.encode()) for name, value in headers.items()]


def decode(pairs: Iterable[tuple[str | bytes, object]]) -> dict[str, str]:
    """Return headers as text, whatever a broker keeps them as; what has no form in UTF-8 is replaced.

    Else nobody could put the message aside: it would have to travel again.
    """
    return {_text(name): _text(value) for name, value in pairs}


def _text(value: object) -> str:
    text = value if isinstance(value, bytes) else str(value).encode(errors="replace")
    return text.decode(errors="replace")


def _first(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in (ATTEMPT, FIRST_TOPIC)}


@functools.cache
def _inject() -> Callable[[dict[str, str]], object]:
    try:
        from opentelemetry import propagate
    except ImportError:
        return lambda headers: None
    return propagate.inject
