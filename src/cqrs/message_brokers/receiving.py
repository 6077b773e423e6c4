"""What a source of messages must offer to those who consume them, and what it hands over."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import uuid
from collections.abc import AsyncIterator, Hashable, Mapping
from typing import Any, Protocol, runtime_checkable

__all__ = [
    "MessageSource",
    "PausableSource",
    "PostponingSource",
    "ReceivedMessage",
    "RevocableSource",
    "offers",
]


def offers(source: object, port: Any) -> bool:
    """Tell whether an object has all methods of a port, its own or passed on by ``__getattr__``.

    ``isinstance`` does not see the latter since Python 3.12, so that a source that is wrapped into another
    object would lose what it offers.

    >>> offers(object(), MessageSource)
    False
    """
    return not isinstance(source, type) and all(
        callable(getattr(source, name, None)) for name in _methods_of(port)
    )


@functools.cache
def _methods_of(port: Any) -> tuple[str, ...]:
    return tuple(
        name
        for klass in inspect.getmro(port)
        for name, value in vars(klass).items()
        if callable(value) and not name.startswith("_")
    )


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class ReceivedMessage:
    """A message as it came from a broker, not decoded; two deliveries are never equal.

    Args:
        body: the content, as it travelled.
        headers: text that travelled beside it.
        message_name: what it tells, as its publisher named it; ``None`` when it does not say.
        topic: where it was published.
        message_id: its identity; ``None`` when there is none, or it is no UUID.
        key: what belongs together; ``None`` when the publisher gave none.
        attempt: which delivery this is as far as the broker knows, from 1.
        position: where it lies in the broker, for logs.
        raw: the message of the library.
        ordering: messages of equal ``ordering`` are to be handled one after the other, in the order in which
            they arrive; ``None``: in any order.
    """

    body: bytes
    headers: Mapping[str, str]
    message_name: str | None
    topic: str
    message_id: uuid.UUID | None = None
    key: str | None = None
    attempt: int = 1
    position: str = ""
    raw: Any = None
    ordering: Hashable | None = None


@runtime_checkable
class MessageSource(Protocol):
    """Hands over messages, and is told what became of each.

    For every message that ``messages`` yields, exactly one of ``ack``, ``retry`` (with the answer ``True``),
    ``dead_letter`` and ``release`` is called to its end, from any task. A message for which none was is
    delivered again, when the connection ends at the latest. Each of them may raise
    ``BrokerUnavailableError`` or ``MessageRefusedError``, and may then be called again; perhaps only the
    answer was lost. A message of an earlier connection, which the broker has
    taken back, can no longer be settled: that is no error either, for it is delivered again.
    """

    async def start(self) -> None:
        """Connect and subscribe; a source that has started, or stopped, may be started again.

        Raises:
            BrokerUnavailableError: there is no connection to be had; ``start`` may be called again.
        """
        ...

    def messages(self) -> AsyncIterator[ReceivedMessage]:
        """Yield messages until ``stop``; at most one iteration at a time.

        Raises:
            BrokerUnavailableError: the connection is lost; call ``messages`` again to go on, on a new one.
        """
        ...

    async def ack(self, message: ReceivedMessage) -> None:
        """Tell that the message is handled; it is not delivered again."""
        ...

    async def retry(self, message: ReceivedMessage, delay: float) -> bool:
        """Have the message delivered again, with ``attempt`` + 1, in ``delay`` seconds or somewhat later.

        Returns:
            ``False``: this broker cannot; nothing happened, and the consumer tries again itself
        """
        ...

    async def extend(self, message: ReceivedMessage) -> None:
        """Tell that the message is still in work, so that nobody else is given it; often nothing to do."""
        ...

    async def dead_letter(self, message: ReceivedMessage, reason: str, attempts: int) -> None:
        """Put the message where it is durable, with ``reason`` and ``attempts``; then acknowledge it."""
        ...

    async def release(self, message: ReceivedMessage) -> None:
        """Give the message back unhandled: it is delivered again, to whoever asks, not as a new attempt."""
        ...

    async def stop(self) -> None:
        """Take no new messages; the connection stays usable to settle those that were handed over."""
        ...

    async def close(self) -> None:
        """Close the connection; what was not settled is delivered again. It may be called more than once."""
        ...


@runtime_checkable
class PausableSource(MessageSource, Protocol):
    """A source that can hold back one ordering while it goes on with the others.

    Optional: without it, a consumer that cannot go on with one ordering takes what comes of it until it may
    hold no more, and then takes nothing at all until it can go on.
    """

    def pause(self, ordering: Hashable) -> None:
        """Yield no more messages of ``ordering`` until ``resume``; a lost connection ends it as well.

        It may be called again for an ordering that is paused.
        """
        ...

    def resume(self, ordering: Hashable) -> None:
        """End what ``pause`` has begun; nothing happens if it has not."""
        ...


@runtime_checkable
class RevocableSource(MessageSource, Protocol):
    """A source that knows when the broker has taken a message back that was handed over.

    Optional: without it, a consumer begins to handle such a message too, which is delivered again anyway.
    """

    def is_current(self, message: ReceivedMessage) -> bool:
        """Tell whether to begin to handle a message; ``False``: release it, it is delivered again."""
        ...


@runtime_checkable
class PostponingSource(MessageSource, Protocol):
    """A source that can have a message delivered later without counting an attempt.

    Optional: without it, messages that wait for an open circuit are held by the consumer, and when it may
    hold no more, all others wait as well.
    """

    async def postpone(self, message: ReceivedMessage, delay: float) -> bool:
        """Have the message delivered again, as the same attempt, in ``delay`` seconds or somewhat later.

        Returns:
            ``False``: not with this delay; nothing happened
        """
        ...
