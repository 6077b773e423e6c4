"""The message in work, for handlers that need more of it than its event."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Generator

from cqrs.message_brokers.receiving import ReceivedMessage

__all__ = ["current_message"]

_message: contextvars.ContextVar[ReceivedMessage | None] = contextvars.ContextVar(
    "cqrs_message", default=None
)


def current_message() -> ReceivedMessage | None:
    """Return the message whose event is being handled, with its headers; ``None`` outside of a consumer.

    >>> current_message() is None
    True
    """
    return _message.get()


@contextlib.contextmanager
def handling(message: ReceivedMessage) -> Generator[None]:
    """Make ``current_message`` return ``message`` in a block."""
    token = _message.set(message)
    try:
        yield
    finally:
        _message.reset(token)
